import { maxPlannedSteps, type PlannedStep, type RolloutStatus } from "../../api/serin/index.ts";
import type { RolloutOrders } from "./input.ts";
import type { Step } from "./step.ts";

/**
 * The plan with people's orders applied. A full promotion leaves out steps that are not essential and not finished yet,
 * and the checks and pauses of the others. If no step of a plan is essential, all steps stay.
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

/**
 * The status in which the step with the last weight counts as unfinished again, if requests are not divided by that
 * weight. This happens if somebody removes steps in the middle of a run: the remaining steps then have the ids of
 * finished ones. Otherwise the run would end with the weight of a removed step.
 */
export function withLastWeightOpen(steps: readonly Step[], status: RolloutStatus): RolloutStatus {
  const last = steps.findLast(({ weight }) => weight !== undefined);
  if (last === undefined || steps.some((step) => !isDone(step, status))) return status;
  // A step that somebody has removed may have moved requests before it settled.
  const isAsPlanned = status.step === undefined && (status.weight ?? last.weight) === last.weight;
  return isAsPlanned ? status : { ...status, completedSteps: status.completedSteps.filter(({ id }) => id !== last.id) };
}

/**
 * The plan as the status shows it. Finished steps stay in the plan even if the cluster no longer needs them, for
 * example a gateway's steps when the old revision is gone. They keep their titles, even if the numbers in these have
 * changed meanwhile.
 */
export function plannedSteps(
  steps: readonly Step[],
  { plannedSteps: before = [], completedSteps }: Pick<RolloutStatus, "plannedSteps" | "completedSteps">,
): readonly PlannedStep[] {
  const done = new Map(completedSteps.map(({ id, title }) => [id, title]));
  const planned = steps.map(({ id, title, ordinal, pause }) => ({
    id,
    title: done.get(id) ?? title,
    ...(ordinal === undefined ? {} : { ordinal }),
    ...(pause?.approved === undefined ? {} : { untilApproved: true }),
  }));
  const ids = new Set(planned.map(({ id }) => id));
  const gone = before.filter(({ id }) => done.has(id) && !ids.has(id));
  if (gone.length === 0) return planned.slice(0, maxPlannedSteps);
  const place = new Map(before.map(({ id }, index) => [id, index]));
  const isBefore = (left: PlannedStep, right: PlannedStep): boolean =>
    (place.get(left.id) ?? Infinity) < (place.get(right.id) ?? Infinity);
  const merged: PlannedStep[] = [...planned];
  for (const step of gone) {
    const next = merged.findIndex((other) => isBefore(step, other));
    merged.splice(next === -1 ? merged.length : next, 0, step);
  }
  return merged.slice(0, maxPlannedSteps);
}

/** The namespaces that the rollout reserves when the step begins. */
export function namespacesTaken(
  step: Step,
  steps: readonly Step[],
  { holdsAllNamespaces }: Pick<RolloutOrders, "holdsAllNamespaces">,
): readonly string[] {
  const of = holdsAllNamespaces ? steps : [step];
  return [...new Set(of.flatMap(({ namespaces }) => namespaces ?? []))].toSorted();
}
