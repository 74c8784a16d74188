import { ownField } from "../../../base/index.ts";
import {
  FilterChainSchema,
  ListenerSchema,
  OriginalSrcSchema,
  ProxyProtocolConfig_Version,
  ProxyProtocolSchema,
  TrafficDirection,
  type Address,
  type DownstreamTlsContext,
  type FilterChain,
  type Listener,
  type ListenerFilter,
  type ListenerFilterChainMatchPredicate,
  type OriginalSrc,
  type ProxyProtocol,
  type TransportSocket,
} from "../../../wire/envoy/index.ts";
import type { DownstreamTlsSpec } from "../../tls/tls-spec.ts";
import type {
  ChainSpec,
  InspectorSpec,
  ListenAddress,
  ListenerSpec,
  ProxyHeaderRules,
} from "../../listener/listener-spec.ts";
import { compileAccessLogs } from "../access-logs/access-log-config.ts";
import { compileChainMatcher, compileFilterChainMatch } from "./chain-match-config.ts";
import { compileChainService } from "./chain-service-config.ts";
import { checkFields, durationOr, invalid, unsupported, type ConfigNotes } from "../config-check.ts";
import { compileDownstreamTls } from "../tls-config.ts";
import { keepaliveOf } from "../transport-config.ts";
import { contentTypeUrl, unpack } from "../typed-struct.ts";

const used = [
  "name",
  "address",
  "additionalAddresses",
  "filterChains",
  "listenerFilters",
  "bindToPort",
  "useOriginalDst",
  "defaultFilterChain",
  "filterChainMatcher",
  "trafficDirection",
  "listenerFiltersTimeout",
  "continueOnListenerFiltersTimeout",
  "accessLog",
  "internalListener",
  "tcpKeepalive",
  "transparent",
];
const harmless = [
  "statPrefix",
  "metadata",
  "maxConnectionsToAcceptPerSocketEvent",
  "perConnectionBufferLimitBytes",
  "tcpBacklogSize",
  "enableReusePort",
  "reusePort",
  "connectionBalanceConfig",
  "drainType",
  "ignoreGlobalConnLimit",
  "bypassOverloadManager",
  "socketOptions",
  "freebind",
];

const defaultInspectionMs = 15_000;

/** Compiles a listener. Throws an error that names the listener and the field which cannot be served. */
export function compileListener(message: Listener, notes: ConfigNotes): ListenerSpec {
  const where = `listener ${message.name}`;
  checkFields(ListenerSchema, message, where, notes, { used, harmless });
  const internal = message.listenerSpecifier.case === "internalListener";
  const addresses = internal
    ? []
    : [message.address, ...message.additionalAddresses.map((additional) => additional.address)].map((address) =>
        listenAddress(address, where),
      );
  const chains = message.filterChains.map((chain, index) =>
    compileChain(chain, chain.name === "" ? `#${index}` : chain.name, where, notes),
  );
  const defaultChain =
    message.defaultFilterChain === undefined
      ? undefined
      : compileChain(message.defaultFilterChain, "#default", where, notes);
  if (chains.length === 0 && defaultChain === undefined) throw invalid(where, "it has no filter chain");
  return {
    name: message.name,
    addresses,
    kind: internal ? "internal" : message.bindToPort === false ? "virtual" : "bound",
    handsOff: message.useOriginalDst === true,
    transparent: message.transparent === true,
    direction:
      message.trafficDirection === TrafficDirection.INBOUND
        ? "inbound"
        : message.trafficDirection === TrafficDirection.OUTBOUND
          ? "outbound"
          : "unspecified",
    inspectors: message.listenerFilters.map((filter) => compileInspector(filter, where, notes)),
    inspectionTimeoutMs: durationOr(message.listenerFiltersTimeout, defaultInspectionMs),
    continueOnTimeout: message.continueOnListenerFiltersTimeout,
    chains: distinct(chains),
    defaultChain,
    matcher:
      message.filterChainMatcher === undefined ? undefined : compileChainMatcher(message.filterChainMatcher, where),
    keepalive: keepaliveOf(message.tcpKeepalive),
    accessLogs: compileAccessLogs(message.accessLog, where, notes),
  };
}

/**
 * Makes the names of chains unique. If several chains have a name, their transport is appended, because upstream makes
 * one chain for each transport. If names are still equal, a number is appended too.
 */
function distinct(chains: readonly ChainSpec[]): ChainSpec[] {
  const seen = new Map<string, number>();
  const uses = (name: string): number => chains.filter((chain) => chain.name === name).length;
  return chains.map((chain) => {
    const name = uses(chain.name) === 1 ? chain.name : `${chain.name} (${chain.tls === undefined ? "raw" : "tls"})`;
    const before = seen.get(name) ?? 0;
    seen.set(name, before + 1);
    return { ...chain, name: before === 0 ? name : `${name} ${before + 1}` };
  });
}

function listenAddress(address: Address | undefined, where: string): ListenAddress {
  const socket = address?.address;
  if (socket?.case !== "socketAddress" || socket.value.portSpecifier.case !== "portValue")
    throw unsupported(where, `an address by ${socket?.case ?? "nothing"}`);
  return { address: socket.value.address, port: socket.value.portSpecifier.value };
}

