import assert from "node:assert/strict";
import { test } from "node:test";
import { SharedTable } from "./shared-table.ts";
import { limitsMemory, releaseWorker, WorkerLimits } from "./worker-limits.ts";

const limits = {
  maxConnections: 3,
  maxPendingRequests: 100,
  maxRequests: 4,
  maxRetries: 100,
  retryBudget: { fraction: 0.5, min: 1 },
};

function workers(count: number, nowMs: () => number = () => 0) {
  const memory = { ...limitsMemory(count), sinceMs: 0 };
  const parts = Array.from(
    { length: count },
    (_, worker) => new WorkerLimits({ memory, worker, nowMs, ejected: () => undefined }),
  );
  return { memory, parts };
}

test("a cluster's limits apply to all workers together, and a slot that one worker returns is free for another", () => {
  const { parts } = workers(2);
  const [one, two] = parts.map((part) => part.breaker("a", limits));
  assert.ok(one !== undefined && two !== undefined);
  for (const breaker of [one, two, one, two]) assert.equal(breaker.requests.take(), true);
  assert.deepEqual([one.requests.take(), two.requests.take()], [false, false]);
  assert.deepEqual([one.requests.active, two.requests.active, one.requests.open], [2, 2, 4]);
  one.requests.give();
  assert.deepEqual([two.requests.take(), one.requests.take()], [true, false]);
  // The budget allows retries for half of the four requests that are open in both workers together.
  assert.deepEqual([one.retries.take(), two.retries.take(), one.retries.take()], [true, true, false]);
  one.connections.force();
  two.relayed.force();
  assert.deepEqual([one.connections.open, two.connections.open, one.relayed.open], [1, 1, 1]);
  assert.equal(parts[0]?.breaker("b", limits).requests.take(), true, "another cluster counts by itself");
});

test("slots of a worker that ended are free again, and those of the others stay taken", () => {
  const { memory, parts } = workers(3);
  const breakers = parts.map((part) => part.breaker("a", limits));
  for (const breaker of breakers) for (let count = 0; count < 2; count += 1) breaker.requests.force();
  releaseWorker(memory, 1);
  assert.equal(breakers[0]?.requests.open, 4);
  assert.equal(breakers[2]?.requests.open, 4);
});

test("tokens that one worker gives back are there for the others, up to the limit", () => {
  const { parts } = workers(2);
  const [one, two] = parts.map(({ buckets }) => {
    buckets.begin("listener a");
    return buckets.make({ max: 3, perFill: 1, fillIntervalMs: 1000 });
  });
  assert.deepEqual([one?.take(2), two?.take(2)], [true, false]);
  one?.give(1);
  assert.deepEqual([two?.take(2), one?.take()], [true, false]);
  two?.give(100);
  assert.equal(one?.level().remaining, 3);
});

test("all workers draw from one bucket, and each resource has its own buckets", () => {
  let nowMs = 0;
  const { parts } = workers(2, () => nowMs);
  const size = { max: 3, perFill: 2, fillIntervalMs: 1000 };
  const compiled = parts.map(({ buckets }) => {
    buckets.begin("listener a");
    const made = [buckets.make(size), buckets.make(size)];
    buckets.begin("listener b");
    return [...made, buckets.make(size)];
  });
  const take = (bucket: number): (boolean | undefined)[] =>
    [0, 1, 0, 1].map((worker) => compiled[worker]?.[bucket]?.take());
  assert.deepEqual(take(0), [true, true, true, false]);
  assert.deepEqual(take(1), [true, true, true, false]);
  assert.deepEqual(take(2), [true, true, true, false]);
  nowMs = 500;
  assert.deepEqual(take(0), [true, false, false, false]);
  nowMs = 1500;
  assert.deepEqual(take(0), [true, true, false, false]);
  const level = { max: 3, remaining: 0, resetSeconds: 1 };
  assert.deepEqual(
    compiled.map((buckets) => buckets[0]?.level()),
    [level, level],
  );
  // However long no request arrives, the bucket holds no more than its size.
  nowMs = 3_600_000;
  assert.deepEqual(take(0), [true, true, true, false]);
  for (nowMs of [(2 ** 31 - 10) * 1000, (2 ** 31 + 10) * 1000]) assert.deepEqual(take(0), [true, true, true, false]);
  const later = parts[1]?.buckets;
  later?.begin("listener a");
  assert.equal(later?.make(size).take(), false, "a worker that compiles it anew finds the tokens as they are");
  later?.begin("listener a");
  assert.equal(later?.make({ ...size, max: 4 }).take(), true, "another limit is another bucket");
});

test("names map to the same cells in every thread, and a full table returns none", () => {
  const memory = SharedTable.memory(8, 2);
  const [one, two] = [new SharedTable(memory, 2), new SharedTable(memory, 2)];
  const names = Array.from({ length: 8 }, (_, index) => `name ${index}`);
  const places = names.map((name) => one.find(name));
  assert.deepEqual(
    places.map(Number).sort((left, right) => left - right),
    [0, 2, 4, 6, 8, 10, 12, 14],
  );
  assert.deepEqual(
    names.map((name) => two.find(name)),
    places,
  );
  assert.equal(two.find("one more"), undefined);
  assert.deepEqual([...one.all()], [0, 2, 4, 6, 8, 10, 12, 14]);
});
