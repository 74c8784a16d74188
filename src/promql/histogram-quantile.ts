import { parseNumber } from "./duration.ts";
import { labelsKey, metricName, remembered, without, type Labels } from "./labels.ts";
import type { Sample } from "./values.ts";

interface Bucket {
  readonly upperBound: number;
  count: number;
}

const withoutBound = remembered((labels) => without(labels, new Set(["le", metricName])));

/**
 * A quantile of each histogram, from the counts of its buckets. A bucket's bound is in its label `le`. Samples without
 * this label are skipped.
 */
export function histogramQuantile(rank: number, samples: readonly Sample[]): Sample[] {
  const histograms = new Map<string, { readonly labels: Labels; readonly buckets: Bucket[] }>();
  for (const sample of samples) {
    const upperBound = parseNumber(sample.labels.get("le") ?? "");
    if (upperBound === undefined || Number.isNaN(upperBound)) continue;
    const labels = withoutBound(sample.labels);
    const key = labelsKey(labels);
    let histogram = histograms.get(key);
    if (histogram === undefined) histograms.set(key, (histogram = { labels, buckets: [] }));
    histogram.buckets.push({ upperBound, count: sample.value });
  }
  return [...histograms.values()].map(({ labels, buckets }) => ({ labels, value: quantileOf(rank, buckets) }));
}

/**
 * A quantile of one histogram, which assumes that values are spread evenly within a bucket. The first bucket begins at
 * zero if its bound is positive. If the quantile is in the open bucket (whose bound is infinity), the result is that
 * bucket's lower bound. NaN if the histogram has no open bucket, only one bucket, or no observation.
 */
function quantileOf(rank: number, found: readonly Bucket[]): number {
  if (Number.isNaN(rank)) return NaN;
  const buckets = monotonic(merged(found));
  const last = buckets.at(-1);
  if (last === undefined || last.upperBound !== Infinity) return NaN;
  if (buckets.length < 2 || last.count === 0 || Number.isNaN(last.count)) return NaN;
  if (rank < 0) return -Infinity;
  if (rank > 1) return Infinity;
  const wanted = rank * last.count;
  const index = buckets.findIndex(({ count }) => count >= wanted);
  const bucket = buckets[index] ?? last;
  if (bucket === last) return buckets.at(-2)?.upperBound ?? NaN;
  if (index === 0 && bucket.upperBound <= 0) return bucket.upperBound;
  const lower = buckets[index - 1];
  const start = lower?.upperBound ?? 0;
  const below = lower?.count ?? 0;
  return start + (bucket.upperBound - start) * ((wanted - below) / (bucket.count - below));
}

function merged(found: readonly Bucket[]): Bucket[] {
  const buckets: Bucket[] = [];
  for (const { upperBound, count } of found.toSorted((a, b) => a.upperBound - b.upperBound)) {
    const last = buckets.at(-1);
    if (last?.upperBound === upperBound) last.count += count;
    else buckets.push({ upperBound, count });
  }
  return buckets;
}

/**
 * Raises counts, so that they never decrease from one bucket to the next. Real counts never do, but counts that were
 * scraped or summed at slightly different moments may.
 */
function monotonic(buckets: Bucket[]): Bucket[] {
  let most = -Infinity;
  for (const bucket of buckets) {
    if (bucket.count < most) bucket.count = most;
    else most = bucket.count;
  }
  return buckets;
}
