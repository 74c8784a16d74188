import assert from "node:assert/strict";
import { test } from "node:test";
import { mergeTrees, type MergeRules } from "./index.ts";

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
