import type { CanarySpec, CanaryStep } from "../../../api/serin/index.ts";

/**
 * The number of stable pods at a weight. With `dynamicStableScale` it falls as the weight rises. At least one pod
 * stays, so that a rollback has a pod at once.
 */
export function stablePods(
  { dynamicStableScale, scaleDownDelaySeconds }: CanarySpec,
  replicas: number,
  weight: number,
): number {
  if (!dynamicStableScale || replicas === 0) return replicas;
  if (weight === 100 && scaleDownDelaySeconds > 0) return replicas;
  return Math.max(1, Math.ceil((replicas * (100 - weight)) / 100));
}

/**
 * The number of canary pods after the given steps: the last explicit scale, or the weight's share of all pods if no
 * step sets a scale.
 */
export function canaryPods(replicas: number, steps: readonly CanaryStep[]): number {
  let weight = 0;
  let fixed: number | undefined;
  for (const { weight: stepWeight, scale, preview } of steps) {
    weight = stepWeight ?? weight;
    if (preview === true) fixed = replicas;
    if (scale?.matchWeight === true) fixed = undefined;
    else if (scale !== undefined) fixed = scale.replicas ?? Math.ceil((replicas * (scale.percent ?? 0)) / 100);
    // A fixed scale of an earlier step was meant for less traffic. A step with weight 100 raises it to the Deployment's
    // number of pods, unless the step sets a scale of its own.
    if (stepWeight === 100 && scale === undefined && fixed !== undefined) fixed = Math.max(fixed, replicas);
  }
  return fixed ?? Math.max(1, Math.ceil((replicas * weight) / 100));
}
