import assert from "node:assert/strict";
import { test } from "node:test";
import { jsonEqualWithoutNulls } from "../../base/index.ts";
import type { KubeClient } from "../../kube/index.ts";
import { covers, fieldPatch, ObjectAccess } from "./object-access.ts";

const object = {
  metadata: { name: "a", resourceVersion: "7", labels: { "istio.io/rev": "old" } },
  spec: { rules: [{ backendRefs: [{ name: "a", weight: 1 }] }] },
};

test("a written field is recognized despite the server's defaults", () => {
  assert.ok(covers({ name: "a", group: "", weight: 1 }, { name: "a" }));
  assert.ok(covers([{ name: "a", kind: "Service" }], [{ name: "a" }]));
  assert.ok(!covers([{ name: "a" }, { name: "b" }], [{ name: "a" }]), "a longer list is another list");
  assert.ok(!covers("old", undefined), "a field to be removed is there");
});

test("a field is set only if it still has the expected value", () => {
  assert.deepEqual(fieldPatch(object, "/metadata/labels/istio.io~1rev", "new", "old"), [
    { op: "test", path: "/metadata/labels/istio.io~1rev", value: "old" },
    { op: "add", path: "/metadata/labels/istio.io~1rev", value: "new" },
  ]);
});

test("a field that was absent is guarded by the object's version, and missing parents are created", () => {
  assert.deepEqual(fieldPatch(object, "/metadata/annotations/a", "1", undefined), [
    { op: "test", path: "/metadata/resourceVersion", value: "7" },
    { op: "add", path: "/metadata/annotations", value: {} },
    { op: "add", path: "/metadata/annotations/a", value: "1" },
  ]);
});

test("a field that already has its value is not written again", () => {
  assert.deepEqual(fieldPatch(object, "/metadata/labels/istio.io~1rev", "old", undefined), []);
  assert.deepEqual(fieldPatch(object, "/metadata/labels/absent", undefined, "x"), []);
});

test("equality ignores the order of keys and treats null as absent", () => {
  assert.ok(jsonEqualWithoutNulls({ a: 1, b: [1, { c: null }] }, { b: [1, {}], a: 1 }));
  assert.ok(!jsonEqualWithoutNulls([1, 2], [2, 1]));
});

test("a forced deletion does not wait for the pod's node", async () => {
  const given: unknown[] = [];
  const client = { delete: async (...[, , , options]: unknown[]) => void given.push(options) };
  const objects = new ObjectAccess(client as unknown as KubeClient);
  const pod = { apiVersion: "v1", kind: "Pod", plural: "pods", name: "probe", namespace: "serin-probes" };
  await objects.delete(pod);
  await objects.delete(pod, true);
  assert.deepEqual(given, [
    { propagationPolicy: "Background" },
    { propagationPolicy: "Background", gracePeriodSeconds: 0 },
  ]);
});

test("the claim to a field is given up once the object stays as it was read, and others' writes do not hold up the undo", async () => {
  const claim = { manager: "serin-rollout", operation: "Update", fieldsV1: { "f:spec": { "f:rules": {} } } };
  const theirs = { manager: "istiod", operation: "Update", fieldsV1: { "f:spec": { "f:status": {} } } };
  const route = { apiVersion: "v1", kind: "Route", plural: "routes", name: "a", namespace: "n" };
  const patchesWith = async (refused: number): Promise<readonly unknown[]> => {
    const patches: unknown[] = [];
    const client = {
      get: async () =>
        await Promise.resolve({ ...object, metadata: { ...object.metadata, managedFields: [claim, theirs] } }),
      raw: async (_verb: string, _path: string, { body }: { body: unknown }) => {
        patches.push(body);
        return await Promise.resolve({ status: patches.length > refused ? 200 : 422, text: "" });
      },
    };
    await new ObjectAccess(client as unknown as KubeClient).release(route, "/spec/rules");
    return patches;
  };
  const left = [
    { op: "test", path: "/metadata/resourceVersion", value: "7" },
    { op: "add", path: "/metadata/managedFields", value: [theirs] },
  ];
  assert.deepEqual(await patchesWith(0), [left]);
  assert.deepEqual(await patchesWith(1), [left, left]);
  assert.equal((await patchesWith(9)).length, 3);
});
