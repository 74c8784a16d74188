import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate } from "node:timers/promises";
import { systemClock, type Clock } from "../../base/index.ts";
import { ChangeBurst } from "./change-burst.ts";

const never = new AbortController().signal;

/** Time passes only in sleeps. In the middle of each, `halfway` is called. */
function sleepingClock(halfway: () => void = () => undefined): Clock {
  let nowMs = 0;
  return {
    ...systemClock,
    steadyMs: () => nowMs,
    sleep: async (ms) => {
      nowMs += ms / 2;
      halfway();
      nowMs += ms / 2;
      await Promise.resolve();
    },
  };
}

test("a burst ends when nothing has changed for the quiet time", async () => {
  let more = 3;
  let lastMs = 0;
  const clock = sleepingClock(() => {
    if (more === 0) return;
    more -= 1;
    lastMs = clock.steadyMs();
    burst.note();
  });
  const burst = new ChangeBurst(clock);
  burst.note();
  await burst.end(50, 10_000, never);
  assert.equal(more, 0);
  assert.equal(clock.steadyMs(), lastMs + 50);
});

test("a burst that does not end by itself ends after its longest time", async () => {
  const clock = sleepingClock(() => burst.note());
  const burst = new ChangeBurst(clock);
  burst.note();
  await burst.end(20, 60, never);
  assert.equal(clock.steadyMs(), 60);
});

test("changes during an analysis make another burst, and without one the wait goes on until the signal aborts", async () => {
  const burst = new ChangeBurst(sleepingClock());
  burst.note();
  await burst.end(1, 1, never);
  burst.note();
  await burst.end(1, 1, never);
  const stop = new AbortController();
  let hasEnded = false;
  const ended = burst.end(1, 1, stop.signal).then(() => (hasEnded = true));
  await setImmediate();
  assert.equal(hasEnded, false);
  stop.abort();
  await ended;
});

test("a change wakes who waits for a burst", async () => {
  const clock = sleepingClock();
  const burst = new ChangeBurst(clock);
  const ended = burst.end(50, 10_000, never);
  await setImmediate();
  assert.equal(clock.steadyMs(), 0);
  burst.note();
  await ended;
  assert.equal(clock.steadyMs(), 50);
});
