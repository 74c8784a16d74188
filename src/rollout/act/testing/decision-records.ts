import type { DecisionRecord } from "../../../api/serin/index.ts";

export function records(count: number, run: number, message = "m"): DecisionRecord[] {
  return Array.from({ length: count }, (_one, index) => ({ at: String(index), run, decision: "StepDone", message }));
}
