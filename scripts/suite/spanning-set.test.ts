import assert from "node:assert/strict";
import { test } from "node:test";
import { spanningSet } from "./spanning-set.ts";

const needs: Readonly<Record<string, readonly string[]>> = {
  "a.test.ts": ["a", "b", "c"],
  "b.test.ts": ["b", "c"],
  "c.test.ts": ["d"],
  "slow.test.ts": ["a", "b", "c", "d", "e"],
};
const choose = (budgetMs: number): string[] =>
  spanningSet(Object.keys(needs), (file) => new Set(needs[file]), { "slow.test.ts": 10_000 }, budgetMs);

test("a file is chosen if it loads something new, and fast files come first", () => {
  assert.deepEqual(choose(1_000), ["a.test.ts", "c.test.ts"]);
  assert.deepEqual(choose(20_000), ["a.test.ts", "c.test.ts", "slow.test.ts"]);
  assert.deepEqual(choose(250), ["a.test.ts"]);
});
