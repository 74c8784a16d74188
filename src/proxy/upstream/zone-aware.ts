export interface ZoneAwareRule {
  /** The fraction of requests, from 0 to 1, that are routed by zone. */
  readonly routed: number;
  readonly minClusterSize: number;
  /** Whether requests fail in panic mode, and do not go to endpoints that may be unhealthy. */
  readonly failsOnPanic: boolean;
}

/** The number of endpoints of a workload or cluster in each locality. Localities without endpoints are missing. */
export type ZoneCounts = ReadonlyMap<string, number>;

/** Where this proxy and the other proxies of its workload run. */
export interface LocalZones {
  readonly own: string;
  readonly usable: ZoneCounts;
  /** The fraction of the workload's proxies that are usable. */
  readonly usableFraction: number;
}

/**
 * The share of this proxy's requests that each locality gets, computed as in Envoy. With these shares, the proxies of
 * the workload together load the cluster's endpoints evenly, and as few requests as possible leave their locality.
 * Undefined if requests are not routed by zone.
 */
export function zoneShares(
  upstream: ZoneCounts,
  { own, usable: local }: Pick<LocalZones, "own" | "usable">,
  minClusterSize: number,
): ReadonlyMap<string, number> | undefined {
  const [upstreamTotal, localTotal] = [sum(upstream.values()), sum(local.values())];
  const [near, proxies] = [upstream.get(own) ?? 0, local.get(own) ?? 0];
  // Do not route by zone if only other localities have usable endpoints. Envoy does, but Istio documents even balancing
  // for this case.
  if (upstream.size < 2 || near === 0 || upstreamTotal < minClusterSize) return undefined;
  // Do not route by zone if all proxies are in one locality, because even balancing gives the same shares. Do not do so
  // either if the counts show no proxy in our own locality: they must be wrong, because this proxy is there.
  if (local.size < 2 || proxies === 0) return undefined;
  // Multiply the shares of capacity and load by both totals, so that equal shares compare as equal in whole numbers.
  const [capacity, load] = [near * localTotal, proxies * upstreamTotal];
  if (capacity >= load) return new Map([[own, 1]]);
  const residual = new Map<string, number>();
  for (const [name, count] of upstream) {
    const left = count * localTotal - (local.get(name) ?? 0) * upstreamTotal;
    if (left > 0) residual.set(name, left);
  }
  // The sum is above 0: the other localities have the capacity that our own lacks.
  const total = sum(residual.values());
  const away = 1 - capacity / load;
  return new Map([
    [own, capacity / load],
    ...[...residual].map(([name, left]) => [name, (away * left) / total] as const),
  ]);
}

function sum(values: Iterable<number>): number {
  let total = 0;
  for (const value of values) total += value;
  return total;
}
