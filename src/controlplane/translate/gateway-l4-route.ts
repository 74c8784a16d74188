import { TcpProxySchema } from "../../wire/envoy/index.ts";
import type { L4RouteModel } from "../model/l4-route-model.ts";
import { unknownService } from "./cluster.ts";
import { filterInit, type FilterInit } from "./filter-init.ts";
import type { ProxyTelemetry } from "./telemetry-policies.ts";
import { specifierOf } from "./weighted-target.ts";

/** Network filters that lead connections to the backends of a route; undefined when it has none. */
export function l4RouteFilters({ route, gateway: { backends } }: L4RouteModel, { telemetry }: { readonly telemetry: ProxyTelemetry }): readonly FilterInit[] | undefined {
  const used = backends.filter(({ weight }) => weight > 0).map(({ resolved, weight }) => ({ name: "fault" in resolved ? unknownService : resolved.cluster, weight }));
  const [only] = used;
  if (only === undefined) return undefined;
  const statPrefix = used.length === 1 ? only.name : `${route.name}.${route.namespace}`;
  return [...telemetry.stats("server"), filterInit("envoy.filters.network.tcp_proxy", TcpProxySchema, { statPrefix, clusterSpecifier: specifierOf(used), accessLog: [...telemetry.accessLogs] })];
}
