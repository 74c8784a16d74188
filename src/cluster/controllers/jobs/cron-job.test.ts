import assert from "node:assert/strict";
import { test } from "node:test";
import type { CronJob } from "../../../api/kubernetes/index.ts";
import { dueRun } from "./cron-job.ts";

const nowMs = Date.parse("2026-03-04T12:30:00Z");
const cronJob = (
  schedule: string,
  lastScheduleTime?: string,
  spec: Partial<NonNullable<CronJob["spec"]>> = {},
): CronJob => ({
  metadata: { name: "backup", creationTimestamp: "2026-03-04T11:45:00Z" },
  spec: { schedule, jobTemplate: {}, ...spec },
  ...(lastScheduleTime === undefined ? {} : { status: { lastScheduleTime } }),
});
const due = (of: CronJob): string | undefined => {
  const atMs = dueRun(of, nowMs);
  return atMs === undefined ? undefined : new Date(atMs).toISOString().replace(":00.000Z", "");
};

test("a run is due once its time has come, and not again after it was started", () => {
  assert.equal(due(cronJob("30 12 * * *")), "2026-03-04T12:30");
  assert.equal(due(cronJob("31 12 * * *")), undefined);
  assert.equal(due(cronJob("30 12 * * *", "2026-03-04T12:30:00Z")), undefined);
});

test("a new CronJob has missed nothing from before its creation", () => {
  assert.equal(due(cronJob("30 11 * * *")), undefined);
  assert.equal(due(cronJob("0 * * * *")), "2026-03-04T12:00");
});

test("of several missed runs only the latest is due", () => {
  assert.equal(due(cronJob("*/10 * * * *", "2026-03-04T09:00:00Z")), "2026-03-04T12:30");
});

test("of more than a hundred missed runs only the latest is due, too", () => {
  assert.equal(due(cronJob("0 * * * *", "2026-02-25T00:00:00Z")), "2026-03-04T12:00");
  assert.equal(due(cronJob("0 6 * * *", "2020-01-01T06:00:00Z")), "2026-03-04T06:00");
  assert.equal(due(cronJob("* * * * *", "2025-03-04T00:00:00Z")), "2026-03-04T12:30");
});

test("a run that is later than startingDeadlineSeconds is not made up for", () => {
  const missed = "2026-03-04T11:50:00Z";
  assert.equal(due(cronJob("0 * * * *", missed, { startingDeadlineSeconds: 1_799 })), undefined);
  assert.equal(due(cronJob("0 * * * *", missed, { startingDeadlineSeconds: 1_801 })), "2026-03-04T12:00");
});

test("a suspended CronJob and one without a readable schedule have no due run", () => {
  assert.equal(due(cronJob("* * * * *", undefined, { suspend: true })), undefined);
  assert.equal(due(cronJob("nonsense")), undefined);
});

test("the time zone of a CronJob decides when it is due", () => {
  assert.equal(due(cronJob("15 13 * * *", undefined, { timeZone: "Europe/Berlin" })), "2026-03-04T12:15");
  assert.equal(due(cronJob("15 12 * * *", undefined, { timeZone: "Europe/Berlin" })), undefined);
});
