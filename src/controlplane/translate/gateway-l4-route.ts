import { TcpProxySchema } from "../../wire/envoy/index.ts";
import type { MeshSettings } from "../model/facts.ts";
import type { L4RouteModel } from "../model/l4-route-model.ts";
import type { AccessLogInit } from "./access-log.ts";
import { filterInit, type FilterInit } from "./filter-init.ts";
import { istioStats } from "./istio-filters.ts";

/** What leads to a cluster that is not there: its share of connections is closed. */
const nowhere = "UnknownService";

/** Network filters that lead connections to the backends of a route; undefined when it has none. */
export function l4RouteFilters({ route, backends }: L4RouteModel, { accessLogs }: { readonly mesh: MeshSettings; readonly accessLogs: readonly AccessLogInit[] }): readonly FilterInit[] | undefined {
  const used = backends.filter(({ weight }) => weight > 0).map(({ resolved, weight }) => ({ name: "fault" in resolved ? nowhere : resolved.cluster, weight }));
  const [only] = used;
  if (only === undefined) return undefined;
  const target =
    used.length === 1
      ? { statPrefix: only.name, clusterSpecifier: { case: "cluster" as const, value: only.name } }
      : { statPrefix: `${route.name}.${route.namespace}`, clusterSpecifier: { case: "weightedClusters" as const, value: { clusters: used } } };
  return [istioStats("server"), filterInit("envoy.filters.network.tcp_proxy", TcpProxySchema, { ...target, accessLog: [...accessLogs] })];
}
