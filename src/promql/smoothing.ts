/**
 * Holt's linear method: the last smoothed value, which also follows the trend of all values. Undefined for fewer than
 * two values.
 */
export function doubleExponentialSmoothing(
  values: readonly number[],
  smoothing: number,
  trendFactor: number,
): number | undefined {
  const [first, second] = values;
  if (first === undefined || second === undefined) return undefined;
  let level = first;
  let trend = second - first;
  for (const value of values.slice(1)) {
    const before = level;
    level = smoothing * value + (1 - smoothing) * (level + trend);
    trend = trendFactor * (level - before) + (1 - trendFactor) * trend;
  }
  return level;
}
