import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { BuiltInShapes } from "../built-in-shapes.ts";
import { SchemaFault } from "../contract.ts";
import { isObject, type JsonObject } from "../json.ts";
import { applyJsonPatch } from "./json-patch.ts";
import { applyMergePatch } from "./merge-patch.ts";
import { applyStrategicMergePatch } from "./strategic-merge-patch.ts";

const shapes = BuiltInShapes.load();
const podSpec = shapes.ofName("io.k8s.api.core.v1.PodSpec");
const runs = { numRuns: 200 };
const json = fc.jsonValue({ maxDepth: 3 });

function withoutNulls(value: unknown): unknown {
  if (!isObject(value)) return value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, item]) => item !== null)
      .map(([key, item]) => [key, withoutNulls(item)]),
  );
}

test("a merge patch applied twice equals one applied once", () => {
  fc.assert(
    fc.property(json, json, (original, patch) => {
      const once = applyMergePatch(original, patch);
      assert.deepEqual(applyMergePatch(once, patch), once);
    }),
    runs,
  );
});

test("a merge patch of nothing yields the patch without its nulls, and does not change its arguments", () => {
  fc.assert(
    fc.property(fc.dictionary(fc.string(), json), (patch) => {
      const before = JSON.stringify(patch);
      assert.deepEqual(applyMergePatch({}, patch), withoutNulls(patch));
      assert.equal(JSON.stringify(patch), before);
    }),
    runs,
  );
});

test("the examples of RFC 7386 give the documented results", () => {
  const cases: [unknown, unknown, unknown][] = [
    [{ a: "b" }, { a: "c" }, { a: "c" }],
    [{ a: "b" }, { b: "c" }, { a: "b", b: "c" }],
    [{ a: "b", b: "c" }, { a: null }, { b: "c" }],
    [{ a: ["b"] }, { a: "c" }, { a: "c" }],
    [{ a: { b: "c" } }, { a: { b: "d", c: null } }, { a: { b: "d" } }],
    [{ a: [{ b: "c" }] }, { a: [1] }, { a: [1] }],
    [
      ["a", "b"],
      ["c", "d"],
      ["c", "d"],
    ],
    [{ e: null }, { a: 1 }, { e: null, a: 1 }],
    [{}, { a: { bb: { ccc: null } } }, { a: { bb: {} } }],
  ];
  for (const [original, patch, expected] of cases) assert.deepEqual(applyMergePatch(original, patch), expected);
});

test("JSON patch adds, removes, replaces, moves, copies and tests, in lists and by escaped names", () => {
  const original = { metadata: { labels: { "a/b": "1" } }, list: ["x", "y"] };
  const patch = [
    { op: "test", path: "/metadata/labels/a~1b", value: "1" },
    { op: "replace", path: "/metadata/labels/a~1b", value: "2" },
    { op: "add", path: "/list/1", value: "m" },
    { op: "add", path: "/list/-", value: "z" },
    { op: "remove", path: "/list/0" },
    { op: "copy", from: "/list", path: "/again" },
    { op: "move", from: "/metadata", path: "/moved" },
    { op: "test", path: "/absent", value: null },
  ];
  assert.deepEqual(applyJsonPatch(original, patch), {
    list: ["m", "y", "z"],
    again: ["m", "y", "z"],
    moved: { labels: { "a/b": "2" } },
  });
  assert.deepEqual(original.list, ["x", "y"]);
});

test("a JSON patch that does not apply returns 422, and an invalid patch 400", () => {
  const status = (patch: unknown): number | undefined => {
    try {
      applyJsonPatch({ a: [1] }, patch);
      return undefined;
    } catch (error) {
      return error instanceof SchemaFault ? error.status : undefined;
    }
  };
  assert.equal(status({}), 400);
  assert.equal(status([{ op: "remove", path: "/b" }]), 422);
  assert.equal(status([{ op: "test", path: "/a/0", value: 2 }]), 422);
  assert.equal(status([{ op: "add", path: "/a/5", value: 2 }]), 422);
  assert.equal(status([{ op: "replace", path: "/a/00", value: 2 }]), 422);
  assert.equal(status([{ op: "sing", path: "/a" }]), 422);
});

const spec = (): JsonObject => ({
  containers: [
    { name: "web", image: "a", env: [{ name: "X", value: "1" }], args: ["1", "2"] },
    { name: "side", image: "b" },
  ],
  volumes: [{ name: "v", emptyDir: {} }],
  nodeSelector: { a: "1" },
});
const merged = (patch: unknown): JsonObject => applyStrategicMergePatch(podSpec, spec(), patch);
const containerNames = (value: JsonObject): unknown[] => (value.containers as JsonObject[]).map(({ name }) => name);

test("a strategic merge patch merges lists by their merge key and replaces atomic ones", () => {
  const result = merged({
    containers: [
      { name: "web", env: [{ name: "Y", value: "2" }], args: ["3"] },
      { name: "new", image: "c" },
    ],
  });
  const [web] = result.containers as JsonObject[];
  assert.deepEqual(web, {
    name: "web",
    image: "a",
    env: [
      { name: "Y", value: "2" },
      { name: "X", value: "1" },
    ],
    args: ["3"],
  });
  assert.equal((result.containers as unknown[]).length, 3);
});

test("directives delete, replace, retain and order", () => {
  assert.deepEqual(containerNames(merged({ containers: [{ name: "web", $patch: "delete" }] })), ["side"]);
  assert.deepEqual(containerNames(merged({ containers: [{ $patch: "replace" }, { name: "only", image: "x" }] })), [
    "only",
  ]);
  assert.deepEqual(merged({ nodeSelector: { $patch: "replace", b: "2" } }).nodeSelector, { b: "2" });
  assert.equal(merged({ nodeSelector: { $patch: "delete" } }).nodeSelector, undefined);
  const retained = merged({ volumes: [{ name: "v", $retainKeys: ["name", "configMap"], configMap: { name: "c" } }] });
  assert.deepEqual(retained.volumes, [{ name: "v", configMap: { name: "c" } }]);
  assert.deepEqual(containerNames(merged({ "$setElementOrder/containers": [{ name: "side" }, { name: "web" }] })), [
    "side",
    "web",
  ]);
  const added = {
    containers: [{ name: "first", image: "f" }],
    "$setElementOrder/containers": [{ name: "first" }, { name: "web" }],
  };
  assert.deepEqual(containerNames(merged(added)), ["first", "web", "side"]);
});

test("primitive lists with strategy merge gain new items and lose those that a directive names", () => {
  const meta = shapes.ofName("io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta");
  const original = { finalizers: ["a", "b"] };
  assert.deepEqual(applyStrategicMergePatch(meta, original, { finalizers: ["c"] }), { finalizers: ["c", "a", "b"] });
  assert.deepEqual(applyStrategicMergePatch(meta, original, { "$deleteFromPrimitiveList/finalizers": ["a"] }), {
    finalizers: ["b"],
  });
});

test("a merge list item without its merge key is refused", () => {
  assert.throws(() => merged({ containers: [{ image: "x" }] }), /does not contain declared merge key: name/);
});
