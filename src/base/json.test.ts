import assert from "node:assert/strict";
import { test } from "node:test";
import { assert as assertProperty, jsonValue, property, string } from "fast-check";
import {
  canonicalJson,
  canonicalJsonWithoutNulls,
  jsonEqual,
  jsonEqualWithoutNulls,
  pointerName,
  pointerNames,
  valueAt,
  withoutNulls,
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
