import {
  FilterChainSchema,
  ListenerSchema,
  TcpProxySchema,
  type Address,
  type FilterChain,
  type HttpConnectionManager,
  type Listener,
  type TcpProxy,
} from "../../wire/envoy/index.ts";
import type { AccessLogSpec } from "./access-log-config.ts";
import { compileAccessLogs } from "./access-log-config.ts";
import { checkFields, durationOr, invalid, unsupported, type ConfigNotes } from "./config-check.ts";
import { compileHttpConnectionManager, type HttpSpec } from "./http-connection-manager-config.ts";
import { unpack } from "./transport-config.ts";

export interface ListenAddress {
  readonly address: string;
  readonly port: number;
}

/** A compiled listener. */
export interface ListenerSpec {
  readonly name: string;
  readonly addresses: readonly ListenAddress[];
  readonly serves: { readonly kind: "http"; readonly http: HttpSpec } | { readonly kind: "tcp"; readonly tcp: TcpSpec };
}

export interface TcpSpec {
  readonly statPrefix: string;
  readonly clusters: readonly { readonly cluster: string; readonly weight: number }[];
  readonly totalWeight: number;
  /** 0 means no limit. */
  readonly idleTimeoutMs: number;
  readonly accessLogs: readonly AccessLogSpec[];
}

const used = ["name", "address", "additionalAddresses", "filterChains", "listenerFilters", "bindToPort"];
const harmless = [
  "statPrefix", "trafficDirection", "metadata", "maxConnectionsToAcceptPerSocketEvent", "perConnectionBufferLimitBytes", "listenerFiltersTimeout",
  "continueOnListenerFiltersTimeout", "accessLog", "tcpBacklogSize", "enableReusePort", "reusePort", "connectionBalanceConfig", "drainType", "useOriginalDst",
  "ignoreGlobalConnLimit", "bypassOverloadManager", "socketOptions", "tcpKeepalive", "freebind",
];
/** Listener filters that only look at the first bytes, which a listener of one kind needs not. */
const passiveListenerFilters = new Set(["envoy.filters.listener.tls_inspector", "envoy.filters.listener.http_inspector"]);

/**
 * Compiles a listener. Undefined for an internal one: tunnels are made by this proxy itself. Throws an error that names
 * the listener and the field which cannot be served.
 */
export function compileListener(message: Listener, notes: ConfigNotes): ListenerSpec | undefined {
  const where = `listener ${message.name}`;
  if (message.listenerSpecifier.case === "internalListener") return undefined;
  checkFields(ListenerSchema, message, where, notes, { used, harmless });
  if (message.bindToPort === false) throw unsupported(where, "bindToPort false");
  for (const filter of message.listenerFilters) if (!passiveListenerFilters.has(filter.name)) throw unsupported(where, `the listener filter ${filter.name}`);
  const [chain, other] = message.filterChains;
  if (chain === undefined) throw invalid(where, "it has no filter chain");
  if (other !== undefined) throw unsupported(where, "more than one filter chain");
  const addresses = [message.address, ...message.additionalAddresses.map((additional) => additional.address)].map((address) => listenAddress(address, where));
  return { name: message.name, addresses, serves: compileChain(chain, where, notes) };
}

function listenAddress(address: Address | undefined, where: string): ListenAddress {
  const socket = address?.address;
  if (socket?.case !== "socketAddress" || socket.value.portSpecifier.case !== "portValue") throw unsupported(where, `an address by ${socket?.case ?? "nothing"}`);
  return { address: socket.value.address, port: socket.value.portSpecifier.value };
}

function compileChain(chain: FilterChain, where: string, notes: ConfigNotes): ListenerSpec["serves"] {
  checkFields(FilterChainSchema, chain, where, notes, { used: ["filters"], harmless: ["name", "metadata", "transportSocketConnectTimeout", "filterChainMatch"] });
  if (chain.filterChainMatch !== undefined && matchesNotAll(chain)) throw unsupported(where, "filterChainMatch");
  const terminal = chain.filters.at(-1);
  for (const filter of chain.filters.slice(0, -1)) {
    if (filter.name !== "istio.metadata_exchange" && filter.name !== "istio.stats") throw unsupported(where, `the network filter ${filter.name}`);
  }
  const config = terminal?.configType.case === "typedConfig" ? unpack(terminal.configType.value) : undefined;
  switch (config?.$typeName) {
    case "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager":
      return { kind: "http", http: compileHttpConnectionManager(config as HttpConnectionManager, where, notes) };
    case "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy":
      return { kind: "tcp", tcp: compileTcpProxy(config as TcpProxy, where, notes) };
    default:
      throw unsupported(where, `the network filter ${terminal?.name ?? "(none)"}`);
  }
}

function matchesNotAll(chain: FilterChain): boolean {
  const match = chain.filterChainMatch;
  if (match === undefined) return false;
  const { transportProtocol } = match;
  return match.serverNames.length > 0 || match.prefixRanges.length > 0 || match.sourcePrefixRanges.length > 0 || match.applicationProtocols.length > 0 || (transportProtocol !== "" && transportProtocol !== "raw_buffer");
}

const defaultTcpIdleMs = 3_600_000;

function compileTcpProxy(message: TcpProxy, where: string, notes: ConfigNotes): TcpSpec {
  checkFields(TcpProxySchema, message, where, notes, {
    used: ["statPrefix", "cluster", "weightedClusters", "idleTimeout", "accessLog"],
    harmless: ["maxConnectAttempts", "metadataMatch", "accessLogOptions", "checkDrainClose"],
  });
  const specifier = message.clusterSpecifier;
  const clusters =
    specifier.case === "cluster"
      ? [{ cluster: specifier.value, weight: 1 }]
      : (specifier.value?.clusters ?? []).map((entry) => ({ cluster: entry.name, weight: entry.weight }));
  return {
    statPrefix: message.statPrefix,
    clusters,
    totalWeight: clusters.reduce((sum, entry) => sum + entry.weight, 0),
    idleTimeoutMs: durationOr(message.idleTimeout, defaultTcpIdleMs),
    accessLogs: compileAccessLogs(message.accessLog, where),
  };
}
