import assert from "node:assert/strict";
import { test } from "node:test";
import { isChangedElsewhere } from "./use-edited-object.ts";

const base = { yaml: "kind: X\nspec: {}\nstatus:\n  ready: false\n", resourceVersion: "1" };

test("a version whose status alone differs does not conflict with the text", () => {
  const newer = { yaml: "kind: X\nspec: {}\nstatus:\n  ready: true\n", resourceVersion: "2" };
  assert.equal(isChangedElsewhere(base, newer), false);
});

test("a version with another spec conflicts with the text", () => {
  const newer = { yaml: "kind: X\nspec:\n  a: 1\n", resourceVersion: "2" };
  assert.equal(isChangedElsewhere(base, newer), true);
});

test("the version on which the text is based never conflicts with it", () => {
  assert.equal(isChangedElsewhere({ ...base, yaml: "kind: X\n" }, base), false);
});
