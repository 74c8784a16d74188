import assert from "node:assert/strict";
import { test } from "node:test";
import type { StepStatus } from "../../api/serin/index.ts";
import type { Observation } from "./observation.ts";
import { isOverdue, overdueText, toldUntil, waitingOn, withoutProgressMs } from "./settle-progress.ts";

const limitMs = 300_000;
const begun: StepStatus = { id: "a", title: "a step", startedAt: "2026-01-01T00:00:00.000Z", checks: [] };

function missing(left: number): Observation {
  return {
    writes: [],
    settle: [{ state: "waiting", detail: `${left} pods are missing`, left }],
  } as unknown as Observation;
}

/** Waits for a minute in each round, with the given numbers of missing items. */
function minutes(...lefts: readonly number[]): StepStatus {
  return lefts.reduce<StepStatus>(
    (step, left, index) => waitingOn(step, missing(left), { elapsedMs: 60_000, nowMs: index * 60_000, limitMs }),
    begun,
  );
}

test("the time without progress begins again only when fewer items are missing than ever before", () => {
  assert.deepEqual(
    [5, 4, 3].map((last) => withoutProgressMs(minutes(5, 3, 4, last))),
    [120_000, 120_000, 120_000],
  );
  assert.equal(withoutProgressMs(minutes(5, 3, 4, 2)), 0);
});

test("a step without progress is overdue after its limit, and one with progress after ten times its limit", () => {
  assert.deepEqual(
    [isOverdue(minutes(5, 5, 5, 5, 5), limitMs), isOverdue(minutes(5, 5, 5, 5, 5, 5), limitMs)],
    [false, true],
  );
  const slow = { ...minutes(5, 4), settlingMs: 10 * limitMs };
  assert.equal(isOverdue(slow, limitMs), false);
  assert.equal(isOverdue({ ...slow, settlingMs: 10 * limitMs + 1 }, limitMs), true);
  assert.equal(isOverdue({ ...slow, settlingMs: 10 * limitMs + 1 }, limitMs, true), false, "a patient step");
});

test("the text of an overdue step says whether it made progress", () => {
  assert.equal(overdueText({ ...begun, settlingMs: 300_500, stalledMs: 300_500 }, limitMs), "300 s");
  assert.equal(
    overdueText({ ...begun, settlingMs: 812_000, stalledMs: 300_500 }, limitMs),
    "812 s, the last 300 s of them without progress",
  );
  assert.equal(
    overdueText({ ...begun, settlingMs: 3_000_500, stalledMs: 0 }, limitMs),
    "3001 s, although it made progress",
  );
});

test("the reported time of the limit stays while the clock only rounds differently, and moves after a pause", () => {
  const told = "2026-01-01T00:05:00.000Z";
  const ms = Date.parse(told);
  assert.equal(toldUntil(told, ms + 9_999), told);
  assert.equal(toldUntil(told, ms + 10_000), "2026-01-01T00:05:10.000Z");
});

test("a step whose status an earlier release wrote counts its whole settling time as time without progress", () => {
  assert.equal(withoutProgressMs({ ...begun, settlingMs: 42_000 }), 42_000);
});
