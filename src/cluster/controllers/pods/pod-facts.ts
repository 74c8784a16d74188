import type { KubernetesObject } from "../../../api/index.ts";
import { isFinishedPod, type Pod, type PodCondition } from "../../../api/kubernetes/index.ts";

/**
 * The maximum number of pods that a controller creates in one reconciliation, as in Kubernetes. A user may request two
 * billion pods with a few bytes, and a plan with all of them would fill the memory.
 */
export const maxNewPods = 500;

export function podCondition(pod: Pod, type: string): PodCondition | undefined {
  return pod.status?.conditions?.find((condition) => condition.type === type);
}

export function isReady(pod: Pod): boolean {
  return podCondition(pod, "Ready")?.status === "True";
}

/** Whether the pod has been ready for at least `minReadySeconds`. */
export function isAvailable(pod: Pod, minReadySeconds: number, nowMs: number): boolean {
  return isReady(pod) && nowMs >= availableAtMs(pod, minReadySeconds);
}

export function availableAtMs(pod: Pod, minReadySeconds: number): number {
  const since = podCondition(pod, "Ready")?.lastTransitionTime;
  if (minReadySeconds === 0) return 0;
  return (since === undefined ? Number.POSITIVE_INFINITY : Date.parse(since)) + minReadySeconds * 1000;
}

export function isTerminating(object: KubernetesObject): boolean {
  return object.metadata.deletionTimestamp !== undefined;
}

/**
 * The pod's conditions with a new one. If its status equals that of the condition that it replaces, the transition time
 * stays.
 */
export function withCondition(
  pod: Pod,
  condition: Omit<PodCondition, "lastProbeTime" | "lastTransitionTime">,
  now: string,
): PodCondition[] {
  const before = podCondition(pod, condition.type);
  const others = (pod.status?.conditions ?? []).filter(({ type }) => type !== condition.type);
  const lastTransitionTime = before?.status === condition.status ? (before.lastTransitionTime ?? now) : now;
  return [...others, { ...condition, lastProbeTime: null, lastTransitionTime }];
}

/** Whether the pod has not ended and is not being deleted. */
export function isActive(pod: Pod): boolean {
  return !isFinishedPod(pod) && !isTerminating(pod);
}

export function createdMs(object: KubernetesObject): number {
  return Date.parse(object.metadata.creationTimestamp ?? "") || 0;
}

export function restartsOf(pod: Pod): number {
  return Math.max(0, ...(pod.status?.containerStatuses ?? []).map((status) => status.restartCount));
}

/** Converts a number, or a percentage of `total` such as `25%`, to a number of pods. `round` applies to percentages. */
export function resolveCount(
  value: number | string | undefined,
  fallback: number | string,
  total: number,
  round: "up" | "down",
): number {
  const chosen = value ?? fallback;
  if (typeof chosen === "number") return chosen;
  const percent = Number.parseFloat(chosen);
  if (!Number.isFinite(percent)) return 0;
  if (!chosen.endsWith("%")) return percent;
  const exact = (percent * total) / 100;
  return round === "up" ? Math.ceil(exact) : Math.floor(exact);
}
