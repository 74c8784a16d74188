/**
 * A sequential test of error rates that may be looked at after every batch (an e-process: under the null hypothesis the
 * chance that the evidence ever reaches 1/alpha is at most alpha, by Ville's inequality; Ramdas et al., "Game-theoretic
 * statistics and safe anytime-valid inference", 2023). Two null hypotheses are tested side by side:
 *  - relative: an error is as likely to come from the canary as its share of the requests says;
 *  - absolute, for requests that no stable version can be compared with: the error rate is at most `maxErrorRate`.
 * The evidence is a mixture over a few alternatives, kept as logarithms, so that a restarted engine goes on where it was.
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

/** A release equal to the stable one is failed wrongly in at most this share of runs: half for each hypothesis. */
const alpha = 0.01;
const failThreshold = Math.log(2 / alpha);
/** How many times likelier than its share an error is to come from a bad canary. */
const oddsRatios = [2, 5, 20, 200] as const;
/** Error rates of a bad canary, as multiples of the limit. */
const rateMultiples = [2, 4, 10, 50] as const;
const highestRate = 0.99;

export const noEvidence: RateEvidence = {
  canaryTotal: 0,
  canaryErrors: 0,
  stableTotal: 0,
  stableErrors: 0,
  relative: oddsRatios.map(() => 0),
  absolute: rateMultiples.map(() => 0),
};

export function addBatch(evidence: RateEvidence, batch: RateBatch, maxErrorRate: number): RateEvidence {
  const share = batch.canaryTotal / Math.max(1, batch.canaryTotal + batch.stableTotal);
  const alone = batch.stableTotal === 0;
  const successes = batch.canaryTotal - batch.canaryErrors;
  return {
    canaryTotal: evidence.canaryTotal + batch.canaryTotal,
    canaryErrors: evidence.canaryErrors + batch.canaryErrors,
    stableTotal: evidence.stableTotal + batch.stableTotal,
    stableErrors: evidence.stableErrors + batch.stableErrors,
    relative: oddsRatios.map((odds, index) => {
      const sum = 1 - share + odds * share;
      return (evidence.relative[index] ?? 0) + batch.canaryErrors * Math.log(odds / sum) - batch.stableErrors * Math.log(sum);
    }),
    absolute: rateMultiples.map((multiple, index) => {
      const rate = Math.min(highestRate, maxErrorRate * multiple);
      const gain = batch.canaryErrors * Math.log(rate / maxErrorRate) + successes * Math.log((1 - rate) / (1 - maxErrorRate));
      return (evidence.absolute[index] ?? 0) + (alone ? gain : 0);
    }),
  };
}

/** Fail as soon as the evidence is enough; pass once the minimum sample has been seen without it; else wait. */
export function judgeRate(evidence: RateEvidence, limits: { readonly minSamples: number; readonly maxErrorRate: number }): RateVerdict {
  const { canaryTotal, canaryErrors, stableTotal, stableErrors } = evidence;
  const relative = logMean(evidence.relative);
  const absolute = logMean(evidence.absolute);
  const counts = `canary ${canaryErrors} of ${canaryTotal} failed, stable ${stableErrors} of ${stableTotal}`;
  if (relative >= failThreshold) {
    return { verdict: "fail", evidence: `${counts}: worse than stable (evidence ${shown(relative)}, limit ${shown(failThreshold)})` };
  }
  if (absolute >= failThreshold) {
    return { verdict: "fail", evidence: `${counts}: above the limit of ${limits.maxErrorRate * 100} % (evidence ${shown(absolute)}, limit ${shown(failThreshold)})` };
  }
  if (canaryTotal < limits.minSamples) return { verdict: "wait", evidence: `${counts}; ${limits.minSamples} answers of the canary are needed` };
  return { verdict: "pass", evidence: counts };
}

/** The logarithm of the mean of exponentials, without overflow. */
function logMean(logs: readonly number[]): number {
  const highest = Math.max(...logs);
  return highest + Math.log(logs.reduce((sum, log) => sum + Math.exp(log - highest), 0) / logs.length);
}

function shown(log: number): string {
  return `${(log / Math.LN10).toFixed(1)} decades`;
}
