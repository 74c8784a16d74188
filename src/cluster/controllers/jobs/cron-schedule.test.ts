import assert from "node:assert/strict";
import { test } from "node:test";
import { latestRun, nextRun, parseCron } from "./cron-schedule.ts";

/** The next run after Friday, 27 February 2026, 23:58:30. */
function next(text: string, after = "2026-02-27T23:58:30Z"): string | undefined {
  const schedule = parseCron(text);
  const atMs = schedule === undefined ? undefined : nextRun(schedule, Date.parse(after));
  return atMs === undefined ? undefined : new Date(atMs).toISOString().replace(":00.000Z", "");
}

test("fields are minute, hour, day of the month, month and day of the week", () => {
  assert.equal(next("30 6 1 * *"), "2026-03-01T06:30");
  assert.equal(next("0 0 * * 1"), "2026-03-02T00:00");
  assert.equal(next("15 12 * 7 *"), "2026-07-01T12:15");
});

test("a field is a list of numbers and ranges, with steps", () => {
  assert.equal(next("*/5 * * * *"), "2026-02-28T00:00");
  assert.equal(next("59 * * * *"), "2026-02-27T23:59");
  assert.equal(next("10,40 9-17 * * *"), "2026-02-28T09:10");
  assert.equal(next("0 8-20/6 * * *", "2026-02-28T08:00:00Z"), "2026-02-28T14:00");
  // A number with a step means the range from that number to the end.
  assert.equal(next("50/4 * * * *", "2026-02-28T00:55:00Z"), "2026-02-28T00:58");
});

test("months and days of the week have names, in upper or lower case", () => {
  assert.equal(next("0 0 * * mon"), "2026-03-02T00:00");
  assert.equal(next("0 0 * JUN Tue-THU"), "2026-06-02T00:00");
});

test("the shorthands stand for their schedules", () => {
  assert.deepEqual(
    ["@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly"].map((text) => next(text)),
    [
      "2027-01-01T00:00",
      "2027-01-01T00:00",
      "2026-03-01T00:00",
      "2026-03-01T00:00",
      "2026-02-28T00:00",
      "2026-02-28T00:00",
      "2026-02-28T00:00",
    ],
  );
});

test("if both days are restricted, one of them is enough", () => {
  assert.equal(next("0 0 13 * 5"), "2026-03-06T00:00");
  assert.equal(next("0 0 13 * 5", "2026-03-06T00:00:00Z"), "2026-03-13T00:00");
  assert.equal(next("0 0 1 * 5"), "2026-03-01T00:00");
});

test("a run is after the given time, and never at it", () => {
  assert.equal(next("0 0 * * *", "2026-02-28T00:00:00Z"), "2026-03-01T00:00");
});

test("a schedule for 29 February runs in leap years, and one for 30 February never runs", () => {
  assert.equal(next("0 0 29 2 *"), "2028-02-29T00:00");
  assert.equal(next("0 0 30 2 *"), undefined);
});

test("schedules with wrong numbers, ranges, steps or fields are refused", () => {
  for (const text of ["", "* * * *", "* * * * * *", "60 * * * *", "* 24 * * *", "* * 0 * *", "* * * 13 *", "x * * * *"])
    assert.equal(parseCron(text), undefined, text);
  for (const text of ["*/0 * * * *", "5-1 * * * *", "-5 * * * *", "1.5 * * * *", "@never"])
    assert.equal(parseCron(text), undefined, text);
});

test("a question mark is an asterisk, also for whether both days are restricted", () => {
  assert.equal(next("0 0 ? * 1"), "2026-03-02T00:00");
  assert.equal(next("0 0 13 * ?"), "2026-03-13T00:00");
  assert.equal(next("0 0 * * 1"), "2026-03-02T00:00");
});

test("an asterisk with a step restricts a day", () => {
  // The schedule means every second day of the month, or Monday. 1 March is a Sunday, so only the day of the month
  // matches.
  assert.equal(next("0 0 */2 * 1"), "2026-03-01T00:00");
  assert.equal(next("0 0 */2 * 1", "2026-03-01T00:00:00Z"), "2026-03-02T00:00");
  assert.equal(next("0 0 */1 * 1"), "2026-03-02T00:00");
});

test("days of the week are 0 to 6, as Kubernetes' API server demands", () => {
  assert.equal(next("0 0 * * 0"), "2026-03-01T00:00");
  assert.equal(parseCron("0 0 * * 7"), undefined);
});

