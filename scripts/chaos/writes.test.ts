import assert from "node:assert/strict";
import { test } from "node:test";
import { lostOf } from "./writes.ts";

test("an acknowledged write that is not there is lost; one that is there without an answer is not", () => {
  assert.deepEqual(lostOf(["write-1", "write-2", "write-4"], ["write-1", "write-3", undefined, "write-4"]), [
    "write-2",
  ]);
});
