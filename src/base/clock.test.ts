import assert from "node:assert/strict";
import { test } from "node:test";
import { until } from "./testing/index.ts";
import { afterRunning, rfc3339Seconds, systemClock } from "./clock.ts";

test("a duration beyond a timer's maximum is long, not one millisecond", (t) => {
  const delays: unknown[] = [];
  const real = globalThis.setTimeout;
  t.mock.method(globalThis, "setTimeout", (run: () => void, ms: number) => {
    delays.push(ms);
    return real(run, ms);
  });
  const days = 40 * 24 * 3_600_000;
  for (const ms of [1000, days, Infinity]) systemClock.after(ms, () => assert.fail("too early"))[Symbol.dispose]();
  assert.deepEqual(delays, [1000, 2 ** 31 - 1, 2 ** 31 - 1]);
});

test("a time to the second drops the fraction and does not round it", () => {
  assert.equal(rfc3339Seconds(Date.UTC(2026, 4, 5, 10, 1, 30, 999)), "2026-05-05T10:01:30Z");
  assert.equal(rfc3339Seconds(0), "1970-01-01T00:00:00Z");
});

test("a limit counts a standstill of the process as a tenth of its time", async () => {
  const limitMs = 100;
  let isOver = false;
  afterRunning(limitMs, () => (isOver = true));
  using cancelled = afterRunning(limitMs, () => assert.fail("cancelled"));
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 2 * limitMs);
  cancelled[Symbol.dispose]();
  // Before the second of these turns, Node runs due timers, and then reads sockets.
  for (let turn = 0; turn < 2; turn += 1) await new Promise((resolve) => setImmediate(resolve));
  assert.equal(isOver, false);
  await until(() => isOver);
});
