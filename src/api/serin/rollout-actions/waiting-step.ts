import { approvalsSince, type Approval } from "../rollout-orders.ts";
import { isEndPhase } from "../rollout-status.ts";
import { doneSteps, approvalsOf, type Rollout } from "./rollout.ts";

/** The steps that `complete` approves: the soak, and the wait for users of the old revision. */
export const completingSteps: readonly string[] = ["soak", "dependents"];

/**
 * The id of the step that waits for a person now. Undefined if no step does. An approval that names no step must then
 * be refused: it could approve a step that nobody has looked at, such as the step after one that somebody else has just
 * approved.
 */
export function waitingStepOf({ status }: Rollout): string | undefined {
  const { phase, pauseReason, step } = status ?? {};
  if (step === undefined || isEndPhase(phase)) return undefined;
  if (phase === "Stuck") return step.id;
  // Earlier releases wrote no reason.
  return phase === "Paused" && (pauseReason === undefined || pauseReason === "approval") ? step.id : undefined;
}

/**
 * The last approval of a finished step of this run. Undefined if there is none. If there is one, an order that names no
 * step may be meant for that step: the person may have seen the step wait before somebody else approved it.
 */
export function approvalBefore(rollout: Rollout): Approval | undefined {
  const { status } = rollout;
  if (status === undefined) return undefined;
  const done = doneSteps(status);
  return approvalsOfRun(rollout).findLast(({ step }) => done.has(step) && step !== status.step?.id);
}

/**
 * The id of the next step that is planned to wait for an approval: the current step, or an unfinished one after it,
 * apart from `completingSteps`. A person may approve it in advance. Undefined if there is none.
 */
export function nextApprovalOf({ status }: Rollout): string | undefined {
  if (status === undefined) return undefined;
  const { plannedSteps = [], step } = status;
  const current = plannedSteps.findIndex(({ id }) => id === step?.id);
  const done = doneSteps(status);
  return plannedSteps
    .slice(Math.max(0, current))
    .find(({ id, untilApproved }) => untilApproved === true && !done.has(id) && !completingSteps.includes(id))?.id;
}

/**
 * The approvals of this run. All approvals if an earlier release wrote the status, because that has no mark between the
 * runs.
 */
export function approvalsOfRun(rollout: Rollout): readonly Approval[] {
  const { status } = rollout;
  const all = approvalsOf(rollout);
  return status?.ordersBefore === undefined ? all : approvalsSince(all, status.ordersBefore);
}
