import type { Condition } from "../../api/index.ts";
import type { Verdict } from "./verdict.ts";

/** A condition without its transition time, which the writer fills in. */
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
