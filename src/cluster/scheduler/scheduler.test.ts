import assert from "node:assert/strict";
import { test } from "node:test";
import { nodeKind, podKind, type Pod } from "../../api/kubernetes/index.ts";
import { transientError } from "../../base/index.ts";
import { HandCluster } from "../controllers/testing/hand-cluster.ts";
import { addScheduler } from "./scheduler.ts";

/** A cluster with one node of two cores. The pod `low` on it requests one core. */
async function start(): Promise<HandCluster> {
  const cluster = new HandCluster();
  addScheduler(cluster.context);
  cluster.put(nodeKind, {
    metadata: { name: "a" },
    status: { allocatable: { cpu: "2", pods: "110" }, conditions: [{ type: "Ready", status: "True" }] },
  });
  put(cluster, "low", "1", { nodeName: "a" });
  await cluster.settle();
  return cluster;
}

function put(cluster: HandCluster, name: string, cpu: string, spec: object): void {
  const containers = [{ name: "app", image: "x", resources: { requests: { cpu } } }];
  const metadata = { name, namespace: "default", uid: name, finalizers: ["test/kept"] };
  cluster.put(podKind, { metadata, spec: { containers, ...spec } });
}

function podOf(cluster: HandCluster, name: string): Pod | undefined {
  return cluster.all(podKind).find(({ metadata }) => metadata.name === name);
}

test("victims that could not be deleted are deleted at the next attempt", async () => {
  const cluster = await start();
  cluster.refusals.set("delete Pod", transientError("timeout", "no answer"));
  put(cluster, "high", "2", { priority: 5 });
  await assert.rejects(cluster.settle(), /no answer/);
  assert.equal(podOf(cluster, "low")?.metadata.deletionTimestamp, undefined);
  cluster.refusals.clear();
  put(cluster, "high", "2", { priority: 5 });
  await cluster.settle();
  assert.notEqual(podOf(cluster, "low")?.metadata.deletionTimestamp, undefined);
});

test("a restarted scheduler keeps the room for which an earlier one has deleted pods, and deletes no others", async () => {
  const before = await start();
  put(before, "high", "2", { priority: 5 });
  await before.settle();
  const after = await start();
  put(after, "late", "1", { priority: 1 });
  for (const pod of before.all(podKind)) after.put(podKind, pod);
  await after.settle();
  assert.equal(podOf(after, "late")?.spec?.nodeName, undefined);
  assert.equal(podOf(after, "high")?.status?.nominatedNodeName, "a");
  assert.ok(!after.writes.some((write) => write.startsWith("delete ")), after.writes.join());
  after.remove(podKind, "default/low");
  await after.settle();
  assert.equal(podOf(after, "high")?.spec?.nodeName, "a");
});

test("the room that is kept for a pod is free again when that pod is deleted", async () => {
  const cluster = await start();
  put(cluster, "high", "2", { priority: 5 });
  await cluster.settle();
  assert.equal(podOf(cluster, "high")?.status?.nominatedNodeName, "a");
  put(cluster, "late", "1", { priority: 1 });
  await cluster.settle();
  assert.equal(podOf(cluster, "late")?.spec?.nodeName, undefined);
  cluster.remove(podKind, "default/high");
  await cluster.settle();
  assert.equal(podOf(cluster, "late")?.spec?.nodeName, "a");
});
