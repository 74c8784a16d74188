import type { Pod } from "../../api/kubernetes/index.ts";

/**
 * A pod that stays Terminating this long after its grace period has lost its node. The time allows for a slow node, and
 * for a difference between the clocks of the API server and the engine.
 */
const strandedAfterMs = 60_000;

/**
 * Whether a pod stays Terminating because its node is lost, so that only a person can end it. A pod with a finalizer
 * waits for the finalizer's controller instead.
 */
export function isStranded({ metadata }: Pick<Pod, "metadata">, nowMs: number): boolean {
  const { deletionTimestamp, finalizers = [] } = metadata;
  if (deletionTimestamp === undefined || finalizers.length > 0) return false;
  return nowMs - Date.parse(deletionTimestamp) > strandedAfterMs;
}
