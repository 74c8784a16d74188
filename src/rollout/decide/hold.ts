import {
  approvalsSinceFailure,
  type Approval,
  type PauseReason,
  type RolloutPhase,
  type RolloutStatus,
  type StepStatus,
} from "../../api/serin/index.ts";
import { isPuttingBack, isRefusedAfterEnd, isUnderWay } from "./contender.ts";
import { dated } from "./conditions.ts";
import type { DecideInput } from "./input.ts";
import type { Step } from "./step.ts";

/** Why a rollout does not go on, for programs (`reason`, `by`) and for people (`message`). */
export interface Hold {
  readonly phase: "Paused" | "Waiting" | "Stuck";
  readonly reason: PauseReason;
  /** See {@link RolloutStatus.pausedBy}. */
  readonly by?: string;
  readonly message: string;
}

const heldPhases: ReadonlySet<RolloutPhase> = new Set(["Paused", "Waiting", "Stuck"]);

export function isHeld(phase: RolloutPhase): boolean {
  return heldPhases.has(phase);
}

export function withHold(status: RolloutStatus, { phase, reason, by, message }: Hold): RolloutStatus {
  return {
    ...withoutHold(status),
    phase,
    message,
    pauseReason: reason,
    ...(by === undefined ? {} : { pausedBy: by }),
  };
}

export function withoutHold({ pauseReason: _reason, pausedBy: _by, ...rest }: RolloutStatus): RolloutStatus {
  return rest;
}

/**
 * Whether the status already has this hold. The comparison leaves out the message, because the figures in a waiting
 * rollout's message change.
 */
export function isSameHold(status: RolloutStatus, { phase, reason, by }: Hold): boolean {
  return status.phase === phase && status.pauseReason === reason && status.pausedBy === by;
}

const duration = /(?<!\d)\d+(?:\.\d+)? m?s\b/g;

/**
 * Whether two messages say the same, apart from durations. Otherwise a rollout that waits for a person would report the
 * wait again each second.
 */
export function saysTheSame(one: string, other: string): boolean {
  return one.replace(duration, "") === other.replace(duration, "");
}

export interface Refusal {
  readonly reason: "spec" | "author";
  readonly problem: string;
  /** Absent if the problem names it. */
  readonly remedy?: string;
}

/** The beginning of a remedy that already advises to delete the object. */
const deleteThis = "delete this";

/**
 * The status of a rollout whose spec cannot be executed. A rolled back rollout keeps its phase. So does a completed
 * one, unless its spec was changed in order to begin another run.
 */
export function refusedStatus(
  status: RolloutStatus,
  { reason, problem, remedy }: Refusal,
  {
    beginsRun,
    generation,
    nowMs,
  }: { readonly beginsRun: boolean; readonly generation: number; readonly nowMs: number },
): RolloutStatus {
  const advised = remedy === undefined ? problem : `${problem}; ${remedy}`;
  const message = advised.includes(deleteThis) ? advised : `${advised}, or delete the object, which undoes its changes`;
  const ended = isRefusedAfterEnd(status) ? completedAgain(status) : status;
  const keepsPhase = ended.phase === "RolledBack" || (ended.phase === "Completed" && !beginsRun);
  const refused: RolloutStatus = keepsPhase
    ? { ...ended, message }
    : { ...withHold(status, { phase: "Stuck", reason, message }), cause: message };
  return dated({ ...refused, observedGeneration: generation }, status, nowMs);
}

export interface RoundFailure {
  readonly detail: string;
  readonly undo: string;
  readonly generation: number;
  /** Whether the rollout's spec was changed in order to begin another run. */
  readonly beginsRun: boolean;
  /** Whether a person, the rollout's group or its deletion asks for the undo. */
  readonly mustPutBack: boolean;
}

export const cannotGoOn = "the engine cannot go on, and tries again";

/**
 * The status of a rollout whose rounds all fail, so that nothing is decided about it. It continues as soon as a round
 * succeeds. A rollout that is RolledBack or Watching keeps its phase, and so does a Completed one if nothing is
 * ordered. A hold from before the failure still applies, so its reason, its cause and the beginning of its message
 * stay.
 */
export function failingStatus(
  status: RolloutStatus,
  { detail, undo, generation, beginsRun, mustPutBack }: RoundFailure,
  nowMs: number,
): RolloutStatus {
  const { phase, message: former, pauseReason } = status;
  const isUndo = isPuttingBack(status);
  const mayUndo = isUnderWay(status) && !isUndo;
  const remedy = `correct what it names, and the rollout continues by itself${mayUndo ? `; or undo it: ${undo}` : ""}`;
  const problem = `${cannotGoOn}: ${detail}; ${remedy}`;
  const isHeldBefore = phase === "Stuck" && pauseReason !== undefined && pauseReason !== "error";
  const [held = ""] = former.split(`; ${cannotGoOn}`);
  const message = isHeldBefore ? `${held}; ${cannotGoOn}: ${detail}; correct what it names` : problem;
  const keepsPhase =
    phase === "RolledBack" || phase === "Watching" || (phase === "Completed" && !beginsRun && !mustPutBack);
  const reason = isHeldBefore ? pauseReason : isUndo ? "undo" : "error";
  const stuck = withHold(status, { phase: "Stuck", reason, message });
  const failing = isUndo || isHeldBefore ? stuck : { ...stuck, cause: message };
  return dated({ ...(keepsPhase ? { ...status, message } : failing), observedGeneration: generation }, status, nowMs);
}

export const completedMessage = "done";

/** The status of a completed run, after its spec has stopped asking for another run. */
export function completedAgain(status: RolloutStatus): RolloutStatus {
  return { ...withoutHold(recovered(status)), phase: "Completed", message: completedMessage };
}

/** Removes the cause from the status of a stuck rollout that continues. */
export function recovered(status: RolloutStatus): RolloutStatus {
  if (status.phase !== "Stuck") return status;
  const { cause: _cause, ...rest } = status;
  return rest;
}

/**
 * The approval by which a person continues a failed step, if there is one. It must be newer than the failure. A failed
 * step waits for an approval only with `rollback: Manual`.
 */
export function overrulingApproval(
  { status, orders }: DecideInput,
  step: Step,
  failed: StepStatus,
): Approval | undefined {
  return approvalsSinceFailure(orders.approvals, failed, status.conditions).find(
    (approval) => approval.step === step.id,
  );
}

/** Marks the orders that were given before the failure, because they must not decide what happens after it. */
export function markedAtFailure({ status, orders }: DecideInput): RolloutStatus {
  const { step, phase, pauseReason } = status;
  const isKnown = phase === "Stuck" && (pauseReason === "check" || pauseReason === "step");
  return step === undefined || isKnown ? status : { ...status, step: { ...step, ordersBefore: orders.last } };
}
