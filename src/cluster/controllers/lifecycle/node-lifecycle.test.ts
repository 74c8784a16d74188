import assert from "node:assert/strict";
import { test } from "node:test";
import { leaseKind, nodeKind, podKind, type Node, type Pod, type Toleration } from "../../../api/kubernetes/index.ts";
import { HandCluster } from "../testing/hand-cluster.ts";
import { makePod, namesOf } from "../testing/make-pod.ts";
import { addNodeLifecycleController } from "./node-lifecycle.ts";

const unreachable = "node.kubernetes.io/unreachable";

/** A cluster with the node `n1`, which has reported that it is ready. */
function start(): HandCluster {
  const cluster = new HandCluster("2026-01-01T12:00:00Z");
  addNodeLifecycleController(cluster.context);
  putNode(cluster);
  beat(cluster);
  return cluster;
}

function putNode(cluster: HandCluster, ready: "True" | "False" = "True"): void {
  const lastHeartbeatTime = cluster.context.now();
  const conditions = [{ type: "Ready", status: ready, lastHeartbeatTime, lastTransitionTime: lastHeartbeatTime }];
  cluster.put(nodeKind, { ...nodeOf(cluster), metadata: { name: "n1" }, status: { conditions } });
}

function beat(cluster: HandCluster): void {
  cluster.put(leaseKind, {
    metadata: { name: "n1", namespace: "kube-node-lease" },
    spec: { renewTime: cluster.context.now() },
  });
}

const nodeOf = (cluster: HandCluster): Node | undefined => cluster.all(nodeKind)[0];
const readyOf = (cluster: HandCluster): string | undefined =>
  nodeOf(cluster)?.status?.conditions?.find(({ type }) => type === "Ready")?.status;
const taintsOf = (cluster: HandCluster): string[] =>
  (nodeOf(cluster)?.spec?.taints ?? []).map(({ key, effect }) => `${key}:${effect}`);
const putPod = (cluster: HandCluster, name: string, ...tolerations: Toleration[]): Pod => {
  const pod = makePod(name, { node: "n1" });
  return cluster.put(podKind, { ...pod, spec: { containers: [], ...pod.spec, tolerations } });
};
const podReady = (cluster: HandCluster): string | undefined => cluster.all(podKind)[0]?.status?.conditions?.[0]?.status;

test("a node that is silent for fifty seconds is unknown, gets taints and an event, and its pods are not ready", async () => {
  const cluster = start();
  putPod(cluster, "a", { operator: "Exists" });
  await cluster.settle();
  await cluster.pass(49_000);
  assert.deepEqual([readyOf(cluster), taintsOf(cluster), podReady(cluster)], ["True", [], "True"]);
  await cluster.pass(1_000);
  assert.deepEqual(
    [readyOf(cluster), taintsOf(cluster), podReady(cluster)],
    ["Unknown", [`${unreachable}:NoSchedule`, `${unreachable}:NoExecute`], "False"],
  );
  assert.equal(cluster.events[0], "NodeNotReady");
});

test("a node that renews its lease stays ready", async () => {
  const cluster = start();
  await cluster.settle();
  for (let beats = 0; beats < 10; beats += 1) {
    await cluster.pass(10_000);
    beat(cluster);
    await cluster.settle();
  }
  assert.deepEqual([readyOf(cluster), taintsOf(cluster)], ["True", []]);
});

test("a pod leaves an unreachable node after the time that it tolerates, and other pods leave at once or never", async () => {
  const cluster = start();
  putPod(cluster, "patient", { key: unreachable, operator: "Exists", effect: "NoExecute" });
  putPod(cluster, "default", { key: unreachable, operator: "Exists", effect: "NoExecute", tolerationSeconds: 300 });
  putPod(cluster, "hasty");
  await cluster.settle();
  await cluster.pass(50_000);
  assert.deepEqual(namesOf(cluster.all(podKind)), ["patient", "default"]);
  await cluster.pass(299_000);
  assert.deepEqual(namesOf(cluster.all(podKind)), ["patient", "default"]);
  await cluster.pass(1_000);
  assert.deepEqual(namesOf(cluster.all(podKind)), ["patient"]);
  assert.equal(cluster.events.filter((reason) => reason === "TaintManagerEviction").length, 2);
});

test("a node that becomes ready again in time loses its taints and keeps its pods", async () => {
  const cluster = start();
  putPod(cluster, "a", { key: unreachable, operator: "Exists", effect: "NoExecute", tolerationSeconds: 300 });
  await cluster.settle();
  await cluster.pass(60_000);
  putNode(cluster);
  beat(cluster);
  await cluster.settle();
  assert.deepEqual(taintsOf(cluster), []);
  for (let beats = 0; beats < 60; beats += 1) {
    await cluster.pass(10_000);
    beat(cluster);
    await cluster.settle();
  }
  assert.deepEqual(namesOf(cluster.all(podKind)), ["a"]);
});

test("a cordoned node has the taint that keeps new pods away", async () => {
  const cluster = start();
  cluster.put(nodeKind, { metadata: { name: "n1" }, ...nodeOf(cluster), spec: { unschedulable: true } });
  await cluster.settle();
  assert.deepEqual(taintsOf(cluster), ["node.kubernetes.io/unschedulable:NoSchedule"]);
});

test("a lease in another namespace does not count as a heartbeat", async () => {
  const cluster = start();
  await cluster.settle();
  await cluster.pass(40_000);
  cluster.put(leaseKind, {
    metadata: { name: "n1", namespace: "default" },
    spec: { renewTime: cluster.context.now() },
  });
  await cluster.pass(10_000);
  assert.equal(readyOf(cluster), "Unknown");
});

test("each pod of a silent node gets an event that the node is not ready", async () => {
  const cluster = start();
  putPod(cluster, "a", { operator: "Exists" });
  putPod(cluster, "b", { operator: "Exists" });
  await cluster.settle();
  await cluster.pass(120_000);
  assert.deepEqual(cluster.notes, ["Node n1 status is now: NodeNotReady", "Node is not ready", "Node is not ready"]);
});

test("a node that reports itself as not ready gets taints, and its pods stay as the node reports them", async () => {
  const cluster = start();
  putPod(cluster, "a", { operator: "Exists" });
  putNode(cluster, "False");
  await cluster.settle();
  const notReady = "node.kubernetes.io/not-ready";
  assert.deepEqual(taintsOf(cluster), [`${notReady}:NoSchedule`, `${notReady}:NoExecute`]);
  assert.equal(podReady(cluster), "True");
});
