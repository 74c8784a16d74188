import type { Any } from "@bufbuild/protobuf/wkt";
import type { StatsRules } from "../../record/stats-rules.ts";
import {
  ConnectionLimitSchema,
  SniDynamicForwardProxySchema,
  TcpProxySchema,
  type ConnectionLimit,
  type Filter,
  type HttpConnectionManager,
  type HttpSetFilterState,
  type SniDynamicForwardProxy,
  type TcpProxy,
  type TcpProxy_TunnelingConfig,
} from "../../../wire/envoy/index.ts";
import type { HttpTunnelSpec } from "../../tcp/http-tunnel.ts";
import type { NetworkFilter } from "../../filters/network-filter.ts";
import type { ChainService } from "../../listener/listener-spec.ts";
import type { TcpSpec } from "../../tcp/tcp-spec.ts";
import { compileAccessLogs } from "../access-logs/access-log-config.ts";
import { checkFields, checkNested, durationOr, invalid, unsupported, type ConfigNotes } from "../config-check.ts";
import { compileHttpConnectionManager } from "./http-connection-manager-config.ts";
import { statsOf } from "../filters/http-filter-config.ts";
import { compileTcpExchange } from "../peer-metadata-config.ts";
import { compileNetworkFilter } from "../filters/network-filter-config.ts";
import { resolveTypedStruct, unpack } from "../typed-struct.ts";

/**
 * Compiles a chain's filters. The last filter serves the connection. Throws an error that names an unsupported filter.
 */
export function compileChainService(messages: readonly Filter[], where: string, notes: ConfigNotes): ChainService {
  const filters: NetworkFilter[] = [];
  let maxConnections = Infinity;
  let clusterByServerName = false;
  let forwardPort: number | undefined;
  let stats: StatsRules | undefined;
  const terminal = messages.at(-1);
  for (const message of messages.slice(0, -1)) {
    const any = configOf(message, where);
    const config = any && unpack(any, where);
    stats ??= statsOf(message.name, any, `${where}: the network filter ${message.name}`, notes);
    if (config?.$typeName === ConnectionLimitSchema.typeName)
      maxConnections = connectionLimit(config as ConnectionLimit, where, notes);
    else if (message.name === "envoy.filters.network.sni_cluster") clusterByServerName = true;
    else if (config?.$typeName === SniDynamicForwardProxySchema.typeName)
      forwardPort = forwardedPort(config as SniDynamicForwardProxy);
    else if (!serverNameFilters.has(message.name)) {
      const filter = compileNetworkFilter(message.name, config, where, notes);
      if (filter !== undefined) filters.push(filter);
    }
  }
  const { exchangesPeers, peerLabelNames } = compileTcpExchange(messages, (message) => configOf(message, where));
  return {
    filters,
    maxConnections,
    clusterByServerName,
    forwardPort,
    exchangesPeers,
    serves: compileTerminal(terminal, { stats, peerLabelNames }, where, notes),
  };
}

const httpsPort = 443;

function forwardedPort({ portSpecifier }: SniDynamicForwardProxy): number {
  return portSpecifier.case === "portValue" && portSpecifier.value > 0 ? portSpecifier.value : httpsPort;
}

/**
 * Filters that forward the client's server name (SNI). A connection whose TLS this proxy does not terminate keeps its
 * server name anyway, so these filters have nothing to do.
 */
const serverNameFilters = new Set(["forward_downstream_sni", "envoy.filters.network.forward_downstream_sni"]);

function configOf(message: Filter, where: string): Any | undefined {
  if (message.configType.case === "configDiscovery")
    throw unsupported(where, `the network filter ${message.name} by configDiscovery`);
  return (
    message.configType.value &&
    resolveTypedStruct(message.configType.value, `${where}: the network filter ${message.name}`)
  );
}

function compileTerminal(
  terminal: Filter | undefined,
  before: BeforeTcpProxy,
  where: string,
  notes: ConfigNotes,
): ChainService["serves"] {
  const any = terminal && configOf(terminal, where);
  const config = any && unpack(any, where);
  switch (config?.$typeName) {
    case "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager": {
      const message = config as HttpConnectionManager;
      const cluster = tunnelCluster(message, where);
      return cluster === undefined
        ? { kind: "http", http: compileHttpConnectionManager(message, where, notes) }
        : { kind: "hbone", cluster, accessLogs: compileAccessLogs(message.accessLog, where, notes) };
    }
    case "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy":
      return { kind: "tcp", tcp: compileTcpProxy(config as TcpProxy, before, where, notes) };
    default:
      throw unsupported(where, `the network filter ${terminal?.name ?? "(none)"}`);
  }
}

const destinationKey = "envoy.filters.listener.original_dst.local_ip";

/**
 * The cluster to which a connection manager sends every CONNECT, to the destination in the CONNECT's authority. Such a
 * connection manager is the server's end of HBONE.
 */
