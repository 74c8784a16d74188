import assert from "node:assert/strict";
import { test } from "node:test";
import { suspicion, type GrowthLimits } from "./index.ts";

const limits: GrowthLimits = { unsuspiciousMs: 2, maxTimes: 10 };
const numbers = (size: number): number[] => Array.from({ length: size }, (_, index) => index);

function countPairs(list: readonly number[]): number {
  let count = 0;
  for (const one of list) for (const other of list) if (one < other) count += 1;
  return count;
}

test("a function that compares all pairs is suspicious, and one that looks at each item a fixed number of times is not", () => {
  let found: string | undefined;
  // Other work of the machine may make the small input seem slow, and so hide the growth in one attempt.
  for (let attempt = 0; attempt < 3 && found === undefined; attempt += 1)
    found = suspicion(countPairs, numbers, 8000, limits);
  assert.match(found ?? "", /^2000: \S+ ms, 8000: \S+ ms$/);
  const passes = (list: readonly number[]): void => {
    for (let pass = 0; pass < 1000; pass += 1) list.reduce((sum, item) => sum + item, 0);
  };
  assert.equal(suspicion(passes, numbers, 8000, limits), undefined);
});
