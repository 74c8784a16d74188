import { firstNames } from "../../base/index.ts";
import { conditionBudget, type CheckStatus, type ConditionBudget, type StepStatus } from "../../api/serin/index.ts";
import { undecided } from "./checks/conditions.ts";
import { judgeDurationsSeen } from "./checks/durations.ts";
import { countLook, type Judgement, type LookState } from "./checks/looks.ts";
import { judgeOutcomes } from "./checks/outcomes.ts";
import { judgeLostPods } from "./checks/lost-pods.ts";
import { judgePods } from "./checks/pods.ts";
import { judgeValues } from "./checks/values.ts";
import type { CheckObservation, Observation } from "./observation.ts";
import { judgeMatrix } from "./probe-matrix.ts";
import type { PlannedCheck, Step } from "./step.ts";

/** The verdict of every check of the step. The judgement uses only counts from after the step settled. */
export function judgeChecks(
  step: Step,
  status: StepStatus,
  observation: Observation,
  settledMs: number,
): CheckStatus[] {
  const budget = conditionBudget();
  return step.checks.map((check, index) => {
    if (check.spec.type === "approval") return approvalOf(check, step);
    const seen = observation.checks[index] ?? { type: "unavailable", detail: "no measurement yet" };
    return judgeCheck(check, seen, lastLook(check, index, status), settledMs, budget);
  });
}

/**
 * The last look of the same check. A change of the spec may have put another check at its position. A check that was
 * edited meanwhile starts again, because its counts so far are for other sources or other limits.
 */
function lastLook(check: PlannedCheck, index: number, { checks }: StepStatus): CheckStatus | undefined {
  const { type, name } = headOf(check);
  const own = checks.filter((status) => status.type === type && status.name === name);
  const digest = digestOf(check);
  const same = own.find((status) => digestIn(status) === digest);
  if (same !== undefined) return same;
  const placed = checks[index];
  const known = placed !== undefined && own.includes(placed) ? placed : own[0];
  // An earlier release wrote statuses without digests.
  return known !== undefined && digestIn(known) === undefined ? known : undefined;
}

function digestIn({ statistic }: CheckStatus): string | undefined {
  return (statistic as Partial<LookState> | undefined)?.digest;
}

/** A short text that changes whenever the check's spec, its backends or its gateway change. */
function digestOf({ spec, subject }: PlannedCheck): string {
  const compared =
    subject.type === "backends"
      ? [subject.canary, subject.stable]
      : subject.type === "gatewayRevisions"
        ? [subject.gateway]
        : [];
  const text = JSON.stringify([spec, compared]);
  return fnvOffsets.map((offset) => fnv1a(text, offset).toString(36)).join("");
}

/**
 * Two hashes of 32 bits with different start values give 64 bits. A collision is no security risk: the check would only
 * keep its counts.
 */
const fnvOffsets = [0x81_1c_9d_c5, 0x05_0c_5d_1f];
const fnvPrime = 0x01_00_01_93;

function fnv1a(text: string, offset: number): number {
  let hash = offset;
  for (let index = 0; index < text.length; index += 1) hash = Math.imul(hash ^ text.charCodeAt(index), fnvPrime);
  return hash >>> 0;
}

/**
 * One look at one check. `settledMs` is the time since the step settled, `before` the result of the previous look. All
 * checks that are judged together share the `budget` of their conditions.
 */
export function judgeCheck(
  { spec, subject }: PlannedCheck,
  seen: CheckObservation,
  before: CheckStatus | undefined,
  settledMs: number,
  budget: ConditionBudget = conditionBudget(),
): CheckStatus {
  const state = before?.statistic as LookState | undefined;
  if (seen.type === "pending")
    return { ...headOf({ spec, subject }), ...before, verdict: "wait", evidence: seen.detail };
  // The interval is not over yet, so the previous result stays.
  if (before !== undefined && seen.look !== undefined && state?.look === seen.look) return before;
  const { matrix, ...judgement } = judge({ spec, subject }, seen, { inner: state?.inner, settledMs, budget });
  const { judged, memory } = judgeLostPods(judgement, seen.ready, state ?? {}, settledMs);
  const { verdict, evidence, state: counted } = countLook(spec, state, judged, settledMs, seen.look);
  const statistic: LookState = { digest: digestOf({ spec, subject }), ...counted, ...memory };
  return {
    ...headOf({ spec, subject }),
    verdict,
    evidence: withWindow(evidence, seen, settledMs),
    statistic,
    ...(matrix === undefined ? {} : { matrix }),
  };
}

/** The check with a gap in its counts, so that requests between its last look and the next one are not counted. */
export function withGap(check: CheckStatus): CheckStatus {
  const { inner, ...looks } = (check.statistic ?? {}) as Partial<LookState>;
  if (typeof inner !== "object" || inner === null) return check;
  // The next counts are only a baseline: sources are unknown, and the sums seem to come from another observer.
  const start = "sources" in inner ? { sources: {} } : "epoch" in inner ? { epoch: "" } : {};
  return { ...check, statistic: { ...looks, inner: { ...inner, ...start } } };
}

/**
 * Text about a check that has waited without progress for longer than its own limit. Undefined while there is progress.
 */
