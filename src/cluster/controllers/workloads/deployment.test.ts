import assert from "node:assert/strict";
import { test } from "node:test";
import { deploymentKind, replicaSetKind, type Deployment } from "../../../api/kubernetes/index.ts";
import { HandCluster } from "../testing/hand-cluster.ts";
import { namesOf } from "../testing/make-pod.ts";
import { addDeploymentController } from "./deployment.ts";

const labels = { app: "web" };
const template = { metadata: { labels }, spec: { containers: [{ name: "app", image: "web:1" }] } };

/** A cluster with a Deployment and a matching ReplicaSet that has no owner yet. */
function start(): { readonly cluster: HandCluster; readonly deployment: Deployment } {
  const cluster = new HandCluster();
  addDeploymentController(cluster.context);
  cluster.put(replicaSetKind, {
    metadata: { name: "orphan", namespace: "default", labels },
    spec: { replicas: 1, selector: { matchLabels: labels }, template },
  });
  const deployment = cluster.put(deploymentKind, {
    metadata: { name: "web", namespace: "default" },
    spec: { replicas: 1, selector: { matchLabels: labels }, template },
  });
  return { cluster, deployment };
}

test("a ReplicaSet of its labels and template that has no owner is adopted by a Deployment", async () => {
  const { cluster, deployment } = start();
  await cluster.settle();
  const [set, ...others] = cluster.all(replicaSetKind);
  assert.deepEqual([namesOf([set ?? { metadata: {} }]), others], [["orphan"], []]);
  assert.deepEqual(
    set?.metadata.ownerReferences?.map(({ uid }) => uid),
    [deployment.metadata.uid],
  );
});

test("a Deployment that no longer exists adopts no ReplicaSet", async () => {
  const { cluster } = start();
  cluster.unseen.set("Deployment/default/web", undefined);
  await cluster.settle().catch(() => undefined);
  const orphan = cluster.all(replicaSetKind).find(({ metadata }) => metadata.name === "orphan");
  assert.equal(orphan?.metadata.ownerReferences, undefined);
});
