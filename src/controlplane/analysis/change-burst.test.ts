import assert from "node:assert/strict";
import { test } from "node:test";
import { systemClock } from "../../base/index.ts";
import { ChangeBurst } from "./change-burst.ts";

test("a burst ends when nothing has changed for the quiet time", async () => {
  const burst = new ChangeBurst(systemClock);
  const startedMs = systemClock.steadyMs();
  const ended = burst.end(50, 10_000, AbortSignal.timeout(20_000));
  await new Promise((resolve) => setTimeout(resolve, 20));
  burst.note();
  await ended;
  const tookMs = systemClock.steadyMs() - startedMs;
  assert.ok(tookMs >= 65 && tookMs < 9000, `${tookMs} ms`);
});

test("a burst that does not end by itself ends after its longest time", async () => {
  const burst = new ChangeBurst(systemClock);
  const timer = setInterval(() => burst.note(), 5);
  const startedMs = systemClock.steadyMs();
  await burst.end(10_000, 60, AbortSignal.timeout(20_000));
  clearInterval(timer);
  const tookMs = systemClock.steadyMs() - startedMs;
  assert.ok(tookMs >= 55 && tookMs < 9000, `${tookMs} ms`);
});

test("changes during an analysis make another burst, and an aborted signal ends the wait", async () => {
  const burst = new ChangeBurst(systemClock);
  burst.note();
  await burst.end(1, 1, AbortSignal.timeout(20_000));
  burst.note();
  await burst.end(1, 1, AbortSignal.timeout(20_000));
  await burst.end(1, 1, AbortSignal.timeout(10));
});
