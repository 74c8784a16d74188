import assert from "node:assert/strict";
import { test } from "node:test";
import { parseFreeze } from "./freeze.ts";

function faults(window: object, spec: object = {}): readonly string[] {
  const { errors } = parseFreeze({ metadata: { name: "peak" }, spec: { reason: "peak", windows: [window], ...spec } });
  return errors.map(({ path, message }) => `${path} ${message}`);
}

function ofRule(rrule: string): string {
  return faults({ start: "2026-01-01T00:00:00", rrule, durationSeconds: 3600 }).join("; ");
}

test("a window's end is compared with its start as instants, in the zones that both name", () => {
  assert.deepEqual(faults({ start: "2026-12-20T18:00:00+05:00", end: "2026-12-20T14:00:00Z" }), []);
  assert.match(
    faults({ start: "2026-12-20T10:00:00-05:00", end: "2026-12-20T14:00:00Z" })[0] ?? "",
    /^spec\.windows\[0\]\.end must be after start/,
  );
  const mixed = { start: "2026-12-20T12:00:00", end: "2026-12-20T12:30:00Z" };
  assert.deepEqual(faults(mixed, { timeZone: "Europe/Berlin" }), []);
  assert.equal(faults(mixed, { timeZone: "America/New_York" }).length, 1);
});

test("a time must be in the calendar", () => {
  for (const start of [
    "2026-02-30T10:00:00",
    "2026-02-28T24:00:00",
    "2026-13-01T00:00:00",
    "1969-12-31T00:00:00",
    "now",
  ])
    assert.match(faults({ start, end: "2027-01-01T00:00:00" })[0] ?? "", /^spec\.windows\[0\]\.start must be a time/);
});

test("a window has an end or a rule, and a duration only together with a rule", () => {
  const start = "2026-12-20T18:00:00";
  const end = "2027-01-04T08:00:00";
  assert.match(faults({ start })[0] ?? "", /\.end is required/);
  assert.match(
    faults({ start, end, durationSeconds: 60 })[0] ?? "",
    /\.durationSeconds is only for windows with an rrule/,
  );
  assert.match(faults({ start, end, rrule: "FREQ=DAILY", durationSeconds: 60 })[0] ?? "", /\.end cannot be combined/);
  assert.match(faults({ start, rrule: "FREQ=DAILY" })[0] ?? "", /\.durationSeconds is required/);
});

test("recurrence rules of RFC 5545 are accepted", () => {
  for (const rule of [
    "FREQ=WEEKLY;BYDAY=FR",
    "RRULE:FREQ=WEEKLY;BYDAY=MO,FR;WKST=SU",
    "freq=daily;byhour=9,17",
    "FREQ=MONTHLY;BYDAY=-1FR",
    "FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1",
    "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29",
    "FREQ=YEARLY;BYMONTH=12;BYMONTHDAY=24,-1;UNTIL=20301231T000000Z",
    "FREQ=HOURLY;INTERVAL=6;COUNT=100",
  ])
    assert.equal(ofRule(rule), "", rule);
});

test("a wrong rule is refused at its field with the wrong part", () => {
  for (const [rule, fault] of [
    ["", /NAME=VALUE/],
    ["weekly", /NAME=VALUE/],
    ["BYDAY=FR", /must have FREQ/],
    ["FREQ=WEEKLY BYDAY=FR", /NAME=VALUE/],
    ["FREQ=WEEKLY\nBYDAY=FR", /NAME=VALUE/],
    ["FREQ=MINUTELY", /every hour/],
    ["FREQ=HOURLY;BYMINUTE=0,15,30,45", /one number from 0 to 59 in BYMINUTE/],
    ["FREQ=WEEKLY;BYDAI=FR", /BYDAI is not one of/],
    ["FREQ=WEEKLY;DTSTART=20270101T000000Z", /DTSTART is not one of/],
    ["FREQ=WEEKLY;BYDAY=FR;BYDAY=MO", /BYDAY twice/],
    ["FREQ=WEEKLY;BYDAY=FRI", /got "FRI"/],
    ["FREQ=WEEKLY;BYDAY=1FR", /got "1FR"/],
    ["FREQ=WEEKLY;BYHOUR=24", /BYHOUR=24/],
    ["FREQ=WEEKLY;INTERVAL=0", /INTERVAL=0/],
    ["FREQ=WEEKLY;INTERVAL=-1", /INTERVAL=-1/],
    ["FREQ=WEEKLY;COUNT=5;UNTIL=20270101T000000Z", /both UNTIL and COUNT/],
    ["FREQ=WEEKLY;UNTIL=20270230T000000", /UNTIL=20270230T000000/],
  ] as const) {
    assert.match(ofRule(rule), /^spec\.windows\[0\]\.rrule /, rule);
    assert.match(ofRule(rule), fault, rule);
  }
});

