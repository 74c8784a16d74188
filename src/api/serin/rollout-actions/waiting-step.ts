import { approvalsSince, type Approval } from "../rollout-orders.ts";
import { isEndPhase } from "../rollout-status.ts";
import { doneSteps, approvalsOf, type Rollout } from "./rollout.ts";

/** The steps that `complete` approves: the soak, and the wait for dependents of the old revision. */
export const completingSteps: readonly string[] = ["soak", "dependents"];

/**
 * The id of the step that waits for a person now. Undefined if no step does. In that case, an approval that names no
 * step would approve a step that nobody has looked at, such as the step after one that somebody else has just approved.
 */
export function waitingStepOf({ status }: Rollout): string | undefined {
  const { phase, pauseReason, step } = status ?? {};
  if (step === undefined || isEndPhase(phase)) return undefined;
  if (phase === "Stuck") return step.id;
  // A status of an earlier release has no reason.
  return phase === "Paused" && (pauseReason === undefined || pauseReason === "approval") ? step.id : undefined;
}

/**
 * The last approval of a finished step of this run. After such an approval, an order that names no step may be meant
 * for the approved step. The person may have seen that step wait before somebody else approved it. Undefined if there
 * is no such approval.
 */
export function approvalBefore(rollout: Rollout): Approval | undefined {
  const { status } = rollout;
  if (status === undefined) return undefined;
  const done = doneSteps(status);
  return approvalsOfRun(rollout).findLast(({ step }) => done.has(step) && step !== status.step?.id);
}

/**
 * The id of the first unfinished step, from the current one on, that is planned to wait for an approval. A person may
 * approve it in advance. Undefined if there is no such step.
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
 * The approvals of this run. If an earlier release wrote the status, it has only times, and all approvals are returned.
 */
export function approvalsOfRun(rollout: Rollout): readonly Approval[] {
  const { status } = rollout;
  const all = approvalsOf(rollout);
  return status?.ordersBefore === undefined ? all : approvalsSince(all, status.ordersBefore);
}
