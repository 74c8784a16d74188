import assert from "node:assert/strict";
import { test } from "node:test";
import { nodeKind, podKind, type Taint, type Toleration } from "../../../api/kubernetes/index.ts";
import { HandCluster } from "../testing/hand-cluster.ts";
import { makePod, namesOf } from "../testing/make-pod.ts";
import { TaintEvictions } from "./taint-evictions.ts";

const broken: Taint = { key: "broken", effect: "NoExecute" };
const forAMinute: Toleration = { key: "broken", operator: "Exists", effect: "NoExecute", tolerationSeconds: 60 };

class TaintedNode {
  readonly cluster = new HandCluster("2026-01-01T12:00:00Z");
  readonly #evictions = new TaintEvictions(this.cluster.context, this.cluster.context.events("node-controller"));

  async taint(...taints: Taint[]): Promise<void> {
    this.cluster.put(nodeKind, { metadata: { name: "n1" }, spec: { taints } });
    this.#evictions.follow("n1", taints);
    await this.cluster.settle();
  }

  async putPod(name: string, ...tolerations: Toleration[]): Promise<void> {
    const pod = makePod(name, { node: "n1" });
    this.cluster.put(podKind, { ...pod, spec: { containers: [], ...pod.spec, tolerations } });
    await this.cluster.settle();
  }

  get pods(): readonly string[] {
    return namesOf(this.cluster.all(podKind));
  }
}

test("a taint without the effect NoExecute evicts no pod", async () => {
  const node = new TaintedNode();
  await node.putPod("a");
  await node.taint({ ...broken, effect: "NoSchedule" });
  await node.cluster.pass(600_000);
  assert.deepEqual(node.pods, ["a"]);
});

test("the status of an evicted pod names the disruption, for the failure policy of its Job", async () => {
  const node = new TaintedNode();
  const pod = makePod("a", { node: "n1" });
  node.cluster.put(podKind, { ...pod, metadata: { ...pod.metadata, finalizers: ["test/kept"] } });
  await node.taint(broken);
  const [evicted] = node.cluster.all(podKind);
  assert.ok(evicted?.metadata.deletionTimestamp !== undefined);
  assert.deepEqual(
    evicted.status?.conditions?.map(({ type, status, reason }) => [type, status, reason]),
    [
      ["Ready", "True", undefined],
      ["DisruptionTarget", "True", "DeletionByTaintManager"],
    ],
  );
});

test("another taint does not extend the time that a pod may stay", async () => {
  const node = new TaintedNode();
  await node.putPod("a", forAMinute, { ...forAMinute, key: "slow", tolerationSeconds: 600 });
  await node.taint(broken);
  await node.cluster.pass(50_000);
  await node.taint(broken, { ...broken, key: "slow" });
  await node.cluster.pass(9_000);
  assert.deepEqual(node.pods, ["a"]);
  await node.cluster.pass(1_000);
  assert.deepEqual(node.pods, []);
});

test("a pod's time begins again when the node was without taints in between", async () => {
  const node = new TaintedNode();
  await node.putPod("a", forAMinute);
  await node.taint(broken);
  await node.cluster.pass(50_000);
  await node.taint();
  await node.taint(broken);
  await node.cluster.pass(50_000);
  assert.deepEqual(node.pods, ["a"]);
  await node.cluster.pass(10_000);
  assert.deepEqual(node.pods, []);
});

test("a pod that arrives at a tainted node and does not tolerate the taint is evicted at once", async () => {
  const node = new TaintedNode();
  await node.taint(broken);
  await node.putPod("late");
  assert.deepEqual(node.pods, []);
});
