import { ownField } from "../base/index.ts";
import { withFieldTypes } from "../base/field-types/index.ts";
import { routingFilterFields } from "./dump-fields.ts";
import type { FilterChain, FilterChainMatch, Json, ListenerConfig, RouteConfig } from "./config-dump.ts";
import { matchText } from "./route-text.ts";

const httpFilter = "envoy.filters.network.http_connection_manager";
const tcpFilter = "envoy.filters.network.tcp_proxy";
const blackHole = "BlackHoleCluster";

/** The filter chains. The default one is the last. */
export function chainsOf({ filterChains = [], defaultFilterChain }: ListenerConfig): readonly FilterChain[] {
  return defaultFilterChain === undefined ? filterChains : [...filterChains, defaultFilterChain];
}

/** HTTP, TCP, HTTP+TCP or UNKNOWN, by the filters of all chains. */
export function listenerTypeOf(listener: ListenerConfig): string {
  const filters = chainsOf(listener).flatMap((chain) => chain.filters ?? []);
  const http = filters.some(({ name }) => name === httpFilter);
  const tcp = filters.some(({ name, typedConfig }) => name === tcpFilter && !isBlackHole(typedConfig));
  if (http) return tcp ? "HTTP+TCP" : "HTTP";
  return tcp ? "TCP" : "UNKNOWN";
}

function isBlackHole(config: Json | undefined): boolean {
  return JSON.stringify(config ?? {}).includes(blackHole);
}

/** The addresses on which the listener accepts. The main one is the first. A unix socket has its path. */
export function addressesOf({ address = {}, additionalAddresses = [] }: ListenerConfig): readonly string[] {
  return [
    address.socketAddress?.address ?? address.pipe?.path ?? "",
    ...additionalAddresses.map((additional) => additional.address?.socketAddress?.address ?? ""),
  ];
}

/** 0 for a unix socket. */
export function portOf({ address }: ListenerConfig): number {
  return address?.socketAddress?.portValue ?? 0;
}

/** What the lists of ALPN protocols mean that Istio's own listeners match. */
const protocolNames: Readonly<Record<string, string>> = {
  "http/1.0,http/1.1,h2c,istio-http/1.0,istio-http/1.1,istio-h2": "App: HTTP TLS",
  "istio,istio-http/1.0,istio-http/1.1,istio-h2": "App: Istio HTTP Plain",
  "istio-peer-exchange,istio": "App: TCP TLS",
  "http/1.0,http/1.1,h2c": "App: HTTP",
};

/** The conditions of a filter chain as a text. `ALL` without conditions. */
export function chainMatchText({
  serverNames = [],
  transportProtocol = "",
  applicationProtocols = [],
  destinationPort,
  prefixRanges = [],
}: FilterChainMatch = {}): string {
  const parts: string[] = [];
  if (serverNames.length > 0) parts.push(`SNI: ${serverNames.join(",")}`);
  if (transportProtocol !== "") parts.push(`Trans: ${transportProtocol}`);
  if (applicationProtocols.length > 0)
    parts.push(ownField(protocolNames, applicationProtocols.join(",")) ?? `App: ${applicationProtocols.join(",")}`);
  const port = destinationPort === undefined ? "" : `:${destinationPort}`;
  const ranges = prefixRanges.map(({ addressPrefix = "", prefixLen = 0 }) => `${addressPrefix}/${prefixLen}`).join(",");
  if (ranges !== "") parts.push(`Addr: ${ranges}${port}`);
  else if (port !== "") parts.push(`Addr: *${port}`);
  return parts.length === 0 ? "ALL" : parts.join("; ");
}

/** Where the chain's first HTTP or TCP filter sends requests or connections. */
export function destinationText({ filters = [] }: FilterChain): string {
  for (const { name, typedConfig = {} } of filters) {
    const config = withFieldTypes(typedConfig, routingFilterFields).value;
    if (name === httpFilter) return httpDestination(config);
    if (name === tcpFilter && !isBlackHole(config)) return clusterText(clusterOfTcp(config));
  }
  return "Non-HTTP/Non-TCP";
}

function httpDestination({ routeConfig, rds }: Json): string {
  if (routeConfig !== undefined) return routeConfigText(routeConfig as RouteConfig);
  const name = (rds as { readonly routeConfigName?: string } | undefined)?.routeConfigName;
  return name === undefined ? "HTTP" : `Route: ${name}`;
}

function clusterOfTcp({ cluster, weightedClusters }: Json): string {
  if (typeof cluster === "string") return cluster;
  const { clusters = [] } = (weightedClusters ?? {}) as {
    readonly clusters?: readonly { readonly name?: string; readonly weight?: number }[];
  };
  return clusters.map(({ name = "", weight = 0 }) => `${name} (${weight})`).join(", ");
}

function clusterText(name: string): string {
  // A name such as PassthroughCluster says itself that it is one.
  return name.includes("Cluster") ? name : `Cluster: ${name}`;
}

function routeConfigText({ virtualHosts = [] }: RouteConfig): string {
  const [host, ...others] = virtualHosts;
  const [route, ...more] = host?.routes ?? [];
  const isCatchAll =
    others.length === 0 &&
    more.length === 0 &&
    host?.domains?.length === 1 &&
    host.domains[0] === "*" &&
    route?.match?.prefix === "/";
  if (isCatchAll && route.route?.cluster !== undefined) return clusterText(route.route.cluster);
  const hosts = virtualHosts.map(({ domains = [], routes = [] }) => {
    const matches = routes.map(({ match }) => matchText(match)).join(", ");
    return domains.length === 1 && domains[0] === "*" ? matches : `${domains.join("/")} ${matches}`;
  });
  return `Inline Route: ${hosts.join("; ")}`;
}
