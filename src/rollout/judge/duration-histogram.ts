/** Durations counted by bucket. All times in milliseconds. */
export interface DurationHistogram {
  /** Inclusive upper bounds, ascending, without infinity. */
  readonly boundsMs: readonly number[];
  /** Requests in each bucket. There is one more bucket than bounds, for values above all bounds. */
  readonly counts: readonly number[];
  readonly sumMs: number;
}

export const noDurations: DurationHistogram = { boundsMs: [], counts: [0], sumMs: 0 };

export function totalOf({ counts }: DurationHistogram): number {
  return counts.reduce((sum, count) => sum + count, 0);
}

/** The sum of both histograms, in the bounds that both have. An empty histogram takes the other's bounds. */
export function addHistograms(left: DurationHistogram, right: DurationHistogram): DurationHistogram {
  if (totalOf(left) === 0) return { ...right, sumMs: left.sumMs + right.sumMs };
  if (totalOf(right) === 0) return { ...left, sumMs: left.sumMs + right.sumMs };
  const boundsMs = sharedBounds(left.boundsMs, right.boundsMs);
  const [a, b] = [coarsened(left, boundsMs), coarsened(right, boundsMs)];
  return { boundsMs, counts: a.counts.map((count, index) => count + (b.counts[index] ?? 0)), sumMs: a.sumMs + b.sumMs };
}

export function sharedBounds(left: readonly number[], right: readonly number[]): readonly number[] {
  if (left.length === right.length && left.every((bound, index) => bound === right[index])) return left;
  const known = new Set(right);
  return left.filter((bound) => known.has(bound));
}

/** Counts the same requests in fewer buckets. `boundsMs` must be some of the histogram's own. */
export function coarsened(histogram: DurationHistogram, boundsMs: readonly number[]): DurationHistogram {
  if (histogram.boundsMs.length === boundsMs.length) return histogram;
  const counts = Array.from({ length: boundsMs.length + 1 }, () => 0);
  let at = 0;
  for (const [index, count] of histogram.counts.entries()) {
    const bound = histogram.boundsMs[index] ?? Infinity;
    while (at < boundsMs.length && bound > (boundsMs[at] ?? Infinity)) at += 1;
    counts[at] = (counts[at] ?? 0) + count;
  }
  return { boundsMs, counts, sumMs: histogram.sumMs };
}

/**
 * The increase between two readings of cumulative histograms. All counts are new if the first reading is empty.
 * Undefined if a count fell: the source was restarted, or it has dropped series that had not changed for long. Its
 * present counts may include requests from long before the first reading.
 */
export function gainOf(before: DurationHistogram, now: DurationHistogram): DurationHistogram | undefined {
  if (totalOf(before) === 0) return now;
  const boundsMs = sharedBounds(now.boundsMs, before.boundsMs);
  const [old, current] = [coarsened(before, boundsMs), coarsened(now, boundsMs)];
  if (current.counts.some((count, index) => count < (old.counts[index] ?? 0))) return undefined;
  return {
    boundsMs,
    counts: current.counts.map((count, index) => count - (old.counts[index] ?? 0)),
    sumMs: Math.max(0, current.sumMs - old.sumMs),
  };
}

/** The increase of each version's histogram. Undefined if a count of either version fell. */
export function gainOfBoth(
  before: Readonly<Record<"canary" | "stable", DurationHistogram>>,
  now: Readonly<Record<"canary" | "stable", DurationHistogram>>,
): Record<"canary" | "stable", DurationHistogram> | undefined {
  const canary = gainOf(before.canary, now.canary);
  const stable = gainOf(before.stable, now.stable);
  return canary === undefined || stable === undefined ? undefined : { canary, stable };
}

export function countAbove({ counts }: DurationHistogram, boundIndex: number): number {
  let above = 0;
  for (let index = boundIndex + 1; index < counts.length; index += 1) above += counts[index] ?? 0;
  return above;
}

export interface QuantileEstimate {
  /**
   * The quantile, interpolated within its bucket. If the quantile is above the highest bound, this is the highest
   * bound.
   */
  readonly ms: number;
  /** The bounds of the bucket that contains the quantile. */
  readonly aboveMs: number;
  readonly upToMs: number;
}

export function quantileOf(histogram: DurationHistogram, quantile: number): QuantileEstimate {
  const { boundsMs, counts } = histogram;
  const rank = quantile * totalOf(histogram);
  let below = 0;
  for (const [index, count] of counts.entries()) {
    const aboveMs = boundsMs[index - 1] ?? 0;
    const upToMs = boundsMs[index] ?? Infinity;
    if (below + count >= rank && count > 0) {
      const ms = upToMs === Infinity ? aboveMs : aboveMs + ((upToMs - aboveMs) * (rank - below)) / count;
      return { ms, aboveMs, upToMs };
    }
    below += count;
  }
  return { ms: 0, aboveMs: 0, upToMs: boundsMs[0] ?? Infinity };
}
