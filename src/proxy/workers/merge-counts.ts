import type { ClusterStatus, Statistic } from "../serving.ts";
import { sharedMetrics } from "../admin/proxy-stats.ts";

export function mergeStatistics(parts: readonly (readonly Statistic[])[]): Statistic[] {
  const merged = new Map<string, Statistic>();
  for (const statistic of parts.flat()) {
    const before = merged.get(statistic.name);
    const value =
      before === undefined
        ? statistic.value
        : sharedMetrics.has(statistic.metric)
          ? Math.max(before.value, statistic.value)
          : before.value + statistic.value;
    merged.set(statistic.name, { ...statistic, value });
  }
  return [...merged.values()];
}

type EndpointStatus = ClusterStatus["endpoints"][number];

/** Combines the clusters of several workers. An endpoint counts as ejected if any worker has ejected it. */
export function mergeClusters(parts: readonly (readonly ClusterStatus[])[]): ClusterStatus[] {
  const merged = new Map<string, ClusterStatus>();
  for (const cluster of parts.flat()) {
    const before = merged.get(cluster.name);
    merged.set(cluster.name, before === undefined ? cluster : { ...cluster, endpoints: together(before, cluster) });
  }
  return [...merged.values()];
}

function together(left: ClusterStatus, right: ClusterStatus): EndpointStatus[] {
  const endpoints = new Map(left.endpoints.map((endpoint) => [endpoint.name, endpoint]));
  for (const endpoint of right.endpoints) {
    const before = endpoints.get(endpoint.name);
    endpoints.set(endpoint.name, before === undefined ? endpoint : added(before, endpoint));
  }
  return [...endpoints.values()];
}

function added(left: EndpointStatus, right: EndpointStatus): EndpointStatus {
  const counts = Object.fromEntries(
    Object.entries(left.counts).map(([name, value]) => [
      name,
      (value as number) + right.counts[name as keyof EndpointStatus["counts"]],
    ]),
  ) as unknown as EndpointStatus["counts"];
  return { ...right, ejected: left.ejected || right.ejected, counts };
}
