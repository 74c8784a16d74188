import type { RolloutStatus } from "../../api/serin/index.ts";
import { isPuttingBack, isUnderWay } from "../decide/index.ts";

/** Whether a decision begins a run or a step. Whether it may depends on what the other rollouts hold and have done. */
export function beginsStep(before: RolloutStatus, after: RolloutStatus): boolean {
  if (!isUnderWay(after) || isPuttingBack(after)) return false;
  return !isUnderWay(before) || (after.step !== undefined && after.step.id !== before.step?.id);
}
