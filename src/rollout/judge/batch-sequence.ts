import { addHistograms, noDurations, totalOf, type DurationHistogram } from "./duration-histogram.ts";
import {
  addDurations,
  noDurationEvidence,
  type DurationBatch,
  type DurationEvidence,
  type DurationLimits,
} from "./duration-test.ts";
import {
  addBatch,
  allowedRate,
  judgeRate,
  noBatch,
  noEvidence,
  sumOfBatches,
  type EarlierRate,
  type RateBatch,
  type RateEvidence,
  type RateLimits,
  type RateVerdict,
} from "./rate-test.ts";

/**
 * A batch with only one of the versions has nothing to compare, so it stays open until it has both, or until the canary
 * is evidently alone. Only the numbers of requests decide when it closes, never errors or durations: otherwise the
 * statistical tests would not be valid.
 */
const closingSamples = 10;
const aloneSamples = 50;

function isFull(canaryTotal: number, stableTotal: number, minSamples: number): boolean {
  if (canaryTotal < Math.min(closingSamples, minSamples)) return false;
  return stableTotal >= closingSamples || canaryTotal >= Math.min(aloneSamples, minSamples);
}

/** The evidence of closed batches, and the batch that is open. Plain data, kept in a rollout's status. */
export interface RateSequence {
  readonly evidence: RateEvidence;
  readonly open: RateBatch;
  /** The limit for batches without a stable version. */
  readonly allowedRate: number;
}

export function beginRates(limits: RateLimits, earlier?: EarlierRate): RateSequence {
  return { evidence: noEvidence, open: noBatch, allowedRate: allowedRate(limits, earlier) };
}

export function countRates(sequence: RateSequence, gain: RateBatch, { minSamples }: RateLimits): RateSequence {
  const { evidence, open, allowedRate: allowed } = sequence;
  const batch = sumOfBatches([open, gain]);
  if (!isFull(batch.canaryTotal, batch.stableTotal, minSamples)) return { ...sequence, open: batch };
  return { ...sequence, evidence: addBatch(evidence, batch, allowed), open: noBatch };
}

export function judgeRates(
  { evidence, open, allowedRate: maxErrorRate }: RateSequence,
  { minSamples }: RateLimits,
): RateVerdict {
  return judgeRate(evidence, { minSamples, maxErrorRate }, open);
}

export interface DurationSequence {
  readonly evidence: DurationEvidence;
  readonly open: DurationBatch;
  /** The stable version's durations before the first batch, from which the first bounds are chosen. */
  readonly earlier: DurationHistogram;
}

const noDurationBatch: DurationBatch = { canary: noDurations, stable: noDurations };

export function beginDurations(limits: DurationLimits, earlier: DurationHistogram): DurationSequence {
  return { evidence: noDurationEvidence(limits.quantiles), open: noDurationBatch, earlier };
}

export function countDurations(
  { evidence, open, earlier }: DurationSequence,
  gain: DurationBatch,
  limits: DurationLimits,
): DurationSequence {
  const batch = { canary: addHistograms(open.canary, gain.canary), stable: addHistograms(open.stable, gain.stable) };
  if (!isFull(totalOf(batch.canary), totalOf(batch.stable), limits.minSamples))
    return { evidence, open: batch, earlier };
  return { evidence: addDurations(evidence, batch, limits, earlier), open: noDurationBatch, earlier };
}
