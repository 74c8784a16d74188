import { messageOf } from "../../../base/index.ts";
import { keyOf, matchesLabelSelector } from "../../../api/index.ts";
import { podKind, replicaSetKind, type Pod, type ReplicaSet } from "../../../api/kubernetes/index.ts";
import { enqueueControllerOn, enqueueOn, writeStatus, type ControllerContext } from "../controller.ts";
import { PodControl } from "../pods/pod-control.ts";
import { podFrom, randomSuffix } from "../pods/pod-template.ts";
import { conditionsAfter, planReplicaSet, type ReplicaSetPlan } from "./replica-set-plan.ts";
import { controllerOf } from "../../../kube/index.ts";

/**
 * The maximum length of a prefix for generated names. The server appends five letters, and the name must fit into a DNS
 * label.
 */
const maxNamePrefix = 57;

function failureOf(plan: ReplicaSetPlan, error: unknown): Parameters<typeof conditionsAfter>[1] {
  if (error === undefined) return undefined;
  return { reason: plan.create > 0 ? "FailedCreate" : "FailedDelete", message: messageOf(error) };
}

export function addReplicaSetController(context: ControllerContext): void {
  const sets = context.view(replicaSetKind);
  const pods = context.view(podKind);
  const control = new PodControl({ context, ownerKind: replicaSetKind, component: "replicaset-controller" });

  const queue = context.queue("replicaset", async (key) => {
    const set = sets.at(key);
    if (set?.spec === undefined) return undefined;
    const plan = planReplicaSet(set, await control.claim(set, set.spec.selector), context.clock.nowMs());
    let failure: unknown;
    try {
      await control.createAll(set, newPods(set, plan.create));
      await control.deleteAll(set, plan.remove);
    } catch (error) {
      failure = error;
    }
    const conditions = conditionsAfter(set, failureOf(plan, failure), context.now());
    const isEmpty = conditions.length === 0 && set.status?.conditions === undefined;
    await writeStatus(context, replicaSetKind, set, isEmpty ? plan.status : { ...plan.status, conditions });
    if (failure !== undefined) throw failure;
    return plan.lookAgainMs;
  });

  const newPods = (set: ReplicaSet, count: number): Pod[] => {
    const { name = "", namespace = "" } = set.metadata;
    const prefix = `${name.slice(0, maxNamePrefix)}-`;
    const template = set.spec?.template ?? {};
    return Array.from({ length: count }, () =>
      podFrom({
        template,
        namespace,
        name: prefix + randomSuffix(context.random),
        generateName: prefix,
        ownerKind: replicaSetKind,
        owner: set,
      }),
    );
  };

  enqueueOn(sets, queue);
  enqueueControllerOn(pods, replicaSetKind, queue);
  // A pod without an owner may be adopted, so queue the ReplicaSets that could match it.
  pods.onChange(({ object }) => {
    if (controllerOf(object) !== undefined) return;
    for (const set of sets.all()) {
      if (
        set.metadata.namespace === object.metadata.namespace &&
        matchesLabelSelector(set.spec?.selector, object.metadata.labels)
      )
        queue.add(keyOf(set));
    }
  });
}
