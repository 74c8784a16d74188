import type { Reader } from "../reader.ts";

/** What a step must show before the next one: a built-in judgement with its limits, every default filled in. */
export interface CheckSpec {
  readonly type: CheckType;
  /** Answers of the canary that must have been seen. Fewer means wait, never pass. */
  readonly minSamples: number;
  /** Where no stable version takes requests to compare with, a rate that is provably above this fails. From 0 to 1. */
  readonly maxErrorRate: number;
  /** How far the measured share of the canary may be from the configured weight, in percentage points. */
  readonly shareTolerance: number;
  /** How long a check may wait for its samples before the rollout is stuck. */
  readonly timeoutSeconds: number;
}

export const checkTypes = ["request-success-rate", "request-share", "probe-matrix", "xds-nacks", "tcp-connect-failures"] as const;
export type CheckType = (typeof checkTypes)[number];

export const checkDefaults = { minSamples: 120, maxErrorRate: 0.005, shareTolerance: 10, timeoutSeconds: 600, quantiles: [0.5, 0.9, 0.99], maxRatio: 1.2 } as const;

export function parseChecks(owner: Reader, field: string): readonly CheckSpec[] {
  return owner.list(field).map((check) => {
    const type = check.required("type", check.oneOf("type", checkTypes)) ?? "request-success-rate";
    const maxErrorRate = check.number("maxErrorRate") ?? checkDefaults.maxErrorRate;
    if (maxErrorRate <= 0 || maxErrorRate >= 1) check.error(`must be above 0 and below 1, got ${maxErrorRate}`, "maxErrorRate");
    const result = {
      type,
      minSamples: check.integer("minSamples", 1, 10_000_000) ?? checkDefaults.minSamples,
      maxErrorRate,
      shareTolerance: check.integer("shareTolerance", 1, 100) ?? checkDefaults.shareTolerance,
      timeoutSeconds: check.integer("timeoutSeconds", 1, 86_400) ?? checkDefaults.timeoutSeconds,
    };
    check.unknownFields();
    return result;
  });
}
