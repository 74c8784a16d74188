import type { Deployment, ReplicaSet } from "../../../api/kubernetes/index.ts";
import { createdMs, resolveCount } from "../pods/pod-facts.ts";

export const revisionAnnotation = "deployment.kubernetes.io/revision";
export const desiredReplicasAnnotation = "deployment.kubernetes.io/desired-replicas";
export const maxReplicasAnnotation = "deployment.kubernetes.io/max-replicas";

export interface RolloutBounds {
  readonly desired: number;
  readonly maxSurge: number;
  readonly maxUnavailable: number;
}

/**
 * The numbers of pods that a rolling update may have and must have. If maxSurge and maxUnavailable both round to zero,
 * one pod may be unavailable, because otherwise the update could not advance. For the strategy Recreate, all pods must
 * be available.
 */
export function boundsOf(deployment: Deployment): RolloutBounds {
  const desired = deployment.spec?.replicas ?? 1;
  if (deployment.spec?.strategy?.type === "Recreate") return { desired, maxSurge: 0, maxUnavailable: 0 };
  const rolling = deployment.spec?.strategy?.rollingUpdate;
  const maxSurge = resolveCount(rolling?.maxSurge, "25%", desired, "up");
  const maxUnavailable = resolveCount(rolling?.maxUnavailable, "25%", desired, "down");
  return {
    desired,
    maxSurge,
    maxUnavailable: Math.min(maxSurge === 0 && maxUnavailable === 0 ? 1 : maxUnavailable, desired),
  };
}

export function initialReplicas(deployment: Deployment, oldSets: readonly ReplicaSet[]): number {
  const { desired, maxSurge } = boundsOf(deployment);
  if (deployment.spec?.strategy?.type === "Recreate") return desired;
  return Math.max(0, Math.min(desired, desired + maxSurge - sum(oldSets, specReplicas)));
}

/** The next step of a rolling update: the new sizes, by name, of the sets that change. */
export function planRollingUpdate(
  bounds: RolloutBounds,
  newSet: ReplicaSet,
  oldSets: readonly ReplicaSet[],
): Map<string, number> {
  const sizes = new Map<string, number>();
  const { desired, maxSurge, maxUnavailable } = bounds;
  const oldTotal = sum(oldSets, specReplicas);
  const current = specReplicas(newSet);
  const grown = current > desired ? desired : Math.min(desired, Math.max(current, desired + maxSurge - oldTotal));
  if (grown !== current) sizes.set(nameOf(newSet), grown);

  const minAvailable = desired - maxUnavailable;
  const newUnavailable = Math.max(0, grown - availableReplicas(newSet));
  const mayGo = oldTotal + grown - minAvailable - newUnavailable;
  if (mayGo <= 0) return sizes;
  const oldSizes = new Map(oldSets.map((set) => [nameOf(set), specReplicas(set)]));
  const removedUnhealthy = removeUnhealthy(oldSets, oldSizes, mayGo);
  removeAvailable(
    oldSets,
    oldSizes,
    Math.min(mayGo - removedUnhealthy, sum(oldSets, availableReplicas) + availableReplicas(newSet) - minAvailable),
  );
  for (const set of oldSets) {
    const size = oldSizes.get(nameOf(set)) ?? 0;
    if (size !== specReplicas(set)) sizes.set(nameOf(set), size);
  }
  return sizes;
}

/** Shrinks the old sets by their unavailable pods, by at most `most` pods together. Returns by how many. */
function removeUnhealthy(sets: readonly ReplicaSet[], sizes: Map<string, number>, most: number): number {
  let removed = 0;
  for (const set of oldestFirst(sets)) {
    const unhealthy = specReplicas(set) - availableReplicas(set);
    const take = Math.min(most - removed, Math.max(0, unhealthy));
    sizes.set(nameOf(set), specReplicas(set) - take);
    removed += take;
  }
  return removed;
}

