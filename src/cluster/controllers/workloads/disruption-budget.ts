import { jsonEqual } from "../../../base/index.ts";
import { keyOf, matchesLabelSelector, type OwnerReference } from "../../../api/index.ts";
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
    const expected = expectedScale(matching, (owner, namespace) => scaleIn(context, owner, namespace));
    const status = budgetStatus(budget, matching, expected, context.now());
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
  const expectedPods = maxUnavailable === undefined && typeof minAvailable !== "string" ? pods.length : expected;
  const allowed = expectedPods === 0 ? 0 : Math.max(0, healthy - wanted);
  const before = budget.status?.conditions?.find(({ type }) => type === "DisruptionAllowed");
  const state = allowed > 0 ? "True" : "False";
  return {
    observedGeneration: budget.metadata.generation ?? 0,
    currentHealthy: healthy,
    desiredHealthy: wanted,
    expectedPods,
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

/** A controller's wanted number of pods. A Deployment stands for all its ReplicaSets. */
export interface Scale {
  readonly uid: string;
  readonly replicas: number;
}

/**
 * The total that the pods' controllers want. A percentage refers to that, not to the existing pods. As Kubernetes
 * documents, pods without a controller have no size that a percentage or maxUnavailable could refer to.
 */
export function expectedScale(
  pods: readonly Pod[],
  scaleOf: (owner: OwnerReference, namespace: string | undefined) => Scale | undefined,
): number {
  const sizes = new Map<string, number>();
  for (const pod of pods) {
    const owner = controllerOf(pod);
    if (owner === undefined) continue;
    const scale = scaleOf(owner, pod.metadata.namespace);
    // The pods of a controller without a size count one by one.
    if (scale === undefined) sizes.set(owner.uid, (sizes.get(owner.uid) ?? 0) + 1);
    else sizes.set(scale.uid, scale.replicas);
  }
  return [...sizes.values()].reduce((total, size) => total + size, 0);
}

function scaleIn(context: ControllerContext, owner: OwnerReference, namespace: string | undefined): Scale | undefined {
  if (owner.kind === "StatefulSet") {
    const set = context.view(statefulSetKind).get(namespace, owner.name);
    return { uid: owner.uid, replicas: set?.spec?.replicas ?? 1 };
  }
  const set = owner.kind === "ReplicaSet" ? context.view(replicaSetKind).get(namespace, owner.name) : undefined;
  if (set === undefined) return undefined;
  const above = controllerOf(set);
  if (above?.kind !== "Deployment") return { uid: owner.uid, replicas: set.spec?.replicas ?? 1 };
  return { uid: above.uid, replicas: context.view(deploymentKind).get(namespace, above.name)?.spec?.replicas ?? 1 };
}
