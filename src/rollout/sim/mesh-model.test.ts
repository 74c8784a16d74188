import assert from "node:assert/strict";
import { test } from "node:test";
import { ModelCluster } from "./model-cluster.ts";
import { reference } from "../plan/index.ts";
import { gatewayPods, heldByGateway, injectingRevision, meshState } from "./mesh-model.ts";
import { canaryReplicas, classicReference, meshNames, rev, tagPointer } from "./sim-mesh.ts";

test("a growing Deployment keeps its pods, and a new one starts without any", () => {
  const cluster = new ModelCluster(() => 0.9);
  const object = classicReference("r0");
  const replicas = "/spec/replicas";
  const gateway = cluster.add(object, { [replicas]: 2 });
  const ready = (): number => gatewayPods(cluster, object).stable;
  assert.equal(ready(), 2);
  cluster.setField(gateway, replicas, 5, "engine");
  assert.equal(ready(), 2);
  cluster.setField(gateway, replicas, 1, "engine");
  cluster.setField(gateway, replicas, 5, "engine");
  assert.equal(ready(), 1);
  cluster.tick(5000, () => 0);
  assert.equal(ready(), 5);
  cluster.setField(gateway, replicas, 0, "engine");
  cluster.setField(gateway, replicas, 5, "engine");
  assert.equal(ready(), 0);
});

test("an undo keeps a gateway's canary until the gateway's own Deployment is at its revision", () => {
  const cluster = new ModelCluster(() => 0.9);
  const gateway = reference("gateway.networking.k8s.io/v1", "Gateway", "front-r0", "a");
  const found = cluster.add(gateway, { [rev]: "new-r0", [canaryReplicas]: 1 });
  cluster.add(reference("apps/v1", "Deployment", "front-r0-istio", "a"), { "/spec/replicas": 1 });
  cluster.add(meshNames("r0").istiod("old-r0"), {});
  cluster.tick(5000, () => 0);
  const held = (): string | undefined =>
    heldByGateway(cluster, { type: "field", step: "s", object: gateway, pointer: canaryReplicas }, 1);
  assert.equal(held(), undefined);
  cluster.setField(found, rev, "old-r0", "engine");
  assert.equal(held(), "front-r0-istio is not yet at old-r0");
  cluster.tick(5000, () => 0);
  assert.equal(held(), undefined);
  cluster.setField(found, rev, "gone-r0", "engine");
  assert.equal(held(), undefined, "no control plane of that revision would move it");
});

test("a webhook with the new Service's name and the old namespace injects nobody, and the tag does not serve", () => {
  const cluster = new ModelCluster(() => 0.9);
  const { injector, tag } = meshNames("r0");
  const moved = cluster.add(injector, { [tagPointer]: { name: "istiod-new-r0", namespace: "istio-next" } });
  const namespace = reference("v1", "Namespace", "a");
  cluster.add(namespace, { [rev]: tag });
  const workload = cluster.add(reference("apps/v1", "Deployment", "work-a-r0", "a"), {});
  const serves = (): string => meshState(cluster, { type: "tagServes", tag, revision: "new-r0" }).state;
  assert.deepEqual([injectingRevision(cluster, workload), serves()], ["new-r0", "met"]);
  cluster.setField(moved, tagPointer, { name: "istiod-new-r0", namespace: "istio-system" }, "engine");
  assert.deepEqual(
    [injectingRevision(cluster, workload), serves()],
    ["nobody at istio-system/istiod-new-r0", "waiting"],
  );
});
