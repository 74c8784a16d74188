import { TcpProxySchema } from "../../../wire/envoy/index.ts";
import type { MeshSettings } from "../../model/facts.ts";
import type { L4RouteModel } from "../../model/gateway/l4-route-model.ts";
import { unknownService } from "../cluster.ts";
import { tcpIdleTimeout } from "../connection-settings.ts";
import { filterInit, type FilterInit } from "../filter-init.ts";
import type { ProxyTelemetry } from "../telemetry/telemetry-policies.ts";
import { specifierOf } from "./weighted-target.ts";

/**
 * Network filters that forward connections to a route's backends. If all weights are 0, connections are closed, because
 * no other route of the port applies.
 */
export function l4RouteFilters(
  { route, gateway: { backends } }: L4RouteModel,
  { mesh, telemetry }: { readonly mesh: MeshSettings; readonly telemetry: ProxyTelemetry },
): readonly FilterInit[] {
  const used = backends
    .filter(({ weight }) => weight > 0)
    .map(({ resolved, weight }) => ({ name: "fault" in resolved ? unknownService : resolved.cluster, weight }));
  const [only = { name: unknownService, weight: 1 }] = used;
  const statPrefix = used.length > 1 ? `${route.name}.${route.namespace}` : only.name;
  return [
    ...telemetry.stats("server"),
    filterInit("envoy.filters.network.tcp_proxy", TcpProxySchema, {
      statPrefix,
      clusterSpecifier: specifierOf(used.length === 0 ? [only] : used),
      ...tcpIdleTimeout(mesh),
      accessLog: [...telemetry.accessLogs],
    }),
  ];
}
