import assert from "node:assert/strict";
import { test } from "node:test";
import { BoundedQueue } from "./bounded-queue.ts";

test("a full queue refuses items, and accepts them again after a shift", () => {
  const queue = new BoundedQueue<number>(2);
  assert.equal(queue.push(1), true);
  assert.equal(queue.push(2), true);
  assert.equal(queue.push(3), false);
  assert.equal(queue.shift(), 1);
  assert.equal(queue.push(3), true);
  assert.deepEqual([queue.shift(), queue.shift(), queue.shift()], [2, 3, undefined]);
});

test("order survives the compaction of the array", () => {
  const queue = new BoundedQueue<number>(1000);
  const taken: (number | undefined)[] = [];
  for (let index = 0; index < 500; index += 1) {
    queue.push(index * 2);
    queue.push(index * 2 + 1);
    taken.push(queue.shift());
  }
  while (queue.size > 0) taken.push(queue.shift());
  assert.deepEqual(
    taken,
    Array.from({ length: 1000 }, (_, index) => index),
  );
});
