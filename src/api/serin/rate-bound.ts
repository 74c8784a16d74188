/** The bounds of the test of error rates, which the judge uses and the dashboard shows. */

export interface RateBoundLimits {
  readonly minSamples: number;
  readonly maxErrorRate: number;
}

/** A release that is worse by the margin passes one check of one step at most with this chance. */
export const wrongPassChance = 0.01;
/** Where stable fails often, a margin in points would need no end of samples: half as much again is the margin there. */
export const errorMarginMultiple = 1.5;
export const highestErrorRate = 0.99;

/**
 * The expected error rate of a canary that is as good as stable. Uses stable's own rate if there is a stable version.
 */
export function expectedErrorRate(
  stableTotal: number,
  stableErrors: number,
  { maxErrorRate }: RateBoundLimits,
): number {
  return Math.min(
    highestErrorRate / errorMarginMultiple,
    Math.max(maxErrorRate, stableTotal === 0 ? 0 : stableErrors / stableTotal),
  );
}

/** The lowest rate that `minSamples` answers without an error rule out: a canary passes once this one is. */
export function ruledOutErrorRate(stableTotal: number, stableErrors: number, limits: RateBoundLimits): number {
  const expected = expectedErrorRate(stableTotal, stableErrors, limits);
  return Math.max(1 - (1 - expected) * wrongPassChance ** (1 / limits.minSamples), expected * errorMarginMultiple);
}
