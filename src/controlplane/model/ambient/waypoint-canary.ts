import { canaryOfLabel } from "../../../api/serin/index.ts";
import type { CollectionIndex, CollectionReader } from "../../../kube/index.ts";
import type { PodFacts } from "../facts.ts";
import type { WaypointShare } from "./waypoint-bindings.ts";
import type { Waypoint } from "./waypoint.ts";
import { fullWeight } from "./waypoint-weight.ts";

/**
 * The capacity of one waypoint pod. With it, all pods of the canary revision together receive the Gateway's weight.
 * Undefined if all pods have the same weight, because no weight is set or one side has no ready pod.
 */
export function capacityOf(pod: PodFacts, waypoint: Waypoint, pods: readonly PodFacts[]): number | undefined {
  const { canaryWeight } = waypoint;
  if (canaryWeight === undefined) return undefined;
  const ready = pods.filter((other) => other.ready);
  const canaries = ready.filter(isCanaryPod).length;
  const stables = ready.length - canaries;
  if (canaries === 0 || stables === 0) return undefined;
  return isCanaryPod(pod) ? canaryWeight * stables : (fullWeight - canaryWeight) * canaries;
}

function isCanaryPod({ labels }: PodFacts): boolean {
  return labels[canaryOfLabel] !== undefined;
}

/**
 * The pods of a waypoint to which requests may be sent. If none is ready, those that may still serve are used: the
 * terminating ones or, if there are none, those that are not ready. Without that, every connection could fail after a
 * kubelet has restarted, because it reports a pod with a startup probe as unready until it has probed the pod.
 */
export function usedWaypointPods(pods: readonly PodFacts[]): readonly PodFacts[] {
  const ready = pods.filter((pod) => pod.ready);
  if (ready.length > 0) return ready;
  const leaving = pods.filter((pod) => pod.leaving);
  return leaving.length > 0 ? leaving : pods;
}

export interface WeightedPod {
  readonly pod: PodFacts;
  readonly weight: number;
}

/** The pods that receive requests for a service, each with its share of them. Pods without a share are left out. */
export function weightedPods(
  shares: readonly WaypointShare[],
  podsOf: CollectionIndex<PodFacts>,
  reader: CollectionReader,
): readonly WeightedPod[] {
  return shares.flatMap(({ waypoint, weight }) => {
    const pods = reader.lookup(podsOf, waypoint.key);
    const counted = usedWaypointPods(pods).map((pod) => ({ pod, capacity: capacityOf(pod, waypoint, pods) ?? 1 }));
    const total = counted.reduce((sum, { capacity }) => sum + capacity, 0);
    return counted.flatMap(({ pod, capacity }) =>
      weight * capacity === 0 ? [] : { pod, weight: (weight * capacity) / total },
    );
  });
}
