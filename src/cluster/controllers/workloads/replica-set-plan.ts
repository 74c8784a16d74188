import { isFinishedPod, type Pod, type ReplicaSet } from "../../../api/kubernetes/index.ts";
import {
  availableAtMs,
  createdMs,
  isActive,
  isAvailable,
  isReady,
  isTerminating,
  maxNewPods,
  podCondition,
  restartsOf,
} from "../pods/pod-facts.ts";

export interface ReplicaSetPlan {
  readonly create: number;
  readonly remove: readonly Pod[];
  readonly status: NonNullable<ReplicaSet["status"]>;
  /** The time until the next ready pod becomes available. Undefined if no pod has to wait. */
  readonly lookAgainMs: number | undefined;
}

export function planReplicaSet(replicaSet: ReplicaSet, pods: readonly Pod[], nowMs: number): ReplicaSetPlan {
  const wanted = replicaSet.spec?.replicas ?? 1;
  const minReadySeconds = replicaSet.spec?.minReadySeconds ?? 0;
  const active = pods.filter(isActive);
  const ready = active.filter(isReady);
  const available = ready.filter((pod) => isAvailable(pod, minReadySeconds, nowMs));
  const wantedLabels = Object.entries(replicaSet.spec?.template?.metadata?.labels ?? {});
  const fullyLabeled = active.filter((pod) =>
    wantedLabels.every(([key, value]) => pod.metadata.labels?.[key] === value),
  );
  const soon = Math.min(...ready.map((pod) => availableAtMs(pod, minReadySeconds)).filter((atMs) => atMs > nowMs));
  const surplus = active.length - wanted;
  return {
    create: isTerminating(replicaSet) ? 0 : Math.min(maxNewPods, Math.max(0, -surplus)),
    remove: surplus > 0 && !isTerminating(replicaSet) ? rankForRemoval(active).slice(0, surplus) : [],
    status: {
      replicas: active.length,
      fullyLabeledReplicas: fullyLabeled.length,
      readyReplicas: ready.length,
      availableReplicas: available.length,
      terminatingReplicas: pods.filter((pod) => isTerminating(pod) && !isFinishedPod(pod)).length,
      observedGeneration: replicaSet.metadata.generation ?? 0,
    },
    lookAgainMs: Number.isFinite(soon) ? soon - nowMs : undefined,
  };
}

type ReplicaSetConditions = NonNullable<NonNullable<ReplicaSet["status"]>["conditions"]>;

/**
 * The conditions after an attempt to create or remove pods. As in Kubernetes, the condition shows the first failure
 * until an attempt succeeds.
 */
export function conditionsAfter(
  { status }: ReplicaSet,
  failure: { readonly reason: "FailedCreate" | "FailedDelete"; readonly message: string } | undefined,
  now: string,
): ReplicaSetConditions {
  const { conditions = [] } = status ?? {};
  if (failure === undefined) return conditions.filter(({ type }) => type !== "ReplicaFailure");
  if (conditions.some(({ type }) => type === "ReplicaFailure")) return conditions;
  return [...conditions, { type: "ReplicaFailure", status: "True", ...failure, lastTransitionTime: now }];
}

const deletionCost = "controller.kubernetes.io/pod-deletion-cost";

/**
 * Sorts pods in the order of their removal: unassigned, pending, not ready, lowest deletion cost (by annotation), on
 * the node with most of the set's pods, ready for the shortest time, most restarts, youngest.
 */
function rankForRemoval(pods: readonly Pod[]): Pod[] {
  const onNode = Map.groupBy(pods, (pod) => pod.spec?.nodeName ?? "");
  const rank = (pod: Pod): number[] => [
    pod.spec?.nodeName === undefined ? 0 : 1,
    pod.status?.phase === "Running" ? 2 : pod.status?.phase === "Unknown" ? 1 : 0,
    isReady(pod) ? 1 : 0,
    Number(pod.metadata.annotations?.[deletionCost] ?? 0),
    -(onNode.get(pod.spec?.nodeName ?? "")?.length ?? 0),
    -readySinceMs(pod),
    -restartsOf(pod),
    -createdMs(pod),
  ];
  return pods
    .map((pod) => ({ pod, rank: rank(pod) }))
    .sort((left, right) => compareRanks(left.rank, right.rank))
    .map(({ pod }) => pod);
}

function compareRanks(left: readonly number[], right: readonly number[]): number {
  for (const [index, value] of left.entries()) {
    const difference = value - (right[index] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}

function readySinceMs(pod: Pod): number {
  return isReady(pod) ? Date.parse(podCondition(pod, "Ready")?.lastTransitionTime ?? "") || 0 : 0;
}
