import { keyOf } from "../../../api/index.ts";
import { isFinishedPod, nodeKind, podKind, type Pod } from "../../../api/kubernetes/index.ts";
import { isKubeCode } from "../../../kube/index.ts";
import type { ControllerContext } from "../controller.ts";
import { noteDisruption } from "../pods/pod-control.ts";
import { createdMs, isTerminating } from "../pods/pod-facts.ts";

/** How long the pods of a missing node are kept. The node may register again after a restart. */
const goneNodeMs = 10_000;
const lostNode = { reason: "DeletionByPodGC", message: "PodGC: node no longer exists" };
/**
 * The maximum number of ended pods. It corresponds to kube-controller-manager's --terminated-pod-gc-threshold, but is
 * small enough for a lab.
 */
const maxFinishedPods = 1_000;

/**
 * Removes pods whose node no longer exists, pods that were deleted before they had a node, and the oldest pods beyond
 * the limit of ended ones.
 */
export function addPodGarbageController(context: ControllerContext): void {
  const nodes = context.view(nodeKind);
  const pods = context.view(podKind);
  const missingSinceMs = new Map<string, number>();

  const remove = async (pod: Pod, cause?: typeof lostNode): Promise<void> => {
    const { name = "", namespace, uid = "" } = pod.metadata;
    try {
      // Write the phase Failed for the pod's owner, because no node runs the pod and reports its end.
      if (!isFinishedPod(pod)) await noteDisruption(context, pod, cause, { phase: "Failed" });
      await context.client.delete(podKind, name, namespace, { gracePeriodSeconds: 0, preconditions: { uid } });
    } catch (error) {
      // A pod that has changed in the meantime is queued again by its change.
      if (!isKubeCode(error, "conflict") && !isKubeCode(error, "not-found")) throw error;
    }
  };

  const queue = context.queue("pod-garbage", async (key) => {
    const pod = pods.at(key);
    if (pod === undefined) return undefined;
    const node = pod.spec?.nodeName;
    if (node === undefined) {
      if (isTerminating(pod)) await remove(pod);
      return undefined;
    }
    if (nodes.at(node) !== undefined) return undefined;
    const since = missingSinceMs.get(node) ?? context.clock.steadyMs();
    missingSinceMs.set(node, since);
    const leftMs = since + goneNodeMs - context.clock.steadyMs();
    if (leftMs > 0) return leftMs;
    await remove(pod, lostNode);
    return undefined;
  });

  const finished = context.queue("finished-pods", async () => {
    const ended = pods.all().filter((pod) => isFinishedPod(pod) && !isTerminating(pod));
    const excess = ended
      .sort((a, b) => createdMs(a) - createdMs(b))
      .slice(0, Math.max(0, ended.length - maxFinishedPods));
    for (const pod of excess) await remove(pod);
  });

  pods.onChange(({ type, key, object }) => {
    const node = object.spec?.nodeName;
    if (type === "delete") {
      if (node !== undefined && context.podsByNode.of(node).length === 0) missingSinceMs.delete(node);
      return;
    }
    if (isFinishedPod(object)) finished.add("all");
    if (node === undefined ? isTerminating(object) : nodes.at(node) === undefined) queue.add(key);
  });
  nodes.onChange(({ type, object }) => {
    const { name = "" } = object.metadata;
    if (type === "delete") for (const pod of context.podsByNode.of(name)) queue.add(keyOf(pod));
    else missingSinceMs.delete(name);
  });
}
