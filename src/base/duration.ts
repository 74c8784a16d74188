const unitMs: Readonly<Record<string, number>> = {
  ns: 0.000_001,
  us: 0.001,
  µs: 0.001,
  μs: 0.001,
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
};
const nanosecondsPerMs = 1e6;
const durationPattern = /^[+-]?(0|((\d+(\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h))+)$/;
const partPattern = /(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h)/g;

/** Parses a Go duration (`10s`, `1m30s`, `-0.5s`, `0`) to milliseconds. Undefined for other texts. */
export function goDurationMs(text: string): number | undefined {
  if (!durationPattern.test(text)) return undefined;
  let totalMs = 0;
  for (const [, digits = "0", unit = "ms"] of text.matchAll(partPattern))
    totalMs += Number(digits) * (unitMs[unit] ?? 0);
  const exactMs = Math.round(totalMs * nanosecondsPerMs) / nanosecondsPerMs;
  return text.startsWith("-") ? -exactMs : exactMs;
}
