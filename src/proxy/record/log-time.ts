/** Formats a time. `ms` is Unix time in milliseconds, with fractions. */
export type TimeFormat = (ms: number) => string;

const msPerSecond = 1000;
const two = (value: number): string => String(value).padStart(2, "0");
const days = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const months = [
  "January",
  "February",
  "March",
  "April",
  "May",
  "June",
  "July",
  "August",
  "September",
  "October",
  "November",
  "December",
];
const shortLength = 3;
const halfDay = 12;

type DatePart = (date: Date, ms: number) => string;

/** The fraction of a second, with this many digits. */
function fraction(digits: number): DatePart {
  return (_date, ms) =>
    String(Math.floor((ms - Math.floor(ms / msPerSecond) * msPerSecond) * 1e6))
      .padStart(9, "0")
      .slice(0, digits)
      .padEnd(digits, "0");
}

/** Formats of strftime, in UTC. */
const parts: Readonly<Record<string, DatePart>> = {
  Y: (date) => String(date.getUTCFullYear()),
  y: (date) => two(date.getUTCFullYear() % 100),
  m: (date) => two(date.getUTCMonth() + 1),
  d: (date) => two(date.getUTCDate()),
  e: (date) => String(date.getUTCDate()).padStart(2, " "),
  H: (date) => two(date.getUTCHours()),
  I: (date) => two(date.getUTCHours() % halfDay || halfDay),
  p: (date) => (date.getUTCHours() < halfDay ? "AM" : "PM"),
  M: (date) => two(date.getUTCMinutes()),
  S: (date) => two(date.getUTCSeconds()),
  a: (date) => (days[date.getUTCDay()] ?? "").slice(0, shortLength),
  A: (date) => days[date.getUTCDay()] ?? "",
  b: (date) => (months[date.getUTCMonth()] ?? "").slice(0, shortLength),
  B: (date) => months[date.getUTCMonth()] ?? "",
  F: (date) => date.toISOString().slice(0, 10),
  T: (date) => date.toISOString().slice(11, 19),
  z: () => "+0000",
  Z: () => "UTC",
  s: (_date, ms) => String(Math.floor(ms / msPerSecond)),
  f: fraction(9),
  n: () => "\n",
  t: () => "\t",
};

/** The end of the text (fraction and zone) for each millisecond of a second. */
const endings = Array.from({ length: msPerSecond }, (_, ms) => `${String(ms).padStart(3, "0")}Z`);

/** Formats times in Envoy's default form. The text up to the seconds is kept for the next time in the same second. */
export function isoTime(): TimeFormat {
  let keptSecond = NaN;
  let kept = "";
  return (ms) => {
    const second = Math.floor(ms / msPerSecond);
    // Do not use the kept text before 1970, when fractions are rounded in the other direction.
    if (!(second >= 0)) return new Date(ms).toISOString();
    if (second !== keptSecond) {
      kept = new Date(second * msPerSecond).toISOString().slice(0, -4);
      keptSecond = second;
    }
    return kept + (endings[Math.floor(ms) - second * msPerSecond] ?? "");
  };
}

/**
 * Envoy's time formats: strftime's, `%s` for seconds since the epoch, `%f` for nanoseconds, and `%3f` to `%9f` for that
 * many digits. Undefined for an invalid format.
 */
export function compileTimeFormat(text: string): TimeFormat | undefined {
  const compiled: DatePart[] = [];
  for (const [whole, digits, letter] of text.matchAll(/%([1-9])?([A-Za-z%])|[^%]+|%/g)) {
    if (letter === undefined) {
      if (whole === "%") return undefined;
      compiled.push(() => whole);
    } else if (letter === "%") compiled.push(() => "%");
    else {
      const part =
        digits !== undefined && letter === "f"
          ? fraction(Number(digits))
          : digits === undefined
            ? parts[letter]
            : undefined;
      if (part === undefined) return undefined;
      compiled.push(part);
    }
  }
  return (ms) => {
    const date = new Date(ms);
    return compiled.map((part) => part(date, ms)).join("");
  };
}
