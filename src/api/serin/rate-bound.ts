// The bounds of the test of error rates, as the dashboard shows them and as the judge applies them.

export interface RateBoundLimits {
  readonly minSamples: number;
  readonly maxErrorRate: number;
}

/**
 * The maximum probability with which one check of one step passes a release whose error rate is worse than expected by
 * the margin.
 */
export const wrongPassChance = 0.01;
/**
 * If the stable version fails often, the samples must rule out this multiple of the expected error rate. A margin in
 * percentage points would need too many samples.
 */
export const errorMarginMultiple = 1.5;
export const highestErrorRate = 0.99;

/**
 * The expected error rate of a canary that is as good as the stable version: the stable version's own rate, but at
 * least `maxErrorRate`.
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
