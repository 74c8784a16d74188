import type { Condition } from "../../api/index.ts";
import type { WantedCondition } from "../model/index.ts";

/**
 * Adds the transition times to the wanted conditions: the current time if the status changes, or else the former time.
 */
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
