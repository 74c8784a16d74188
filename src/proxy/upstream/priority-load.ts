/** How many of a priority's endpoints may take requests. */
export interface PriorityHealth {
  readonly healthy: number;
  readonly total: number;
}

/** A priority with at least this healthy fraction takes its whole share. Envoy's default. */
const overprovisioning = 1.4;

/** A priority's or locality's health from 0 to 1, with the overprovisioning counted in. */
export function healthOf({ healthy, total }: PriorityHealth): number {
  return total === 0 ? 0 : Math.min(1, (overprovisioning * healthy) / total);
}

/**
 * The share of the load, from 0 to 1, of each priority, the most preferred first. Each priority takes as much as its
 * health allows of what the previous ones left. If all together are not healthy enough, their shares are scaled up to
 * 1.
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
