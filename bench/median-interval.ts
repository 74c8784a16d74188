export interface MedianInterval {
  readonly median: number;
  /**
   * The lower end of the interval. The interval contains the true median with a probability of at least 95 %, whatever
   * the distribution of the values is.
   */
  readonly low: number;
  readonly high: number;
}

export function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((left, right) => left - right);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? upper) + upper) / 2;
}

/** Returns the value below which this share of the values lies. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((left, right) => left - right);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}

/** Returns the median, with an interval that is derived from the order of the values. */
export function medianInterval(values: readonly number[]): MedianInterval {
  const sorted = values.toSorted((left, right) => left - right);
  const out = leftOut(sorted.length);
  return {
    median: median(values),
    low: sorted[out] ?? Number.NaN,
    high: sorted[sorted.length - 1 - out] ?? Number.NaN,
  };
}

export function intervalText({ median, low, high }: MedianInterval): string {
  return `${median.toFixed(3)} (95 %: ${low.toFixed(3)} to ${high.toFixed(3)})`;
}

/** Returns the number of values at each end that the interval may leave out. */
function leftOut(count: number): number {
  let tail = 0;
  let share = 0.5 ** count;
  for (let below = 0; below < count / 2; below += 1) {
    tail += share;
    if (2 * tail > 0.05) return Math.max(0, below - 1);
    share = (share * (count - below)) / (below + 1);
  }
  return 0;
}
