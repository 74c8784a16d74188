import assert from "node:assert/strict";
import { test } from "node:test";
// oxlint-disable-next-line import/default -- Node loads the package's CommonJS build, the linter reads the other one
import rrule from "rrule";
import { parseFreeze, type Freeze, type FreezeSpec, type FreezeWindow } from "../../api/serin/index.ts";
import { windowState } from "../../api/serin/freeze-windows/index.ts";
import { seededRandom } from "../../base/index.ts";
import { instantOf } from "../../base/zoned-time/index.ts";
import { freezesInForce } from "./freezes.ts";

// oxlint-disable-next-line import/no-named-as-default-member -- as above
const { rrulestr } = rrule;
const berlin = "Europe/Berlin";
const at = (text: string): number => Date.parse(text);

function holdsAt(window: FreezeWindow, zone: string, times: readonly string[]): boolean[] {
  return times.map((time) => windowState(window, zone, at(time)).holds);
}

test("a single window lasts from its start to its end in the freeze's own zone", () => {
  const window = { start: "2026-12-20T18:00:00", end: "2027-01-04T08:00:00" };
  assert.deepEqual(
    holdsAt(window, berlin, [
      "2026-12-20T16:59:59Z",
      "2026-12-20T17:00:00Z",
      "2027-01-04T06:59:59Z",
      "2027-01-04T07:00:00Z",
    ]),
    [false, true, true, false],
  );
});

test("a weekly freeze keeps its local hour across daylight saving changes", () => {
  const window = { start: "2026-01-02T16:00:00", rrule: "FREQ=WEEKLY;BYDAY=FR", durationSeconds: 3600 };
  // 2026: summer time in Berlin from March 29 to October 25.
  assert.deepEqual(holdsAt(window, berlin, ["2026-03-27T14:59:59Z", "2026-03-27T15:00:00Z", "2026-03-27T16:00:00Z"]), [
    false,
    true,
    false,
  ]);
  assert.deepEqual(holdsAt(window, berlin, ["2026-04-03T13:59:59Z", "2026-04-03T14:00:00Z", "2026-04-03T15:00:00Z"]), [
    false,
    true,
    false,
  ]);
  assert.deepEqual(holdsAt(window, berlin, ["2026-10-30T14:59:59Z", "2026-10-30T15:00:00Z"]), [false, true]);
});

test("a freeze starts an hour later if the clock change skips its hour, and at the first of two repeated hours", () => {
  assert.equal(new Date(instantOf(berlin, at("2026-03-29T02:30:00Z"))).toISOString(), "2026-03-29T01:30:00.000Z");
  assert.equal(new Date(instantOf(berlin, at("2026-10-25T02:30:00Z"))).toISOString(), "2026-10-25T00:30:00.000Z");
  const nightly = { start: "2026-03-01T02:30:00", rrule: "FREQ=DAILY", durationSeconds: 600 };
  assert.deepEqual(holdsAt(nightly, berlin, ["2026-03-29T01:29:00Z", "2026-03-29T01:31:00Z"]), [false, true]);
  assert.deepEqual(holdsAt(nightly, berlin, ["2026-10-25T00:31:00Z", "2026-10-25T01:31:00Z"]), [true, false]);
});

test("a window across a clock change keeps its stated duration", () => {
  const window = { start: "2026-03-28T20:00:00", rrule: "FREQ=YEARLY", durationSeconds: 12 * 3600 };
  assert.deepEqual(holdsAt(window, berlin, ["2026-03-28T19:00:00Z", "2026-03-29T06:59:59Z", "2026-03-29T07:00:00Z"]), [
    true,
    true,
    false,
  ]);
});

test("a window ends at its stated end, and COUNT and UNTIL end the rule", () => {
  const window = { start: "2026-06-01T00:00:00", rrule: "RRULE:FREQ=DAILY;COUNT=2", durationSeconds: 3600 };
  assert.deepEqual(windowState(window, "UTC", at("2026-06-02T00:30:00Z")), {
    holds: true,
    untilMs: at("2026-06-02T01:00:00Z"),
  });
  assert.equal(windowState(window, "UTC", at("2026-06-03T00:30:00Z")).holds, false);
  assert.deepEqual(windowState(window, "UTC", at("2026-06-01T12:00:00Z")), {
    holds: false,
    untilMs: at("2026-06-02T00:00:00Z"),
  });
  const until = { start: "2026-06-01T22:00:00", rrule: "FREQ=DAILY;UNTIL=20260603T200000Z", durationSeconds: 3600 };
  assert.deepEqual(holdsAt(until, berlin, ["2026-06-03T20:30:00Z", "2026-06-04T20:30:00Z"]), [true, false]);
});

