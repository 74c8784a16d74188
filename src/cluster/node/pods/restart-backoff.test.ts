import assert from "node:assert/strict";
import { test } from "node:test";
import { HandClock } from "../../../base/testing/index.ts";
import { RestartBackoff } from "./restart-backoff.ts";

/** The delays before each next run. The runs have these lengths, and each begins as soon as it may. */
function delaysMs(runsMs: readonly number[]): number[] {
  const clock = new HandClock();
  const backoff = new RestartBackoff(clock);
  return runsMs.map((runMs) => {
    clock.pass(backoff.delayMs);
    const startedAtMs = clock.nowMs();
    clock.pass(runMs);
    backoff.ended(startedAtMs);
    return backoff.delayMs;
  });
}

test("the first restart has no delay, and the delays of a crashing container double up to a minute", () => {
  assert.deepEqual(
    delaysMs(Array.from({ length: 10 }, () => 100)),
    [0, 1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000, 60_000],
  );
});

test("after a run of more than two minutes the delays start again", () => {
  assert.deepEqual(delaysMs([100, 100, 100, 120_000, 120_001, 100]), [0, 1_000, 2_000, 4_000, 0, 1_000]);
});

test("a run that could not begin is delayed at once, and its delays and those of ended runs grow together", () => {
  const clock = new HandClock();
  const backoff = new RestartBackoff(clock);
  backoff.failed();
  assert.equal(backoff.delayMs, 1_000);
  backoff.failed();
  assert.equal(backoff.delayMs, 2_000);
  backoff.ended(clock.nowMs());
  assert.equal(backoff.delayMs, 2_000);
  clock.pass(1_500);
  assert.deepEqual([backoff.delayMs, backoff.stepMs], [500, 2_000]);
  clock.pass(1_500);
  assert.equal(backoff.delayMs, 0);
});

test("a clock that is set back does not prolong the delay", () => {
  class SetBackClock extends HandClock {
    wallMs = Date.parse("2026-01-01T12:00:00Z");
    override nowMs(): number {
      return this.wallMs;
    }
  }
  const clock = new SetBackClock();
  const backoff = new RestartBackoff(clock);
  backoff.failed();
  clock.wallMs -= 3_600_000;
  clock.pass(1_000);
  assert.equal(backoff.delayMs, 0);
});

test("a run during which the clock was set back does not count as long", () => {
  const clock = new HandClock();
  const backoff = new RestartBackoff(clock);
  backoff.ended(clock.nowMs());
  backoff.ended(clock.nowMs() + 3_600_000);
  assert.equal(backoff.delayMs, 1_000);
});
