import assert from "node:assert/strict";
import { test } from "node:test";
import { CallersMemory } from "./index.ts";

test("a caller may use half of the memory that the others leave", () => {
  const memory = new CallersMemory(100);
  memory.add("a", 50);
  assert.equal(memory.isExceededBy("a"), false);
  memory.add("a", 1);
  assert.equal(memory.isExceededBy("a"), true);
  memory.add("a", -1);
  memory.add("b", 25);
  assert.equal(memory.isExceededBy("b"), false);
  memory.add("b", 1);
  assert.equal(memory.isExceededBy("b"), true);
  memory.add("a", -50);
  assert.equal(memory.isExceededBy("b"), false, "others leave more");
  assert.equal(memory.isExceededBy("a"), false);
});