function freeze(spec: Partial<FreezeSpec>): Freeze {
  const window = { start: "2026-12-20T18:00:00", end: "2027-01-04T08:00:00" };
  return {
    metadata: { name: "holidays" },
    spec: {
      reason: "peak",
      timeZone: "UTC",
      windows: [window],
      kinds: ["Canary", "MeshUpgrade"],
      namespaces: [],
      exceptions: [],
      ...spec,
    },
  };
}

test("a freeze has a name, an end and a reason, and blocks only what it names, without its exceptions", () => {
  const now = at("2026-12-24T12:00:00Z");
  const shop = { kind: "Canary", namespace: "shop", name: "cart" } as const;
  assert.deepEqual(freezesInForce([{ freeze: freeze({}) }], shop, now), [
    { reason: "freeze", by: "holidays", text: "freeze holidays until 2027-01-04T08:00:00.000Z (peak)" },
  ]);
  assert.deepEqual(freezesInForce([{ freeze: freeze({ kinds: ["MeshUpgrade"] }) }], shop, now), []);
  assert.deepEqual(freezesInForce([{ freeze: freeze({ namespaces: ["other"] }) }], shop, now), []);
  const exception = { kind: "Canary", namespace: "shop", name: "cart", reason: "fix", by: "me" } as const;
  assert.deepEqual(freezesInForce([{ freeze: freeze({ exceptions: [exception] }) }], shop, now), []);
  assert.equal(
    freezesInForce([{ freeze: freeze({ exceptions: [exception] }) }], { ...shop, name: "other" }, now).length,
    1,
  );
});

test("an exception for one object does not exempt another one that was created with its name later", () => {
  const now = at("2026-12-24T12:00:00Z");
  const exception = { kind: "Canary", namespace: "shop", name: "cart", uid: "first", reason: "fix", by: "me" } as const;
  const textFor = (uid: string, exceptions: FreezeSpec["exceptions"] = [exception]): string | undefined =>
    freezesInForce(
      [{ freeze: freeze({ exceptions }) }],
      { kind: "Canary", namespace: "shop", name: "cart", uid },
      now,
    )[0]?.text;
  assert.equal(textFor("first"), undefined);
  assert.equal(
    textFor("second"),
    "freeze holidays until 2027-01-04T08:00:00.000Z (peak); its exception is for an earlier Canary of this name",
  );
  assert.equal(textFor("second", [exception, { ...exception, uid: "second" }]), undefined);
  const { uid: _uid, ...byName } = exception;
  assert.equal(textFor("second", [byName]), undefined, "an exception without a uid is for every object of the name");
  assert.deepEqual(parseFreeze(freeze({ exceptions: [exception] })).value?.spec.exceptions, [exception]);
});

test("a freeze that cannot be read blocks every rollout, and its message has the fault and who can end it", () => {
  const broken = { name: "holidays", fault: "spec.windows[0].rrule: must have FREQ" };
  assert.deepEqual(freezesInForce([broken], { kind: "MeshUpgrade", name: "up" }, at("2026-01-05T00:00:00Z")), [
    {
      reason: "freeze",
      by: "holidays",
      text: "freeze holidays, which is in force because it cannot be read: spec.windows[0].rrule: must have FREQ; correct it, or end it: serin freeze remove holidays",
    },
  ]);
});

test("a freeze whose rule fails its evaluation blocks rollouts, and does not abort the round", () => {
  const broken = freeze({ windows: [{ start: "2026-01-01T00:00:00", rrule: "FREQ=SOMETIMES", durationSeconds: 60 }] });
  const [blocker] = freezesInForce([{ freeze: broken }], { kind: "MeshUpgrade", name: "up" }, 0);
  assert.match(blocker?.text ?? "", /^freeze holidays, which is in force because .* got SOMETIMES/);
});

test("a long series of hourly, daily, monthly and yearly occurrences keeps its rhythm without its past", () => {
  const start = "1970-01-01T00:00:00";
  const state = (rrule: string): unknown =>
    windowState({ start, rrule, durationSeconds: 600 }, "UTC", at("2026-11-26T12:05:00Z"));
  // 2026-11-26 is the 20,783rd day since 1970, and a Thursday.
  for (const rule of [
    "FREQ=HOURLY;INTERVAL=12",
    "FREQ=DAILY;INTERVAL=7;BYHOUR=12",
    "FREQ=WEEKLY;INTERVAL=2969;BYHOUR=12",
    "FREQ=MONTHLY;INTERVAL=2;BYDAY=4TH;BYHOUR=12",
    "FREQ=YEARLY;INTERVAL=7;BYMONTH=11;BYDAY=4TH;BYHOUR=12",
    "FREQ=YEARLY;INTERVAL=2;BYYEARDAY=330;BYHOUR=12",
    "FREQ=MONTHLY;BYMONTHDAY=26;BYHOUR=12;COUNT=683",
  ])
    assert.deepEqual(state(rule), { holds: true, untilMs: at("2026-11-26T12:10:00Z") }, rule);
  for (const rule of [
    "FREQ=HOURLY;INTERVAL=7",
    "FREQ=DAILY;INTERVAL=2;BYHOUR=12",
    "FREQ=WEEKLY;INTERVAL=2;BYHOUR=12;BYDAY=TH",
    "FREQ=YEARLY;INTERVAL=3;BYMONTH=11;BYDAY=4TH;BYHOUR=12",
    "FREQ=MONTHLY;BYMONTHDAY=26;BYHOUR=12;COUNT=682",
  ])
    assert.equal((state(rule) as { readonly holds: boolean }).holds, false, rule);
});