const inspectors: Readonly<Record<string, InspectorSpec["kind"]>> = {
  "envoy.filters.listener.original_dst": "original-destination",
  "envoy.filters.listener.original_src": "original-source",
  "envoy.filters.listener.tls_inspector": "tls",
  "envoy.filters.listener.http_inspector": "http",
  "envoy.filters.listener.proxy_protocol": "proxy-protocol",
};

function compileInspector(filter: ListenerFilter, where: string, notes: ConfigNotes): InspectorSpec {
  const kind = ownField(inspectors, filter.name);
  if (kind === undefined) throw unsupported(where, `the listener filter ${filter.name}`);
  const disabled =
    filter.filterDisabled === undefined
      ? undefined
      : compileDisabled(filter.filterDisabled, `${where}: listener filter ${filter.name}`);
  return {
    kind,
    enabled: disabled === undefined ? () => true : (port) => !disabled(port),
    ...(kind === "proxy-protocol" ? { headers: compileProxyHeaders(filter, where, notes) } : {}),
    ...(kind === "original-source" ? { mark: compileSourceMark(filter, where, notes) } : {}),
  };
}

function compileSourceMark(filter: ListenerFilter, where: string, notes: ConfigNotes): number | undefined {
  const message = filter.configType.case === "typedConfig" ? unpack(filter.configType.value, where) : undefined;
  if (message?.$typeName !== OriginalSrcSchema.typeName) return undefined;
  const source = message as OriginalSrc;
  const inner = `${where}: listener filter ${filter.name}`;
  checkFields(OriginalSrcSchema, source, inner, notes, { used: ["mark", "bindPort"], harmless: [] });
  // Refuse `bindPort`: the connection to the application would have the same addresses and ports as the client's own
  // connection, so the kernel could not distinguish the two.
  if (source.bindPort) throw unsupported(inner, "bindPort");
  return source.mark === 0 ? undefined : source.mark;
}

function compileProxyHeaders(filter: ListenerFilter, where: string, notes: ConfigNotes): ProxyHeaderRules {
  const message = filter.configType.case === "typedConfig" ? unpack(filter.configType.value, where) : undefined;
  if (message?.$typeName !== ProxyProtocolSchema.typeName) return { optional: false, versions: new Set([1, 2]) };
  const rules = message as ProxyProtocol;
  checkFields(ProxyProtocolSchema, rules, `${where}: listener filter ${filter.name}`, notes, {
    used: ["allowRequestsWithoutProxyProtocol", "disallowedVersions"],
    harmless: ["statPrefix"],
  });
  const refused = new Set(
    rules.disallowedVersions.map((version) => (version === ProxyProtocolConfig_Version.V1 ? 1 : 2)),
  );
  return {
    optional: rules.allowRequestsWithoutProxyProtocol,
    versions: new Set(([1, 2] as const).filter((version) => !refused.has(version))),
  };
}

function compileDisabled(
  message: ListenerFilterChainMatchPredicate,
  where: string,
): (destinationPort: number) => boolean {
  const { rule } = message;
  switch (rule.case) {
    case "anyMatch":
      return () => rule.value;
    case "destinationPortRange": {
      const { start, end } = rule.value;
      return (port) => port >= start && port < end;
    }
    case "orMatch": {
      const any = rule.value.rules.map((inner) => compileDisabled(inner, where));
      return (port) => any.some((holds) => holds(port));
    }
    case "andMatch": {
      const all = rule.value.rules.map((inner) => compileDisabled(inner, where));
      return (port) => all.every((holds) => holds(port));
    }
    case "notMatch": {
      const inner = compileDisabled(rule.value, where);
      return (port) => !inner(port);
    }
    default:
      throw invalid(where, "filterDisabled is empty");
  }
}

const defaultHandshakeMs = 15_000;

function compileChain(chain: FilterChain, name: string, outer: string, notes: ConfigNotes): ChainSpec {
  const where = chain.name === "" ? outer : `${outer}, filter chain ${chain.name}`;
  checkFields(FilterChainSchema, chain, where, notes, {
    used: ["filters", "name", "filterChainMatch", "transportSocket", "transportSocketConnectTimeout"],
    harmless: ["metadata"],
  });
  return {
    name,
    match: compileFilterChainMatch(chain.filterChainMatch, where, notes),
    tls: compileTransport(chain.transportSocket, where, notes),
    handshakeTimeoutMs: durationOr(chain.transportSocketConnectTimeout, defaultHandshakeMs) || defaultHandshakeMs,
    ...compileChainService(chain.filters, where, notes),
  };
}

function compileTransport(
  socket: TransportSocket | undefined,
  where: string,
  notes: ConfigNotes,
): DownstreamTlsSpec | undefined {
  if (socket === undefined || socket.configType.case === undefined) return undefined;
  const message = unpack(socket.configType.value, `${where}: transportSocket`);
  switch (message?.$typeName) {
    case "envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer":
      return undefined;
    case "envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext":
      return compileDownstreamTls(message as DownstreamTlsContext, `${where}: transportSocket`, notes);
    default:
      throw unsupported(where, `the transport socket ${contentTypeUrl(socket.configType.value)}`);
  }
}
