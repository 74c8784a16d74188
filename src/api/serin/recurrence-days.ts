import type { RecurrenceRule } from "./recurrence-rule.ts";

const dayMs = 86_400_000;
const weekDays = 7;
/** After this many years, the same dates fall on the same days of the week. */
const calendarYears = 400;
const monthsInYear = 12;
const lastYear = 9999;
const weekdays = ["SU", "MO", "TU", "WE", "TH", "FR", "SA"];
/** The place, from 0, of the day that decides to which year its week belongs: the fourth day (ISO 8601). */
const decidingDay = 3;

/** A year, or one month of it. Months count from 1. */
interface Period {
  readonly year: number;
  readonly month?: number;
  readonly isFirst: boolean;
}

/** What a rule demands of a day. An absent list allows every day. */
interface DayDemands {
  readonly months?: readonly number[];
  readonly monthDays?: readonly number[];
  readonly yearDays?: readonly number[];
  readonly weekNumbers?: readonly number[];
  readonly days?: readonly { readonly number: number; readonly weekday: number }[];
  /** The first day of a week. Sunday is 0. */
  readonly weekStart: number;
  /** Whether numbered weekdays such as `2MO` count within the month. Otherwise they count within the year. */
  readonly countsInMonth: boolean;
}

/**
 * Why a rule never recurs after its start, for example because no day in January is the 366th of its year. Undefined if
 * it recurs. A freeze with a rule that never recurs would have no effect. `startMs` is a local time, as if it were UTC.
 */
export function neverRecurs(rule: RecurrenceRule, startMs: number): string | undefined {
  if (rule.frequency === "HOURLY") return undefined;
  const parts = new Map(rule.parts.map((part) => part.split("=") as [string, string]));
  const demands = demandsOf(rule, parts, new Date(startMs));
  const positions = numbersOf(parts, "BYSETPOS");
  const timesADay = ["BYHOUR", "BYMINUTE", "BYSECOND"].reduce(
    (product, name) => product * (numbersOf(parts, name)?.length ?? 1),
    1,
  );
  // The library takes the first day for a negative position before it.
  const least = Math.min(...(positions ?? [1]).map((position) => Math.max(1, position)));
  const startDayMs = Math.floor(startMs / dayMs) * dayMs;
  for (const period of periodsOf(rule, new Date(startMs))) {
    const days = daysOf(period).filter((ms) => isRight(demands, ms));
    const counted = period.isFirst && positions === undefined ? days.filter((ms) => ms >= startDayMs) : days;
    if (counted.length * timesADay >= least) return undefined;
  }
  const named = [...parts].filter(([name]) => name.startsWith("BY") || (name === "INTERVAL" && rule.interval > 1));
  const list = named.map(([name, value]) => `${name}=${value}`).join(", ");
  return `must recur: from its start on, no day fits ${list === "" ? `FREQ=${rule.frequency}` : list}. Change one of the parts, or the start`;
}

function numbersOf(parts: ReadonlyMap<string, string>, name: string): readonly number[] | undefined {
  return parts.get(name)?.split(",").map(Number);
}

function demandsOf({ frequency }: RecurrenceRule, parts: ReadonlyMap<string, string>, start: Date): DayDemands {
  const months = numbersOf(parts, "BYMONTH");
  const days = parts
    .get("BYDAY")
    ?.split(",")
    .map((day) => ({ number: Number(day.slice(0, -2)), weekday: weekdays.indexOf(day.slice(-2)) }));
  const [monthDays, yearDays, weekNumbers] = ["BYMONTHDAY", "BYYEARDAY", "BYWEEKNO"].map((name) =>
    numbersOf(parts, name),
  );
  const takesDay =
    (frequency === "YEARLY" || frequency === "MONTHLY") &&
    [days, monthDays, yearDays, weekNumbers].every((list) => list === undefined);
  const ofStart = takesDay
    ? {
        monthDays: [start.getUTCDate()],
        ...(frequency === "YEARLY" && months === undefined ? { months: [start.getUTCMonth() + 1] } : {}),
      }
    : {};
  return {
    ...(months === undefined ? {} : { months }),
    ...(monthDays === undefined ? {} : { monthDays }),
    ...(yearDays === undefined ? {} : { yearDays }),
    ...(weekNumbers === undefined ? {} : { weekNumbers }),
    ...(days === undefined ? {} : { days }),
    ...ofStart,
    weekStart: weekdays.indexOf(parts.get("WKST") ?? "MO"),
    countsInMonth: frequency === "MONTHLY" || months !== undefined,
  };
}

