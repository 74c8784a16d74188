import type { CheckStatus, JournalEntry, RolloutPhase, RolloutStatus, StepStatus } from "../../api/serin/index.ts";
import { judgeChecks } from "./judge-checks.ts";
import type { Action, Observation, WriteState } from "./observation.ts";
import { conditionsOf } from "./conditions.ts";
import { describeReference, type Step, type Write } from "./step.ts";

/** What a person has said of a rollout, apart from its plan. */
export interface RolloutOrders {
  readonly generation: number;
  readonly paused: boolean;
  readonly abort: boolean;
  readonly automaticRollback: boolean;
}

export interface DecideInput {
  readonly orders: RolloutOrders;
  readonly status: RolloutStatus;
  /** The plan as of now; a step that is done is known by its id. */
  readonly steps: readonly Step[];
  /** Of the step that {@link currentStep} names; undefined when there is none. */
  readonly observation: Observation | undefined;
  /** What the journal still holds; empty once all is put back. */
  readonly journalEntries: number;
  readonly nowMs: number;
}

export interface Decision {
  readonly status: RolloutStatus;
  readonly actions: readonly Action[];
}

/** How long a step may take to settle before a person is asked. */
const settleTimeoutMs = 300_000;
const ends: readonly RolloutPhase[] = ["Completed", "RolledBack"];

export const initialStatus: RolloutStatus = {
  observedGeneration: 0,
  phase: "Planned",
  progress: "",
  message: "",
  completedSteps: [],
  conditions: [],
};

/** The first step of the plan that is not done. */
export function currentStep(steps: readonly Step[], status: RolloutStatus): Step | undefined {
  return steps.find((step) => !status.completedSteps.some((done) => done.id === step.id));
}

/** The next state and what to do to reach it. Pure: the same input, the same answer, whatever happened to the engine. */
export function decide(input: DecideInput): Decision {
  const decision = next(input);
  const status = { ...decision.status, observedGeneration: input.orders.generation };
  return { actions: decision.actions, status: { ...status, conditions: conditionsOf(status, input.nowMs) } };
}

function next(input: DecideInput): Decision {
  const { orders, status, steps, nowMs } = input;
  if (status.phase === "RollingBack") return rollBackFurther(input);
  if (orders.abort && status.phase !== "RolledBack") return startRollback(input, "aborted by a person");
  if (ends.includes(status.phase)) return { status, actions: [] };
  if (orders.paused) return { status: { ...status, phase: "Paused", message: "paused by a person" }, actions: [] };
  const step = currentStep(steps, status);
  const started = { ...status, startedAt: status.startedAt ?? at(nowMs), progress: `${status.completedSteps.length}/${steps.length}` };
  if (step === undefined) return complete(started, nowMs);
  return advance({ ...input, status: started }, step);
}

function advance(input: DecideInput, step: Step): Decision {
  const { status, nowMs } = input;
  if (status.step?.id !== step.id) return begin(input, step);
  const observation = input.observation;
  if (observation === undefined) return { status, actions: [] };
  const conflict = observation.writes.find((write) => write.state === "conflict");
  if (conflict !== undefined) return stick(status, conflict.detail);
  const writing = writeActions(step, observation.writes);
  if (writing.length > 0) return { status: { ...status, phase: "Progressing", message: step.title }, actions: writing };
  return settle(input, step, status.step, observation, nowMs);
}

/** A step begins with a status of its own, so that the engine observes it before it writes anything. */
function begin(input: DecideInput, step: Step): Decision {
  const { status, nowMs } = input;
  const stepStatus: StepStatus = { id: step.id, title: step.title, startedAt: at(nowMs), checks: [] };
  return {
    status: { ...status, phase: "Progressing", message: step.title, step: stepStatus },
    actions: [{ type: "event", reason: "StepStarted", message: step.title, warning: false }],
  };
}

/** The journal of all pending writes first, in one piece, then the writes in their order. */
function writeActions(step: Step, states: readonly WriteState[]): Action[] {
  const pending = step.writes.flatMap((write, index) => {
    const state = states[index];
    return state?.state === "pending" ? [{ write, prior: state.prior }] : [];
  });
  if (pending.length === 0) return [];
  const entries = pending.filter(({ write }) => !isOwnField(write)).map(({ write, prior }) => journalEntry(step, write, prior));
  const writes = pending
    .filter(({ write }) => write.type !== "field" || write.adopted === undefined)
    .map(({ write, prior }): Action => (prior === undefined ? { type: "write", write } : { type: "write", write, prior }));
  return [...(entries.length === 0 ? [] : [{ type: "journal" as const, entries }]), ...writes];
}

function isOwnField(write: Write): boolean {
  return write.type === "field" && write.own === true;
}

function journalEntry(step: Step, write: Write, prior: unknown): JournalEntry {
  switch (write.type) {
    case "field":
      return {
        type: "field",
        step: step.id,
        object: write.object,
        pointer: write.pointer,
        ...(prior === undefined ? {} : { prior }),
        ...(write.value === undefined ? {} : { written: write.value }),
        ...(write.adopted === undefined ? {} : { adopted: true }),
      };
    case "create":
      return { type: "created", step: step.id, object: write.object };
    case "delete":
      return { type: "deleted", step: step.id, object: write.object, body: prior as Extract<JournalEntry, { type: "deleted" }>["body"] };
  }
}

