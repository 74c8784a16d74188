import assert from "node:assert/strict";
import { test } from "node:test";
import { status } from "./abi.ts";
import { maxQueuedItems, maxSharedBytes } from "./limits.ts";
import { SharedStore, SharedStoreLimits } from "./shared-store.ts";

const bytes = (text: string): Uint8Array => Buffer.from(text);

test("shared data is written only once for each value that was read, and is hidden from other virtual machines", () => {
  const store = new SharedStore();
  assert.equal(store.get("a", "key").status, status.notFound);
  assert.equal(store.set("a", "key", bytes("1"), 0).status, status.ok);
  const { number: cas = 0 } = store.get("a", "key");
  assert.equal(store.set("a", "key", bytes("2"), cas).status, status.ok);
  assert.equal(store.set("a", "key", bytes("3"), cas).status, status.casMismatch);
  assert.equal(Buffer.from(store.get("a", "key").bytes ?? []).toString(), "2");
  assert.equal(store.get("b", "key").status, status.notFound);
});

test("a queue is found by machine and name, returns its items in order, and has a bound", () => {
  const store = new SharedStore();
  let ready = 0;
  const { number: queue = 0 } = store.registerQueue("a", "jobs", () => (ready += 1));
  assert.equal(store.resolveQueue("a", "jobs").number, queue);
  assert.equal(store.resolveQueue("b", "jobs").status, status.notFound);
  store.enqueue(queue, bytes("1"));
  store.enqueue(queue, bytes("2"));
  assert.deepEqual(
    [1, 2].map(() => Buffer.from(store.dequeue(queue).bytes ?? []).toString()),
    ["1", "2"],
  );
  assert.equal(store.dequeue(queue).status, status.empty);
  assert.equal(ready, 2);
  for (let index = 0; index < maxQueuedItems; index += 1) store.enqueue(queue, bytes(""));
  assert.equal(store.enqueue(queue, bytes("")).status, status.internalFailure);
  assert.equal(store.enqueue(99, bytes("")).status, status.notFound);
});

test("a metric with the same type and name keeps its number, and gauges stop at zero", () => {
  const store = new SharedStore();
  const { number: counter = 0 } = store.defineMetric(0, "requests");
  const { number: gauge = 0 } = store.defineMetric(1, "open");
  assert.equal(store.defineMetric(0, "requests").number, counter);
  store.changeMetric(counter, "add", 3n);
  store.changeMetric(gauge, "set", 5n);
  store.changeMetric(gauge, "add", -9n);
  assert.deepEqual([store.getMetric(counter).long, store.getMetric(gauge).long], [3n, 0n]);
  assert.equal(store.getMetric(4000).status, status.notFound);
});

test("owners share no data, queues and metrics, also not by the number of a queue, and each has a part of the limits", () => {
  const limits = new SharedStoreLimits();
  const [own, foreign] = [new SharedStore("shop", limits), new SharedStore("evil", limits)];
  own.set("", "token", bytes("secret"), 0);
  assert.equal(foreign.get("", "token").status, status.notFound);
  const { number: queue = 0 } = own.registerQueue("", "jobs", () => undefined);
  own.enqueue(queue, bytes("job"));
  assert.equal(foreign.resolveQueue("", "jobs").status, status.notFound);
  assert.deepEqual(
    [foreign.dequeue(queue), foreign.enqueue(queue, bytes("x"))].map((answer) => answer.status),
    [status.notFound, status.notFound],
  );
  const { number: counter = 0 } = own.defineMetric(0, "requests");
  foreign.changeMetric(counter, "add", 1n);
  assert.equal(own.getMetric(counter).long, 0n);
  const half = new Uint8Array(maxSharedBytes / 2);
  assert.equal(foreign.set("", "all", half, 0).status, status.internalFailure);
  assert.equal(foreign.set("", "most", half.subarray(1000), 0).status, status.ok);
  assert.equal(own.set("", "more", half.subarray(half.length / 2 + 1000), 0).status, status.ok);
});
