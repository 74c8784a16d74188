import { goDurationMs } from "../../../base/index.ts";
import { isTimeZone, nextClockChange, zoneOffsetMs } from "../../../base/zoned-time/index.ts";

export type CronSchedule = CronFields | CronInterval;

/** `@every 1h30m`: runs at this distance from each other, the first one so long after the CronJob was made. */
interface CronInterval {
  readonly everyMs: number;
}

/** A cron expression of five fields, or a shorthand like `@hourly`. */
interface CronFields {
  readonly minutes: ReadonlySet<number>;
  readonly hours: ReadonlySet<number>;
  readonly days: ReadonlySet<number>;
  readonly months: ReadonlySet<number>;
  readonly weekdays: ReadonlySet<number>;
  /** If both day fields are restricted, either of them suffices. */
  readonly anyDay: boolean;
  /** A known time zone. Undefined for UTC. */
  readonly timeZone: string | undefined;
}

const shorthands: Readonly<Record<string, string>> = {
  "@yearly": "0 0 1 1 *",
  "@annually": "0 0 1 1 *",
  "@monthly": "0 0 1 * *",
  "@weekly": "0 0 * * 0",
  "@daily": "0 0 * * *",
  "@midnight": "0 0 * * *",
  "@hourly": "0 * * * *",
};
const everyPrefix = "@every ";
const monthNames = ["", "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const dayNames = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

/** Undefined for an invalid schedule or time zone. */
export function parseCron(text: string, timeZone?: string): CronSchedule | undefined {
  if (timeZone !== undefined && !isTimeZone(timeZone)) return undefined;
  if (text.startsWith(everyPrefix)) return parseInterval(text.slice(everyPrefix.length));
  const fields = (shorthands[text.trim()] ?? text.trim()).toLowerCase().split(/\s+/);
  if (fields.length !== 5) return undefined;
  const [minute = "", hour = "", day = "", month = "", weekday = ""] = fields;
  const minutes = parseField(minute, 0, 59);
  const hours = parseField(hour, 0, 23);
  const days = parseField(day, 1, 31);
  const months = parseField(month, 1, 12, monthNames);
  const weekdays = parseField(weekday, 0, 6, dayNames);
  if (
    minutes === undefined ||
    hours === undefined ||
    days === undefined ||
    months === undefined ||
    weekdays === undefined
  )
    return undefined;
  return { minutes, hours, days, months, weekdays, anyDay: !hasStar(day) && !hasStar(weekday), timeZone };
}

/** Whole seconds, and one at least. Undefined for a text that is not a duration. */
function parseInterval(text: string): CronInterval | undefined {
  const everyMs = goDurationMs(text);
  return everyMs === undefined ? undefined : { everyMs: Math.max(1000, Math.floor(everyMs / 1000) * 1000) };
}

/** The first run after `afterMs`, counted from `sinceMs` on. */
function nextOfInterval({ everyMs }: CronInterval, sinceMs: number, afterMs: number): number {
  const passed = Math.max(0, Math.floor((afterMs - sinceMs) / everyMs));
  return sinceMs + (passed + 1) * everyMs;
}

/**
 * The first time after `afterMs` that matches. Undefined if there is none within five years. As upstream, a run in an
 * hour that is left out when the clocks are set does not happen, and one in an hour that comes twice happens twice. The
 * runs of an interval are counted from `sinceMs` on.
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

/** The first time after `afterMs` that matches, as the clocks show it. */
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
 * The last time after `afterMs`, and not after `nowMs`, that matches. It looks back from now in growing windows, because
 * a cluster that was off for a year has missed half a million runs of a schedule of minutes.
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

/** Whether one of the field's parts leaves all values open. A step of more than one restricts them. */
function hasStar(field: string): boolean {
  return field.split(",").some((part) => /^[*?](?:\/0*1)?$/.test(part));
}

function parseField(text: string, low: number, high: number, names: readonly string[] = []): Set<number> | undefined {
  const values = new Set<number>();
  const number = (part: string): number => {
    const named = part === "" ? -1 : names.indexOf(part);
    if (named > -1) return named;
    return /^\d+$/.test(part) ? Number(part) : Number.NaN;
  };
  for (const part of text.split(",")) {
    const [range = "", stepText, ...moreSteps] = part.split("/");
    const step = stepText === undefined ? 1 : number(stepText);
    const [fromText = "", toText, ...moreEnds] = range.split("-");
    const open = fromText === "*" || fromText === "?";
    const from = open ? low : number(fromText);
    const to =
      open || (toText === undefined && stepText !== undefined) ? high : toText === undefined ? from : number(toText);
    if (moreSteps.length + moreEnds.length > 0 || ![from, to, step].every(Number.isInteger)) return undefined;
    if (step < 1 || from < low || to > high || from > to) return undefined;
    for (let value = from; value <= to; value += step) values.add(value);
  }
  return values;
}
