import assert from "node:assert/strict";
import { test } from "node:test";
import { FloodBudget } from "./flood-budget.ts";

const limits = {
  maxIdleFramesPerSecond: 100,
  wastedStreams: 500,
  wastedStreamsPerSecond: 10,
  streamsPerTurn: 16,
  pausePerWastedStreamMs: 0.1,
};

function budgetAfter(wasted: number): FloodBudget {
  const budget = new FloodBudget(limits, "requests", 0);
  for (let count = 0; count < wasted; count += 1) {
    budget.opened();
    budget.takenBack();
  }
  return budget;
}

test("a client that wastes few streams opens the next at once", () => {
  assert.equal(budgetAfter(0).waitMs, 0);
  assert.equal(budgetAfter(19).waitMs, 0);
});

test("a client that wastes streams waits for the next, the longer the more it has wasted", () => {
  assert.deepEqual(
    [20, 100, 499].map((wasted) => Math.round(budgetAfter(wasted).waitMs * 10) / 10),
    [2, 10, 49.9],
  );
  const broken = new FloodBudget(limits, "requests", 0);
  broken.opened();
  for (let count = 0; count < 4; count += 1) broken.broken();
  assert.equal(broken.waitMs, 2);
});

test("the wait begins when the client opens its last stream, and ends after its time", () => {
  const budget = budgetAfter(100);
  budget.nowMs = 6;
  assert.ok(budget.waitMs > 3.9 && budget.waitMs < 4, `${budget.waitMs} ms`);
  budget.nowMs = 10;
  assert.equal(budget.waitMs, 0);
  budget.opened();
  assert.ok(budget.waitMs > 9.9, `${budget.waitMs} ms`);
});

test("a wait restores nothing of the account, but time without streams does", () => {
  const budget = budgetAfter(100);
  assert.equal(budget.wait(), 10);
  budget.nowMs = 10;
  budget.opened();
  assert.equal(budget.waitMs, 10);
  budget.nowMs = 1010;
  budget.opened();
  assert.equal(budget.waitMs, 9);
});

test("served streams and time without streams end the waits", () => {
  const served = budgetAfter(25);
  for (let count = 0; count < 6; count += 1) served.served();
  assert.equal(served.waitMs, 0);
  const rested = budgetAfter(100);
  rested.nowMs = 8100;
  rested.opened();
  assert.equal(rested.waitMs, 0);
});

test("a header block that makes no progress costs as many frames as its fields take to read", () => {
  const blocksUntilFlood = (fieldCount: number): number => {
    const budget = budgetAfter(0);
    const fields = Array.from({ length: fieldCount }, () => ["x", "y"]).flat();
    for (let count = 0; count < 1000; count += 1) {
      try {
        budget.idleFrame(fields);
      } catch {
        return count;
      }
    }
    return Infinity;
  };
  assert.deepEqual([0, 7, 8, 3000].map(blocksUntilFlood), [100, 100, 50, 0]);
});
