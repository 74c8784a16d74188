import assert from "node:assert/strict";
import { test } from "node:test";
import { poissonBound } from "./poisson.ts";

test("the bound is the 99.9 % quantile, and zero where no failure is expected", () => {
  assert.equal(poissonBound(0), 0);
  // The expected values are from tables of the distribution.
  assert.deepEqual([0.1, 1, 5, 10, 100].map(poissonBound), [2, 5, 13, 21, 132]);
  assert.ok(Math.abs(poissonBound(10_000) - 10_310) < 5);
});