test("a field with two hyphens or slashes, or with a number that is not in digits, is refused", () => {
  for (const text of ["1-5-7 * * * *", "*/5/5 * * * *", "1e1 * * * *", "0x5 * * * *", "5/1e1 * * * *", "5/ * * * *"])
    assert.equal(parseCron(text), undefined, text);
});

/** The next run in a time zone. */
function nextIn(timeZone: string, text: string, after: string): string | undefined {
  const schedule = parseCron(text, timeZone);
  const atMs = schedule === undefined ? undefined : nextRun(schedule, Date.parse(after));
  return atMs === undefined ? undefined : new Date(atMs).toISOString().replace(":00.000Z", "");
}

test("a schedule with a time zone is in the time of that zone, in summer and in winter", () => {
  assert.equal(nextIn("Europe/Berlin", "30 6 * * *", "2026-02-01T00:00:00Z"), "2026-02-01T05:30");
  assert.equal(nextIn("Europe/Berlin", "30 6 * * *", "2026-07-01T00:00:00Z"), "2026-07-01T04:30");
  assert.equal(nextIn("Europe/Berlin", "0 0 1 7 *", "2026-02-01T00:00:00Z"), "2026-06-30T22:00");
  assert.equal(nextIn("Asia/Kolkata", "0 0 * * 1", "2026-02-27T00:00:00Z"), "2026-03-01T18:30");
  assert.equal(nextIn("Etc/UTC", "30 6 * * *", "2026-02-01T00:00:00Z"), "2026-02-01T06:30");
});

test("a run in the hour that is skipped in spring waits for the next day", () => {
  // On 8 March 2026 New York's clocks go from 2:00 to 3:00, at 7:00 UTC.
  assert.equal(nextIn("America/New_York", "30 2 * * *", "2026-03-08T05:00:00Z"), "2026-03-09T06:30");
  assert.equal(nextIn("America/New_York", "0 * * * *", "2026-03-08T06:00:00Z"), "2026-03-08T07:00");
  assert.equal(nextIn("America/New_York", "0 3 * * *", "2026-03-08T05:00:00Z"), "2026-03-08T07:00");
});

test("a run in the hour that is repeated in autumn happens twice", () => {
  // On 1 November 2026 New York's clocks go from 2:00 to 1:00, at 6:00 UTC.
  assert.equal(nextIn("America/New_York", "30 1 * * *", "2026-11-01T04:00:00Z"), "2026-11-01T05:30");
  assert.equal(nextIn("America/New_York", "30 1 * * *", "2026-11-01T05:30:00Z"), "2026-11-01T06:30");
  assert.equal(nextIn("America/New_York", "30 1 * * *", "2026-11-01T06:30:00Z"), "2026-11-02T06:30");
  assert.equal(nextIn("America/New_York", "*/20 * * * *", "2026-11-01T05:40:00Z"), "2026-11-01T06:00");
});

test("a schedule in an unknown time zone is refused", () => {
  assert.equal(parseCron("* * * * *", "Europe/Atlantis"), undefined);
});

test("the runs of an interval have equal distances in whole seconds", () => {
  const every = (text: string): number | undefined => {
    const schedule = parseCron(text);
    return schedule === undefined ? undefined : nextRun(schedule, 0);
  };
  assert.deepEqual(
    ["@every 1h30m", "@every 90s", "@every 1.5s", "@every 10ms"].map(every),
    [5_400_000, 90_000, 1_000, 1_000],
  );
  for (const text of ["@every", "@every ", "@every 5", "@every 1 h", "@every  1h", "@every hour"])
    assert.equal(parseCron(text), undefined, text);
});

test("the runs of an interval are counted from its beginning, whatever the current time is", () => {
  const schedule = parseCron("@every 10m");
  assert.ok(schedule !== undefined);
  const minute = 60_000;
  const looks = [0, 9, 10, 25].map((minutes) => minutes * minute);
  assert.deepEqual(
    looks.map((nowMs) => (nextRun(schedule, nowMs, 0) ?? 0) / minute),
    [10, 10, 20, 30],
  );
  assert.deepEqual(
    looks.map((nowMs) => latestRun(schedule, 0, nowMs)),
    [undefined, undefined, 10 * minute, 20 * minute],
  );
});
