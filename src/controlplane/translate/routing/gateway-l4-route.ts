import { TcpProxySchema } from "../../../wire/envoy/index.ts";
import type { DestinationRuleModel } from "../../model/destination-rule-model.ts";
import type { MeshSettings } from "../../model/facts.ts";
import type { L4RouteModel } from "../../model/gateway/l4-route-model.ts";
import { unknownService } from "../cluster.ts";
import { filterInit, type FilterInit } from "../filter-init.ts";
import type { ProxyTelemetry } from "../telemetry/telemetry-policies.ts";
import { tcpSettings } from "./virtual-service-tcp.ts";
import { specifierOf } from "./weighted-target.ts";

export interface L4RouteContext {
  readonly mesh: MeshSettings;
  readonly telemetry: ProxyTelemetry;
  readonly ruleOf: (host: string) => DestinationRuleModel | undefined;
}

/**
 * Network filters that forward connections to a route's backends. If all weights are 0, connections are closed, because
 * the port has no other route for them. As in upstream, the policy of the first backend applies to all backends.
 */
export function l4RouteFilters(
  { route, gateway: { backends } }: L4RouteModel,
  { mesh, telemetry, ruleOf }: L4RouteContext,
): readonly FilterInit[] {
  const weighted = backends.filter(({ weight }) => weight > 0);
  const used = weighted.map(({ resolved, weight }) => ({
    name: "fault" in resolved ? unknownService : resolved.cluster,
    weight,
  }));
  const first = weighted[0]?.resolved;
  const rule = first === undefined || "fault" in first ? undefined : ruleOf(first.host);
  const [only = { name: unknownService, weight: 1 }] = used;
  const statPrefix = used.length > 1 ? `${route.name}.${route.namespace}` : only.name;
  return [
    ...telemetry.stats("server"),
    filterInit("envoy.filters.network.tcp_proxy", TcpProxySchema, {
      statPrefix,
      clusterSpecifier: specifierOf(used.length === 0 ? [only] : used),
      ...tcpSettings({ rule, subset: undefined, context: { mesh } }),
      accessLog: [...telemetry.accessLogs],
    }),
  ];
}
