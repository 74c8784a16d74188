import {
  errorMarginMultiple,
  expectedErrorRate,
  highestErrorRate,
  ruledOutErrorRate,
  wrongPassChance,
} from "../../api/serin/index.ts";
import { tooFew } from "./too-few.ts";

/**
 * A sequential test of error rates, which may be repeated after every batch. It is an e-process: under the null
 * hypothesis, the probability that the evidence ever reaches 1/alpha is at most alpha, by Ville's inequality (Ramdas et
 * al., "Game-theoretic statistics and safe anytime-valid inference", 2023). The evidence is a mixture over a few
 * alternatives. It is stored as logarithms, so that a restarted engine continues. The test has two null hypotheses:
 *
 * - relative: the canary's share of the errors equals its share of the requests.
 * - absolute, for requests without a stable version beside them: the error rate is at most `maxErrorRate`.
 *
 * A pass needs evidence too: the test must rule out, at 1 %, an error rate that is worse than stable's by the margin
 * that `minSamples` requests can show. A canary without errors passes at `minSamples`, and one with errors needs more.
 */
export interface RateEvidence {
  readonly canaryTotal: number;
  readonly canaryErrors: number;
  readonly stableTotal: number;
  readonly stableErrors: number;
  /** Log-likelihood ratio of each relative alternative. */
  readonly relative: readonly number[];
  /** Log-likelihood ratio of each absolute alternative. */
  readonly absolute: readonly number[];
}

export interface RateBatch {
  readonly canaryTotal: number;
  readonly canaryErrors: number;
  readonly stableTotal: number;
  readonly stableErrors: number;
}

export interface RateVerdict {
  readonly verdict: "pass" | "fail" | "wait";
  readonly evidence: string;
}

export interface RateLimits {
  readonly minSamples: number;
  readonly maxErrorRate: number;
}

/**
 * The counts of the stable version before the first batch, if known. If the stable version's error rate was above the
 * limit then, the canary's may be as high.
 */
export interface EarlierRate {
  readonly total: number;
  readonly errors: number;
}

/**
 * The maximum probability that a release equal to the stable one fails one check of one step. A rollout of five steps,
 * each with a check of rates and one of durations, stays within 1 %.
 */
export const wrongFailure = 0.001;
/** How many standard errors the true earlier rate may be above the measured one. */
const earlierDeviations = 3;
const failThreshold = Math.log(1 / wrongFailure);
const passThreshold = Math.log(1 / wrongPassChance);
/**
 * How many times more likely an error comes from a bad canary than from stable, if both have the same share of the
 * requests.
 */
const oddsRatios = [2, 5, 20, 200] as const;
/** Error rates of a bad canary, as multiples of the limit. */
const rateMultiples = [2, 4, 10, 50] as const;

export const noBatch: RateBatch = { canaryTotal: 0, canaryErrors: 0, stableTotal: 0, stableErrors: 0 };

export const noEvidence: RateEvidence = {
  ...noBatch,
  relative: oddsRatios.map(() => 0),
  absolute: rateMultiples.map(() => 0),
};

export function addBatch(evidence: RateEvidence, batch: RateBatch, maxErrorRate: number): RateEvidence {
  const share = batch.canaryTotal / Math.max(1, batch.canaryTotal + batch.stableTotal);
  const alone = batch.stableTotal === 0;
  const successes = batch.canaryTotal - batch.canaryErrors;
  return {
    ...sumOfBatches([evidence, batch]),
    relative: oddsRatios.map((odds, index) => {
      const sum = 1 - share + odds * share;
      return (
        (evidence.relative[index] ?? 0) + batch.canaryErrors * Math.log(odds / sum) - batch.stableErrors * Math.log(sum)
      );
    }),
    absolute: rateMultiples.map((multiple, index) => {
      const rate = Math.min(highestErrorRate, maxErrorRate * multiple);
      const gain =
        batch.canaryErrors * Math.log(rate / maxErrorRate) + successes * Math.log((1 - rate) / (1 - maxErrorRate));
      return (evidence.absolute[index] ?? 0) + (alone ? gain : 0);
    }),
  };
}

