import type { Approval } from "../../../api/serin/index.ts";
import type { Step } from "../step.ts";

/** A step with a check of type `approval` pauses for a person. The step's pause takes its text from the approvals. */
export function withApprovals(steps: readonly Step[], approvals: readonly Approval[]): readonly Step[] {
  return steps.map((step) => {
    if (
      step.pause?.approved !== undefined ||
      !step.checks.some(({ spec }) => spec.type === "approval" && spec.dryRun !== true)
    )
      return step;
    return { ...step, pause: { ...step.pause, approved: approvals.some((approval) => approval.step === step.id) } };
  });
}
