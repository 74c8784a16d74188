import { goDurationMs } from "../../base/index.ts";

/** A schedule in the form of a CronJob's `spec.schedule`, without a time zone. */
export type CronExpression = CronFields | CronInterval;

/** A schedule `@every 1h30m`. The first run is one interval after the creation of the CronJob. */
export interface CronInterval {
  /** The interval in milliseconds. It is a whole number of seconds, and at least one second. */
  readonly everyMs: number;
}

/** A schedule of five fields, or a shorthand such as `@hourly`. */
export interface CronFields {
  readonly minutes: ReadonlySet<number>;
  readonly hours: ReadonlySet<number>;
  readonly days: ReadonlySet<number>;
  readonly months: ReadonlySet<number>;
  readonly weekdays: ReadonlySet<number>;
  /** Whether one matching day field suffices. This is so if both day fields are restricted. */
  readonly anyDay: boolean;
}

/**
 * A parsed schedule, or the problem with the text. The problems have the texts of Kubernetes' parser
 * (github.com/robfig/cron v3, `ParseStandard`).
 */
export type ParsedCron = { readonly expression: CronExpression } | { readonly problem: string };

interface Bounds {
  readonly low: number;
  readonly high: number;
  readonly names: readonly string[];
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
const fieldBounds: readonly Bounds[] = [
  { low: 0, high: 59, names: [] },
  { low: 0, high: 23, names: [] },
  { low: 1, high: 31, names: [] },
  { low: 1, high: 12, names: monthNames },
  { low: 0, high: 6, names: dayNames },
];

export function parseCronExpression(text: string): ParsedCron {
  if (text === "") return { problem: "empty spec string" };
  if (text.startsWith(everyPrefix)) return parseInterval(text);
  const expanded = text.startsWith("@") ? shorthands[text] : text;
  if (expanded === undefined) return { problem: `unrecognized descriptor: ${text}` };
  const fields = expanded.split(/\s+/).filter((field) => field !== "");
  if (fields.length !== fieldBounds.length)
    return { problem: `expected exactly 5 fields, found ${fields.length}: [${fields.join(" ")}]` };
  const parsed: ReadonlySet<number>[] = [];
  for (const [index, bounds] of fieldBounds.entries()) {
    const values = parseField(fields[index] ?? "", bounds);
    if (typeof values === "string") return { problem: values };
    parsed.push(values);
  }
  const [minutes = none, hours = none, days = none, months = none, weekdays = none] = parsed;
  const [, , day = "", , weekday = ""] = fields;
  return {
    expression: { minutes, hours, days, months, weekdays, anyDay: !hasStar(day) && !hasStar(weekday) },
  };
}

const none: ReadonlySet<number> = new Set();

function parseInterval(text: string): ParsedCron {
  const duration = text.slice(everyPrefix.length);
  const everyMs = goDurationMs(duration);
  if (everyMs === undefined)
    return { problem: `failed to parse duration ${text}: time: invalid duration "${duration}"` };
  return { expression: { everyMs: Math.max(1000, Math.floor(everyMs / 1000) * 1000) } };
}

/** Whether a part of the field allows all values, as `*` does. `*` with a step greater than one does not. */
function hasStar(field: string): boolean {
  return field.split(",").some((part) => /^[*?](?:\/0*1)?$/.test(part));
}

function parseField(text: string, bounds: Bounds): ReadonlySet<number> | string {
  const values = new Set<number>();
  for (const part of text.split(",").filter((element) => element !== "")) {
    const range = parseRange(part, bounds);
    if (typeof range === "string") return range;
    for (let value = range.from; value <= range.to; value += range.step) values.add(value);
  }
  return values;
}

interface Range {
  readonly from: number;
  readonly to: number;
  readonly step: number;
}

/** Parses `number`, `name`, `*` or `?`, or two numbers or names joined by a hyphen, optionally followed by `/step`. */
function parseRange(text: string, { low, high, names }: Bounds): Range | string {
  const [ends = "", stepText, ...moreSteps] = text.split("/");
  const [fromText = "", toText, ...moreEnds] = ends.split("-");
  const isOpen = fromText === "*" || fromText === "?";
  if (!isOpen && moreEnds.length > 0) return `too many hyphens: ${text}`;
  if (moreSteps.length > 0) return `too many slashes: ${text}`;
  const from = isOpen ? low : parseNumber(fromText, names);
  if (typeof from === "string") return from;
  const end = isOpen ? high : toText === undefined ? from : parseNumber(toText, names);
  if (typeof end === "string") return end;
  const step = stepText === undefined ? 1 : parseNumber(stepText, []);
  if (typeof step === "string") return step;
  // `5/10` means a range from 5 to the highest value, with the step 10.
  const to = stepText !== undefined && toText === undefined ? high : end;
  if (from < low) return `beginning of range (${from}) below minimum (${low}): ${text}`;
  if (to > high) return `end of range (${to}) above maximum (${high}): ${text}`;
  if (from > to) return `beginning of range (${from}) beyond end of range (${to}): ${text}`;
  if (step === 0) return `step of range should be a positive number: ${text}`;
  return { from, to, step };
}

function parseNumber(text: string, names: readonly string[]): number | string {
  const named = text === "" ? -1 : names.indexOf(text.toLowerCase());
  if (named > -1) return named;
  return /^\d+$/.test(text)
    ? Number(text)
    : `failed to parse int from ${text}: strconv.Atoi: parsing "${text}": invalid syntax`;
}
