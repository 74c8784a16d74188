import type { Condition } from "../../api/index.ts";
import type { Verdict } from "./verdict.ts";

/** The writer adds the transition time. */
export type WantedCondition = Omit<Condition, "lastTransitionTime">;

export type ConditionMaker = (type: string, fault: Verdict, goodReason: string, goodMessage: string) => WantedCondition;

export function conditionMaker(generation: number): ConditionMaker {
  return (type, fault, goodReason, goodMessage) => ({
    type,
    status: fault === undefined ? "True" : "False",
    reason: fault?.reason ?? goodReason,
    message: fault?.message ?? goodMessage,
    observedGeneration: generation,
  });
}
