import assert from "node:assert/strict";
import { test } from "node:test";
import { podKind, replicaSetKind, type Pod, type ReplicaSet } from "../../../api/kubernetes/index.ts";
import { userError } from "../../../base/index.ts";
import { HandCluster } from "../testing/hand-cluster.ts";
import { makePod, namesOf } from "../testing/make-pod.ts";
import { addReplicaSetController } from "./replica-set.ts";

const labels = { app: "web" };

/** A cluster with a ReplicaSet. */
function start(replicas: number, spec: Partial<NonNullable<ReplicaSet["spec"]>> = {}, name = "web"): HandCluster {
  const cluster = new HandCluster();
  let drawn = 0;
  // Make the generated names differ.
  Object.assign(cluster.context, { random: () => ((drawn += 1) % 27) / 27 });
  addReplicaSetController(cluster.context);
  const template = { metadata: { labels, annotations: { note: "x" } }, spec: { containers: [{ name: "app" }] } };
  cluster.put(replicaSetKind, {
    metadata: { name, namespace: "default", generation: 1 },
    spec: { replicas, selector: { matchLabels: labels }, template, ...spec },
  });
  return cluster;
}

function scale(cluster: HandCluster, replicas: number): void {
  const [set] = cluster.all(replicaSetKind);
  if (set?.spec !== undefined) cluster.put(replicaSetKind, { ...set, spec: { ...set.spec, replicas } });
}

/** Reports that the pod is ready from now on. */
function run(cluster: HandCluster, pod: Pod): void {
  const lastTransitionTime = cluster.context.now();
  const conditions = [{ type: "Ready", status: "True" as const, lastTransitionTime }];
  cluster.put(podKind, { ...pod, status: { phase: "Running", conditions } });
}

const statusOf = (cluster: HandCluster): ReplicaSet["status"] => cluster.all(replicaSetKind)[0]?.status;

test("a ReplicaSet makes pods of its template, which it controls", async () => {
  const cluster = start(2);
  await cluster.settle();
  const pods = cluster.all(podKind);
  assert.equal(pods.length, 2);
  const [pod] = pods;
  assert.match(pod?.metadata.name ?? "", /^web-[a-z0-9]{5}$/);
  assert.deepEqual(
    [pod?.metadata.labels, pod?.metadata.annotations, pod?.metadata.generateName],
    [labels, { note: "x" }, "web-"],
  );
  assert.deepEqual(
    pod?.metadata.ownerReferences?.map(({ kind, name, controller, blockOwnerDeletion }) => [
      kind,
      name,
      controller,
      blockOwnerDeletion,
    ]),
    [["ReplicaSet", "web", true, true]],
  );
});

test("names of pods fit into 63 characters", async () => {
  const cluster = start(1, {}, "x".repeat(80));
  await cluster.settle();
  assert.equal(cluster.all(podKind)[0]?.metadata.name?.length, 63);
});

test("the status follows the pods, and a pod that was ready for minReadySeconds is available without another change", async () => {
  const cluster = start(1, { minReadySeconds: 10 });
  await cluster.settle();
  run(cluster, cluster.all(podKind)[0] as Pod);
  await cluster.settle();
  assert.deepEqual([statusOf(cluster)?.readyReplicas, statusOf(cluster)?.availableReplicas], [1, 0]);
  await cluster.pass(10_000);
  assert.deepEqual([statusOf(cluster)?.availableReplicas, statusOf(cluster)?.observedGeneration], [1, 1]);
});

test("a pod that ends or is deleted is replaced", async () => {
  const cluster = start(2);
  await cluster.settle();
  const [first, second] = cluster.all(podKind);
  cluster.put(podKind, { ...(first as Pod), status: { phase: "Failed" } });
  cluster.remove(podKind, `default/${second?.metadata.name ?? ""}`);
  await cluster.settle();
  assert.equal(statusOf(cluster)?.replicas, 2);
  assert.equal(cluster.all(podKind).length, 3);
});

test("a smaller ReplicaSet removes the pods that are not ready first", async () => {
  const cluster = start(3);
  await cluster.settle();
  const [first] = cluster.all(podKind);
  run(cluster, first as Pod);
  scale(cluster, 1);
  await cluster.settle();
  assert.deepEqual(namesOf(cluster.all(podKind)), [first?.metadata.name]);
});

test("a matching orphan replaces a new pod, and an owned pod that is relabelled is replaced", async () => {
  const cluster = start(1);
  cluster.put(podKind, makePod("orphan", { labels }));
  await cluster.settle();
  assert.deepEqual(namesOf(cluster.all(podKind)), ["orphan"]);
  const [orphan] = cluster.all(podKind);
  cluster.put(podKind, { ...orphan, metadata: { ...orphan?.metadata, labels: { app: "debug" } } });
  await cluster.settle();
  const pods = cluster.all(podKind);
  assert.deepEqual([pods.length, pods[0]?.metadata.ownerReferences], [2, []]);
});

test("an orphan that appears later is adopted, and the surplus removed", async () => {
  const cluster = start(1);
  await cluster.settle();
  cluster.put(podKind, makePod("orphan", { labels, ready: false }));
  await cluster.settle();
  assert.equal(cluster.all(podKind).length, 1);
  assert.equal(statusOf(cluster)?.replicas, 1);
});

test("the condition ReplicaFailure reports refused pods until one is created", async () => {
  const cluster = start(1);
  cluster.refusals.set("create Pod", userError("forbidden", "exceeded quota"));
  await assert.rejects(cluster.settle(), /exceeded quota/);
  const [condition] = statusOf(cluster)?.conditions ?? [];
  assert.deepEqual(
    [condition?.type, condition?.status, condition?.reason, condition?.message],
    ["ReplicaFailure", "True", "FailedCreate", "exceeded quota"],
  );
  cluster.refusals.clear();
  await cluster.settle();
  assert.deepEqual(statusOf(cluster)?.conditions, []);
});

test("a ReplicaSet that is being deleted makes no pods", async () => {
  const cluster = start(0);
  await cluster.settle();
  const [set] = cluster.all(replicaSetKind);
  cluster.put(replicaSetKind, {
    ...set,
    metadata: { ...set?.metadata, deletionTimestamp: "2026-01-01T00:00:00Z" },
    spec: { ...(set?.spec as NonNullable<ReplicaSet["spec"]>), replicas: 3 },
  });
  await cluster.settle();
  assert.deepEqual(cluster.all(podKind), []);
});
