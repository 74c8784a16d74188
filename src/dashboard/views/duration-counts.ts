/** A histogram of request durations in milliseconds. */
export interface DurationCounts {
  /** Inclusive upper bounds in ascending order, without infinity. */
  readonly boundsMs: readonly number[];
  /** The number of requests in each bucket. A last bucket counts those above all bounds. */
  readonly counts: readonly number[];
}

export const noDurations: DurationCounts = { boundsMs: [], counts: [0] };

/** Adds two histograms. The result has the bounds that both have. */
export function addDurations(left: DurationCounts, right: DurationCounts): DurationCounts {
  if (isEmpty(left)) return right;
  if (isEmpty(right)) return left;
  if (left.boundsMs === right.boundsMs)
    return { boundsMs: left.boundsMs, counts: left.counts.map((count, index) => count + (right.counts[index] ?? 0)) };
  const known = new Set(right.boundsMs);
  const boundsMs = left.boundsMs.filter((bound) => known.has(bound));
  const counts = boundsMs.map(() => 0);
  counts.push(0);
  for (const part of [left, right]) {
    for (const [index, count] of part.counts.entries()) {
      const upToMs = part.boundsMs[index] ?? Infinity;
      const at = boundsMs.findIndex((bound) => bound >= upToMs);
      const place = at < 0 ? boundsMs.length : at;
      counts[place] = (counts[place] ?? 0) + count;
    }
  }
  return { boundsMs, counts };
}

function isEmpty({ counts }: DurationCounts): boolean {
  return counts.every((count) => count === 0);
}

/**
 * A quantile, interpolated within its bucket as Prometheus does. If it lies above all bounds, the last bound. Undefined
 * without requests.
 */
export function quantileMs({ boundsMs, counts }: DurationCounts, quantile: number): number | undefined {
  let total = 0;
  for (const count of counts) total += count;
  if (total <= 0) return undefined;
  const rank = quantile * total;
  let below = 0;
  for (let index = 0; index < counts.length; index += 1) {
    const count = counts[index] ?? 0;
    if (count > 0 && below + count >= rank) {
      const from = boundsMs[index - 1] ?? 0;
      const upTo = boundsMs[index];
      return upTo === undefined ? from : from + ((upTo - from) * (rank - below)) / count;
    }
    below += count;
  }
  return boundsMs.at(-1);
}