export function stalled(step: Step, status: CheckStatus, settledMs: number): string | undefined {
  const leftMs = stallsInMs(step, status, settledMs);
  if (leftMs === undefined || leftMs >= 0) return undefined;
  const { waitsFor, brokenRows } = status.statistic as LookState;
  const { timeoutSeconds = 0, count } = plannedOf(step, status)?.spec ?? {};
  if (brokenRows !== undefined && areRowsOverdue(status, timeoutSeconds))
    return `${brokenRows.by}, and it did not pass in ${count} measurements in a row for ${timeoutSeconds} s`;
  return needsSamples(status)
    ? `${waitsFor}, and no new sample came in ${timeoutSeconds} s`
    : `${waitsFor}, for ${timeoutSeconds} s`;
}

/**
 * Whether more requests can end the wait of a check. They cannot if the check depends on a query, a webhook or its own
 * conditions.
 */
export function needsSamples({ type, statistic }: CheckStatus): boolean {
  const { waitsFor } = (statistic ?? {}) as Partial<LookState>;
  return type !== "query" && type !== "webhook" && waitsFor !== undecided;
}

/** Whether no proxy has counted a request to either version, so that clients may be outside the mesh. */
export function countsNothing({ statistic }: CheckStatus): boolean {
  const { inner } = (statistic ?? {}) as Partial<LookState>;
  const { gained } = (inner ?? {}) as { readonly gained?: { canaryTotal: number; stableTotal: number } };
  return gained !== undefined && gained.canaryTotal + gained.stableTotal === 0;
}

/**
 * How many milliseconds a check may go on waiting for its next sample, or for a row of passes that is long enough.
 * Negative if it has waited for too long. Undefined if it does not wait.
 */
export function stallsInMs(step: Step, status: CheckStatus, settledMs: number): number | undefined {
  const { waitsFor, waitsFromMs = settledMs } = (status.statistic ?? {}) as Partial<LookState>;
  const planned = plannedOf(step, status);
  if (planned !== undefined && areRowsOverdue(status, planned.spec.timeoutSeconds)) return -1;
  if (status.verdict !== "wait" || waitsFor === undefined || planned === undefined) return undefined;
  return planned.spec.timeoutSeconds * 1000 - (settledMs - waitsFromMs);
}

/**
 * Whether rows of passes have been too short for longer than the limit. This stays so until a whole row has passed,
 * whatever a single look says, so that the rollout does not become Stuck again with each row.
 */
function areRowsOverdue({ verdict, statistic }: CheckStatus, timeoutSeconds: number): boolean {
  const { brokenRows } = (statistic ?? {}) as Partial<LookState>;
  if (brokenRows === undefined || (verdict !== "wait" && verdict !== "error")) return false;
  return brokenRows.lastMs - brokenRows.fromMs > timeoutSeconds * 1000;
}

function plannedOf({ checks }: Step, status: CheckStatus): PlannedCheck | undefined {
  return checks.find((check) => {
    const { type, name } = headOf(check);
    return type === status.type && name === status.name;
  });
}

function headOf({ spec: { type, name = type, dryRun } }: PlannedCheck): Pick<CheckStatus, "type" | "name" | "dryRun"> {
  return { type, ...(name === type ? {} : { name }), ...(dryRun === true ? { dryRun } : {}) };
}

function judge(
  { spec, subject }: PlannedCheck,
  seen: Exclude<CheckObservation, { readonly type: "pending" }>,
  {
    inner,
    settledMs,
    budget,
  }: { readonly inner: unknown; readonly settledMs: number; readonly budget: ConditionBudget },
): Judgement & Pick<CheckStatus, "matrix"> {
  switch (seen.type) {
    case "verdict":
      return { verdict: seen.verdict, evidence: seen.evidence };
    case "unavailable":
      return { verdict: "error", evidence: seen.detail, inner };
    case "matrix": {
      const { statistic, ...judged } = judgeMatrix(seen.facts, spec, inner);
      return { ...judged, inner: statistic };
    }
    case "counters":
      return judgeOutcomes(spec, subject, seen, inner, budget);
    case "durations":
      return judgeDurationsSeen(spec, seen, inner, budget);
    case "pods":
      return judgePods(spec, seen, inner, settledMs);
    case "values":
      return judgeValues(spec, subject, seen, budget);
  }
}

/** An approval is judged by the pause of its step, not here. */
function approvalOf(check: PlannedCheck, { pause }: Step): CheckStatus {
  const approved = pause?.approved === true;
  return {
    ...headOf(check),
    verdict: approved ? "pass" : "wait",
    evidence: approved ? "approved" : "waits for approval by a person",
  };
}

/** The maximum number of sources that the evidence names. Further sources are only counted. */
const namedSources = 4;

/**
 * Adds the start of counting and the source to the text of counts. A proxy that has counted nothing yet does not appear
 * as a source.
 */
function withWindow(evidence: string, seen: CheckObservation, settledMs: number): string {
  const counting =
    seen.type === "counters"
      ? Object.entries(seen.sources)
          .filter(([, { canaryTotal, stableTotal }]) => canaryTotal + stableTotal > 0)
          .map(([name]) => name)
      : [];
  const sources = seen.type === "durations" ? seen.sources : counting;
  if (sources.length === 0) return evidence;
  return `${evidence}; in ${Math.round(settledMs / 1000)} s, counted by ${firstNames(sources.toSorted(), namedSources)}`;
}
