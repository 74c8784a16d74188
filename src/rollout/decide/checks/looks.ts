import { defaultIntervalSeconds, type CheckSpec, type Verdict } from "../../../api/serin/index.ts";

export interface Judgement {
  readonly verdict: Verdict;
  readonly evidence: string;
  readonly inner?: unknown;
  /**
   * A text that says what a waiting check needs. It changes only when there is progress, so that a wait without
   * progress is noticed. If absent, the evidence is used instead.
   */
  readonly waitsFor?: string;
}

export interface PodMemory {
  readonly hadPods?: true;
  /** When the canary lost its last ready pod, in milliseconds since the step settled. */
  readonly noPodsFromMs?: number;
}

export interface LookState extends PodMemory {
  /** The digest of the check's spec that this state belongs to. */
  readonly digest?: string;
  /** The number of the look, if looks are less frequent than the engine's rounds. */
  readonly look?: number;
  /** How many looks in a row passed. */
  readonly passes: number;
  /** The number of looks that failed. */
  readonly failures: number;
  /**
   * The number of consecutive looks without an answer, and the time of the first of them in milliseconds since the step
   * settled.
   */
  readonly errors: number;
  readonly errorsFromMs?: number;
  /** How many looks in a row had to wait. */
  readonly waits: number;
  /** What the check waits for, and when this last changed, in milliseconds since the step settled. */
  readonly waitsFor?: string;
  readonly waitsFromMs?: number;
  /** The check has passed: the required number of looks in a row have passed. */
  readonly hasPassed?: true;
  /**
   * Since when the check has waited for a complete row of passes, in milliseconds since the step settled. Missing
   * answers and rows that are too short do not end this time.
   */
  readonly withoutPassFromMs?: number;
  /**
   * The rows of passes that were too short since the last complete row: when the first and the last of them ended, in
   * milliseconds since the step settled, and the evidence of the look that ended the first.
   */
  readonly brokenRows?: { readonly fromMs: number; readonly lastMs: number; readonly by: string };
  readonly inner?: unknown;
}

const noLooks: LookState = { passes: 0, failures: 0, errors: 0, waits: 0 };

/** Check types for which every wait has a limit, because they wait for the mesh itself and not for traffic. */
const impatientTypes: readonly string[] = ["xds-convergence", "pod-health", "certificate-roots"];

export interface CountedLook {
  readonly verdict: Verdict;
  readonly evidence: string;
  readonly state: LookState;
}

/**
 * Counts a look. A check needs a number of passes in a row, and tolerates a number of failures, missing answers and
 * waits.
 */
export function countLook(
  spec: CheckSpec,
  before: LookState = noLooks,
  judgement: Judgement,
  settledMs: number,
  look: number | undefined,
): CountedLook {
  const { verdict, evidence, inner } = judgement;
  const failed = verdict === "fail" ? before.failures + 1 : before.failures;
  const errorsFromMs = verdict === "error" ? (before.errorsFromMs ?? settledMs) : undefined;
  const state: LookState = {
    ...(look === undefined ? {} : { look }),
    passes: verdict === "pass" ? before.passes + 1 : 0,
    failures: failed,
    errors: verdict === "error" ? before.errors + 1 : 0,
    ...(errorsFromMs === undefined ? {} : { errorsFromMs }),
    waits: verdict === "wait" ? before.waits + 1 : 0,
    ...(verdict === "wait" || verdict === "error" ? waitOf(before, judgement, settledMs) : {}),
    ...withoutPass(spec, before, judgement, settledMs),
    ...(inner === undefined ? {} : { inner }),
  };
  const timeoutMs = spec.timeoutSeconds * 1000;
  const isOverdue =
    impatientTypes.includes(spec.type) && settledMs - (state.withoutPassFromMs ?? settledMs) > timeoutMs;
  switch (verdict) {
    case "fail":
      return failure(spec, state, evidence);
    case "error":
      if (settledMs - (errorsFromMs ?? settledMs) > timeoutMs)
        return { verdict: "fail", evidence: `no answer in ${spec.timeoutSeconds} s: ${evidence}`, state };
      if (spec.errorLimit !== undefined && state.errors > spec.errorLimit)
        return { verdict: "fail", evidence: `no answer in ${measurements(state.errors)}: ${evidence}`, state };
      // The limits of missing answers apply to consecutive ones. Without this test, a check whose every row of passes
      // ends with a missing answer would wait for ever.
      if (isOverdue && before.passes > 0)
        return { verdict: "fail", evidence: `no result in ${spec.timeoutSeconds} s: ${evidence}`, state };
      return {
        verdict,
        evidence: `${unansweredText(spec, settledMs - (errorsFromMs ?? settledMs))}: ${evidence}`,
        state,
      };
    case "wait":
      if (isOverdue) return { verdict: "fail", evidence: `no result in ${spec.timeoutSeconds} s: ${evidence}`, state };
      if (spec.waitLimit !== undefined && state.waits > spec.waitLimit)
        return { verdict: "fail", evidence: `waited in ${measurements(state.waits)}: ${evidence}`, state };
      return { verdict, evidence, state };
    case "pass": {
      const { count = 1 } = spec;
      if (state.passes < count)
        return { verdict: "wait", evidence: `passed in ${state.passes} of ${measurements(count)}: ${evidence}`, state };
      return { verdict, evidence, state };
    }
  }
}

