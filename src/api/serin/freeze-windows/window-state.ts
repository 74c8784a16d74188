import type * as Recurrence from "rrule";
import { loadPackage, userError } from "../../../base/index.ts";
import { instantOf, localOf } from "../../../base/zoned-time/index.ts";
import type { FreezeWindow } from "../freeze.ts";
import { readRecurrenceRule, type Frequency, type RecurrenceRule } from "../recurrence-rule.ts";
import { instantFrom } from "../window-time.ts";

/** Whether a window is active, and until when that cannot change. */
export interface WindowState {
  readonly holds: boolean;
  readonly untilMs: number;
}

const dayMs = 86_400_000;
/** The largest shift of local time that any time zone makes at once. */
const longestShiftMs = 3 * 3_600_000;
/** How long a result without a further occurrence is valid. */
const farMs = 366 * dayMs;
/** For each frequency, the length of its longest period in local time. */
const longestPeriodMs: Readonly<Record<Frequency, number>> = {
  YEARLY: 366 * dayMs,
  MONTHLY: 31 * dayMs,
  WEEKLY: 7 * dayMs,
  DAILY: dayMs,
  HOURLY: 3_600_000,
};

const shortestPeriodMs: Readonly<Record<Frequency, number>> = {
  ...longestPeriodMs,
  YEARLY: 365 * dayMs,
  MONTHLY: 28 * dayMs,
};

/** The state of the window at a time. Throws a user error if its rule cannot be parsed. */
export function windowState(window: FreezeWindow, timeZone: string, nowMs: number): WindowState {
  if (window.rrule !== undefined) return recurringState(window, window.rrule, timeZone, nowMs);
  const startMs = instantFrom(window.start, timeZone);
  const endMs = instantFrom(window.end ?? window.start, timeZone);
  if (nowMs < startMs) return { holds: false, untilMs: startMs };
  return nowMs < endMs ? { holds: true, untilMs: endMs } : { holds: false, untilMs: nowMs + farMs };
}

/** Finds the occurrences in local time, because rules mean local time, and then converts each to an instant. */
function recurringState(window: FreezeWindow, text: string, timeZone: string, nowMs: number): WindowState {
  const durationMs = (window.durationSeconds ?? 0) * 1000;
  let begunMs: number | undefined;
  let nextMs = nowMs + farMs;
  recentRule(window, text, { timeZone, nowMs, durationMs }).all((occurrence) => {
    const beginMs = instantOf(timeZone, occurrence.getTime());
    if (beginMs <= nowMs) begunMs = beginMs;
    else nextMs = beginMs;
    return beginMs <= nowMs;
  });
  return begunMs !== undefined && nowMs < begunMs + durationMs
    ? { holds: true, untilMs: begunMs + durationMs }
    : { holds: false, untilMs: nextMs };
}

/**
 * The rule with a later start, before any occurrence that matters now. The library visits every occurrence from the
 * start on, and a rule may have started years ago.
 */
function recentRule(
  window: FreezeWindow,
  text: string,
  { timeZone, nowMs, durationMs }: { readonly timeZone: string; readonly nowMs: number; readonly durationMs: number },
) {
  const rule = readRecurrenceRule(text);
  if ("problem" in rule) throw userError("rollout-invalid", rule.problem);
  const startLocalMs = localOf(timeZone, instantFrom(window.start, timeZone));
  const nowLocalMs = localOf(timeZone, nowMs);
  const beginMs = laterStart(rule, startLocalMs, nowLocalMs - longestShiftMs - durationMs);
  const { parts, until, frequency, interval } = rule;
  const ends = until === undefined ? [] : [`UNTIL=${untilLocal(until, timeZone)}`];
  const { rrulestr } = loadPackage<typeof Recurrence>("rrule");
  const recent = rrulestr(`DTSTART:${stampOf(beginMs)}\nRRULE:${[...parts, ...ends].join(";")}`);
  const neededMs = Math.max(0, nowLocalMs + longestShiftMs + farMs - beginMs);
  endAfter(recent, Math.ceil(neededMs / (shortestPeriodMs[frequency] * interval)) + 2);
  return recent;
}

/**
 * Ends the library's search after this many periods. For a rule that never recurs, such as `BYMONTH=1;BYYEARDAY=366`,
 * the library would visit every period up to the year 9999, which takes seconds. It stops when it reads an interval of
 * 0.
 */
function endAfter({ options }: { readonly options: { interval: number } }, periods: number): void {
  const { interval } = options;
  let reads = 0;
  Object.defineProperty(options, "interval", {
    get: () => {
      reads += 1;
      return reads > periods * readsPerPeriod ? 0 : interval;
    },
  });
}

/**
 * At least as many times as the library reads the interval in one period. A number that is too high only makes the
 * evaluation slower.
 */
const readsPerPeriod = 4;

/**
 * The start, or a time that is a whole number of intervals later, after which the rule has the same occurrences. A
 * later time is more than one interval before `neededMs`.
 */
function laterStart(rule: RecurrenceRule, startMs: number, neededMs: number): number {
  const { frequency, interval, isCounted, hasDays } = rule;
  const intervals = Math.floor((neededMs - startMs) / (longestPeriodMs[frequency] * interval)) - 1;
  if (isCounted || intervals <= 0) return startMs;
  if (frequency !== "YEARLY" && frequency !== "MONTHLY")
    return startMs + intervals * interval * longestPeriodMs[frequency];
  // A rule that names no days takes its day from the start. It has few occurrences, so the start may stay.
  if (!hasDays) return startMs;
  const start = new Date(startMs);
  start.setUTCDate(1);
  start.setUTCMonth(start.getUTCMonth() + intervals * interval * (frequency === "YEARLY" ? 12 : 1));
  return start.getTime();
}

/** `UNTIL` in local time, like the occurrences. A date means its first moment. */
function untilLocal(until: string, timeZone: string): string {
  const [year = 0, month = 1, day = 1, hour = 0, minute = 0, second = 0] = (until.match(/^\d{4}|\d{2}/g) ?? []).map(
    Number,
  );
  const ms = Date.UTC(year, month - 1, day, hour, minute, second);
  return stampOf(until.endsWith("Z") ? localOf(timeZone, ms) : ms);
}

/** In the form `20261220T180000Z`. */
function stampOf(localMs: number): string {
  return new Date(localMs).toISOString().replaceAll(/[-:]|\.\d+/g, "");
}
