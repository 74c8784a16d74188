import type { RolloutStatus } from "../../api/serin/index.ts";
import type { Step } from "../decide/index.ts";

type Progress = Pick<RolloutStatus, "completedSteps" | "step"> | undefined;

/**
 * The ids of a status's completed steps and of its current step. The plan of each gateway and wave needs them, and a
 * long upgrade has many, so they are cached.
 */
const idsOfStatus = new WeakMap<NonNullable<Progress>, ReadonlySet<string>>();

function reachedIds(status: Progress): ReadonlySet<string> {
  const known = status === undefined ? undefined : idsOfStatus.get(status);
  if (known !== undefined) return known;
  const ids = new Set((status?.completedSteps ?? []).map(({ id }) => id));
  if (status?.step !== undefined) ids.add(status.step.id);
  if (status !== undefined) idsOfStatus.set(status, ids);
  return ids;
}

/**
 * Leaves out new steps whose place in the plan the rollout has already passed. The plan is made anew in each round. If
 * an autoscaler or a person adds pods in the middle of a run, the plan gets additional batches, weights and scales at
 * places that lie before the current step. With them, the rollout would go back: a canary that it has deleted would
 * return for good, and a copy would be scaled to the share of an earlier weight.
 */
export function withoutOvertaken(steps: readonly Step[], status: Progress): Step[] {
  const reached = reachedIds(status);
  const last = steps.findLastIndex(({ id }) => reached.has(id));
  return steps.filter(({ id }, index) => index >= last || reached.has(id));
}

/**
 * Leaves out steps that are added to the plan when the old revision is already being removed, such as a batch of pods
 * that an autoscaler has started. Pods cannot be moved from a revision that is gone, and the probes need both
 * revisions.
 */
export function withoutLateMoves(steps: readonly Step[], retireId: string, status: Progress): Step[] {
  const reached = reachedIds(status);
  const retire = steps.findIndex(({ id }) => id === retireId);
  const isRetired = retire !== -1 && steps.findLastIndex(({ id }) => reached.has(id)) >= retire;
  return steps.filter(({ id }, index) => !isRetired || index >= retire || reached.has(id));
}

/** Whether the rollout has begun a step whose id has this prefix. */
export function hasReached(prefix: string, status: Progress): boolean {
  return [...reachedIds(status)].some((id) => id.startsWith(prefix));
}
