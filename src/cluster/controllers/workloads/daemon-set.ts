import { jsonEqual } from "../../../base/index.ts";
import { keyOf } from "../../../api/index.ts";
import { daemonSetKind, nodeKind, podKind, type DaemonSet, type Pod } from "../../../api/kubernetes/index.ts";
import { hashOf, RevisionHistory, revisionHashLabel } from "./controller-revisions.ts";
import { enqueueControllerOn, enqueueOn, writeStatus, type ControllerContext } from "../controller.ts";
import { daemonPodSpec, planDaemonSet } from "./daemon-set-plan.ts";
import { PodControl } from "../pods/pod-control.ts";
import { isTerminating } from "../pods/pod-facts.ts";
import { podFrom, randomSuffix } from "../pods/pod-template.ts";

export function addDaemonSetController(context: ControllerContext): void {
  const sets = context.view(daemonSetKind);
  const nodes = context.view(nodeKind);
  const control = new PodControl({ context, ownerKind: daemonSetKind, component: "daemonset-controller" });
  const history = new RevisionHistory(context, daemonSetKind);

  const queue = context.queue("daemonset", async (key) => {
    const set = sets.at(key);
    if (set?.spec === undefined || isTerminating(set)) return undefined;
    const revisions = await history.sync(set, set.spec.template);
    const hash = hashOf(revisions.current);
    const pods = await control.claim(set, set.spec.selector);
    const plan = planDaemonSet(set, hash, nodes.all(), pods, context.clock.nowMs());
    let failure: unknown;
    try {
      await control.createAll(
        set,
        plan.create.map((node) => newPod(set, hash, node)),
      );
      await control.deleteAll(set, plan.remove);
    } catch (error) {
      failure = error;
    }
    await writeStatus(context, daemonSetKind, set, plan.status);
    await history.trim(revisions, new Set(pods.map(hashOf)), set.spec.revisionHistoryLimit ?? 10);
    if (failure !== undefined) throw failure;
    return plan.lookAgainMs;
  });

  const newPod = (set: DaemonSet, hash: string, node: string): Pod => {
    const { name = "", namespace = "" } = set.metadata;
    const template = set.spec?.template ?? {};
    const prefix = `${name.slice(0, 57)}-`;
    const labels = { [revisionHashLabel]: hash, "pod-template-generation": String(set.metadata.generation ?? 1) };
    const pod = podFrom({
      template,
      namespace,
      name: prefix + randomSuffix(context.random),
      generateName: prefix,
      ownerKind: daemonSetKind,
      owner: set,
      labels,
    });
    return { ...pod, spec: daemonPodSpec(pod.spec ?? { containers: [] }, node) };
  };

  enqueueOn(sets, queue);
  enqueueControllerOn(context.view(podKind), daemonSetKind, queue);
  nodes.onChange((change) => {
    if (change.type === "set" && change.previous !== undefined) {
      const { object, previous } = change;
      // Ignore heartbeats. Only the labels and the spec (with the taints) decide which pods run on a node.
      if (jsonEqual(object.metadata.labels, previous.metadata.labels) && jsonEqual(object.spec, previous.spec)) return;
    }
    for (const set of sets.all()) queue.add(keyOf(set));
  });
}