test("a rule that never recurs after its start is refused with the parts that no day fits", () => {
  assert.equal(
    ofRule("FREQ=YEARLY;BYMONTH=1;BYYEARDAY=366"),
    "spec.windows[0].rrule must recur: from its start on, no day fits BYMONTH=1, BYYEARDAY=366. Change one of the parts, or the start",
  );
  const startingAt = (start: string, rrule: string): number => faults({ start, rrule, durationSeconds: 60 }).length;
  for (const [start, rrule] of [
    ["2026-01-30T00:00:00", "FREQ=YEARLY;BYMONTH=2"],
    ["2026-01-30T00:00:00", "FREQ=MONTHLY;BYMONTH=2"],
    ["2026-01-31T00:00:00", "FREQ=MONTHLY;INTERVAL=12;BYMONTHDAY=31;BYMONTH=4"],
    ["2026-06-01T00:00:00", "FREQ=MONTHLY;INTERVAL=6;BYMONTH=5"],
    ["2027-01-01T00:00:00", "FREQ=YEARLY;INTERVAL=2;BYYEARDAY=366"],
    ["2026-06-01T00:00:00", "FREQ=YEARLY;BYWEEKNO=20;BYMONTH=11"],
    ["2026-06-01T00:00:00", "FREQ=MONTHLY;BYDAY=MO;BYSETPOS=6"],
    ["2026-06-01T00:00:00", "FREQ=YEARLY;INTERVAL=10000;BYMONTH=1"],
    ["2026-06-01T00:00:00", "FREQ=MONTHLY;BYDAY=1MO,TU"],
  ] as const)
    assert.equal(startingAt(start, rrule), 1, `${start} ${rrule}`);
  for (const [start, rrule] of [
    ["2026-01-28T00:00:00", "FREQ=YEARLY;BYMONTH=2"],
    ["2028-01-01T00:00:00", "FREQ=YEARLY;INTERVAL=2;BYYEARDAY=366"],
    ["2026-06-01T00:00:00", "FREQ=YEARLY;BYMONTH=1;BYWEEKNO=53"],
    ["2026-06-01T00:00:00", "FREQ=MONTHLY;BYDAY=MO;BYHOUR=8,9;BYSETPOS=6"],
    ["2026-06-01T00:00:00", "FREQ=YEARLY;INTERVAL=10000;BYMONTH=7"],
    ["2028-02-29T00:00:00", "FREQ=YEARLY"],
  ] as const)
    assert.equal(startingAt(start, rrule), 0, `${start} ${rrule}`);
});

test("a rule that can never recur is refused, because its evaluation would not end", () => {
  for (const rule of [
    "FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30",
    "FREQ=HOURLY;INTERVAL=24;BYHOUR=5",
    "FREQ=HOURLY;BYMONTH=2;BYMONTHDAY=30",
    "FREQ=DAILY;INTERVAL=7;BYDAY=MO",
    "FREQ=DAILY;BYDAY=MO;BYSETPOS=5",
    "FREQ=MONTHLY;BYDAY=5MO;BYMONTHDAY=1",
    "FREQ=MONTHLY;BYDAY=5MO,1TU;BYMONTHDAY=28,8",
    "FREQ=YEARLY;BYDAY=53FR,MO",
    "FREQ=MONTHLY;BYDAY=1MO;BYMONTHDAY=-1",
    "FREQ=YEARLY;BYMONTH=5;BYDAY=-1MO;BYMONTHDAY=20",
    "FREQ=MONTHLY;BYDAY=6MO",
    "FREQ=YEARLY;BYMONTH=5;BYDAY=-53FR",
  ])
    assert.match(ofRule(rule), /^spec\.windows\[0\]\.rrule must/, rule);
  for (const rule of [
    "FREQ=MONTHLY;BYDAY=FR;BYMONTHDAY=13",
    "FREQ=MONTHLY;BYDAY=5MO;BYMONTHDAY=29",
    "FREQ=MONTHLY;BYDAY=5MO;BYMONTHDAY=-3",
    "FREQ=MONTHLY;BYDAY=-1MO;BYMONTHDAY=22",
    "FREQ=MONTHLY;BYDAY=5MO,1MO;BYMONTHDAY=30",
    "FREQ=YEARLY;BYDAY=53FR",
  ])
    assert.equal(ofRule(rule), "", rule);
});

test("a freeze warns of namespaces and exceptions that apply to no rollout", () => {
  const windows = [{ start: "2026-12-20T18:00:00", end: "2026-12-21T18:00:00" }];
  const warned = (spec: object): readonly string[] =>
    parseFreeze({ metadata: { name: "peak" }, spec: { reason: "peak", windows, ...spec } }).warnings.map(
      ({ path }) => path,
    );
  const exception = (kind: string, more: object = {}) => ({ kind, name: "a", reason: "fix", ...more });
  assert.deepEqual(warned({ namespaces: ["shop"] }), []);
  assert.deepEqual(warned({ namespaces: ["shop"], kinds: ["MeshUpgrade"] }), ["spec.namespaces"]);
  assert.deepEqual(
    warned({
      kinds: ["MeshUpgrade"],
      exceptions: [exception("MeshUpgrade"), exception("MeshUpgrade", { namespace: "shop" }), exception("Canary")],
    }),
    ["spec.exceptions[1]", "spec.exceptions[2]"],
  );
});
