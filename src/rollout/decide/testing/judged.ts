import { checkDefaults, type CheckSpec, type CheckStatus, type CheckType } from "../../../api/serin/index.ts";
import { judgeCheck } from "../judge-checks.ts";
import type { CheckObservation, PodFacts } from "../observation.ts";
import type { PlannedCheck } from "../step.ts";

export const backends = {
  type: "backends",
  canary: { service: "next", namespace: "a" },
  stable: { service: "shop", namespace: "a" },
  expectedShare: 50,
  atLeast: false,
} as const;

export function planned(type: CheckType, more: Partial<CheckSpec> = {}): PlannedCheck {
  return { spec: { ...checkDefaults, type, ...more }, subject: backends };
}

/** Judges looks that are one second apart. Returns the last status. */
export function look(check: PlannedCheck, seen: readonly CheckObservation[]): CheckStatus {
  let status: CheckStatus | undefined;
  // The stored state passes through JSON, as in the API server.
  seen.forEach(
    (one, index) => (status = JSON.parse(JSON.stringify(judgeCheck(check, one, status, index * 1000))) as CheckStatus),
  );
  if (status === undefined) throw new Error("there is no look to judge");
  return status;
}

export const counted = (
  canaryTotal: number,
  canaryErrors: number,
  stableTotal: number,
  stableErrors = 0,
): CheckObservation => ({
  type: "counters",
  sources: { "a/gateway": { canaryTotal, canaryErrors, stableTotal, stableErrors } },
});
export const durations = (canary: readonly number[], stable: readonly number[], epoch = "one"): CheckObservation => {
  const histogram = (counts: readonly number[]) => ({
    boundsMs: [10, 100],
    counts,
    sumMs: 50 * (counts[1] ?? 0) + 5 * (counts[0] ?? 0),
  });
  return { type: "durations", epoch, canary: histogram(canary), stable: histogram(stable), sources: ["a/gateway"] };
};
export const value = (result: unknown, more: object = {}): CheckObservation => ({
  type: "values",
  result,
  canary: {},
  stable: {},
  source: "a query",
  ...more,
});
export const pod = (uid: string, more: Partial<PodFacts> = {}): PodFacts => ({
  uid,
  name: `a/${uid}`,
  ready: true,
  ending: false,
  restarts: 0,
  detail: "Running",
  ...more,
});

export const withPods = (
  seen: CheckObservation,
  canary: number,
  stable: number,
  isExpected = true,
): CheckObservation => ({
  ...seen,
  ready: { canary, stable, isExpected },
});
