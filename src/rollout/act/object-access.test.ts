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