/**
 * The periods that the rule visits. Of the periods that have the same days of the week and the same length, it returns
 * the first period of the rule and one other.
 */
function* periodsOf({ frequency, interval }: RecurrenceRule, start: Date): Generator<Period> {
  const isMonthly = frequency === "MONTHLY";
  const step = frequency === "YEARLY" || isMonthly ? interval : 1;
  const visits = calendarYears * (isMonthly ? monthsInYear : 1);
  const known = new Set<string>();
  for (let visit = 0; visit <= visits; visit += 1) {
    const months = start.getUTCMonth() + (isMonthly ? visit * step : 0);
    const year = start.getUTCFullYear() + (isMonthly ? Math.floor(months / monthsInYear) : visit * step);
    if (year > lastYear) return;
    const month = isMonthly ? (months % monthsInYear) + 1 : undefined;
    const key = [new Date(Date.UTC(year, 0, 1)).getUTCDay(), yearLength(year), yearLength(year - 1), month].join(" ");
    // Never skip the first period: its days before the start do not count.
    if (visit > 0 && known.has(key)) continue;
    if (visit > 0) known.add(key);
    yield { year, isFirst: visit === 0, ...(month === undefined ? {} : { month }) };
  }
}

function daysOf({ year, month }: Period): number[] {
  const firstMs = Date.UTC(year, (month ?? 1) - 1, 1);
  const endMs = month === undefined ? Date.UTC(year + 1, 0, 1) : Date.UTC(year, month, 1);
  return Array.from({ length: (endMs - firstMs) / dayMs }, (_, index) => firstMs + index * dayMs);
}

function yearLength(year: number): number {
  return (Date.UTC(year + 1, 0, 1) - Date.UTC(year, 0, 1)) / dayMs;
}

function isRight(demands: DayDemands, ms: number): boolean {
  const date = new Date(ms);
  const [year, month, day] = [date.getUTCFullYear(), date.getUTCMonth(), date.getUTCDate()];
  const monthLength = new Date(Date.UTC(year, month + 1, 0)).getUTCDate();
  const yearDay = (ms - Date.UTC(year, 0, 1)) / dayMs + 1;
  const [count, length] = demands.countsInMonth ? [day, monthLength] : [yearDay, yearLength(year)];
  return (
    includes(demands.months, month + 1) &&
    includes(demands.monthDays, day, monthLength) &&
    includes(demands.yearDays, yearDay, yearLength(year)) &&
    (demands.weekNumbers === undefined || isInWeek(demands.weekNumbers, ms, demands.weekStart)) &&
    (demands.days === undefined ||
      demands.days.some(
        ({ number, weekday }) =>
          weekday === date.getUTCDay() &&
          (number === 0 ||
            number === Math.ceil(count / weekDays) ||
            number === -Math.ceil((length + 1 - count) / weekDays)),
      ))
  );
}

/**
 * Whether the list contains the number. If there is a `length`, negative entries count from the end, where -1 is the
 * last.
 */
function includes(list: readonly number[] | undefined, number: number, length?: number): boolean {
  if (list === undefined || list.includes(number)) return true;
  return length !== undefined && list.includes(number - length - 1);
}

function isInWeek(weekNumbers: readonly number[], ms: number, weekStart: number): boolean {
  const year = yearOfWeek(ms, weekStart);
  const firstMs = firstWeekMs(year, weekStart);
  const weeks = (firstWeekMs(year + 1, weekStart) - firstMs) / (weekDays * dayMs);
  return includes(weekNumbers, Math.floor((ms - firstMs) / (weekDays * dayMs)) + 1, weeks);
}

function yearOfWeek(ms: number, weekStart: number): number {
  return new Date(weekMs(ms, weekStart) + decidingDay * dayMs).getUTCFullYear();
}

function firstWeekMs(year: number, weekStart: number): number {
  return weekMs(Date.UTC(year, 0, decidingDay + 1), weekStart);
}

function weekMs(ms: number, weekStart: number): number {
  return ms - ((new Date(ms).getUTCDay() - weekStart + weekDays) % weekDays) * dayMs;
}
