import { ownCopy, truncated, withoutControls, type Clock, type Logger } from "../../../base/index.ts";
import { textOf, type LuaTable, type LuaValue } from "./lua-value.ts";

/** Handles calls that do not concern a request: `bit`, `os` and `print`. Undefined for other calls. */
export function libraryAnswer(
  operation: string,
  given: readonly LuaValue[],
  { clock, log }: { readonly clock: Clock; readonly log: Logger },
): readonly LuaValue[] | undefined {
  switch (operation) {
    case "bit":
      return [bits(textOf(given[0]), given.slice(1).map(Number))];
    case "print":
      log.info(logLine(Buffer.from(textOf(given[0]), "latin1").toString()));
      return [];
    case "clock":
      return [clock.steadyMs() / 1000];
    case "time":
      return [given[0] instanceof Map ? timeOf(given[0] as LuaTable) : Math.floor(clock.nowMs() / 1000)];
    case "date":
      return [dateText(textOf(given[0]), typeof given[1] === "number" ? given[1] * 1000 : clock.nowMs())];
    default:
      return undefined;
  }
}

const maxLogCharacters = 4096;
const maxDateCharacters = 4096;

/** The log line for a text that a script logs, with a bounded length because the script chooses the text. */
export function logLine(text: string): string {
  return `script log: ${withoutControls(ownCopy(truncated(text, maxLogCharacters)))}`;
}

/** LuaJIT's `bit` functions. Numbers are converted to 32 bits, and results are signed. */
function bits(name: string, given: readonly number[]): LuaValue {
  const [first = 0, second = 0] = given;
  const by = second & 31;
  switch (name) {
    case "band":
      return given.reduce((left, right) => left & right, -1);
    case "bor":
      return given.reduce((left, right) => left | right, 0);
    case "bxor":
      return given.reduce((left, right) => left ^ right, 0);
    case "bnot":
      return ~first;
    case "lshift":
      return first << by;
    case "rshift":
      return (first >>> by) | 0;
    case "arshift":
      return first >> by;
    case "rol":
      return (first << by) | (first >>> (32 - by || 32));
    case "ror":
      return (first >>> by) | (first << (32 - by || 32));
    case "bswap":
      return ((first & 0xff) << 24) | ((first & 0xff00) << 8) | ((first >>> 8) & 0xff00) | (first >>> 24);
    case "tohex": {
      const digits = Math.min(8, Math.abs(second === 0 ? 8 : second));
      const text = (first >>> 0)
        .toString(16)
        .padStart(8, "0")
        .slice(8 - digits);
      return second < 0 ? text.toUpperCase() : text;
    }
    default:
      return first | 0;
  }
}

function timeOf(table: LuaTable): number {
  const field = (name: string, fallback: number): number => Number(table.get(name) ?? fallback);
  const [hour, minute] = [field("hour", 12), field("min", 0)];
  return Date.UTC(field("year", 1970), field("month", 1) - 1, field("day", 1), hour, minute, field("sec", 0)) / 1000;
}

const days = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const months = "January February March April May June July August September October November December".split(" ");

/** `os.date`, always in UTC. */
function dateText(pattern: string, atMs: number): LuaValue {
  if (pattern.length > maxDateCharacters)
    throw new Error(`a format of a date may have ${maxDateCharacters} characters`);
  const at = new Date(atMs);
  const utc = pattern.replace(/^!/, "");
  const firstDay = Date.UTC(at.getUTCFullYear(), 0, 1);
  const dayOfYear = Math.floor((atMs - firstDay) / 86_400_000) + 1;
  if (utc.startsWith("*t"))
    return new Map<string, LuaValue>([
      ["year", at.getUTCFullYear()],
      ["month", at.getUTCMonth() + 1],
      ["day", at.getUTCDate()],
      ["hour", at.getUTCHours()],
      ["min", at.getUTCMinutes()],
      ["sec", at.getUTCSeconds()],
      ["wday", at.getUTCDay() + 1],
      ["yday", dayOfYear],
      ["isdst", false],
    ]);
  const two = (number: number): string => String(number).padStart(2, "0");
  const day = days[at.getUTCDay()] ?? "";
  const month = months[at.getUTCMonth()] ?? "";
  const [date, time] = [
    two(at.getUTCDate()),
    `${two(at.getUTCHours())}:${two(at.getUTCMinutes())}:${two(at.getUTCSeconds())}`,
  ];
  const shortDate = `${two(at.getUTCMonth() + 1)}/${date}/${two(at.getUTCFullYear() % 100)}`;
  const parts: Readonly<Record<string, string>> = {
    a: day.slice(0, 3),
    A: day,
    b: month.slice(0, 3),
    B: month,
    c: `${day.slice(0, 3)} ${month.slice(0, 3)} ${String(at.getUTCDate()).padStart(2)} ${time} ${at.getUTCFullYear()}`,
    d: date,
    D: shortDate,
    F: at.toISOString().slice(0, 10),
    H: two(at.getUTCHours()),
    I: two(at.getUTCHours() % 12 || 12),
    j: String(dayOfYear).padStart(3, "0"),
    m: two(at.getUTCMonth() + 1),
    M: two(at.getUTCMinutes()),
    p: at.getUTCHours() < 12 ? "AM" : "PM",
    S: two(at.getUTCSeconds()),
    T: time,
    w: String(at.getUTCDay()),
    x: shortDate,
    X: time,
    y: two(at.getUTCFullYear() % 100),
    Y: String(at.getUTCFullYear()),
    z: "+0000",
    Z: "UTC",
    "%": "%",
  };
  return utc.replaceAll(/%(.)/g, (all, letter: string) => parts[letter] ?? all);
}
