import { totalOf, type DurationHistogram } from "./duration-histogram.ts";

/** The share of both versions' requests in one bucket above which bounds can no longer tell the requests apart. */
const sharedShare = 0.9;
/** A bucket whose bounds have at most this ratio is fine enough, so its mean needs no test. */
const coarseRatio = 1.3;
/** The number of requests at which the confidence sequence is tightest. */
const tunedSamples = 100;

export interface MeanComparison {
  /**
   * Whether the canary's mean is above stable's. Over all looks together, the probability of a wrong answer is at most
   * alpha.
   */
  readonly slower: boolean;
  readonly ratio: number;
  readonly text: string;
}

/**
 * Tests the mean of the requests in the one bucket that holds nearly all of both versions, from the histograms' sums.
 * Values in a bucket are bounded, so a mixture of Hoeffding bounds holds at all times (Howard et al., "Time-uniform,
 * nonparametric, nonasymptotic confidence sequences", 2021). The part of the sums that comes from other buckets is
 * known only within their bounds, so the test assumes the values within these bounds that favour the canary most.
 * Undefined if no bucket holds nearly all requests, or if that bucket is fine enough for the test of bounds.
 */
export function meanInSharedBucket(
  canary: DurationHistogram,
  stable: DurationHistogram,
  alpha: number,
): MeanComparison | undefined {
  const at = sharedBucket(canary, stable);
  if (at === undefined) return undefined;
  const lowMs = canary.boundsMs[at - 1] ?? 0;
  const highMs = canary.boundsMs[at] ?? Infinity;
  const ofCanary = meanRange(canary, at);
  const ofStable = meanRange(stable, at);
  if (ofCanary === undefined || ofStable === undefined) return undefined;
  const radius = (samples: number): number => {
    const rho = tunedSamples / (2 * Math.log(2 / alpha));
    return (
      ((highMs - lowMs) / 2) *
      Math.sqrt(((2 * (samples + rho)) / samples ** 2) * Math.log((2 * Math.sqrt((samples + rho) / rho)) / alpha))
    );
  };
  const lowest = ofCanary.lowMs - radius(ofCanary.samples);
  const highest = ofStable.highMs + radius(ofStable.samples);
  const shown = (ms: number): string => `${Number(ms.toPrecision(3))} ms`;
  return {
    slower: lowest > highest,
    ratio: ofCanary.lowMs / ofStable.highMs,
    text: `mean ${shown(ofCanary.lowMs)} against ${shown(ofStable.highMs)} in the bucket of ${shown(lowMs)} to ${shown(highMs)} that holds nearly all of both`,
  };
}

function sharedBucket(canary: DurationHistogram, stable: DurationHistogram): number | undefined {
  const total = totalOf(stable);
  if (total === 0 || canary.boundsMs.length !== stable.boundsMs.length) return undefined;
  const at = stable.counts.findIndex((count) => count >= sharedShare * total);
  const highMs = stable.boundsMs[at];
  if (
    at < 0 ||
    highMs === undefined ||
    highMs / Math.max(stable.boundsMs[at - 1] ?? 0, Number.MIN_VALUE) <= coarseRatio
  )
    return undefined;
  return (canary.counts[at] ?? 0) >= sharedShare * Math.max(1, totalOf(canary)) ? at : undefined;
}

/** The range of the mean in the bucket, for every possible duration of the requests outside it. */
function meanRange(
  { boundsMs, counts, sumMs }: DurationHistogram,
  at: number,
): { readonly samples: number; readonly lowMs: number; readonly highMs: number } | undefined {
  const samples = counts[at] ?? 0;
  let leastMs = 0;
  let mostMs = 0;
  for (const [index, count] of counts.entries()) {
    if (index === at || count === 0) continue;
    leastMs += count * (boundsMs[index - 1] ?? 0);
    mostMs += count * (boundsMs[index] ?? Infinity);
  }
  if (samples === 0 || mostMs === Infinity) return undefined;
  const bounded = (ms: number): number => Math.min(boundsMs[at] ?? Infinity, Math.max(boundsMs[at - 1] ?? 0, ms));
  return { samples, lowMs: bounded((sumMs - mostMs) / samples), highMs: bounded((sumMs - leastMs) / samples) };
}