function tunnelCluster(message: HttpConnectionManager, where: string): string | undefined {
  if (message.routeSpecifier.case !== "routeConfig") return undefined;
  const routes = message.routeSpecifier.value.virtualHosts.flatMap((host) => host.routes);
  const [route] = routes;
  if (routes.length !== 1 || route?.match?.pathSpecifier.case !== "connectMatcher" || route.action.case !== "route")
    return undefined;
  const target = route.action.value.clusterSpecifier;
  return target.case === "cluster" && setsDestination(message, where) ? target.value : undefined;
}

function setsDestination(message: HttpConnectionManager, where: string): boolean {
  return message.httpFilters.some(({ name, configType }) => {
    const config =
      configType.case === "typedConfig" ? unpack(configType.value, `${where}: the HTTP filter ${name}`) : undefined;
    if (config?.$typeName !== "envoy.extensions.filters.http.set_filter_state.v3.Config") return false;
    return (config as HttpSetFilterState).onRequestHeaders.some(
      ({ key }) => key.case === "objectKey" && key.value === destinationKey,
    );
  });
}

function connectionLimit(message: ConnectionLimit, where: string, notes: ConfigNotes): number {
  checkFields(ConnectionLimitSchema, message, `${where}: connection_limit`, notes, {
    used: ["maxConnections"],
    harmless: ["statPrefix", "delay", "runtimeEnabled"],
  });
  return message.maxConnections === undefined ? Infinity : Number(message.maxConnections);
}

const defaultIdleMs = 3_600_000;

/** The settings that filters before `tcp_proxy` make for its connections. */
type BeforeTcpProxy = Pick<TcpSpec, "stats" | "peerLabelNames">;

function compileTcpProxy(message: TcpProxy, before: BeforeTcpProxy, where: string, notes: ConfigNotes): TcpSpec {
  checkFields(TcpProxySchema, message, where, notes, {
    used: [
      "statPrefix",
      "cluster",
      "weightedClusters",
      "idleTimeout",
      "accessLog",
      "maxConnectAttempts",
      "maxDownstreamConnectionDuration",
      "tunnelingConfig",
      "hashPolicy",
    ],
    harmless: [
      "metadataMatch",
      "accessLogOptions",
      "checkDrainClose",
      "accessLogFlushInterval",
      "flushAccessLogOnConnected",
      "downstreamIdleTimeout",
      "upstreamIdleTimeout",
    ],
  });
  const specifier = message.clusterSpecifier;
  const clusters =
    specifier.case === "cluster"
      ? [{ cluster: specifier.value, weight: 1 }]
      : (specifier.value?.clusters ?? []).map((entry) => ({ cluster: entry.name, weight: entry.weight }));
  if (clusters.length === 0) throw invalid(where, "tcp_proxy has neither a cluster nor weightedClusters");
  for (const { policySpecifier } of message.hashPolicy)
    if (policySpecifier.case !== "sourceIp")
      throw unsupported(where, `tcp_proxy: a hashPolicy by ${policySpecifier.case ?? "nothing"}`);
  if (clusters.some(({ weight }) => weight < 1))
    throw invalid(where, "tcp_proxy: each of weightedClusters must have a weight of 1 or more");
  return {
    statPrefix: message.statPrefix,
    clusters,
    totalWeight: clusters.reduce((sum, entry) => sum + entry.weight, 0),
    idleTimeoutMs: durationOr(message.idleTimeout, defaultIdleMs),
    maxDurationMs: durationOr(message.maxDownstreamConnectionDuration, 0),
    connectAttempts: message.maxConnectAttempts ?? 1,
    hashesSource: message.hashPolicy.some(({ policySpecifier }) => policySpecifier.case === "sourceIp"),
    accessLogs: compileAccessLogs(message.accessLog, where, notes),
    ...before,
    tunnel: message.tunnelingConfig === undefined ? undefined : compileTunnel(message.tunnelingConfig, where, notes),
  };
}

/**
 * Compiles a tunnel. Returns undefined for the tunnels of Istio's own listeners, whose host name contains a variable.
 * The code that connects to the upstream speaks HBONE itself, so no connection reaches such a listener.
 */
function compileTunnel(
  message: TcpProxy_TunnelingConfig,
  where: string,
  notes: ConfigNotes,
): HttpTunnelSpec | undefined {
  if (message.hostname.includes("%")) return undefined;
  checkNested(
    TcpProxySchema,
    "tunnelingConfig",
    message,
    { where, notes },
    {
      used: ["hostname", "usePost", "postPath"],
      harmless: ["propagateResponseHeaders", "propagateResponseTrailers"],
    },
  );
  return { authority: message.hostname, postPath: message.usePost ? message.postPath || "/" : undefined };
}
