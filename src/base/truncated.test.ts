import assert from "node:assert/strict";
import { test } from "node:test";
import { truncated } from "./truncated.ts";

test("a text keeps its first characters, and no half of one", () => {
  assert.equal(truncated("abc", 3), "abc");
  assert.equal(truncated("abcd", 3), "abc…");
  assert.equal(truncated("ab😀d", 3), "ab…");
  assert.equal(truncated("a😀cd", 3), "a😀…");
});
