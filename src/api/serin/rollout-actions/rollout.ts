import type { Canary } from "../canary.ts";
import type { MeshUpgrade } from "../mesh-upgrade.ts";
import type { Approval } from "../rollout-orders.ts";
import { isEndPhase, type RolloutStatus } from "../rollout-status.ts";

export type Rollout = Canary | MeshUpgrade;

export type RolloutKind = "Canary" | "MeshUpgrade";

/**
 * Whether the rollout changes nothing more. A Canary of a Deployment never ends, because each change of the Deployment
 * starts a run.
 */
export function hasEnded({ spec, status }: Rollout): boolean {
  return isEndPhase(status?.phase) && !("target" in spec && "deployment" in spec.target);
}

/** Whether the rollout is a copy of another object, and no person has started it yet. */
export function isRestored({ status }: Rollout): boolean {
  return status?.phase === "Paused" && status.pauseReason === "restored";
}

/** Whether an abort of the last run keeps the next change of a Deployment from beginning a run. */
export function holdsNextRun({ spec, status }: Rollout): boolean {
  return spec.abort && status?.phase === "RolledBack" && "target" in spec && "deployment" in spec.target;
}

export function doneSteps({ completedSteps = [] }: Partial<RolloutStatus>): ReadonlySet<string> {
  return new Set(completedSteps.map(({ id }) => id));
}

export function phaseOf(status: RolloutStatus | undefined): string {
  return status?.phase ?? "not seen by the engine yet";
}

/** Returns an empty list for an object that was written before this field existed. */
export function approvalsOf({ spec }: Pick<Rollout, "spec">): readonly Approval[] {
  return (spec as { approvals?: readonly Approval[] }).approvals ?? [];
}
