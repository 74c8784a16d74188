import assert from "node:assert/strict";
import { test } from "node:test";
import { takeTurn } from "./take-turn.ts";

test("callers take turns, and one that may not take now keeps its place", () => {
  const waiting = new Map([
    ["a", [1, 2, 3]],
    ["b", [4]],
    ["c", [5, 6]],
    ["d", []],
  ]);
  const take = (mayTake?: (caller: string) => boolean): number | undefined => takeTurn(waiting, mayTake)?.item;
  assert.deepEqual([take(), take((caller) => caller !== "b"), take(), take()], [1, 5, 4, 2]);
  assert.deepEqual([take(), take(), take()], [6, 3, undefined]);
  assert.equal(waiting.size, 0);
});