export function sumOfBatches(batches: readonly RateBatch[]): RateBatch {
  return batches.reduce(
    (sum, batch) => ({
      canaryTotal: sum.canaryTotal + batch.canaryTotal,
      canaryErrors: sum.canaryErrors + batch.canaryErrors,
      stableTotal: sum.stableTotal + batch.stableTotal,
      stableErrors: sum.stableErrors + batch.stableErrors,
    }),
    { canaryTotal: 0, canaryErrors: 0, stableTotal: 0, stableErrors: 0 },
  );
}

/**
 * Fails as soon as the evidence suffices. Passes when a bad release is ruled out. Otherwise waits. `open` has the
 * requests since the last batch. The evidence shows them now, and they are judged when their batch is complete.
 */
export function judgeRate(evidence: RateEvidence, limits: RateLimits, open: RateBatch = noBatch): RateVerdict {
  const { canaryTotal, canaryErrors, stableTotal, stableErrors } = sumOfBatches([evidence, open]);
  const relative = logMean(evidence.relative);
  const absolute = logMean(evidence.absolute);
  const counts = `canary ${canaryErrors} of ${canaryTotal} failed, stable ${stableErrors} of ${stableTotal}`;
  if (relative >= failThreshold) {
    return {
      verdict: "fail",
      evidence: `${counts}: worse than stable (probability of chance ${chance(relative)}, the check fails below ${chance(failThreshold)})`,
    };
  }
  if (absolute >= failThreshold) {
    return {
      verdict: "fail",
      evidence: `${counts}: above the limit of ${percent(limits.maxErrorRate)} % (probability of chance ${chance(absolute)}, the check fails below ${chance(failThreshold)})`,
    };
  }
  if (evidence.canaryTotal < limits.minSamples)
    return {
      verdict: "wait",
      evidence: `${counts}; ${tooFew("responses", { judged: evidence.canaryTotal, seen: canaryTotal, needed: limits.minSamples })}`,
    };
  const bad = ruledOutErrorRate(evidence.stableTotal, evidence.stableErrors, limits);
  if (passEvidence(evidence, limits) < passThreshold)
    return {
      verdict: "wait",
      evidence: `${counts}; more responses are needed to rule out an error rate of ${percent(bad)} %`,
    };
  return { verdict: "pass", evidence: `${counts}; an error rate of ${percent(bad)} % is ruled out` };
}

/**
 * The error rate that a canary without a stable version beside it is allowed: `maxErrorRate`, or the stable version's
 * former rate and its uncertainty, if at least `minSamples` requests show that it is higher.
 */
export function allowedRate({ minSamples, maxErrorRate }: RateLimits, earlier: EarlierRate | undefined): number {
  if (earlier === undefined || earlier.total < minSamples) return maxErrorRate;
  const rate = earlier.errors / earlier.total;
  const allowed = rate + earlierDeviations * Math.sqrt((rate * (1 - rate)) / earlier.total);
  return Math.min(highestErrorRate / errorMarginMultiple, Math.max(maxErrorRate, allowed));
}

function passEvidence(evidence: RateEvidence, limits: RateLimits): number {
  const good = expectedErrorRate(evidence.stableTotal, evidence.stableErrors, limits);
  const bad = ruledOutErrorRate(evidence.stableTotal, evidence.stableErrors, limits);
  const successes = evidence.canaryTotal - evidence.canaryErrors;
  // Rounding errors must not require another sample.
  return successes * Math.log((1 - good) / (1 - bad)) + evidence.canaryErrors * Math.log(good / bad) + 1e-9;
}

/** The logarithm of the mean of exponentials, without overflow. */
export function logMean(logs: readonly number[]): number {
  const highest = Math.max(...logs);
  return highest + Math.log(logs.reduce((sum, log) => sum + Math.exp(log - highest), 0) / logs.length);
}

/** The evidence in words: how rarely chance alone would produce it, such as `1 in 4,000`. */
export function chance(log: number): string {
  const digits = Math.min(15, log / Math.LN10);
  const [rounded, unit] = digits < 1 ? [10 ** digits, 1] : [10 ** (digits % 1), 10 ** Math.floor(digits)];
  return `1 in ${Math.round(Math.round(rounded) * unit).toLocaleString("en-US")}`;
}

function percent(rate: number): string {
  return String(Number((rate * 100).toPrecision(2)));
}
