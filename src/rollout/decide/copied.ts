import type { RolloutStatus } from "../../api/serin/index.ts";
import { withHold } from "./hold.ts";
import type { DecideInput, Decision } from "./input.ts";

/**
 * Whether the rollout is a copy of another object, and its first run has not begun: it was restored from a backup
 * without its status, or created from an export. It does not begin by itself, because its target may be at any step of
 * the other object's run.
 */
export function isUnbegunCopy(
  { isCopy, deletion, abort }: DecideInput["orders"],
  { startedAt, completedSteps, run, undo }: RolloutStatus,
): boolean {
  if (isCopy !== true || deletion !== undefined || abort) return false;
  return startedAt === undefined && completedSteps.length === 0 && run === undefined && undo === undefined;
}

/** Waits for a person. The orders that the copy has now were meant for the original object. */
export function holdCopy({ status, orders }: DecideInput): Decision {
  const { candidate: _candidate, ...unbegun } = status;
  const message = `it is a copy of another object, from a backup or an export, without that object's status, so it would begin at its first step. Look at what its target runs now. Then a user with the rights for its steps lets it begin, and becomes its author: ${orders.commands.resume}. Orders from before do not apply to it`;
  const isNew = status.phase !== "Paused" || status.pauseReason !== "restored";
  return {
    status: withHold({ ...unbegun, ordersBefore: orders.last }, { phase: "Paused", reason: "restored", message }),
    actions: isNew ? [{ type: "event", reason: "Paused", message, warning: true }] : [],
  };
}

export function begunCopy(status: RolloutStatus): RolloutStatus {
  if (status.phase !== "Paused" || status.pauseReason !== "restored") return status;
  const { pauseReason: _reason, ...rest } = status;
  return { ...rest, phase: "Planned", message: "" };
}
