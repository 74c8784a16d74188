import assert from "node:assert/strict";
import { test } from "node:test";
import type { Pod } from "../../api/kubernetes/index.ts";
import type { Clock } from "../../base/index.ts";
import { EventAges } from "./event-ages.ts";
import { probePodState } from "./probes/probe-start.ts";

const hourMs = 3_600_000;
const writtenMs = Date.parse("2026-06-01T00:00:00Z");

/** A clock with a wall time that a test may set apart from its steady time. */
function settableClock(): Clock & { wallMs: number; steady: number } {
  const clock = { wallMs: writtenMs, steady: 5_000, nowMs: () => clock.wallMs, steadyMs: () => clock.steady };
  return clock as unknown as Clock & { wallMs: number; steady: number };
}

test("an event's age is independent of clock changes", () => {
  const clock = settableClock();
  const ages = new EventAges(clock);
  const ageMs = (): number => ages.ageMs("restart", writtenMs, hourMs);
  assert.equal(ageMs(), 0);
  clock.steady += 10_000;
  clock.wallMs += hourMs;
  assert.equal(ageMs(), 10_000, "forward");
  clock.steady += 10_000;
  clock.wallMs -= 3 * hourMs;
  assert.equal(ageMs(), 20_000, "back");
});

test("a newly seen event is never older than its waiting time, nor in the future", () => {
  const clock = settableClock();
  clock.wallMs += hourMs;
  assert.equal(new EventAges(clock).ageMs("restart", writtenMs, 7_000), 7_000, "the other clock is behind");
  clock.wallMs -= 2 * hourMs;
  const ages = new EventAges(clock);
  assert.equal(ages.ageMs("restart", writtenMs, hourMs), 0, "the other clock is ahead");
  clock.steady += 30_000;
  assert.equal(ages.ageMs("restart", writtenMs, hourMs), 30_000);
});

test("a later event of the same key counts as new", () => {
  const clock = settableClock();
  const ages = new EventAges(clock);
  ages.ageMs("progress", writtenMs, hourMs);
  clock.steady += 30_000;
  clock.wallMs += 30_000;
  assert.equal(ages.ageMs("progress", writtenMs + 29_000, hourMs), 1_000);
});

test("a jump of the engine's clock does not fail a probe, and a clock set back does not extend its time", () => {
  const clock = settableClock();
  const ages = new EventAges(clock);
  const pod: Pod = {
    metadata: { name: "p", namespace: "serin-probes", uid: "1", creationTimestamp: new Date(writtenMs).toISOString() },
    spec: { containers: [{ name: "probe", image: "serin" }] },
    status: { phase: "Pending" },
  };
  const state = (): string => probePodState(pod, "p", (key, atMs) => ages.ageMs(key, atMs, hourMs)).state;
  assert.equal(state(), "waiting");
  clock.wallMs += hourMs;
  assert.equal(state(), "waiting");
  clock.wallMs -= 2 * hourMs;
  clock.steady += 91_000;
  assert.equal(state(), "failed");
});
