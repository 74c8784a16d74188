/** Stands for a value that was not measured. */
const absent = "–";

/** Formats a number with about three significant digits, without an exponent. */
function digits(value: number): string {
  const size = Math.abs(value);
  if (size >= 100 || size === 0) return Math.round(value).toLocaleString("en-US");
  return value.toFixed(size >= 10 ? 1 : 2);
}

/** For example `12.5/s` or `1,204/s`. A very small rate is `<0.01/s`. */
export function formatRate(perSecond: number | undefined): string {
  if (perSecond === undefined) return absent;
  if (perSecond > 0 && perSecond < 0.01) return "<0.01/s";
  return perSecond >= 10_000 ? `${digits(perSecond / 1_000)}k/s` : `${digits(perSecond)}/s`;
}

/** Formats a share from 0 to 1, for example as `0.12 %`. Only exact values become 0 % or 100 %. */
export function formatShare(share: number | undefined): string {
  if (share === undefined) return absent;
  const percent = share * 100;
  if (percent === 0 || percent === 100) return `${percent} %`;
  if (percent < 0.01) return "<0.01 %";
  if (percent > 99.99 && percent < 100) return ">99.99 %";
  return `${percent >= 99.95 && percent < 100 ? percent.toFixed(2) : digits(percent)} %`;
}

/** For example `850 µs`, `4.2 ms` or `1.35 s`. */
export function formatMs(ms: number | undefined): string {
  if (ms === undefined) return absent;
  if (ms > 0 && ms < 1) return `${Math.round(ms * 1_000)} µs`;
  return ms >= 1_000 ? `${(ms / 1_000).toFixed(2)} s` : `${digits(ms)} ms`;
}

const byteUnits = ["B", "kB", "MB", "GB", "TB"] as const;

/** With powers of 1,000: `1.5 MB`. */
export function formatBytes(bytes: number | undefined): string {
  if (bytes === undefined) return absent;
  let value = bytes;
  let unit = 0;
  while (value >= 1_000 && unit < byteUnits.length - 1) {
    value /= 1_000;
    unit += 1;
  }
  return `${unit === 0 ? Math.round(value) : digits(value)} ${byteUnits[unit] ?? ""}`;
}

const daysOfYear = 365;
/** Ages with fewer years also show days, as kubectl does. */
const yearsWithDays = 8;

/** For example `8 s`, `4 min 10 s`, `3 h 5 min`, `12 d` or `2 y 31 d`. A large first part stands alone. */
export function formatDuration(ms: number | undefined): string {
  if (ms === undefined) return absent;
  const seconds = Math.max(0, Math.round(ms / 1_000));
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 10) return seconds % 60 === 0 ? `${minutes} min` : `${minutes} min ${seconds % 60} s`;
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return minutes % 60 === 0 ? `${hours} h` : `${hours} h ${minutes % 60} min`;
  const days = Math.floor(hours / 24);
  if (days < daysOfYear) return `${days} d`;
  const years = Math.floor(days / daysOfYear);
  return years >= yearsWithDays || days % daysOfYear === 0 ? `${years} y` : `${years} y ${days % daysOfYear} d`;
}

const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const date = new Intl.DateTimeFormat("en-GB", {
  day: "2-digit",
  month: "short",
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
});
const zoned = new Intl.DateTimeFormat("en-GB", {
  day: "2-digit",
  month: "short",
  year: "numeric",
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
  timeZoneName: "short",
});

/** For example `14:02:09`, in the browser's time zone. */
export function formatClock(atMs: number): string {
  return clock.format(atMs);
}

/** For example `20 Nov, 14:02:09`. */
export function formatDate(atMs: number): string {
  return date.format(atMs);
}

/** For example `20 Nov 2026, 14:02:09 GMT+1`, which can be compared with clocks elsewhere. */
export function formatZonedDate(atMs: number): string {
  return zoned.format(atMs);
}

/** The time zone in which the page shows times: `Europe/Berlin (GMT+1)`. */
export function timeZoneText(): string {
  const offset = zoned.formatToParts(Date.now()).find(({ type }) => type === "timeZoneName")?.value ?? "";
  const { timeZone } = zoned.resolvedOptions();
  return offset === "" || offset === timeZone ? timeZone : `${timeZone} (${offset})`;
}

/** For example `1 pod` or `3 pods`. */
export function countOf(count: number, one: string, many = `${one}s`): string {
  return `${count.toLocaleString("en-US")} ${count === 1 ? one : many}`;
}
