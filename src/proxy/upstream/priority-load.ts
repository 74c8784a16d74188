export interface PriorityHealth {
  readonly healthy: number;
  readonly total: number;
}

/**
 * Envoy's overprovisioning factor: a priority takes its whole share if its healthy fraction times this factor reaches
 * 1.
 */
const overprovisioning = 1.4;

/** The health of a priority or a locality, from 0 to 1, including the overprovisioning factor. */
export function healthOf({ healthy, total }: PriorityHealth): number {
  return total === 0 ? 0 : Math.min(1, (overprovisioning * healthy) / total);
}

/**
 * The share of the load of each priority, from 0 to 1, the most preferred priority first. Each priority takes as much
 * of what the previous ones have left as its health allows. If all of them together are not healthy enough, their
 * shares are scaled up to a sum of 1.
 */
export function priorityLoads(priorities: readonly PriorityHealth[]): number[] {
  const health = priorities.map(healthOf);
  const total = Math.min(
    1,
    health.reduce((sum, share) => sum + share, 0),
  );
  if (total === 0) return priorities.map(() => 0);
  let rest = 1;
  return health.map((share) => {
    const load = Math.min(rest, share / total);
    rest -= load;
    return load;
  });
}
