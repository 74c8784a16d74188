import assert from "node:assert/strict";
import { test } from "node:test";
import { nodeKind, podKind } from "../../../api/kubernetes/index.ts";
import { HandCluster } from "../testing/hand-cluster.ts";
import { makePod, namesOf } from "../testing/make-pod.ts";
import { addPodGarbageController } from "./pod-garbage.ts";

function start(): HandCluster {
  const cluster = new HandCluster();
  addPodGarbageController(cluster.context);
  cluster.put(nodeKind, { metadata: { name: "a" } });
  return cluster;
}

test("pods of a deleted node are deleted after a while, and pods of other nodes stay", async () => {
  const cluster = start();
  cluster.put(nodeKind, { metadata: { name: "b" } });
  cluster.put(podKind, makePod("stays", { node: "b" }));
  cluster.put(podKind, makePod("lost", { node: "a" }));
  cluster.remove(nodeKind, "a");
  await cluster.settle();
  await cluster.pass(9_999);
  assert.deepEqual(cluster.writes, []);
  await cluster.pass(1);
  assert.deepEqual(cluster.writes, ["patch Pod/default/lost", "delete Pod/default/lost"]);
});

test("the pod of a deleted node ends as failed, and its status names the disruption", async () => {
  const cluster = start();
  cluster.put(podKind, { ...makePod("lost", { node: "a" }), metadata: { name: "lost", finalizers: ["test/kept"] } });
  cluster.remove(nodeKind, "a");
  await cluster.settle();
  await cluster.pass(10_000);
  const [pod] = cluster.all(podKind);
  assert.equal(pod?.status?.phase, "Failed");
  assert.deepEqual(pod?.status?.conditions?.at(-1), {
    type: "DisruptionTarget",
    status: "True",
    reason: "DeletionByPodGC",
    message: "PodGC: node no longer exists",
    lastProbeTime: null,
    lastTransitionTime: "2026-01-01T00:00:10Z",
  });
});

test("a node that registers again in time keeps its pods, and has the whole time again when it is deleted once more", async () => {
  const cluster = start();
  cluster.put(podKind, makePod("web", { node: "a" }));
  cluster.remove(nodeKind, "a");
  await cluster.settle();
  await cluster.pass(5_000);
  cluster.put(nodeKind, { metadata: { name: "a" } });
  await cluster.pass(60_000);
  assert.deepEqual(cluster.writes, []);
  cluster.remove(nodeKind, "a");
  await cluster.settle();
  await cluster.pass(9_999);
  assert.deepEqual(cluster.writes, []);
});

test("a node that registers again after its pods were removed keeps new pods for the whole time when it is deleted again", async () => {
  const cluster = start();
  cluster.put(podKind, makePod("first", { node: "a" }));
  cluster.remove(nodeKind, "a");
  await cluster.settle();
  await cluster.pass(10_000);
  assert.deepEqual(cluster.writes.splice(0), ["patch Pod/default/first", "delete Pod/default/first"]);
  cluster.put(nodeKind, { metadata: { name: "a" } });
  cluster.put(podKind, makePod("second", { node: "a" }));
  await cluster.settle();
  cluster.remove(nodeKind, "a");
  await cluster.settle();
  await cluster.pass(9_999);
  assert.deepEqual(cluster.writes, []);
});

test("a pod that was deleted before it had a node is removed, and a pod that waits for a node is not", async () => {
  const cluster = start();
  cluster.put(podKind, makePod("waiting", { phase: "Pending", ready: false }));
  cluster.put(podKind, makePod("deleted", { phase: "Pending", ready: false, deleted: true }));
  await cluster.settle();
  assert.deepEqual(cluster.writes, ["patch Pod/default/deleted", "delete Pod/default/deleted"]);
});

test("beyond a thousand ended pods, the oldest are deleted", async () => {
  const cluster = start();
  for (let index = 0; index < 1_002; index += 1) {
    const created = new Date(Date.parse("2026-01-01T00:00:00Z") - index * 1000).toISOString();
    cluster.put(
      podKind,
      makePod(`p-${index}`, { node: "a", created, phase: index % 2 === 0 ? "Succeeded" : "Failed" }),
    );
  }
  cluster.put(podKind, makePod("runs", { node: "a", created: "2020-01-01T00:00:00Z" }));
  await cluster.settle();
  assert.deepEqual(cluster.writes.toSorted(), ["delete Pod/default/p-1000", "delete Pod/default/p-1001"]);
  assert.ok(namesOf(cluster.all(podKind)).includes("runs"));
});
