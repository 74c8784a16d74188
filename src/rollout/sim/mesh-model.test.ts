import assert from "node:assert/strict";
import { test } from "node:test";
import { ModelCluster } from "./model-cluster.ts";
import { gatewayPods } from "./mesh-model.ts";
import { classicReference } from "./sim-mesh.ts";

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
