import { jsonEqual } from "../../../base/index.ts";
import { keyOf } from "../../../api/index.ts";
import { leaseKind, nodeKind, podKind, type Node, type Pod } from "../../../api/kubernetes/index.ts";
import { isKubeCode } from "../../../kube/index.ts";
import { enqueueOn, splitKey, type ControllerContext } from "../controller.ts";
import { judgeNode, readyOf, stayMs, unknownConditions, wantedTaints } from "./node-lifecycle-plan.ts";
import { isReady, isTerminating } from "../pods/pod-facts.ts";

const leaseNamespace = "kube-node-lease";

/** Marks nodes that are silent or not ready, and moves pods off those that may not stay. */
export function addNodeLifecycleController(context: ControllerContext): void {
  const nodes = context.view(nodeKind);
  const leases = context.view(leaseKind);
  const pods = context.view(podKind);
  const record = context.events("node-controller");
  /** When each lease last changed, on our clock. */
  const leaseSeenMs = new Map<string, number>();
  /** The time since when each node is not ready, on our clock. */
  const taintedSinceMs = new Map<string, number>();

  const queue = context.queue("node-lifecycle", async (name) => {
    const node = nodes.at(name);
    if (node === undefined || isTerminating(node)) return undefined;
    const { ready, lookAgainMs } = judgeNode(
      node,
      leases.get(leaseNamespace, name),
      leaseSeenMs.get(name),
      context.clock.nowMs(),
    );
    if (ready === "Unknown" && readyOf(node)?.status !== "Unknown") {
      record(nodeKind, node, {
        type: "Normal",
        reason: "NodeNotReady",
        message: `Node ${name} status is now: NodeNotReady`,
      });
      const conditions = unknownConditions(node, context.now());
      nodes.wrote(
        await context.client.patchMerge(
          nodeKind,
          name,
          undefined,
          { status: { conditions } },
          { subresource: "status" },
        ),
      );
    }
    await writeTaints(node, ready);
    // The kubelet of a node that reports itself as not ready still reports which pods are ready.
    if (ready === "Unknown") await markPodsNotReady(name);
    return lookAgainMs;
  });

  const writeTaints = async (node: Node, ready: "True" | "False" | "Unknown"): Promise<void> => {
    const { name = "", resourceVersion } = node.metadata;
    const taints = wantedTaints(node, ready);
    if (!jsonEqual(taints, node.spec?.taints ?? [])) {
      // Include the version, because others (kubectl cordon, taint) also write this list.
      nodes.wrote(
        await context.client.patchMerge(nodeKind, name, undefined, { metadata: { resourceVersion }, spec: { taints } }),
      );
    }
    if (!taints.some(({ effect }) => effect === "NoExecute")) {
      taintedSinceMs.delete(name);
      return;
    }
    if (!taintedSinceMs.has(name)) taintedSinceMs.set(name, context.clock.nowMs());
    for (const pod of context.podsByNode.of(name)) evictions.add(keyOf(pod));
  };

  const markPodsNotReady = async (node: string): Promise<void> => {
    for (const pod of context.podsByNode.of(node)) {
      if (!isReady(pod)) continue;
      const conditions = (pod.status?.conditions ?? []).map((condition) =>
        condition.type === "Ready"
          ? { ...condition, status: "False" as const, reason: "NodeNotReady", lastTransitionTime: context.now() }
          : condition,
      );
      await ignoreGone(async () => {
        const { name = "", namespace } = pod.metadata;
        const patch = { status: { conditions } };
        pods.wrote(await context.client.patchMerge(podKind, name, namespace, patch, { subresource: "status" }));
        record(podKind, pod, { type: "Warning", reason: "NodeNotReady", message: "Node is not ready" });
      });
    }
  };

  const evictions = context.queue("taint-eviction", async (key) => {
    const pod = pods.at(key);
    const node = nodes.at(pod?.spec?.nodeName ?? "");
    if (pod === undefined || node === undefined || isTerminating(pod)) return undefined;
    const mayStayMs = stayMs(pod, node.spec?.taints ?? []);
    if (mayStayMs === undefined) return undefined;
    const leftMs =
      (taintedSinceMs.get(node.metadata.name ?? "") ?? context.clock.nowMs()) + mayStayMs - context.clock.nowMs();
    if (leftMs > 0) return leftMs;
    await evict(pod);
    return undefined;
  });

  const evict = async (pod: Pod): Promise<void> => {
    const { namespace, name } = splitKey(keyOf(pod));
    record(podKind, pod, {
      type: "Normal",
      reason: "TaintManagerEviction",
      message: `Marking for deletion Pod ${namespace}/${name}`,
    });
    await ignoreGone(() =>
      context.client.delete(podKind, name, namespace, { preconditions: { uid: pod.metadata.uid ?? "" } }),
    );
  };

  enqueueOn(nodes, queue);
  leases.onChange(({ type, object }) => {
    if (object.metadata.namespace !== leaseNamespace) return;
    const name = object.metadata.name ?? "";
    if (type === "set") leaseSeenMs.set(name, context.clock.nowMs());
    else leaseSeenMs.delete(name);
    // A heartbeat matters only for a node that is not ready. Other nodes are checked at their deadline.
    const node = nodes.at(name);
    if (node !== undefined && readyOf(node)?.status !== "True") queue.add(name);
  });
  nodes.onChange(({ type, key }) => {
    if (type === "delete") taintedSinceMs.delete(key);
  });
  pods.onChange((change) => {
    const name = change.object.spec?.nodeName;
    if (change.type === "set" && name !== undefined && taintedSinceMs.has(name)) evictions.add(change.key);
  });
}

async function ignoreGone(run: () => Promise<void>): Promise<void> {
  try {
    await run();
  } catch (error) {
    if (!isKubeCode(error, "not-found") && !isKubeCode(error, "conflict")) throw error;
  }
}
