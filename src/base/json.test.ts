import assert from "node:assert/strict";
import { test } from "node:test";
import { assert as assertProperty, jsonValue, property, string } from "fast-check";
import {
  canonicalJson,
  canonicalJsonWithoutNulls,
  jsonEqual,
  jsonEqualWithoutNulls,
  mergeTrees,
  pointerName,
  pointerNames,
  valueAt,
  withoutNulls,
  type MergeRules,
} from "./json.ts";

test("two JSON values have the same canonical text exactly if they are equal", () => {
  assertProperty(
    property(jsonValue(), jsonValue(), (left, right) => {
      assert.ok(jsonEqual(left, structuredClone(left)));
      assert.equal(jsonEqual(left, right), canonicalJson(left) === canonicalJson(right));
    }),
  );
});

test("the order of keys and undefined fields do not matter", () => {
  assert.ok(jsonEqual({ a: 1, b: [{ c: 2, d: undefined }] }, { b: [{ c: 2 }], a: 1, e: undefined }));
  assert.ok(!jsonEqual({ a: null }, {}));
  assert.ok(!jsonEqual([1, 2], [2, 1]));
  assert.ok(!jsonEqual({}, []));
  assert.equal(canonicalJson({ b: undefined, a: [{ d: 1, c: null }] }), '{"a":[{"c":null,"d":1}]}');
});

test("null counts as absent if requested, at any depth", () => {
  assert.ok(jsonEqualWithoutNulls({ a: { b: null } }, { a: {}, c: null }));
  assert.ok(jsonEqualWithoutNulls(null, undefined));
  assert.ok(!jsonEqualWithoutNulls({ a: [null] }, { a: [] }));
  assert.equal(canonicalJsonWithoutNulls({ b: null, a: [{ d: null, c: 1 }, null] }), '{"a":[{"c":1},null]}');
});

test("names that every object inherits are ordinary fields", () => {
  assert.ok(!jsonEqual(JSON.parse('{"constructor":{}}'), { other: {} }));
  assert.ok(!jsonEqual({}, JSON.parse('{"toString":1}')));
  assert.ok(jsonEqual(JSON.parse('{"__proto__":1}'), JSON.parse('{"__proto__":1}')));
});

test("a name survives a round trip through a JSON pointer", () => {
  assertProperty(property(string(), (name) => assert.deepEqual(pointerNames(`/a/${pointerName(name)}`), ["a", name])));
  assert.deepEqual(pointerNames(""), []);
});

test("a path through a list or a missing field finds nothing", () => {
  assert.equal(valueAt({ a: { b: 1 } }, "a", "b"), 1);
  assert.equal(valueAt({ a: [{ b: 1 }] }, "a", "0", "b"), undefined);
  assert.equal(valueAt(undefined, "a"), undefined);
});

test("fields and list elements that are null are left out at any depth", () => {
  const value = { a: null, b: [null, { c: null, d: [0, false, ""] }] };
  assert.deepEqual(withoutNulls(value), { b: [{ d: [0, false, ""] }] });
  assert.deepEqual(Object.keys(withoutNulls(JSON.parse('{ "__proto__": { "a": null } }') as object)), ["__proto__"]);
  assert.equal(withoutNulls(null), null);
});

const patch: MergeRules = { nulls: "remove", lists: "replace" };

test("fields merge at any depth, and neither tree changes", () => {
  const base = { a: { b: 1, c: { d: 2 } }, e: 3 };
  const over = { a: { c: { f: 4 } }, e: { g: 5 } };
  assert.deepEqual(mergeTrees(base, over, patch), { a: { b: 1, c: { d: 2, f: 4 } }, e: { g: 5 } });
  assert.deepEqual(
    [base, over],
    [
      { a: { b: 1, c: { d: 2 } }, e: 3 },
      { a: { c: { f: 4 } }, e: { g: 5 } },
    ],
  );
});

test("an undefined field keeps the value below", () => {
  assert.deepEqual(mergeTrees({ a: 1 }, { a: undefined }, patch), { a: 1 });
});

test("null removes a field, or stays for a later merge", () => {
  const [base, over] = [{ a: { b: 1, c: 2 } }, { a: { b: null }, d: null, e: { f: null } }];
  assert.deepEqual(mergeTrees(base, over, patch), { a: { c: 2 }, e: { f: null } });
  assert.deepEqual(mergeTrees(base, over, { ...patch, nulls: "keep" }), {
    a: { b: null, c: 2 },
    d: null,
    e: { f: null },
  });
});

test("a list replaces another, or merges with it by the names of its elements", () => {
  const [base, over] = [{ a: [{ name: "x", v: 1, w: 2 }, { name: "y" }] }, { a: [{ name: "z" }, { name: "x", v: 3 }] }];
  assert.deepEqual(mergeTrees(base, over, patch), over);
  assert.deepEqual(mergeTrees(base, over, { ...patch, lists: "byName" }), {
    a: [{ name: "x", v: 3, w: 2 }, { name: "y" }, { name: "z" }],
  });
  assert.deepEqual(mergeTrees({ a: [1] }, { a: [2] }, { ...patch, lists: "byName" }), { a: [2] });
});

test("keys that are named like members of JavaScript objects are ordinary keys", () => {
  const over = JSON.parse('{ "__proto__": { "polluted": true }, "constructor": { "a": 1 } }') as object;
  const merged = mergeTrees({}, { ...over }, patch);
  assert.deepEqual(Object.keys(merged), ["__proto__", "constructor"]);
  assert.deepEqual(merged["constructor"], { a: 1 });
  assert.equal("polluted" in {}, false);
});
