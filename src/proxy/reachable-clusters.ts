import type { ChainSpec } from "./listener/listener-spec.ts";
import type { RouteTable } from "./routing/route-table.ts";

/** The clusters that the configuration in force can send requests to. */
export type ReachableClusters = Pick<ReadonlySet<string>, "has">;

/**
 * The clusters to which these route tables and chains can send requests, including mirrored ones. If a header chooses
 * the cluster, every cluster is included, because any other configuration may write that header. The clusters that a
 * client's server name can choose are not included, because no other configuration can change the server name.
 */
export function reachableClusters(tables: Iterable<RouteTable>, chains: Iterable<ChainSpec>): ReachableClusters {
  const names = new Set<string>();
  const all = [...tables];
  for (const { serves } of chains) {
    if (serves.kind === "hbone") names.add(serves.cluster);
    else if (serves.kind === "http") {
      if (serves.http.routes.kind === "inline") all.push(serves.http.routes.table);
    } else for (const { cluster } of serves.tcp.clusters) names.add(cluster);
  }
  let isAny = false;
  for (const table of all) {
    for (const name of table.clusters()) names.add(name);
    for (const { action } of table.virtualHosts.flatMap(({ routes }) => routes)) {
      if (action.kind !== "forward") continue;
      isAny ||= action.target.kind === "header";
      for (const { cluster } of action.mirrors) names.add(cluster);
    }
  }
  return { has: (name) => isAny || names.has(name) };
}
