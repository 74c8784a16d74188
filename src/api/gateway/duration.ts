const unitMs: Readonly<Record<string, number>> = { h: 3_600_000, m: 60_000, s: 1000, ms: 1 };

/**
 * Parses a Gateway API duration (GEP-2257): up to four parts, each of which consists of digits and a unit (`h`, `m`,
 * `s` or `ms`). Undefined for other texts.
 */
export function durationMs(text: string): number | undefined {
  if (!/^([0-9]{1,5}(h|m|s|ms)){1,4}$/.test(text)) return undefined;
  let total = 0;
  for (const [, digits = "0", unit = "ms"] of text.matchAll(/([0-9]+)(ms|h|m|s)/g))
    total += Number(digits) * (unitMs[unit] ?? 0);
  return total;
}
