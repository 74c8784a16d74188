import { jsonEqual, ownField } from "../../../base/index.ts";
import { keyOf, matchesLabelSelector, type OwnerReference } from "../../../api/index.ts";
import {
  deploymentKind,
  isFinishedPod,
  podDisruptionBudgetKind,
  podKind,
  replicaSetKind,
  statefulSetKind,
  type Pod,
  type PodDisruptionBudget,
} from "../../../api/kubernetes/index.ts";
import { controllerOf, isKubeCode } from "../../../kube/index.ts";
import { enqueueOn, type ControllerContext } from "../controller.ts";
import { isReady, isTerminating, resolveCount } from "../pods/pod-facts.ts";

/** Writes into each budget's status how many pods may be evicted now. Each eviction decrements that number. */
export function addDisruptionBudgetController(context: ControllerContext): void {
  const budgets = context.view(podDisruptionBudgetKind);
  const pods = context.view(podKind);
  const record = context.events("controllermanager");

  const queue = context.queue("disruption-budget", async (key) => {
    const budget = budgets.at(key);
    if (budget === undefined) return;
    const matching = context.podsByNamespace
      .of(budget.metadata.namespace ?? "")
      .filter((pod) => !isFinishedPod(pod) && matchesLabelSelector(budget.spec?.selector, pod.metadata.labels));
    const expected = refersToScale(budget)
      ? expectedScale(matching, (owner, namespace) => scaleIn(context, owner, namespace))
      : matching.length;
    const status =
      typeof expected === "number"
        ? budgetStatus(budget, matching, expected, context.now())
        : failedStatus(budget, expected.problem, context.now());
    if (jsonEqual(essence(budget.status), essence(status))) return;
    if (typeof expected !== "number")
      record(podDisruptionBudgetKind, budget, {
        type: "Warning",
        reason: "CalculateExpectedPodCountFailed",
        message: `Failed to calculate the number of expected pods: ${expected.problem}`,
      });
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

/** A status without the times of its conditions. */
function essence(status: PodDisruptionBudget["status"]): object {
  const conditions = (status?.conditions ?? []).map(({ type, status: state, reason, message }) => [
    type,
    state,
    reason,
    message,
  ]);
  return { ...status, conditions };
}

/** Whether the budget needs the sizes of the pods' controllers. `minAvailable` as a number does not. */
function refersToScale({ spec }: PodDisruptionBudget): boolean {
  return spec?.maxUnavailable !== undefined || typeof spec?.minAvailable === "string";
}

/** The status of a budget that cannot be computed. It allows no disruption, to be safe. */
function failedStatus(
  { status }: PodDisruptionBudget,
  problem: string,
  now: string,
): NonNullable<PodDisruptionBudget["status"]> {
  const before = status?.conditions?.find(({ type }) => type === "DisruptionAllowed");
  return {
    currentHealthy: 0,
    desiredHealthy: 0,
    expectedPods: 0,
    ...status,
    disruptionsAllowed: 0,
    conditions: [
      {
        type: "DisruptionAllowed",
        status: "False",
        reason: "SyncFailed",
        message: problem,
        lastTransitionTime: before?.status === "False" ? before.lastTransitionTime : now,
        observedGeneration: status?.observedGeneration ?? 0,
      },
    ],
  };
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

/** The number of pods that a controller wants. A Deployment represents all its ReplicaSets. */
export interface Scale {
  readonly uid: string;
  readonly replicas: number;
}

interface NoScale {
  readonly problem: string;
}

/**
 * The total number of pods that the pods' controllers want. A percentage in the budget refers to this total, and not to
 * the existing pods. As in Kubernetes, pods without a controller have no such total, so a budget for them cannot use a
 * percentage or maxUnavailable.
 */
export function expectedScale(
  pods: readonly Pod[],
  scaleOf: (owner: OwnerReference, namespace: string | undefined) => Scale | NoScale | undefined,
): number | NoScale {
  const sizes = new Map<string, number>();
  for (const pod of pods) {
    const owner = controllerOf(pod);
    if (owner === undefined) continue;
    const scale = scaleOf(owner, pod.metadata.namespace);
    if (scale === undefined) return { problem: `found no controllers for pod "${pod.metadata.name ?? ""}"` };
    if ("problem" in scale) return scale;
    sizes.set(scale.uid, scale.replicas);
  }
  return [...sizes.values()].reduce((total, size) => total + size, 0);
}

/** Controllers of built-in kinds that have no number of wanted pods, with the name that messages use. */
const withoutScale: Readonly<Record<string, string>> = {
  DaemonSet: "daemonsets.apps",
  Job: "jobs.batch",
  Node: "nodes",
};

/** Returns the scale of a pod's controller, or undefined if the controller does not exist. */
function scaleIn(
  context: ControllerContext,
  owner: OwnerReference,
  namespace: string | undefined,
): Scale | NoScale | undefined {
  const resource = ownField(withoutScale, owner.kind);
  if (resource !== undefined) return { problem: `${resource} does not implement the scale subresource` };
  if (owner.kind === "StatefulSet") return scaleOf(context.view(statefulSetKind).get(namespace, owner.name), owner.uid);
  // The lab does not know the scale of other kinds, so use the number of existing pods.
  if (owner.kind !== "ReplicaSet") return { uid: owner.uid, replicas: context.podsByController.of(owner.uid).length };
  const set = context.view(replicaSetKind).get(namespace, owner.name);
  const above = set === undefined ? undefined : controllerOf(set);
  if (above?.kind !== "Deployment") return scaleOf(set, owner.uid);
  return scaleOf(context.view(deploymentKind).get(namespace, above.name), above.uid);
}

function scaleOf(
  found: { readonly metadata: { readonly uid?: string }; readonly spec?: { readonly replicas?: number } } | undefined,
  uid: string,
): Scale | undefined {
  return found?.metadata.uid === uid ? { uid, replicas: found.spec?.replicas ?? 1 } : undefined;
}
