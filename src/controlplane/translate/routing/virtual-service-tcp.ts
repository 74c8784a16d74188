import type { MessageInitShape } from "@bufbuild/protobuf";
import type { L4Match, RouteDestination, TrafficPolicy } from "../../../api/istio/index.ts";
import { TcpProxySchema } from "../../../wire/envoy/index.ts";
import { formatAuthority } from "../../../wire/hbone/index.ts";
import { subsetOf, type DestinationRuleModel } from "../../model/destination-rule-model.ts";
import type { MeshSettings } from "../../model/facts.ts";
import type { ServiceModel } from "../../model/service/service-model.ts";
import { tcpIdleTimeout } from "../connection-settings.ts";
import { durationOfMs } from "../envoy-any.ts";
import { filterInit, type FilterInit } from "../filter-init.ts";
import { meshTelemetry, type ProxyTelemetry } from "../telemetry/telemetry-policies.ts";
import { destinationCluster } from "./virtual-service-route.ts";
import { concernsClient, type MatchClient } from "./virtual-service-match.ts";

type TcpProxyInit = Exclude<MessageInitShape<typeof TcpProxySchema>, { $typeName: string }>;

export interface TcpRouteContext {
  readonly mesh: MeshSettings;
  /**
   * The role in which metrics are reported: a sidecar's outbound side reports as the client, and a gateway as the
   * server.
   */
  readonly role: "client" | "server";
  readonly serviceOf: (host: string) => ServiceModel | undefined;
  readonly ruleOf: (host: string) => DestinationRuleModel | undefined;
  /** The telemetry settings. Absent means those of the mesh config. */
  readonly telemetry?: ProxyTelemetry;
}

export function l4Matches(match: L4Match, port: number, client: MatchClient): boolean {
  if (match.port !== undefined && match.port !== port) return false;
  const source = { gateways: [], sourceLabels: match.sourceLabels, sourceNamespace: match.sourceNamespace };
  return (match.gateways.length === 0 || match.gateways.includes(client.gateway)) && concernsClient(source, client);
}

export function tcpRouteFilters(
  routes: readonly RouteDestination[],
  port: number,
  owner: { readonly namespace: string; readonly name: string },
  context: TcpRouteContext,
): readonly FilterInit[] {
  const [only] = routes;
  const rule = only === undefined ? undefined : context.ruleOf(only.destination.host);
  const clusterOf = ({ destination }: RouteDestination): string =>
    destinationCluster(destination, port, context.serviceOf(destination.host));
  if (routes.length === 1 && only !== undefined)
    return tcpClusterFilters(clusterOf(only), { rule, subset: only.destination.subset, context });
  const clusters = routes
    .filter((route) => route.weight > 0)
    .map((route) => ({ name: clusterOf(route), weight: route.weight }));
  return filters(
    {
      statPrefix: `${owner.name}.${owner.namespace}`,
      clusterSpecifier: { case: "weightedClusters", value: { clusters } },
    },
    { rule, subset: undefined, context },
  );
}

export type TcpSettings = Pick<
  TcpProxyInit,
  "hashPolicy" | "idleTimeout" | "maxDownstreamConnectionDuration" | "tunnelingConfig"
>;

interface TcpTarget {
  readonly rule: DestinationRuleModel | undefined;
  readonly subset: string | undefined;
  /** Whether to leave out the rule's tunnel, because another proxy opens it. */
  readonly untunnelled?: true;
  readonly context: Pick<TcpRouteContext, "mesh" | "role" | "telemetry">;
}

export function tcpClusterFilters(cluster: string, target: TcpTarget): readonly FilterInit[] {
  return filters({ statPrefix: cluster, clusterSpecifier: { case: "cluster", value: cluster } }, target);
}

function filters(proxy: TcpProxyInit, target: TcpTarget): readonly FilterInit[] {
  const { context } = target;
  const telemetry = context.telemetry ?? meshTelemetry(context.mesh);
  const config: TcpProxyInit = { ...proxy, ...tcpSettings(target), accessLog: [...telemetry.accessLogs] };
  return [...telemetry.stats(context.role), filterInit("envoy.filters.network.tcp_proxy", TcpProxySchema, config)];
}

/** The settings that the destination's policy and the proxy's own variable make for connections. */
export function tcpSettings(
  target: Omit<TcpTarget, "context"> & { readonly context: Pick<TcpRouteContext, "mesh"> },
): TcpSettings {
  const { rule, subset, context } = target;
  const pool = rule?.trafficPolicy?.connectionPool?.tcp;
  const tunnel = target.untunnelled === true ? undefined : tunnelTo(target);
  return {
    ...tcpIdleTimeout(context.mesh, pool?.idleTimeoutMs),
    ...(pool?.maxConnectionDurationMs === undefined
      ? {}
      : { maxDownstreamConnectionDuration: durationOfMs(pool.maxConnectionDurationMs) }),
    ...(hashesSource(rule, subset)
      ? { hashPolicy: [{ policySpecifier: { case: "sourceIp" as const, value: {} } }] }
      : {}),
    ...(tunnel === undefined ? {} : { tunnelingConfig: tunnelOf(tunnel) }),
  };
}

/** The tunnel of a rule or subset. As in upstream, a subset does not inherit the tunnel of its rule. */
function tunnelTo({ rule, subset }: Pick<TcpTarget, "rule" | "subset">): TrafficPolicy["tunnel"] {
  if (subset === undefined) return rule?.trafficPolicy?.tunnel;
  return subsetOf(rule, subset)?.trafficPolicy?.tunnel;
}

function tunnelOf({ protocol, targetHost, targetPort }: NonNullable<TrafficPolicy["tunnel"]>) {
  return { hostname: formatAuthority(targetHost, targetPort), usePost: protocol.toUpperCase() === "POST" };
}

function hashesSource(rule: DestinationRuleModel | undefined, subset: string | undefined): boolean {
  const own = subsetOf(rule, subset)?.trafficPolicy?.loadBalancer;
  return (own ?? rule?.trafficPolicy?.loadBalancer)?.consistentHash?.hashKey.kind === "useSourceIp";
}
