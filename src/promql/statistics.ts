/** The quantile of some values, interpolated between the two next to it; infinite for a rank outside of 0 to 1. */
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

/** The variance of a whole population. */
export function spread(values: readonly number[]): number {
  const mean = values.reduce((total, value) => total + value, 0) / values.length;
  return values.reduce((total, value) => total + (value - mean) ** 2, 0) / values.length;
}

/** Slope a second and value at `originMs` of the straight line nearest to some points; at least two. */
export function regression(
  points: readonly { readonly timestampMs: number; readonly value: number }[],
  originMs: number,
): { readonly slope: number; readonly intercept: number } {
  const first = points[0]?.value ?? NaN;
  // A constant has no slope, and sums of products would give it one by rounding.
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
