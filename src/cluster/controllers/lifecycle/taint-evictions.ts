import { keyOf } from "../../../api/index.ts";
import { nodeKind, podKind, type Node, type Pod, type Taint } from "../../../api/kubernetes/index.ts";
import type { Reconciler } from "../../../kube/index.ts";
import { ignoreRace, type ControllerContext } from "../controller.ts";
import type { ObjectView } from "../object-view.ts";
import { noteDisruption } from "../pods/pod-control.ts";
import { isTerminating } from "../pods/pod-facts.ts";
import { stayMs } from "./node-lifecycle-plan.ts";

const cause = { reason: "DeletionByTaintManager", message: "Taint manager: deleting due to NoExecute taint" };

/** Deletes the pods on nodes with NoExecute taints, each after the time for which it tolerates the taints. */
export class TaintEvictions {
  readonly #context: ControllerContext;
  readonly #record: ReturnType<ControllerContext["events"]>;
  readonly #nodes: ObjectView<Node>;
  readonly #pods: ObjectView<Pod>;
  readonly #queue: Reconciler;
  /** When each node got its NoExecute taint, by the clock of this process. */
  readonly #taintedSinceMs = new Map<string, number>();

  constructor(context: ControllerContext, record: ReturnType<ControllerContext["events"]>) {
    this.#context = context;
    this.#record = record;
    this.#nodes = context.view(nodeKind);
    this.#pods = context.view(podKind);
    this.#queue = context.queue("taint-eviction", (key) => this.#reconcile(key));
    this.#nodes.onChange(({ type, key }) => {
      if (type === "delete") this.#taintedSinceMs.delete(key);
    });
    this.#pods.onChange(({ type, key, object }) => {
      const node = object.spec?.nodeName;
      if (type === "set" && node !== undefined && this.#taintedSinceMs.has(node)) this.#queue.add(key);
    });
  }

  /**
   * Records the node's taints. The toleration time of its pods starts with the first NoExecute taint, and is cancelled
   * when the last such taint is removed.
   */
  follow(node: string, taints: readonly Taint[]): void {
    if (!taints.some(({ effect }) => effect === "NoExecute")) {
      this.#taintedSinceMs.delete(node);
      return;
    }
    if (!this.#taintedSinceMs.has(node)) this.#taintedSinceMs.set(node, this.#context.clock.nowMs());
    for (const pod of this.#context.podsByNode.of(node)) this.#queue.add(keyOf(pod));
  }

  /** Returns how long the pod may still stay, in milliseconds. */
  async #reconcile(key: string): Promise<number | undefined> {
    const pod = this.#pods.at(key);
    const node = this.#nodes.at(pod?.spec?.nodeName ?? "");
    if (pod === undefined || node === undefined || isTerminating(pod)) return undefined;
    const mayStayMs = stayMs(pod, node.spec?.taints ?? []);
    if (mayStayMs === undefined) return undefined;
    const nowMs = this.#context.clock.nowMs();
    const leftMs = (this.#taintedSinceMs.get(node.metadata.name ?? "") ?? nowMs) + mayStayMs - nowMs;
    if (leftMs > 0) return leftMs;
    await this.#evict(pod);
    return undefined;
  }

  async #evict(pod: Pod): Promise<void> {
    const { name = "", namespace, uid = "" } = pod.metadata;
    this.#record(podKind, pod, {
      type: "Normal",
      reason: "TaintManagerEviction",
      message: `Marking for deletion Pod ${namespace ?? ""}/${name}`,
    });
    // A pod that has changed in the meantime is queued again by its change.
    await ignoreRace(async () => {
      await noteDisruption(this.#context, pod, cause);
      await this.#context.client.delete(podKind, name, namespace, { preconditions: { uid } });
    });
  }
}
