import { jsonEqual } from "../../../base/index.ts";
import { keyOf, matchesLabelSelector } from "../../../api/index.ts";
import {
  deploymentKind,
  podDisruptionBudgetKind,
  podKind,
  replicaSetKind,
  statefulSetKind,
  type Pod,
  type PodDisruptionBudget,
} from "../../../api/kubernetes/index.ts";
import { controllerOf, isKubeCode } from "../../../kube/index.ts";
import { enqueueOn, type ControllerContext } from "../controller.ts";
import { isFinished, isReady, isTerminating, resolveCount } from "../pods/pod-facts.ts";

/** Writes into each budget's status how many pods may be evicted now. The eviction subresource counts it down. */
export function addDisruptionBudgetController(context: ControllerContext): void {
  const budgets = context.view(podDisruptionBudgetKind);
  const pods = context.view(podKind);

  const queue = context.queue("disruption-budget", async (key) => {
    const budget = budgets.at(key);
    if (budget === undefined) return;
    const matching = context.podsByNamespace
      .of(budget.metadata.namespace ?? "")
      .filter((pod) => !isFinished(pod) && matchesLabelSelector(budget.spec?.selector, pod.metadata.labels));
    const status = budgetStatus(budget, matching, expectedPods(context, matching), context.now());
    if (jsonEqual({ ...budget.status, conditions: undefined }, { ...status, conditions: undefined })) return;
    const { name = "", namespace } = budget.metadata;
    try {
      await context.client.patchMerge(podDisruptionBudgetKind, name, namespace, { status }, { subresource: "status" });
    } catch (error) {
      if (!isKubeCode(error, "not-found")) throw error;
    }
  });

  enqueueOn(budgets, queue);
  pods.onChange(({ object }) => {
    for (const budget of budgets.all()) {
      if (
        budget.metadata.namespace === object.metadata.namespace &&
        matchesLabelSelector(budget.spec?.selector, object.metadata.labels)
      )
        queue.add(keyOf(budget));
    }
  });
}

export function budgetStatus(
  budget: PodDisruptionBudget,
  pods: readonly Pod[],
  expected: number,
  now: string,
): NonNullable<PodDisruptionBudget["status"]> {
  const { minAvailable, maxUnavailable } = budget.spec ?? {};
  const healthy = pods.filter((pod) => isReady(pod) && !isTerminating(pod)).length;
  const wanted =
    maxUnavailable === undefined
      ? resolveCount(minAvailable, 1, typeof minAvailable === "string" ? expected : pods.length, "up")
      : Math.max(0, expected - resolveCount(maxUnavailable, 0, expected, "up"));
  const allowed = pods.length === 0 ? 0 : Math.max(0, healthy - wanted);
  const before = budget.status?.conditions?.find(({ type }) => type === "DisruptionAllowed");
  const state = allowed > 0 ? "True" : "False";
  return {
    observedGeneration: budget.metadata.generation ?? 0,
    currentHealthy: healthy,
    desiredHealthy: wanted,
    expectedPods: maxUnavailable === undefined && typeof minAvailable !== "string" ? pods.length : expected,
    disruptionsAllowed: allowed,
    conditions: [
      {
        type: "DisruptionAllowed",
        status: state,
        reason: allowed > 0 ? "SufficientPods" : "InsufficientPods",
        message: "",
        lastTransitionTime: before?.status === state ? before.lastTransitionTime : now,
        observedGeneration: budget.metadata.generation ?? 0,
      },
    ],
  };
}

/** The total that the pods' controllers want. A percentage refers to that, not to the existing pods. */
function expectedPods(context: ControllerContext, pods: readonly Pod[]): number {
  const sizes = new Map<string, number>();
  let bare = 0;
  for (const pod of pods) {
    const owner = controllerOf(pod);
    const namespace = pod.metadata.namespace;
    if (owner === undefined) {
      bare += 1;
      continue;
    }
    const set = owner.kind === "ReplicaSet" ? context.view(replicaSetKind).get(namespace, owner.name) : undefined;
    const above = set === undefined ? undefined : controllerOf(set);
    if (above?.kind === "Deployment")
      sizes.set(above.uid, context.view(deploymentKind).get(namespace, above.name)?.spec?.replicas ?? 1);
    else if (set !== undefined) sizes.set(owner.uid, set.spec?.replicas ?? 1);
    else if (owner.kind === "StatefulSet")
      sizes.set(owner.uid, context.view(statefulSetKind).get(namespace, owner.name)?.spec?.replicas ?? 1);
    else sizes.set(owner.uid, (sizes.get(owner.uid) ?? 0) + 1);
  }
  return [...sizes.values()].reduce((total, size) => total + size, bare);
}
