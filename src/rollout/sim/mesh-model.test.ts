import assert from "node:assert/strict";
import { test } from "node:test";
import { ModelCluster } from "./model-cluster.ts";
import { reference } from "../plan/index.ts";
import { gatewayPods, heldByGateway, injectingRevision, meshState } from "./mesh-model.ts";
import { classicReference, meshNames, operatedMesh, rev, tagPointer, type SimMesh } from "./sim-mesh.ts";
import { canaryReplicas } from "./mesh-in-world.ts";
import { enabledPointer } from "../decide/index.ts";
import type { JournalEntry } from "../../api/serin/index.ts";

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

/** A cluster in which an operator has installed istiod and ztunnel of `old-r0`. Operators act in each tick. */
function operatedCluster() {
  const cluster = new ModelCluster(() => 0.9);
  const mesh = { dataPlane: "ambient", gateways: [], operator: "IstioOperator" } as unknown as SimMesh;
  const operated = operatedMesh({ name: "r0", moves: ["a"], mesh });
  assert.ok(operated !== undefined);
  const operator = cluster.add(operated.operator, {});
  cluster.operated.push(operated);
  cluster.tick(100, () => 0);
  cluster.tick(5000, () => 0);
  const undo = (component: "pilot" | "ztunnel"): string => {
    const pointer = enabledPointer(component);
    const entry: JournalEntry = { type: "field", step: "retire", object: operated.operator, pointer, written: false };
    const keep = {
      passOver: false,
      between: [],
      keepLater: () => undefined,
      keepRemade: () => undefined,
      keepRestored: () => undefined,
    };
    return cluster.undoing.undo(entry, entry, keep).state;
  };
  const set = (component: "pilot" | "ztunnel", value: boolean): void =>
    cluster.setField(operator, enabledPointer(component), value, "engine");
  return { cluster, undo, set, istiod: meshNames("r0").istiod("old-r0") };
}

test("an undo waits while an operator is about to remove the control plane that its object asks for again", () => {
  const { cluster, undo, set, istiod } = operatedCluster();
  assert.equal(undo("pilot"), "undone");
  set("pilot", false);
  cluster.tick(100, () => 0);
  assert.notEqual(cluster.find(istiod), undefined, "the operator has only read it");
  assert.equal(undo("pilot"), "waiting");
  cluster.tick(100, () => 0);
  assert.equal(cluster.find(istiod), undefined);
  cluster.tick(100, () => 0);
  assert.equal(undo("pilot"), "waiting", "its pods start");
  cluster.tick(5000, () => 0);
  assert.equal(undo("pilot"), "undone");
});

test("a ztunnel does not become ready before its control plane", () => {
  const { cluster, undo, set } = operatedCluster();
  for (const part of ["pilot", "ztunnel"] as const) set(part, false);
  for (let tick = 0; tick < 3; tick += 1) cluster.tick(100, () => 0);
  set("ztunnel", true);
  for (let tick = 0; tick < 3; tick += 1) cluster.tick(5000, () => 0);
  assert.equal(undo("ztunnel"), "waiting");
  set("pilot", true);
  for (let tick = 0; tick < 4; tick += 1) cluster.tick(5000, () => 0);
  assert.equal(undo("ztunnel"), "undone");
});
