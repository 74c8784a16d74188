import { maxPlannedSteps, type PlannedStep, type RolloutStatus } from "../../api/serin/index.ts";
import type { RolloutOrders } from "./input.ts";
import type { Step } from "./step.ts";

/**
 * The steps as the orders have them: a full promotion leaves out what is not essential and not done yet, and from what is left
 * checks and pauses. A plan that calls none of its steps essential keeps all of them.
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

/** The first step of the plan that is not done; before the first change of a watched target, of its setup alone. */
export function currentStep(steps: readonly Step[], status: RolloutStatus, watched = false): Step | undefined {
  const open = watched && (status.run ?? 0) === 0 ? steps.filter(({ setup }) => setup === true) : steps;
  return open.find((step) => !isDone(step, status));
}

export function isDone(step: Step, status: RolloutStatus): boolean {
  return status.completedSteps.some(({ id }) => id === step.id);
}

/** What the status shows of the plan. */
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
