import assert from "node:assert/strict";
import { test } from "node:test";
import type { Freeze } from "../../api/serin/index.ts";
import { FreezeCalendar } from "./freeze-calendar.ts";

const subject = { kind: "Canary", namespace: "shop", name: "cart" } as const;
const nowMs = Date.parse("2026-12-24T12:00:00Z");

function stored(spec: object): Freeze {
  return { metadata: { name: "holidays" }, spec } as unknown as Freeze;
}

const window = { start: "2026-12-20T18:00:00", end: "2027-01-04T08:00:00" };

test("a stored freeze without its optional fields is in force for all rollouts, in UTC", () => {
  const calendar = new FreezeCalendar();
  assert.deepEqual(calendar.inForce([stored({ reason: "peak", windows: [window] })], subject, nowMs), [
    { reason: "freeze", by: "holidays", text: "freeze holidays until 2027-01-04T08:00:00.000Z (peak)" },
  ]);
});

test("a stored freeze that its parser refuses is in force, and names its field", () => {
  const calendar = new FreezeCalendar();
  const text = (spec: object): string => calendar.inForce([stored(spec)], subject, nowMs)[0]?.text ?? "";
  assert.match(
    text({ reason: "peak", windows: [window], timeZone: "Berlin" }),
    /spec\.timeZone: must be an IANA time zone/,
  );
  assert.match(text({ reason: "peak", windows: "always" }), /spec\.windows: must be a list/);
  assert.match(text({}), /spec\.windows: must have at least one window.*serin freeze remove holidays/);
  const endless = { ...window, end: undefined, rrule: "FREQ=WEEKLY;INTERVAL=-1", durationSeconds: 60 };
  assert.match(text({ reason: "peak", windows: [endless] }), /spec\.windows\[0\]\.rrule: .*INTERVAL=-1/);
});

test("an edited freeze applies in its current form", () => {
  const calendar = new FreezeCalendar();
  const before = stored({ reason: "peak", windows: [window] });
  assert.equal(calendar.inForce([before], subject, nowMs).length, 1);
  const after = stored({ reason: "peak", windows: [{ ...window, end: "2026-12-21T00:00:00" }] });
  assert.deepEqual(calendar.inForce([after], subject, nowMs), []);
});
