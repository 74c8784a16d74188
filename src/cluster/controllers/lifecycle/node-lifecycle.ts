import { jsonEqual } from "../../../base/index.ts";
import { leaseKind, nodeKind, podKind, type Lease, type Node, type Pod } from "../../../api/kubernetes/index.ts";
import { enqueueOn, ignoreRace, type ControllerContext } from "../controller.ts";
import type { ObjectView } from "../object-view.ts";
import { isReady, isTerminating } from "../pods/pod-facts.ts";
import { judgeNode, readyOf, unknownConditions, wantedTaints, type NodeVerdict } from "./node-lifecycle-plan.ts";
import { TaintEvictions } from "./taint-evictions.ts";

const leaseNamespace = "kube-node-lease";

/** Marks nodes that are silent or not ready, and evicts pods that do not tolerate the resulting taints. */
export function addNodeLifecycleController(context: ControllerContext): void {
  const controller = new NodeLifecycleController(context);
  const nodes = context.view(nodeKind);
  const queue = context.queue("node-lifecycle", (name) => controller.reconcile(name));
  enqueueOn(nodes, queue);
  context.view(leaseKind).onChange(({ type, object }) => {
    if (object.metadata.namespace !== leaseNamespace) return;
    const name = object.metadata.name ?? "";
    controller.noteLease(name, type);
    // A heartbeat needs a check only if the node is not ready. Other nodes are checked when their deadline passes.
    const node = nodes.at(name);
    if (node !== undefined && readyOf(node)?.status !== "True") queue.add(name);
  });
}

class NodeLifecycleController {
  readonly #context: ControllerContext;
  readonly #nodes: ObjectView<Node>;
  readonly #leases: ObjectView<Lease>;
  readonly #pods: ObjectView<Pod>;
  readonly #record: ReturnType<ControllerContext["events"]>;
  readonly #evictions: TaintEvictions;
  /** When this process last saw each node's lease change, by its own clock. */
  readonly #leaseSeenMs = new Map<string, number>();

  constructor(context: ControllerContext) {
    this.#context = context;
    this.#nodes = context.view(nodeKind);
    this.#leases = context.view(leaseKind);
    this.#pods = context.view(podKind);
    this.#record = context.events("node-controller");
    this.#evictions = new TaintEvictions(context, this.#record);
  }

  noteLease(node: string, type: "set" | "delete"): void {
    if (type === "set") this.#leaseSeenMs.set(node, this.#context.clock.nowMs());
    else this.#leaseSeenMs.delete(node);
  }

  /** Returns the time until the node counts as silent, in milliseconds. */
  async reconcile(name: string): Promise<number | undefined> {
    const node = this.#nodes.at(name);
    if (node === undefined || isTerminating(node)) return undefined;
    const { ready, lookAgainMs } = judgeNode(
      node,
      this.#leases.get(leaseNamespace, name),
      this.#leaseSeenMs.get(name),
      this.#context.clock.nowMs(),
    );
    if (ready === "Unknown" && readyOf(node)?.status !== "Unknown") await this.#writeUnknown(node);
    await this.#writeTaints(node, ready);
    // Only a silent node needs this. A node that reports itself as not ready still reports which pods are ready.
    if (ready === "Unknown") await this.#markPodsNotReady(name);
    return lookAgainMs;
  }

  async #writeUnknown(node: Node): Promise<void> {
    const { name = "" } = node.metadata;
    this.#record(nodeKind, node, {
      type: "Normal",
      reason: "NodeNotReady",
      message: `Node ${name} status is now: NodeNotReady`,
    });
    const patch = { status: { conditions: unknownConditions(node, this.#context.now()) } };
    this.#nodes.wrote(
      await this.#context.client.patchMerge(nodeKind, name, undefined, patch, { subresource: "status" }),
    );
  }

  async #writeTaints(node: Node, ready: NodeVerdict["ready"]): Promise<void> {
    const { name = "", resourceVersion } = node.metadata;
    const taints = wantedTaints(node, ready);
    if (!jsonEqual(taints, node.spec?.taints ?? [])) {
      // Include the version, because other clients (kubectl cordon, taint) also write this list.
      const patch = { metadata: { resourceVersion }, spec: { taints } };
      this.#nodes.wrote(await this.#context.client.patchMerge(nodeKind, name, undefined, patch));
    }
    this.#evictions.follow(name, taints);
  }

  async #markPodsNotReady(node: string): Promise<void> {
    for (const pod of this.#context.podsByNode.of(node)) {
      if (!isReady(pod)) continue;
      const conditions = (pod.status?.conditions ?? []).map((condition) =>
        condition.type === "Ready"
          ? { ...condition, status: "False" as const, reason: "NodeNotReady", lastTransitionTime: this.#context.now() }
          : condition,
      );
      await ignoreRace(async () => {
        const { name = "", namespace } = pod.metadata;
        const patch = { status: { conditions } };
        this.#pods.wrote(
          await this.#context.client.patchMerge(podKind, name, namespace, patch, { subresource: "status" }),
        );
        this.#record(podKind, pod, { type: "Warning", reason: "NodeNotReady", message: "Node is not ready" });
      });
    }
  }
}
