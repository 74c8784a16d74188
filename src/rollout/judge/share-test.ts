/**
 * Whether the canary's measured share of the responses is within `tolerance` percentage points of its weight. With
 * `atLeast`, only checks that the share is not below it.
 */
export function judgeShare(
  counts: { readonly canaryTotal: number; readonly stableTotal: number },
  limits: {
    readonly expectedShare: number;
    readonly atLeast: boolean;
    readonly tolerance: number;
    readonly minSamples: number;
  },
): { readonly verdict: "pass" | "fail" | "wait"; readonly evidence: string } {
  const total = counts.canaryTotal + counts.stableTotal;
  const measured = total === 0 ? 0 : (counts.canaryTotal / total) * 100;
  const evidence = `measured share ${measured.toFixed(1)} % of ${total} responses, weight ${limits.expectedShare} %`;
  if (total < limits.minSamples)
    return { verdict: "wait", evidence: `${evidence}; ${limits.minSamples} responses are needed` };
  // A deviation that chance explains, within four standard errors, is never a failure.
  const expected = limits.expectedShare / 100;
  const chance = 400 * Math.sqrt((expected * (1 - expected)) / total);
  const off = limits.atLeast ? limits.expectedShare - measured : Math.abs(measured - limits.expectedShare);
  if (off > Math.max(limits.tolerance, chance)) return { verdict: "fail", evidence };
  const excess =
    off > limits.tolerance
      ? `; the difference is above ${limits.tolerance} percentage points, but with so few responses this may be chance`
      : "";
  return { verdict: "pass", evidence: `${evidence}${excess}` };
}
