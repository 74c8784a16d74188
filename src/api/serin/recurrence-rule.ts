/** A recurrence rule of RFC 5545. All of its parts are known, within their limits, and quick to evaluate. */
export interface RecurrenceRule {
  readonly frequency: Frequency;
  readonly interval: number;
  /** Whether the rule ends after a number of occurrences. These must be counted from its start. */
  readonly isCounted: boolean;
  /** Whether the rule names its days. Otherwise the window's start determines them. */
  readonly hasDays: boolean;
  /** The value of `UNTIL` as the user wrote it: a local time, or a time in UTC if it ends with Z. */
  readonly until?: string;
  /** All parts without UNTIL, in upper case. */
  readonly parts: readonly string[];
}

const frequencies = ["YEARLY", "MONTHLY", "WEEKLY", "DAILY", "HOURLY"] as const;
export type Frequency = (typeof frequencies)[number];

const weekdays = ["MO", "TU", "WE", "TH", "FR", "SA", "SU"];
const maxInterval = 10_000;
const maxCount = 10_000;
const example = "such as FREQ=WEEKLY;BYDAY=FR";

interface NumberPart {
  readonly minimum: number;
  readonly maximum: number;
  /** Whether negative numbers count from the end. */
  readonly isSigned?: boolean;
  /**
   * Whether the part must have one number instead of a list, because several minutes or seconds would mean several
   * starts per hour.
   */
  readonly isSingle?: boolean;
}

const numberParts: Readonly<Record<string, NumberPart>> = {
  INTERVAL: { minimum: 1, maximum: maxInterval, isSingle: true },
  COUNT: { minimum: 1, maximum: maxCount, isSingle: true },
  BYSECOND: { minimum: 0, maximum: 59, isSingle: true },
  BYMINUTE: { minimum: 0, maximum: 59, isSingle: true },
  BYHOUR: { minimum: 0, maximum: 23 },
  BYMONTHDAY: { minimum: 1, maximum: 31, isSigned: true },
  BYYEARDAY: { minimum: 1, maximum: 366, isSigned: true },
  BYWEEKNO: { minimum: 1, maximum: 53, isSigned: true },
  BYMONTH: { minimum: 1, maximum: 12 },
  BYSETPOS: { minimum: 1, maximum: 366, isSigned: true },
};

const knownParts = ["FREQ", "UNTIL", ...Object.keys(numberParts), "BYDAY", "WKST"];

/**
 * The frequencies with which a part is allowed. RFC 5545 allows a few more pairs. A rule with one of those may never
 * recur, and its evaluation would visit each hour or day until the year 9999.
 */
const frequenciesOfPart: Readonly<Record<string, readonly Frequency[]>> = {
  BYHOUR: ["YEARLY", "MONTHLY", "WEEKLY", "DAILY"],
  BYDAY: ["YEARLY", "MONTHLY", "WEEKLY", "DAILY"],
  BYMONTH: ["YEARLY", "MONTHLY", "WEEKLY", "DAILY"],
  BYSETPOS: ["YEARLY", "MONTHLY"],
  BYMONTHDAY: ["YEARLY", "MONTHLY", "DAILY"],
  BYYEARDAY: ["YEARLY"],
  BYWEEKNO: ["YEARLY"],
};

export function readRecurrenceRule(text: string): RecurrenceRule | { readonly problem: string } {
  const body = text.replace(/^RRULE:/i, "").toUpperCase();
  const parts = new Map<string, string>();
  for (const part of body.split(";")) {
    const [, name = "", value = ""] = /^([A-Z]+)=([A-Z0-9,+-]+)$/.exec(part) ?? [];
    if (name === "") return { problem: `must be one rule of RFC 5545 ${example}: "${part}" is not NAME=VALUE` };
    if (!knownParts.includes(name))
      return { problem: `must be a rule of RFC 5545 ${example}: ${name} is not one of ${knownParts.join(", ")}` };
    if (parts.has(name)) return { problem: `must have each part once, got ${name} twice` };
    parts.set(name, value);
  }
  const frequency = parts.get("FREQ");
  if (frequency === "SECONDLY" || frequency === "MINUTELY")
    return { problem: "must not recur more often than every hour" };
  const known = frequencies.find((candidate) => candidate === frequency);
  if (known === undefined)
    return { problem: `must have FREQ, one of ${frequencies.join(", ")}, got ${frequency ?? "none"}` };
  const problem = [...parts]
    .map(([name, value]) => partProblem(name, value, known))
    .find((fault) => fault !== undefined);
  if (problem !== undefined) return { problem };
  const never = neverProblem(parts);
  if (never !== undefined) return { problem: never };
  const until = parts.get("UNTIL");
  if (until !== undefined && parts.has("COUNT"))
    return { problem: "must not have both UNTIL and COUNT: keep the one that ends the rule" };
  parts.delete("UNTIL");
  return {
    frequency: known,
    interval: Number(parts.get("INTERVAL") ?? 1),
    isCounted: parts.has("COUNT"),
    hasDays: ["BYDAY", "BYMONTHDAY", "BYYEARDAY"].some((name) => parts.has(name)),
    ...(until === undefined ? {} : { until }),
    parts: [...parts].map(([name, value]) => `${name}=${value}`),
  };
}