/**
 * The part of a text about the stable version. `waitsFor` leaves it out, because more requests to stable are not
 * progress: the check waits for requests to the canary.
 */
const ofStable = /, (?:stable |\d+ of stable).*$/;

/**
 * A look without an answer is not progress, and does not show what the check waits for, so it keeps the fields from
 * before.
 */
function waitOf(
  before: LookState,
  { verdict, evidence, waitsFor: needed }: Judgement,
  settledMs: number,
): Pick<LookState, "waitsFor" | "waitsFromMs"> {
  if (verdict === "error") {
    const { waitsFor, waitsFromMs } = before;
    return waitsFor === undefined || waitsFromMs === undefined ? {} : { waitsFor, waitsFromMs };
  }
  const waitsFor = (needed ?? evidence).replace(ofStable, "");
  return { waitsFor, waitsFromMs: before.waitsFor === waitsFor ? (before.waitsFromMs ?? settledMs) : settledMs };
}

/**
 * A check that has passed may wait again for its whole limit: a step can soak for longer than the limit. Only a whole
 * row of `count` passes ends a wait. Otherwise a check whose rows are always too short would wait for ever.
 */
function withoutPass(
  { count = 1 }: CheckSpec,
  before: LookState,
  { verdict, evidence }: Judgement,
  settledMs: number,
): Pick<LookState, "hasPassed" | "withoutPassFromMs" | "brokenRows"> {
  const passesNow = verdict === "pass" && before.passes + 1 >= count;
  // A status that an earlier release wrote has only the number of passes.
  const hasPassed = passesNow || before.hasPassed === true || before.passes >= count;
  const endsShortRow = verdict !== "pass" && before.passes > 0 && before.passes < count;
  // A check that somebody adds or edits in the middle of a step gets its whole limit too.
  const isFirst = before === noLooks;
  const begins = verdict === "wait" || endsShortRow || (isFirst && verdict !== "pass");
  const beginsNow = hasPassed || endsShortRow || isFirst;
  const fromMs = before.withoutPassFromMs ?? (begins ? (beginsNow ? settledMs : 0) : undefined);
  const { fromMs: brokenFromMs = settledMs, by = evidence } = before.brokenRows ?? {};
  const brokenRows = endsShortRow ? { fromMs: brokenFromMs, lastMs: settledMs, by } : before.brokenRows;
  return {
    ...(hasPassed ? { hasPassed } : {}),
    ...(!passesNow && fromMs !== undefined ? { withoutPassFromMs: fromMs } : {}),
    ...(!passesNow && brokenRows !== undefined ? { brokenRows } : {}),
  };
}

function unansweredText({ timeoutSeconds }: CheckSpec, forMs: number): string {
  return `no answer for ${Math.round(forMs / 1000)} s, and the check fails after ${timeoutSeconds} s`;
}

/** A tolerated failure restarts the judgement, because its counts would fail it again. */
function failure(spec: CheckSpec, state: LookState, evidence: string): CountedLook {
  const { failureLimit = 0 } = spec;
  if (state.failures > failureLimit)
    return {
      verdict: "fail",
      evidence: failureLimit === 0 ? evidence : `failed in ${measurements(state.failures)}: ${evidence}`,
      state,
    };
  const { inner: _, ...rest } = state;
  return {
    verdict: "wait",
    evidence: `failed in ${state.failures} of at most ${measurements(failureLimit)}: ${evidence}`,
    state: rest,
  };
}

function measurements(count: number): string {
  return `${count} ${count === 1 ? "measurement" : "measurements"}`;
}

export function intervalMsOf(spec: CheckSpec): number {
  return (spec.intervalSeconds ?? defaultIntervalSeconds(spec.type)) * 1000;
}
