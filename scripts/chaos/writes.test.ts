import assert from "node:assert/strict";
import { test } from "node:test";
import { lostOf } from "./writes.ts";

test("an acknowledged write that is missing counts as lost, and an unanswered write that exists does not", () => {
  const acknowledged = new Map([
    ["write-1", 201],
    ["write-2", 2],
    ["write-3", 203],
    ["write-4", 4],
  ]);
  const there = [
    { name: "write-1", number: 201 },
    { name: "write-3", number: 3 },
    { name: "write-4", number: 204 },
    { name: "write-5", number: 5 },
  ];
  assert.deepEqual(lostOf(acknowledged, there), [
    "write-2: 2 was acknowledged, nothing is there",
    "write-3: 203 was acknowledged, 3 is there",
  ]);
});