function removeAvailable(sets: readonly ReplicaSet[], sizes: Map<string, number>, most: number): void {
  let left = Math.max(0, most);
  for (const set of oldestFirst(sets)) {
    const size = sizes.get(nameOf(set)) ?? 0;
    const take = Math.min(left, size);
    sizes.set(nameOf(set), size - take);
    left -= take;
  }
}

/** The new sizes of sets after a change of `spec.replicas`. During a rollout they are proportional to the old sizes. */
export function planScaling(
  bounds: RolloutBounds,
  newSet: ReplicaSet | undefined,
  oldSets: readonly ReplicaSet[],
  strategy: "RollingUpdate" | "Recreate",
): Map<string, number> {
  const sizes = new Map<string, number>();
  const all = [...(newSet === undefined ? [] : [newSet]), ...oldSets];
  const active = all.filter((set) => specReplicas(set) > 0);
  const only = active.length <= 1 ? (active[0] ?? newSet ?? latest(all)) : undefined;
  if (only !== undefined) {
    if (specReplicas(only) !== bounds.desired) sizes.set(nameOf(only), bounds.desired);
    return sizes;
  }
  if (newSet !== undefined && isSaturated(bounds, newSet))
    return new Map(active.filter((set) => set !== newSet).map((set) => [nameOf(set), 0]));
  if (strategy === "Recreate") return sizes;
  const total = sum(active, specReplicas);
  const allowed = bounds.desired === 0 ? 0 : bounds.desired + bounds.maxSurge;
  let left = allowed - total;
  const ordered = [...active].sort(
    (a, b) =>
      specReplicas(b) - specReplicas(a) || (left > 0 ? createdMs(b) - createdMs(a) : createdMs(a) - createdMs(b)),
  );
  for (const set of ordered) {
    if (left === 0) break;
    const madeFor = Number(set.metadata.annotations?.[maxReplicasAnnotation] ?? 0) || total;
    const share = Math.round((specReplicas(set) * allowed) / madeFor) - specReplicas(set);
    const change = left > 0 ? Math.min(left, Math.max(0, share)) : Math.max(left, Math.min(0, share));
    sizes.set(nameOf(set), Math.max(0, specReplicas(set) + change));
    left -= change;
  }
  const [largest] = ordered;
  if (largest !== undefined && left !== 0)
    sizes.set(nameOf(largest), Math.max(0, (sizes.get(nameOf(largest)) ?? specReplicas(largest)) + left));
  return sizes;
}

/** Whether the new set has all wanted pods, and all of them are available. Old sets are then no longer needed. */
function isSaturated({ desired }: RolloutBounds, newSet: ReplicaSet): boolean {
  const noted = newSet.metadata.annotations?.[desiredReplicasAnnotation];
  return specReplicas(newSet) === desired && availableReplicas(newSet) === desired && Number(noted) === desired;
}

/** Whether `spec.replicas` changed since the sets were last sized. */
export function wasScaled(desired: number, sets: readonly ReplicaSet[]): boolean {
  return sets.some((set) => {
    const noted = set.metadata.annotations?.[desiredReplicasAnnotation];
    return specReplicas(set) > 0 && noted !== undefined && Number(noted) !== desired;
  });
}

export function revisionOf(set: ReplicaSet): number {
  return Number(set.metadata.annotations?.[revisionAnnotation] ?? 0) || 0;
}

export function specReplicas(set: ReplicaSet): number {
  return set.spec?.replicas ?? 0;
}

export function availableReplicas(set: ReplicaSet): number {
  return set.status?.availableReplicas ?? 0;
}

export function sum(sets: readonly ReplicaSet[], valueOf: (set: ReplicaSet) => number): number {
  return sets.reduce((total, set) => total + valueOf(set), 0);
}

function latest(sets: readonly ReplicaSet[]): ReplicaSet | undefined {
  return [...sets].sort((a, b) => createdMs(b) - createdMs(a))[0];
}

function oldestFirst(sets: readonly ReplicaSet[]): ReplicaSet[] {
  return [...sets].sort((a, b) => createdMs(a) - createdMs(b));
}

function nameOf(set: ReplicaSet): string {
  return set.metadata.name ?? "";
}
