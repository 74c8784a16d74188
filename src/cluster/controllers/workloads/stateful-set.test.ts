import assert from "node:assert/strict";
import { test } from "node:test";
import { podKind, statefulSetKind } from "../../../api/kubernetes/index.ts";
import { userError } from "../../../base/index.ts";
import { HandCluster } from "../testing/hand-cluster.ts";
import { namesOf } from "../testing/make-pod.ts";
import { addStatefulSetController } from "./stateful-set.ts";

/** A cluster with a StatefulSet whose pods are all created at once. */
function start(replicas: number): HandCluster {
  const cluster = new HandCluster();
  addStatefulSetController(cluster.context);
  put(cluster, replicas);
  return cluster;
}

function put(cluster: HandCluster, replicas: number): void {
  const [known] = cluster.all(statefulSetKind);
  cluster.put(statefulSetKind, {
    ...known,
    metadata: { name: "db", namespace: "default", ...known?.metadata },
    spec: {
      replicas,
      podManagementPolicy: "Parallel",
      selector: { matchLabels: { app: "db" } },
      template: { metadata: { labels: { app: "db" } }, spec: { containers: [{ name: "app", image: "db:1" }] } },
    },
  });
}

test("a StatefulSet's events have the texts of the real controller", async () => {
  const cluster = start(1);
  await cluster.settle();
  put(cluster, 0);
  await cluster.settle();
  assert.deepEqual(cluster.notes, [
    "create Pod db-0 in StatefulSet db successful",
    "delete Pod db-0 in StatefulSet db successful",
  ]);
  cluster.refusals.set("create Pod", userError("forbidden", "exceeded quota"));
  put(cluster, 1);
  await assert.rejects(cluster.settle(), /exceeded quota/);
  assert.equal(cluster.notes.at(-1), "create Pod db-0 in StatefulSet db failed error: exceeded quota");
  assert.deepEqual(cluster.events, ["SuccessfulCreate", "SuccessfulDelete", "FailedCreate"]);
});

test("a pod has its name as host name, and labels of its name, ordinal and revision", async () => {
  const cluster = start(2);
  await cluster.settle();
  const pods = cluster.all(podKind);
  assert.deepEqual(namesOf(pods), ["db-0", "db-1"]);
  const [, second] = pods;
  const revision = cluster.all(statefulSetKind)[0]?.status?.updateRevision ?? "";
  assert.deepEqual(second?.metadata.labels, {
    app: "db",
    "apps.kubernetes.io/pod-index": "1",
    "statefulset.kubernetes.io/pod-name": "db-1",
    "controller-revision-hash": revision.slice("db-".length),
  });
  assert.equal(second.spec?.hostname, "db-1");
});
