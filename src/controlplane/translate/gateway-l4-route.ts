import { TcpProxySchema } from "../../wire/envoy/index.ts";
import type { L4RouteModel } from "../model/l4-route-model.ts";
import type { AccessLogInit } from "./access-log.ts";
import { unknownService } from "./cluster.ts";
import { filterInit, type FilterInit } from "./filter-init.ts";
import { istioStats } from "./istio-filters.ts";
import { specifierOf } from "./weighted-target.ts";

/** Network filters that lead connections to the backends of a route; undefined when it has none. */
export function l4RouteFilters({ route, backends }: L4RouteModel, { accessLogs }: { readonly accessLogs: readonly AccessLogInit[] }): readonly FilterInit[] | undefined {
  const used = backends.filter(({ weight }) => weight > 0).map(({ resolved, weight }) => ({ name: "fault" in resolved ? unknownService : resolved.cluster, weight }));
  const [only] = used;
  if (only === undefined) return undefined;
  const statPrefix = used.length === 1 ? only.name : `${route.name}.${route.namespace}`;
  return [istioStats("server"), filterInit("envoy.filters.network.tcp_proxy", TcpProxySchema, { statPrefix, clusterSpecifier: specifierOf(used), accessLog: [...accessLogs] })];
}
