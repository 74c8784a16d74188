import assert from "node:assert/strict";
import { test } from "node:test";
import { programCopies } from "./release.ts";

test("a release with changed sources does not contain the checkout's build for the package", () => {
  assert.deepEqual(programCopies(".bundles/1", true), [["src", "src"]]);
  assert.deepEqual(programCopies(".bundles/1", false), [[".bundles/1", "dist"]]);
  assert.deepEqual(programCopies(undefined, true), [
    ["src", "src"],
    ["dist", "dist"],
  ]);
});
