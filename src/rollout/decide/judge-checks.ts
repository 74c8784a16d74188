import type { CheckStatus, StepStatus, Verdict } from "../../api/serin/index.ts";
import { addBatch, judgeRate, noEvidence, type RateBatch, type RateEvidence } from "../judge/rate-test.ts";
import { judgeShare } from "../judge/share-test.ts";
import type { CheckObservation, Observation, OutcomeCounts } from "./observation.ts";
import { judgeMatrix } from "./probe-matrix.ts";
import type { PlannedCheck, Step } from "./step.ts";

/** What a counting check keeps between looks: the last counters of each source, what each has added since the start, and the evidence. */
interface CountingState {
  readonly sources: Readonly<Record<string, OutcomeCounts>>;
  readonly gains: Readonly<Record<string, RateBatch>>;
  readonly evidence: RateEvidence;
  /** The zero is only set by the report after this one. */
  readonly awaitsReport?: boolean;
}

/** The verdict of every check of the step. Only what was counted after the step had settled is held for or against it. */
export function judgeChecks(step: Step, status: StepStatus, observation: Observation, settledMs: number): CheckStatus[] {
  return step.checks.map((check, index) => {
    const seen = observation.checks[index] ?? { type: "unavailable", detail: "nothing was observed" };
    const judged = judgeOne(check, seen, status.checks[index]);
    const late = settledMs > check.spec.timeoutSeconds * 1000;
    if (judged.verdict === "error" && late) return { ...judged, verdict: "fail", evidence: `no answer in ${check.spec.timeoutSeconds} s: ${judged.evidence}` };
    return judged;
  });
}

function judgeOne(check: PlannedCheck, seen: CheckObservation, before: CheckStatus | undefined): CheckStatus {
  const { type } = check.spec;
  if (seen.type === "verdict") return { type, verdict: seen.verdict, evidence: seen.evidence };
  const kept = before?.statistic === undefined ? {} : { statistic: before.statistic };
  if (seen.type === "unavailable") return { type, verdict: "error", evidence: seen.detail, ...kept };
  if (seen.type === "matrix") return { type, ...judgeMatrix(seen.facts, check.spec, before?.statistic) };
  const state = before?.statistic as CountingState | undefined;
  // The first look only sets the zero of every source.
  if (state === undefined || (state.awaitsReport === true && seen.reported === true)) {
    const awaitsReport = seen.reported === true && (state === undefined || anyStale(state.sources, seen.sources));
    const statistic: CountingState = { sources: seen.sources, gains: {}, evidence: noEvidence, awaitsReport };
    return { type, verdict: "wait", evidence: "counting begins", statistic };
  }
  const added = gainsOf(state.sources, seen.sources);
  const evidence = addBatch(state.evidence, sumOf(Object.values(added)), check.spec.maxErrorRate);
  const gains = { ...state.gains };
  for (const [source, gain] of Object.entries(added)) gains[source] = sumOf([gains[source] ?? nothing, gain]);
  const statistic: CountingState = { sources: { ...state.sources, ...seen.sources }, gains, evidence };
  const { verdict, evidence: text } = verdictOf(check, statistic);
  const named = verdict === "fail" && seen.lastError !== undefined ? `${text}; the latest error: ${seen.lastError}` : text;
  return { type, verdict, evidence: named, statistic };
}

/** Whether any source has not reported anew. */
function anyStale(before: CountingState["sources"], now: CountingState["sources"]): boolean {
  return Object.entries(now).some(([source, counts]) => before[source]?.canaryTotal === counts.canaryTotal);
}

function verdictOf(check: PlannedCheck, { evidence }: CountingState): { verdict: Verdict; evidence: string } {
  const { spec, subject } = check;
  if (spec.type !== "request-share") return judgeRate(evidence, spec);
  const { expectedShare, atLeast } = subject.type === "backends" ? subject : { expectedShare: 0, atLeast: true };
  return judgeShare(evidence, { expectedShare, atLeast, tolerance: spec.shareTolerance, minSamples: spec.minSamples });
}

const nothing: RateBatch = { canaryTotal: 0, canaryErrors: 0, stableTotal: 0, stableErrors: 0 };

/** What each source counted since the last look; a source that is new or has restarted counts from zero. */
function gainsOf(before: CountingState["sources"], now: CountingState["sources"]): Record<string, RateBatch> {
  const gains: Record<string, RateBatch> = {};
  for (const [source, counts] of Object.entries(now)) {
    const last = before[source] ?? nothing;
    const gain = (field: keyof RateBatch): number => (counts[field] >= last[field] ? counts[field] - last[field] : counts[field]);
    gains[source] = {
      canaryTotal: gain("canaryTotal"),
      canaryErrors: gain("canaryErrors"),
      stableTotal: gain("stableTotal"),
      stableErrors: gain("stableErrors"),
    };
  }
  return gains;
}

function sumOf(batches: readonly RateBatch[]): RateBatch {
  return batches.reduce(
    (sum, batch) => ({
      canaryTotal: sum.canaryTotal + batch.canaryTotal,
      canaryErrors: sum.canaryErrors + batch.canaryErrors,
      stableTotal: sum.stableTotal + batch.stableTotal,
      stableErrors: sum.stableErrors + batch.stableErrors,
    }),
    nothing,
  );
}
