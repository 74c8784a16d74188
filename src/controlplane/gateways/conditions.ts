import type { Condition } from "../../api/index.ts";
import type { WantedCondition } from "../model/index.ts";

/** The wanted conditions with their times: of the change now, or of before where the status is the same. */
export function mergeConditions(
  wanted: readonly WantedCondition[],
  before: readonly Condition[],
  now: string,
): Condition[] {
  return wanted.map((condition) => {
    const known = before.find((other) => other.type === condition.type);
    return { ...condition, lastTransitionTime: known?.status === condition.status ? known.lastTransitionTime : now };
  });
}
