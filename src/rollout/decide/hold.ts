import {
  approvalsSince,
  type Approval,
  type PauseReason,
  type RolloutPhase,
  type RolloutStatus,
  type StepStatus,
} from "../../api/serin/index.ts";
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

/** Whether a rollout in this phase has a reason why it does not go on. */
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

/** Whether the status already has this hold. Figures in the message of a wait change, so the message does not count. */
export function isSameHold(status: RolloutStatus, { phase, reason, by }: Hold): boolean {
  return status.phase === phase && status.pauseReason === reason && status.pausedBy === by;
}

/** Why a spec cannot be executed, and what a person must do. */
export interface Refusal {
  readonly reason: "spec" | "author";
  readonly problem: string;
  readonly remedy: string;
}

/**
 * The status of a rollout whose spec cannot be executed. A rollout that has ended, or that only watches its Deployment,
 * keeps its phase, because nothing of it is under way.
 */
export function refusedStatus(
  status: RolloutStatus,
  { reason, problem, remedy }: Refusal,
  isWatched: boolean,
): RolloutStatus {
  const message = `${problem}; ${remedy}, or delete the object, which undoes its changes`;
  if (status.phase === "RolledBack" || (isWatched && status.phase === "Completed")) return { ...status, message };
  return { ...withHold(status, { phase: "Stuck", reason, message }), cause: message };
}

/** A rollout that was stuck and continues has no cause any more. */
export function recovered(status: RolloutStatus): RolloutStatus {
  if (status.phase !== "Stuck") return status;
  const { cause: _cause, ...rest } = status;
  return rest;
}

/**
 * With `rollback: Manual` a person may continue a step that has failed, by an approval that is newer than the failure. A
 * status that an earlier release wrote has only the time of the failure.
 */
export function overrulingApproval(
  { status, orders }: DecideInput,
  step: Step,
  { ordersBefore }: StepStatus,
): Approval | undefined {
  if (ordersBefore !== undefined)
    return approvalsSince(orders.approvals, ordersBefore).find((approval) => approval.step === step.id);
  const since =
    status.conditions.find(({ type, status: on }) => type === "Stuck" && on === "True")?.lastTransitionTime ?? "";
  return orders.approvals.find((approval) => approval.step === step.id && Date.parse(approval.at) >= Date.parse(since));
}

/** Remembers the orders from before the failure. They do not decide on it. */
export function markedAtFailure({ status, orders }: DecideInput): RolloutStatus {
  const { step, phase, pauseReason } = status;
  const isKnown = phase === "Stuck" && (pauseReason === "check" || pauseReason === "step");
  return step === undefined || isKnown ? status : { ...status, step: { ...step, ordersBefore: orders.last } };
}