function settle(input: DecideInput, step: Step, stepStatus: StepStatus, observation: Observation, nowMs: number): Decision {
  const { status } = input;
  const failed = observation.settle.find((state) => state.state === "failed");
  if (failed !== undefined) return fail(input, `${step.title}: ${failed.detail}`);
  const waiting = observation.settle.find((state) => state.state === "waiting");
  // What has settled once stays so: a pod that restarts later is for the checks to judge.
  if (waiting !== undefined && stepStatus.settledAt === undefined) {
    if (step.patient !== true && nowMs - Date.parse(stepStatus.startedAt) > settleTimeoutMs) return fail(input, `${step.title} did not settle: ${waiting.detail}`);
    return { status: { ...status, phase: "Settling", message: `${step.title}: ${waiting.detail}` }, actions: [] };
  }
  return judge(input, step, { ...stepStatus, settledAt: stepStatus.settledAt ?? at(nowMs) }, observation, nowMs);
}

function judge(input: DecideInput, step: Step, stepStatus: StepStatus, observation: Observation, nowMs: number): Decision {
  const { status } = input;
  const settledMs = nowMs - Date.parse(stepStatus.settledAt ?? stepStatus.startedAt);
  const checks = judgeChecks(step, stepStatus, observation, settledMs);
  const judged: RolloutStatus = { ...status, step: { ...stepStatus, checks } };
  const bad = checks.find((check) => check.verdict === "fail");
  if (bad !== undefined) return fail({ ...input, status: judged }, `${step.title}: ${bad.type}: ${bad.evidence}`);
  const open = checks.find((check) => check.verdict !== "pass");
  if (open !== undefined) return { status: { ...judged, phase: "Judging", message: `${step.title}: ${open.type}: ${open.evidence}` }, actions: [] };
  return pauseOrEnd(judged, step, checks, settledMs, nowMs);
}

function pauseOrEnd(status: RolloutStatus, step: Step, checks: readonly CheckStatus[], settledMs: number, nowMs: number): Decision {
  if (step.pause?.approved === false) {
    return { status: { ...status, phase: "Paused", message: `${step.title}: waits for approval` }, actions: [] };
  }
  const holdMs = Math.max(step.holdMs ?? 0, step.pause?.durationMs ?? 0);
  if (settledMs < holdMs) {
    return { status: { ...status, phase: "Soaking", message: `${step.title}: ${Math.ceil((holdMs - settledMs) / 1000)} s to go` }, actions: [] };
  }
  const { step: stepStatus, ...rest } = status;
  const done = {
    id: step.id,
    title: step.title,
    startedAt: stepStatus?.startedAt ?? at(nowMs),
    endedAt: at(nowMs),
    evidence: checks.map((check) => `${check.type}: ${check.evidence}`),
  };
  return {
    status: { ...rest, phase: "Progressing", message: step.title, completedSteps: [...status.completedSteps, done] },
    actions: [{ type: "event", reason: "StepDone", message: [step.title, ...done.evidence].join("; "), warning: false }],
  };
}

function complete(status: RolloutStatus, nowMs: number): Decision {
  return {
    status: { ...status, phase: "Completed", message: "done", endedAt: at(nowMs) },
    actions: [{ type: "event", reason: "Completed", message: `${status.completedSteps.length} steps done`, warning: false }],
  };
}

function fail(input: DecideInput, cause: string): Decision {
  if (!input.orders.automaticRollback) return stick(input.status, cause);
  return startRollback(input, cause);
}

function stick(status: RolloutStatus, cause: string): Decision {
  return {
    status: { ...status, phase: "Stuck", message: cause, cause },
    actions: status.phase === "Stuck" ? [] : [{ type: "event", reason: "Stuck", message: cause, warning: true }],
  };
}

function startRollback(input: DecideInput, cause: string): Decision {
  const { status, nowMs } = input;
  return {
    status: { ...status, phase: "RollingBack", cause, message: cause, endedAt: at(nowMs) },
    actions: [{ type: "event", reason: "RollingBack", message: cause, warning: true }, { type: "undo" }],
  };
}

function rollBackFurther({ status, journalEntries, nowMs }: DecideInput): Decision {
  if (journalEntries > 0) return { status, actions: [{ type: "undo" }] };
  const rolledBackInMs = nowMs - Date.parse(status.endedAt ?? at(nowMs));
  return {
    status: { ...status, phase: "RolledBack", message: status.cause ?? "", rolledBackInMs, endedAt: at(nowMs) },
    actions: [{ type: "event", reason: "RolledBack", message: `put back in ${rolledBackInMs} ms: ${status.cause ?? ""}`, warning: true }],
  };
}

/** For conflict messages of the engine: who holds what. */
export function conflictDetail(write: Write, found: unknown, expected: unknown): string {
  return `${describeReference(write.object)}: ${write.type === "field" ? write.pointer : "object"} was changed by somebody else: expected ${JSON.stringify(expected)}, found ${JSON.stringify(found)}`;
}

function at(ms: number): string {
  return new Date(ms).toISOString();
}
