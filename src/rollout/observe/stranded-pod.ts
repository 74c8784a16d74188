import type { Pod } from "../../api/kubernetes/index.ts";

/**
 * How long after its grace period a pod may stay Terminating before its node counts as lost. It allows for a slow node,
 * and for a difference between the clocks of the API server and the engine.
 */
const strandedAfterMs = 60_000;

/** Whether a pod stays Terminating because its node is lost, so that it ends only when a person deletes it. */
export function isStranded({ metadata }: Pick<Pod, "metadata">, nowMs: number): boolean {
  const { deletionTimestamp, finalizers = [] } = metadata;
  if (deletionTimestamp === undefined || finalizers.length > 0) return false;
  return nowMs - Date.parse(deletionTimestamp) > strandedAfterMs;
}