test("rules that never recur, or only after many years, are evaluated for a year alone", () => {
  const never = [
    ["2026-01-01T00:00:00", "FREQ=YEARLY;BYMONTH=1;BYYEARDAY=366"],
    ["2026-01-01T00:00:00", "FREQ=MONTHLY;BYDAY=MO;BYSETPOS=20"],
    ["2026-01-01T00:00:00", "FREQ=YEARLY;BYWEEKNO=53;BYMONTH=6"],
    ["2026-02-01T00:00:00", "FREQ=MONTHLY;INTERVAL=12;BYMONTHDAY=31"],
    ["2027-01-01T00:00:00", "FREQ=YEARLY;INTERVAL=2;BYMONTH=2;BYMONTHDAY=29"],
  ] as const;
  const nowMs = at("2026-11-26T12:05:00Z");
  // The rrule library alone would visit each period up to the year 9999, so that this loop would take minutes.
  for (let day = 0; day < 100; day += 1)
    for (const [start, rule] of never) {
      const whenMs = nowMs + day * 86_400_000;
      assert.deepEqual(windowState({ start, rrule: rule, durationSeconds: 600 }, berlin, whenMs), {
        holds: false,
        untilMs: whenMs + 366 * 86_400_000,
      });
    }
});

test("February 29 comes every four years, and a Monday on it every 28", () => {
  const leap = { start: "2024-02-29T00:00:00", rrule: "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29", durationSeconds: 86_400 };
  assert.deepEqual(holdsAt(leap, "UTC", ["2027-02-28T23:00:00Z", "2027-03-01T00:00:00Z", "2028-02-29T23:59:59Z"]), [
    false,
    false,
    true,
  ]);
  assert.deepEqual(windowState(leap, "UTC", at("2027-06-01T00:00:00Z")), {
    holds: false,
    untilMs: at("2028-02-29T00:00:00Z"),
  });
  const monday = { ...leap, rrule: "FREQ=DAILY;BYMONTH=2;BYMONTHDAY=29;BYDAY=MO" };
  assert.deepEqual(holdsAt(monday, "UTC", ["2028-02-29T12:00:00Z", "2044-02-29T12:00:00Z"]), [false, true]);
});

test("the state of a window is the one of all its occurrences, at any time", () => {
  const random = seededRandom(11);
  const pick = <Value>(values: readonly [Value, ...Value[]]): Value =>
    values[Math.floor(random() * values.length)] ?? values[0];
  const start = "2025-01-15T01:30:00";
  for (let round = 0; round < 150; round += 1) {
    const rule = pick([
      `FREQ=MONTHLY;INTERVAL=${pick([1, 2, 5])};BYDAY=${pick(["-1FR", "2TU", "MO,WE"])}`,
      `FREQ=MONTHLY;BYMONTHDAY=${pick(["31", "-1", "13"])}`,
      `FREQ=WEEKLY;INTERVAL=${pick([1, 3])};BYDAY=${pick(["SU", "MO,TH"])}`,
      `FREQ=DAILY;INTERVAL=${pick([1, 10])};COUNT=${pick([5, 40])}`,
      `FREQ=YEARLY;BYMONTH=${pick([2, 10])};BYMONTHDAY=${pick([29, 25])};BYDAY=SU`,
    ]);
    const durationSeconds = pick([600, 7200, 400_000]);
    const nowMs = at("2025-01-01T00:00:00Z") + Math.floor(random() * 900 * 86_400_000);
    // The function windowState looks one year ahead.
    const begins = rrulestr(`DTSTART:20250115T013000Z\nRRULE:${rule}`)
      .between(new Date(0), new Date(nowMs + 370 * 86_400_000), true)
      .map((occurrence) => instantOf(berlin, occurrence.getTime()));
    const last = begins.findLast((beginMs) => beginMs <= nowMs);
    const next = begins.find((beginMs) => beginMs > nowMs) ?? Number.POSITIVE_INFINITY;
    const state = windowState({ start, rrule: rule, durationSeconds }, berlin, nowMs);
    const why = `${rule} at ${new Date(nowMs).toISOString()}`;
    assert.equal(state.holds, last !== undefined && nowMs < last + durationSeconds * 1000, why);
    if (!state.holds) assert.ok(state.untilMs <= next, why);
    if (!state.holds && next < nowMs + 366 * 86_400_000) assert.equal(state.untilMs, next, why);
  }
});
