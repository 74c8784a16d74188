const unitsMs: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 604_800_000,
  y: 31_536_000_000,
};
const whole = /^(?:\d+(?:y|w|d|h|ms|m|s))+$/;
const part = /(\d+)(y|w|d|h|ms|m|s)/g;

/** Parses a duration of Prometheus such as `1h30m` to milliseconds. Undefined if the text is no duration. */
export function parseDurationMs(text: string): number | undefined {
  if (text === "0") return 0;
  if (!whole.test(text)) return undefined;
  let sum = 0;
  for (const [, count, unit] of text.matchAll(part)) sum += Number(count) * (unitsMs[unit ?? ""] ?? 0);
  return sum;
}

/**
 * Parses a number of PromQL: decimal or hexadecimal, perhaps with underscores, or a duration, whose value is its
 * seconds. Undefined if the text is neither.
 */
export function parseNumber(text: string): number | undefined {
  const sign = text.startsWith("-") ? -1 : 1;
  const bare = text.replace(/^[-+]/, "").trim().toLowerCase();
  if (bare === "inf") return sign * Infinity;
  if (bare === "nan") return NaN;
  const durationMs = /^\d+$/.test(bare) ? undefined : parseDurationMs(bare);
  if (durationMs !== undefined) return (sign * durationMs) / 1000;
  const value = Number(bare.replaceAll("_", ""));
  return bare === "" || Number.isNaN(value) ? undefined : sign * value;
}
