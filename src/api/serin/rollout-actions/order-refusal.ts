import type { RolloutAction } from "../../rollout-action.ts";
import { approvalsSinceFailure, isSameOrder, type Approval } from "../rollout-orders.ts";
import { isEndPhase, isRestingPhase, maxPlannedSteps, type StepStatus } from "../rollout-status.ts";
import { hasEnded, isRestored, holdsNextRun, doneSteps, phaseOf, type Rollout, type RolloutKind } from "./rollout.ts";
import { completingSteps, approvalsOfRun } from "./waiting-step.ts";

export interface RolloutRights {
  readonly patch: boolean;
  /** Whether the user may delete and create, which a retry requires. */
  readonly replace: boolean;
}

/** The orders of each kind, in the order in which the page shows them. */
export const actionsByKind: Readonly<Record<RolloutKind, readonly RolloutAction[]>> = {
  Canary: ["approve", "pause", "resume", "promote", "rollback", "retry"],
  MeshUpgrade: ["approve", "pause", "resume", "complete", "rollback", "retry"],
};

/** Why the order cannot be given. Undefined if it can. */
export function refusalOf(
  kind: RolloutKind,
  rollout: Rollout,
  action: RolloutAction,
  rights: RolloutRights,
): string | undefined {
  if (!actionsByKind[kind].includes(action)) return `a ${kind} does not support this command`;
  const lacking = lackingRight(kind, rollout, action, rights);
  if (lacking !== undefined) return lacking;
  const { spec, status } = rollout;
  if (action === "retry") return retryProblem(rollout);
  if (action === "rollback") {
    if (status?.phase === "RolledBack") return "it is already rolled back";
    return spec.abort || status?.phase === "RollingBack" ? "it is being rolled back" : undefined;
  }
  if (action === "resume" && (holdsNextRun(rollout) || isRestored(rollout))) return undefined;
  if (isEndPhase(status?.phase)) return `it has ended as ${phaseOf(status)}`;
  if (spec.abort || status?.phase === "RollingBack") return "it is being rolled back";
  if (action === "pause") return spec.paused ? "it is already paused" : undefined;
  if (action === "resume") return spec.paused ? undefined : "nobody has paused it";
  const step = status?.step;
  if (step === undefined) return `no step is running: it is ${phaseOf(status)}`;
  if (action === "complete")
    return completingSteps.includes(step.id) ? undefined : `it is not in its soak: the step is ${step.title}`;
  if (action === "promote") return isPromoted(rollout) ? "it is already promoted" : undefined;
  const problem = approvalProblem(rollout, step.id);
  if (problem !== undefined) return problem;
  const given = approvalsThatCount(rollout, step).findLast((approval) => approval.step === step.id);
  return given === undefined ? undefined : `${step.title} was approved by ${given.by}`;
}

/** The right that the user lacks for the order. Undefined if the user may give it. */
export function lackingRight(
  kind: RolloutKind,
  { metadata }: Pick<Rollout, "metadata">,
  action: RolloutAction,
  rights: RolloutRights,
): string | undefined {
  if (action === "retry" ? rights.replace : rights.patch) return undefined;
  const where = kind === "Canary" ? ` canaries in namespace ${metadata.namespace ?? ""}` : " mesh upgrades";
  return `you may not ${action === "retry" ? "delete and create" : "patch"}${where}`;
}

function retryProblem(rollout: Rollout): string | undefined {
  const { status } = rollout;
  if (hasEnded(rollout)) return undefined;
  return isRestingPhase(status?.phase)
    ? "a change of its Deployment begins the next run"
    : `it has not ended: it is ${phaseOf(status)}`;
}

/**
 * The approvals of this run that may decide about the step. After a failure of the step, only approvals that are newer
 * than the failure count.
 */
function approvalsThatCount(rollout: Rollout, step: StepStatus): readonly Approval[] {
  const { status } = rollout;
  const ofRun = approvalsOfRun(rollout);
  if (status === undefined) return ofRun;
  const isStuck = status.conditions.some(({ type, status: on }) => type === "Stuck" && on === "True");
  if (isStuck) return approvalsSinceFailure(ofRun, step, status.conditions);
  // A status that an earlier release wrote has no `ordersBefore`, so the approvals' times decide.
  return status.ordersBefore === undefined
    ? ofRun.filter(({ at }) => Date.parse(at) >= Date.parse(step.startedAt))
    : ofRun;
}

/** Whether the full promotion was ordered for this run, and not for an earlier one. */
function isPromoted({ spec, status }: Rollout): boolean {
  const { fullPromotion } = spec;
  if (fullPromotion === undefined) return false;
  if (status?.ordersBefore === undefined && (status?.run ?? 0) <= 1) return true;
  if (status?.ordersBefore !== undefined) return !isSameOrder(fullPromotion, status.ordersBefore.fullPromotion);
  const { at = "" } = fullPromotion;
  return status?.startedAt !== undefined && Date.parse(at) >= Date.parse(status.startedAt);
}

/** Why an approval of the step would have no effect. Undefined if it would have one, or if no steps are planned yet. */
export function approvalProblem({ status }: Rollout, id: string): string | undefined {
  const { plannedSteps: planned, step } = status ?? {};
  if (planned === undefined || planned.length === 0 || completingSteps.includes(id)) return undefined;
  const done = doneSteps(status ?? {});
  const waiting = planned
    .filter((plannedStep) => plannedStep.untilApproved === true && !done.has(plannedStep.id))
    .map((plannedStep) => plannedStep.id);
  const those = waiting.length === 0 ? "no step waits for a person" : `steps that wait: ${waiting.join(", ")}`;
  const found = planned.find((plannedStep) => plannedStep.id === id);
  if (found === undefined)
    return planned.length >= maxPlannedSteps || step?.id === id ? undefined : `there is no step "${id}"; ${those}`;
  if (done.has(id) && step?.id !== id) return `step "${id}" has already finished; ${those}`;
  if (found.untilApproved === true) return undefined;
  if (status?.phase === "Stuck" && step?.id === id) {
    const { pauseReason } = status;
    // Earlier releases wrote no reason.
    if (pauseReason === undefined || pauseReason === "check" || pauseReason === "step") return undefined;
    return `an approval does not help step "${id}", which is stuck: ${status.message}`;
  }
  return `step "${id}" does not wait for an approval; ${those}`;
}
