/**
 * A quantile of values, interpolated between its two neighbours. Infinite if the rank is below 0 or above 1, and NaN
 * without values.
 */
export function quantile(rank: number, values: readonly number[]): number {
  if (values.length === 0 || Number.isNaN(rank)) return NaN;
  if (rank < 0) return -Infinity;
  if (rank > 1) return Infinity;
  const sorted = values.toSorted((a, b) => (Number.isNaN(a) ? -1 : Number.isNaN(b) ? 1 : a - b));
  const at = rank * (sorted.length - 1);
  const lower = sorted[Math.floor(at)] ?? NaN;
  const upper = sorted[Math.min(Math.floor(at) + 1, sorted.length - 1)] ?? NaN;
  const weight = at - Math.floor(at);
  return lower * (1 - weight) + upper * weight;
}

/** The population variance. */
export function spread(values: readonly number[]): number {
  const mean = values.reduce((total, value) => total + value, 0) / values.length;
  return values.reduce((total, value) => total + (value - mean) ** 2, 0) / values.length;
}

/**
 * The line with the least squared distance from at least two points: its slope per second, and its value at `originMs`.
 */
export function regression(
  points: readonly { readonly timestampMs: number; readonly value: number }[],
  originMs: number,
): { readonly slope: number; readonly intercept: number } {
  const first = points[0]?.value ?? NaN;
  // The slope of equal values is 0. The general formula could yield another value because of rounding.
  if (points.every(({ value }) => value === first)) return { slope: 0, intercept: first };
  let sumX = 0;
  let sumY = 0;
  let sumXY = 0;
  let sumXX = 0;
  for (const { timestampMs, value } of points) {
    const x = (timestampMs - originMs) / 1000;
    sumX += x;
    sumY += value;
    sumXY += x * value;
    sumXX += x * x;
  }
  const count = points.length;
  const slope = (sumXY - (sumX * sumY) / count) / (sumXX - (sumX * sumX) / count);
  return { slope, intercept: sumY / count - (slope * sumX) / count };
}
