import assert from "node:assert/strict";
import { test } from "node:test";
import { lostOf } from "./writes.ts";

test("an acknowledged write that is missing counts as lost, and an unanswered write that exists does not", () => {
  assert.deepEqual(lostOf(["write-1", "write-2", "write-4"], ["write-1", "write-3", undefined, "write-4"]), [
    "write-2",
  ]);
});
