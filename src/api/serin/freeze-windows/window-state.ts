// oxlint-disable-next-line import/default -- for Node the package is CommonJS, which the linter takes for its other build
import rrule from "rrule";
import { messageOf, userError } from "../../../base/index.ts";
import { instantOf, localOf } from "../../../base/zoned-time/index.ts";
import type { FreezeWindow } from "../freeze.ts";

// oxlint-disable-next-line import/no-named-as-default-member -- as above
const { rrulestr } = rrule;

/** Whether a window is active, and until when that is certain. */
export interface WindowState {
  readonly holds: boolean;
  readonly untilMs: number;
}

const dayMs = 86_400_000;
/** The largest change of local time in any time zone. */
const longestShiftMs = 3 * 3_600_000;
/** When to evaluate a rule again that has no further occurrence. */
const farMs = 366 * dayMs;

/** Throws a user error if the rule cannot be parsed. */
export function windowState(window: FreezeWindow, timeZone: string, nowMs: number): WindowState {
  if (window.rrule !== undefined) return recurringState(window, window.rrule, timeZone, nowMs);
  const startMs = instantFrom(window.start, timeZone);
  const endMs = instantFrom(window.end ?? window.start, timeZone);
  if (nowMs < startMs) return { holds: false, untilMs: startMs };
  return nowMs < endMs ? { holds: true, untilMs: endMs } : { holds: false, untilMs: nowMs + farMs };
}

/** Finds occurrences in local time, which rules refer to, and then converts each one to the time zone. */
function recurringState(window: FreezeWindow, text: string, timeZone: string, nowMs: number): WindowState {
  const startLocalMs = localOf(timeZone, instantFrom(window.start, timeZone));
  const rule = readRule(text, startLocalMs, timeZone);
  const durationMs = (window.durationSeconds ?? 0) * 1000;
  let localMs = localOf(timeZone, nowMs) + longestShiftMs;
  let nextMs = nowMs + farMs;
  const following = rule.after(new Date(localMs), false);
  if (following !== null) nextMs = instantOf(timeZone, following.getTime());
  for (;;) {
    const occurrence = rule.before(new Date(localMs), true);
    if (occurrence === null) return { holds: false, untilMs: nextMs };
    const beginMs = instantOf(timeZone, occurrence.getTime());
    if (beginMs <= nowMs)
      return nowMs < beginMs + durationMs
        ? { holds: true, untilMs: beginMs + durationMs }
        : { holds: false, untilMs: nextMs };
    nextMs = beginMs;
    localMs = occurrence.getTime() - 1;
  }
}

function readRule(text: string, startLocalMs: number, timeZone: string) {
  const body = text.replace(/^RRULE:/i, "");
  if (/[\r\n]/.test(body)) throw userError("rollout-invalid", "must be one rule, such as FREQ=WEEKLY;BYDAY=FR");
  if (/FREQ=(SECONDLY|MINUTELY)/i.test(body))
    throw userError("rollout-invalid", "must not recur more often than every hour");
  // Occurrences are local times, so an end in UTC is converted to local time.
  const local = body.replace(/UNTIL=(\d{4})(\d{2})(\d{2})T(\d{2})(\d{2})(\d{2})Z/i, (_all, ...digits: string[]) => {
    const [year = 0, month = 1, day = 1, hour = 0, minute = 0, second = 0] = digits.slice(0, 6).map(Number);
    return `UNTIL=${stampOf(localOf(timeZone, Date.UTC(year, month - 1, day, hour, minute, second)))}`;
  });
  try {
    return rrulestr(`DTSTART:${stampOf(startLocalMs)}\nRRULE:${local}`);
  } catch (error) {
    throw userError(
      "rollout-invalid",
      `must be a rule of RFC 5545 such as FREQ=WEEKLY;BYDAY=FR, got "${body}" (${messageOf(error)})`,
    );
  }
}

/** `20261220T180000Z`. */
function stampOf(localMs: number): string {
  return new Date(localMs).toISOString().replaceAll(/[-:]|\.\d+/g, "");
}

/** A time with an offset is absolute. A time without one is in the freeze's time zone. */
function instantFrom(text: string, timeZone: string): number {
  if (/(Z|[+-]\d{2}:\d{2})$/.test(text)) return Date.parse(text);
  return instantOf(timeZone, Date.parse(`${text}Z`));
}
