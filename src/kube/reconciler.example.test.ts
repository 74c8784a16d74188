import assert from "node:assert/strict";
import { test } from "node:test";
import { silentLogger, systemClock, type Clock } from "../base/index.ts";
import { Reconciler } from "./reconciler.ts";

/** A clock that stands still. The test runs the recorded delays. */
function stoppedClock(): Clock & { delays: { ms: number; run: () => void }[] } {
  const delays: { ms: number; run: () => void }[] = [];
  return {
    ...systemClock,
    delays,
    after: (ms, run) => {
      const entry = { ms, run };
      delays.push(entry);
      return { [Symbol.dispose]: () => void (delays.includes(entry) && delays.splice(delays.indexOf(entry), 1)) };
    },
  };
}

const settle = async (): Promise<void> => await new Promise((resolve) => setImmediate(resolve));

test("a controller has a wanted and an actual state, a reconcile function, and keys from both", async () => {
  // 1. The wanted and the actual state. In a real controller, the first is an informer, and the second is the server.
  const wanted = new Map([
    ["a", 1],
    ["b", 2],
  ]);
  const actual = new Map<string, number>([["c", 3]]);
  const stop = new AbortController();
  // 2. The function reads both states again for one key and corrects the difference. It does not look at the change
  // itself.
  const controller = new Reconciler({
    name: "example",
    maxAttempts: 3,
    log: silentLogger,
    clock: systemClock,
    reconcile: async (key) => {
      const value = wanted.get(key);
      if (value === undefined) actual.delete(key);
      else actual.set(key, value);
    },
  });
  // 3. Keys come from both states, so that the function also finds objects that should no longer exist.
  for (const key of [...wanted.keys(), ...actual.keys()]) controller.add(key);
  // 4. `synced` shows that all keys of the start have been processed.
  const running = controller.run(stop.signal);
  await controller.synced;
  assert.deepEqual(actual, wanted);
  stop.abort();
  await running;
});

test("a key is never in work twice, and one added while in work runs once more", async () => {
  const clock = stoppedClock();
  const stop = new AbortController();
  const gates: (() => void)[] = [];
  let inWork = 0;
  let most = 0;
  const reconciler = new Reconciler({
    name: "one",
    maxAttempts: 1,
    log: silentLogger,
    clock,
    reconcile: async () => {
      inWork += 1;
      most = Math.max(most, inWork);
      await new Promise<void>((resolve) => gates.push(resolve));
      inWork -= 1;
    },
  });
  void reconciler.run(stop.signal);
  await settle();
  reconciler.add("a");
  reconciler.add("a");
  reconciler.add("a");
  gates.shift()?.();
  await settle();
  gates.shift()?.();
  await settle();
  assert.equal(gates.length, 0);
  assert.deepEqual([most, reconciler.size], [1, 0]);
  stop.abort();
});

test("failures are retried with growing delays up to maxAttempts, and start again when the key is added", async () => {
  const clock = stoppedClock();
  const stop = new AbortController();
  let attempts = 0;
  const reconciler = new Reconciler({
    name: "failing",
    maxAttempts: 3,
    retryInitialMs: 100,
    random: () => 1,
    log: silentLogger,
    clock,
    reconcile: async () => {
      attempts += 1;
      throw new Error("no");
    },
  });
  void reconciler.run(stop.signal);
  await settle();
  reconciler.add("a");
  await settle();
  const delays: number[] = [];
  for (let next = clock.delays.shift(); next !== undefined; next = clock.delays.shift()) {
    delays.push(next.ms);
    next.run();
    await settle();
  }
  assert.deepEqual([attempts, delays], [3, [100, 200]]);
  reconciler.add("a");
  await settle();
  assert.deepEqual([attempts, clock.delays.map(({ ms }) => ms)], [4, [100]]);
  stop.abort();
});
