import { isTimeZone, nextClockChange, zoneOffsetMs } from "../../../base/zoned-time/index.ts";
import { parseCronExpression, type CronFields, type CronInterval } from "../../schema/cron-expression.ts";

export type CronSchedule = CronInterval | ZonedFields;

interface ZonedFields extends CronFields {
  /** A known time zone. Undefined for UTC. */
  readonly timeZone: string | undefined;
}

/** Reads a schedule. Returns undefined if the schedule or the time zone is invalid. */
export function parseCron(text: string, timeZone?: string): CronSchedule | undefined {
  if (timeZone !== undefined && !isTimeZone(timeZone)) return undefined;
  const parsed = parseCronExpression(text);
  if ("problem" in parsed) return undefined;
  return "everyMs" in parsed.expression ? parsed.expression : { ...parsed.expression, timeZone };
}

/** The first run of an interval after `afterMs`. Runs are at `sinceMs` plus whole multiples of the interval. */
function nextOfInterval({ everyMs }: CronInterval, sinceMs: number, afterMs: number): number {
  const passed = Math.max(0, Math.floor((afterMs - sinceMs) / everyMs));
  return sinceMs + (passed + 1) * everyMs;
}

/**
 * Returns the first time after `afterMs` that matches, or undefined if there is none within five years. Clock changes
 * have the same effect as in Kubernetes: a run in a skipped hour does not happen, and a run in a repeated hour happens
 * twice. The runs of an interval are counted from `sinceMs` on.
 */
export function nextRun(schedule: CronSchedule, afterMs: number, sinceMs = afterMs): number | undefined {
  if ("everyMs" in schedule) return nextOfInterval(schedule, sinceMs, afterMs);
  const { timeZone } = schedule;
  if (timeZone === undefined) return nextMatch(schedule, afterMs);
  for (let fromMs = afterMs; ;) {
    const offsetMs = zoneOffsetMs(timeZone, fromMs + 1);
    const match = nextMatch(schedule, fromMs + offsetMs);
    if (match === undefined) return undefined;
    const changeMs = nextClockChange(timeZone, fromMs + 1, match - offsetMs);
    if (changeMs === undefined) return match - offsetMs;
    fromMs = changeMs - 1;
  }
}

/** The first time after `afterMs` that matches, in local time. */
function nextMatch(schedule: CronFields, afterMs: number): number | undefined {
  const time = new Date(Math.floor(afterMs / 60_000) * 60_000 + 60_000);
  const limitMs = afterMs + 5 * 366 * 86_400_000;
  while (time.getTime() <= limitMs) {
    if (!schedule.months.has(time.getUTCMonth() + 1)) {
      time.setUTCMonth(time.getUTCMonth() + 1, 1);
      time.setUTCHours(0, 0);
    } else if (!matchesDay(schedule, time)) {
      time.setUTCDate(time.getUTCDate() + 1);
      time.setUTCHours(0, 0);
    } else if (!schedule.hours.has(time.getUTCHours())) time.setUTCHours(time.getUTCHours() + 1, 0);
    else if (!schedule.minutes.has(time.getUTCMinutes())) time.setUTCMinutes(time.getUTCMinutes() + 1);
    else return time.getTime();
  }
  return undefined;
}

/**
 * The last matching time that is after `afterMs` and not after `nowMs`. Searches back from `nowMs` in growing windows,
 * because a schedule for every minute misses half a million runs while a cluster is off for a year.
 */
export function latestRun(schedule: CronSchedule, afterMs: number, nowMs: number): number | undefined {
  if ("everyMs" in schedule) {
    const latestMs = nextOfInterval(schedule, afterMs, nowMs) - schedule.everyMs;
    return latestMs > afterMs ? latestMs : undefined;
  }
  for (let windowMs = 60_000; ; windowMs *= 2) {
    const fromMs = Math.max(afterMs, nowMs - windowMs);
    let latest: number | undefined;
    for (let next = nextRun(schedule, fromMs); next !== undefined && next <= nowMs; next = nextRun(schedule, next))
      latest = next;
    if (latest !== undefined || fromMs === afterMs) return latest;
  }
}

function matchesDay(schedule: CronFields, time: Date): boolean {
  const day = schedule.days.has(time.getUTCDate());
  const weekday = schedule.weekdays.has(time.getUTCDay());
  return schedule.anyDay ? day || weekday : day && weekday;
}
