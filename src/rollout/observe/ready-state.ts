import type { ObjectReference } from "../../api/serin/index.ts";
import type { ObjectAccess } from "../act/object-access.ts";
import type { SettleState } from "../decide/index.ts";

interface WorkloadStatus {
  readonly observedGeneration?: number;
  readonly updatedReplicas?: number;
  readonly availableReplicas?: number;
  readonly replicas?: number;
  readonly desiredNumberScheduled?: number;
  readonly updatedNumberScheduled?: number;
  readonly numberAvailable?: number;
}

/** Stands for an unknown number of missing pods. It exceeds the pods of any workload. */
const unknownLeft = 10_000;

/** Whether all pods of a Deployment or DaemonSet match its spec and are ready. `replicas` is a minimum. */
export function readyState(
  object: Awaited<ReturnType<ObjectAccess["get"]>>,
  { kind, name }: ObjectReference,
  replicas = 0,
): SettleState {
  if (object === undefined) return { state: "waiting", detail: `${kind} ${name} is not there yet`, left: unknownLeft };
  const status = (object["status"] ?? {}) as WorkloadStatus;
  if ((status.observedGeneration ?? 0) < (object.metadata.generation ?? 0))
    return { state: "waiting", detail: `${kind} ${name} has not been seen by its controller`, left: unknownLeft };
  const wanted = Math.max(
    replicas,
    kind === "DaemonSet"
      ? (status.desiredNumberScheduled ?? 0)
      : ((object["spec"] as { replicas?: number }).replicas ?? 1),
  );
  const updated = (kind === "DaemonSet" ? status.updatedNumberScheduled : status.updatedReplicas) ?? 0;
  const available = (kind === "DaemonSet" ? status.numberAvailable : status.availableReplicas) ?? 0;
  const ready = Math.min(updated, available);
  if (ready < wanted)
    return { state: "waiting", detail: `${kind} ${name}: ${ready} of ${wanted} ready`, left: wanted - ready };
  const surplus = kind === "Deployment" ? (status.replicas ?? 0) - wanted : 0;
  return surplus > 0
    ? { state: "waiting", detail: `${kind} ${name}: ${surplus} old pods are leaving`, left: surplus }
    : { state: "met" };
}