function partProblem(name: string, value: string, frequency: Frequency): string | undefined {
  if (frequenciesOfPart[name]?.includes(frequency) === false)
    return `must not have ${name} with FREQ=${frequency}, but with ${frequenciesOfPart[name].join(", ")}`;
  const bounds = numberParts[name];
  if (bounds !== undefined) return numbersProblem(name, value, bounds);
  if (name === "UNTIL") return untilProblem(value);
  if (name === "WKST" && !weekdays.includes(value))
    return `must have a WKST of ${weekdays.join(", ")}, got WKST=${value}`;
  return name === "BYDAY" ? daysProblem(value, frequency) : undefined;
}

function numbersProblem(name: string, value: string, bounds: NumberPart): string | undefined {
  const { minimum, maximum, isSigned = false, isSingle = false } = bounds;
  const items = value.split(",");
  const isGood = (item: string): boolean => {
    const number = Math.abs(Number(item));
    return (isSigned ? /^[+-]?\d{1,5}$/ : /^\d{1,5}$/).test(item) && number >= minimum && number <= maximum;
  };
  if (items.every(isGood) && (!isSingle || items.length === 1)) return undefined;
  const range = `from ${minimum} to ${maximum}${isSigned ? `, or from -${maximum} to -${minimum}` : ""}`;
  return `must have ${isSingle ? "one number" : "numbers"} ${range} in ${name}, got ${name}=${value}`;
}

/**
 * Refuses rules that may never recur, because a freeze with one would have no effect. `neverRecurs` finds more of them.
 */
function neverProblem(parts: ReadonlyMap<string, string>): string | undefined {
  const choosing = ["BYDAY", "BYMONTHDAY", "BYMONTH"].find((name) => parts.has(name));
  if (parts.get("FREQ") === "DAILY" && Number(parts.get("INTERVAL") ?? 1) > 1 && choosing !== undefined)
    return `must not have both INTERVAL and ${choosing} with FREQ=DAILY: use FREQ=WEEKLY, MONTHLY or YEARLY with ${choosing}`;
  const isMonthly = parts.get("FREQ") === "MONTHLY" || parts.has("BYMONTH");
  return isMonthly ? numberedDaysProblem(parts.get("BYDAY") ?? "") : undefined;
}

/** A month has no weekday more often than this. */
const weekdaysInMonth = 5;

/** Refuses numbered weekdays that no month has, such as 6MO. */
function numberedDaysProblem(weekdayList: string): string | undefined {
  const isFar = weekdayList.split(",").some((day) => Math.abs(Number.parseInt(day, 10)) > weekdaysInMonth);
  return isFar
    ? `must have numbers from -${weekdaysInMonth} to ${weekdaysInMonth} in BYDAY, because they count in a month, got BYDAY=${weekdayList}`
    : undefined;
}

function daysProblem(value: string, frequency: Frequency): string | undefined {
  const isNumbered = frequency === "MONTHLY" || frequency === "YEARLY";
  const days = isNumbered ? /^([+-]?([1-9]|[1-4]\d|5[0-3]))?(MO|TU|WE|TH|FR|SA|SU)$/ : /^(MO|TU|WE|TH|FR|SA|SU)$/;
  const listed = value.split(",");
  const wrong = listed.find((day) => !days.test(day));
  const numbered = listed.filter((day) => /\d/.test(day));
  if (wrong === undefined && numbered.length > 0 && numbered.length < listed.length)
    return `must have a number for each day in BYDAY, or for none, got BYDAY=${value}. Use a window of its own for ${numbered.join(",")}`;
  if (wrong === undefined) return undefined;
  const such = isNumbered ? ", such as FR, 2FR (the second) or -1FR (the last)" : "";
  return `must have days of ${weekdays.join(", ")} in BYDAY with FREQ=${frequency}${such}, got "${wrong}"`;
}

function untilProblem(value: string): string | undefined {
  const [, year, month, day, hour = "00", minute = "00", second = "00"] =
    /^(\d{4})(\d{2})(\d{2})(?:T(\d{2})(\d{2})(\d{2})Z?)?$/.exec(value) ?? [];
  const date = `${year ?? ""}-${month ?? ""}-${day ?? ""}T${hour}:${minute}:${second}`;
  return isCalendarTime(date) ? undefined : `must have an UNTIL such as 20270104T080000, got UNTIL=${value}`;
}

/**
 * Whether this is a date of the calendar with a time of day. The comparison is needed because `Date.parse` reads
 * February 30 as March 2.
 */
export function isCalendarTime(text: string): boolean {
  const ms = Date.parse(`${text}Z`);
  return !Number.isNaN(ms) && new Date(ms).toISOString().startsWith(text);
}
