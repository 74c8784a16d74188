import type { Approval } from "../../../api/serin/index.ts";
import type { Step } from "../step.ts";

/**
 * Gives each step with a check of type `approval` a pause until a person approves the step. A dry-run check causes
 * none.
 */
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
