import type { ObjectReference } from "../../api/serin/index.ts";
import type { ObjectAccess } from "../act/object-access.ts";
import type { SettleState } from "../decide/index.ts";

interface WorkloadStatus {
  readonly observedGeneration?: number;
  readonly updatedReplicas?: number;
  readonly readyReplicas?: number;
  readonly availableReplicas?: number;
  readonly replicas?: number;
  readonly desiredNumberScheduled?: number;
  readonly currentNumberScheduled?: number;
  readonly updatedNumberScheduled?: number;
  readonly numberReady?: number;
  readonly numberAvailable?: number;
  readonly conditions?: readonly { readonly type: string; readonly status: string; readonly message?: string }[];
}

/** The number of missing pods if it is unknown. It is larger than the number of pods of any workload. */
const unknownLeft = 10_000;

/**
 * Why the API server refuses the Deployment's pods, for example for a quota. The text omits the pod's name, which
 * differs in every attempt.
 */
function refusalOf({ conditions = [] }: WorkloadStatus): string {
  const refused = conditions.find(({ type, status }) => type === "ReplicaFailure" && status === "True");
  const message = refused?.message?.replace(/^(?:create of Pod [^:]*: )?pods "[^"]*" is /, "") ?? "";
  return message === "" ? "" : ` (its pods are refused: ${message})`;
}

/**
 * The text for a DaemonSet that lacks pods. Unlike the status of a Deployment, its status does not say why. Only its
 * events do.
 */
function absentText({ kind, name, namespace = "" }: ObjectReference, status: WorkloadStatus): string {
  const { desiredNumberScheduled = 0, currentNumberScheduled = desiredNumberScheduled } = status;
  const absent = desiredNumberScheduled - currentNumberScheduled;
  return kind !== "DaemonSet" || absent <= 0
    ? ""
    : ` (${absent} of its pods ${absent === 1 ? "does" : "do"} not exist; the API server's reason: kubectl describe daemonset -n ${namespace} ${name})`;
}

/**
 * The text for pods that are ready, but do not count before they have stayed ready for a time. Empty in all other
 * cases.
 */
function unprovenText(
  object: NonNullable<Awaited<ReturnType<ObjectAccess["get"]>>>,
  { readyReplicas, numberReady = readyReplicas ?? 0 }: WorkloadStatus,
  wanted: number,
): string {
  const { minReadySeconds = 0 } = object["spec"] as { readonly minReadySeconds?: number };
  return minReadySeconds > 0 && numberReady >= wanted
    ? ` (each pod counts after its minReadySeconds: ${minReadySeconds} s)`
    : "";
}

/**
 * Whether all pods of a Deployment or DaemonSet match its spec and are ready. At least `minReplicas` pods must be. With
 * `ofAnyTemplate`, pods of another template than the present one count too. A Deployment that is held while its
 * template changes has only such pods.
 */
export function readyState(
  object: Awaited<ReturnType<ObjectAccess["get"]>>,
  reference: ObjectReference,
  { minReplicas = 0, ofAnyTemplate = false }: { readonly minReplicas?: number; readonly ofAnyTemplate?: boolean } = {},
): SettleState {
  const { kind, name } = reference;
  if (object === undefined)
    return { state: "waiting", detail: `${kind} ${name} does not exist yet`, left: unknownLeft };
  const status = (object["status"] ?? {}) as WorkloadStatus;
  if ((status.observedGeneration ?? 0) < (object.metadata.generation ?? 0))
    return { state: "waiting", detail: `${kind} ${name} has not been seen by its controller`, left: unknownLeft };
  const wanted = Math.max(
    minReplicas,
    kind === "DaemonSet"
      ? (status.desiredNumberScheduled ?? 0)
      : ((object["spec"] as { replicas?: number }).replicas ?? 1),
  );
  const updated = (kind === "DaemonSet" ? status.updatedNumberScheduled : status.updatedReplicas) ?? 0;
  const available = (kind === "DaemonSet" ? status.numberAvailable : status.availableReplicas) ?? 0;
  const ready = ofAnyTemplate ? available : Math.min(updated, available);
  if (ready < wanted)
    return {
      state: "waiting",
      detail: `${kind} ${name}: ${ready} of ${wanted} ready${refusalOf(status) || absentText(reference, status) || unprovenText(object, status, wanted)}`,
      left: wanted - ready,
    };
  const replicas = status.replicas ?? 0;
  const surplus = kind === "Deployment" ? replicas - wanted : 0;
  if (surplus <= 0) return { state: "met" };
  // The status does not show whether an old or a new pod is unavailable. Old ones are deleted when all new ones are.
  const why =
    available < replicas ? `${available} of ${replicas} pods are available` : `${surplus} old pods are leaving`;
  return { state: "waiting", detail: `${kind} ${name}: ${why}`, left: surplus };
}
