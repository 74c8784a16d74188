// The bounds of the test of error rates, which the judge uses and the dashboard shows.

export interface RateBoundLimits {
  readonly minSamples: number;
  readonly maxErrorRate: number;
}

/** The maximum probability that one check of one step passes a release whose error rate is worse by the margin. */
export const wrongPassChance = 0.01;
/**
 * The multiple of the expected error rate that the samples must rule out, if the stable version fails often. A margin
 * in percentage points would need too many samples in that case.
 */
export const errorMarginMultiple = 1.5;
export const highestErrorRate = 0.99;

/**
 * The expected error rate of a canary that is as good as the stable version. Uses the stable version's own rate if it
 * exists.
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

/**
 * The lowest error rate that `minSamples` responses without an error rule out. A canary passes when its samples rule
 * this rate out.
 */
export function ruledOutErrorRate(stableTotal: number, stableErrors: number, limits: RateBoundLimits): number {
  const expected = expectedErrorRate(stableTotal, stableErrors, limits);
  return Math.max(1 - (1 - expected) * wrongPassChance ** (1 / limits.minSamples), expected * errorMarginMultiple);
}
