import type { UntypedObject } from "../../api/index.ts";
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

/**
 * The value of `left` if the number of missing pods is unknown. It is larger than the number of pods of any workload.
 */
const unknownLeft = 10_000;

/**
 * Why the API server refuses the Deployment's pods, for example because of a quota. The text omits the pod's name,
 * which differs in every attempt.
 */
function refusalOf({ conditions = [] }: WorkloadStatus): string {
  const refused = conditions.find(({ type, status }) => type === "ReplicaFailure" && status === "True");
  const message = refused?.message?.replace(/^(?:create of Pod [^:]*: )?pods "[^"]*" is /, "") ?? "";
  return message === "" ? "" : ` (its pods are refused: ${message})`;
}

/**
 * The text for a DaemonSet that lacks pods. It names the command that shows why, because a DaemonSet's status, unlike a
 * Deployment's, does not contain the reason.
 */
function absentText({ kind, name, namespace = "" }: ObjectReference, status: WorkloadStatus): string {
  const { desiredNumberScheduled = 0, currentNumberScheduled = desiredNumberScheduled } = status;
  const absent = desiredNumberScheduled - currentNumberScheduled;
  return kind !== "DaemonSet" || absent <= 0
    ? ""
    : ` (${absent} of its pods ${absent === 1 ? "does" : "do"} not exist; the API server's reason: kubectl describe daemonset -n ${namespace} ${name})`;
}

/** The text for pods that are ready, but have not been ready for `minReadySeconds`. Empty in all other cases. */
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

export interface ReadyQuery {
  readonly minReplicas?: number;
  /** Counts pods of former templates too. A Deployment that is held while its template changes has only such pods. */
  readonly ofAnyTemplate?: boolean;
  /**
   * This many pods may be missing, see {@link lackedPods}. Pods of the former template may then remain too: a
   * Deployment keeps them while new ones are not ready.
   */
  readonly lacked?: number;
}

interface Unready {
  /** A text for people that follows the workload's name, such as `: 1 of 2 ready`. */
  readonly text: string;
  readonly left: number;
}

/** Whether all pods of a Deployment or DaemonSet match its spec and are ready. `query` relaxes or tightens that. */
export function readyState(
  object: Awaited<ReturnType<ObjectAccess["get"]>>,
  reference: ObjectReference,
  query?: ReadyQuery,
): SettleState {
  const unready = unreadyOf(object, reference, query);
  if (unready === undefined) return { state: "met" };
  return { state: "waiting", detail: `${reference.kind} ${reference.name}${unready.text}`, left: unready.left };
}

/** What a Deployment or DaemonSet lacks. Undefined if it is ready in the sense of {@link readyState}. */
export function unreadyOf(
  object: Awaited<ReturnType<ObjectAccess["get"]>>,
  reference: ObjectReference,
  { minReplicas = 0, ofAnyTemplate = false, lacked = 0 }: ReadyQuery = {},
): Unready | undefined {
  const { kind } = reference;
  if (object === undefined) return { text: " does not exist yet", left: unknownLeft };
  const status = (object["status"] ?? {}) as WorkloadStatus;
  if ((status.observedGeneration ?? 0) < (object.metadata.generation ?? 0))
    return { text: " has not been seen by its controller", left: unknownLeft };
  const wanted = Math.max(minReplicas, wantedPods(object, kind));
  const updated = (kind === "DaemonSet" ? status.updatedNumberScheduled : status.updatedReplicas) ?? 0;
  const available = availablePods(status, kind);
  if (lacked > 0 && available >= wanted - lacked && (ofAnyTemplate || updated >= wanted)) return undefined;
  const ready = ofAnyTemplate ? available : Math.min(updated, available);
  if (ready < wanted)
    return {
      text: `: ${ready} of ${wanted} ready${refusalOf(status) || absentText(reference, status) || unprovenText(object, status, wanted)}`,
      left: wanted - ready,
    };
  const replicas = status.replicas ?? 0;
  const surplus = kind === "Deployment" ? replicas - wanted : 0;
  if (surplus <= 0) return undefined;
  // The status does not show whether an old or a new pod is unavailable, so the text only counts the available pods.
  // The Deployment deletes the last old pods only when all new ones are available.
  const why =
    available < replicas ? `${available} of ${replicas} pods are available` : `${surplus} old pods are leaving`;
  return { text: `: ${why}`, left: surplus };
}

function wantedPods(object: UntypedObject, kind: string): number {
  const { desiredNumberScheduled = 0 } = (object["status"] ?? {}) as WorkloadStatus;
  const { replicas = 1 } = (object["spec"] ?? {}) as { readonly replicas?: number };
  return kind === "DaemonSet" ? desiredNumberScheduled : replicas;
}

function availablePods({ numberAvailable = 0, availableReplicas = 0 }: WorkloadStatus, kind: string): number {
  return kind === "DaemonSet" ? numberAvailable : availableReplicas;
}

const workloads = new Set(["Deployment", "StatefulSet", "DaemonSet", "Rollout"]);

/**
 * How many ready pods a workload lacks now. 0 for other objects, and for a workload that its controller has not
 * processed yet.
 */
export function lackedPods(object: UntypedObject, kind: string): number {
  const status = (object["status"] ?? {}) as WorkloadStatus;
  if (!workloads.has(kind) || (status.observedGeneration ?? 0) < (object.metadata.generation ?? 0)) return 0;
  return Math.max(0, wantedPods(object, kind) - availablePods(status, kind));
}
