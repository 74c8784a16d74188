import { maxPlannedSteps, type PlannedStep, type RolloutStatus } from "../../api/serin/index.ts";
import type { RolloutOrders } from "./input.ts";
import type { Step } from "./step.ts";

/**
 * The plan with people's orders applied. A full promotion leaves out steps that are not essential and not finished yet,
 * and the checks and pauses of the others. If no step of a plan is essential, all stay.
 */
export function orderedSteps(
  steps: readonly Step[],
  { fullPromotion }: Pick<RolloutOrders, "fullPromotion">,
  status: RolloutStatus,
): readonly Step[] {
  if (fullPromotion === undefined) return steps;
  const some = steps.some(({ essential }) => essential === true);
  const kept = steps.filter((step) => !some || step.essential === true || step.setup === true || isDone(step, status));
  return kept.map(({ pause: _pause, holdMs: _hold, ...step }) => ({ ...step, checks: [] }));
}

/** The first unfinished step of the plan. Before the first change of a watched target, only steps of its setup. */
export function currentStep(steps: readonly Step[], status: RolloutStatus, watched = false): Step | undefined {
  const open = watched && (status.run ?? 0) === 0 ? steps.filter(({ setup }) => setup === true) : steps;
  return open.find((step) => !isDone(step, status));
}

export function isDone(step: Step, status: RolloutStatus): boolean {
  return status.completedSteps.some(({ id }) => id === step.id);
}

/** The plan as the status shows it. */
export function plannedSteps(steps: readonly Step[]): readonly PlannedStep[] {
  return steps.slice(0, maxPlannedSteps).map(({ id, title, ordinal, pause }) => ({
    id,
    title,
    ...(ordinal === undefined ? {} : { ordinal }),
    ...(pause?.approved === undefined ? {} : { untilApproved: true }),
  }));
}

/** The namespaces that the step takes from its beginning on. */
export function namespacesTaken(
  step: Step,
  steps: readonly Step[],
  { holdsAllNamespaces }: Pick<RolloutOrders, "holdsAllNamespaces">,
): readonly string[] {
  const of = holdsAllNamespaces ? steps : [step];
  return [...new Set(of.flatMap(({ namespaces }) => namespaces ?? []))].toSorted();
}
