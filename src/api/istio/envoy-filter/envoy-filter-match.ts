import { ownField } from "../../../base/index.ts";
import type { Reader } from "../../reader.ts";
import type { EnvoyPatchPlace } from "./envoy-filter-place.ts";
import { readPortNumber, readText, refuseUnknown, requireText } from "../fields.ts";
import { checkRegex } from "../expressions/regular-expressions.ts";

export interface EnvoyPatchMatch {
  readonly context: (typeof contexts)[number];
  /** A regular expression for the proxy's version. Absent matches all versions. */
  readonly proxyVersion?: string | undefined;
  /** Values that the proxy's node metadata must have. */
  readonly proxyMetadata: Readonly<Record<string, string>>;
  readonly listener?: EnvoyListenerMatch | undefined;
  readonly routeConfiguration?: EnvoyRouteConfigurationMatch | undefined;
  readonly cluster?: EnvoyClusterMatch | undefined;
}

export interface EnvoyListenerMatch {
  readonly name?: string | undefined;
  readonly portNumber?: number | undefined;
  readonly listenerFilter?: string | undefined;
  readonly filterChain?: EnvoyFilterChainMatch | undefined;
}

export interface EnvoyFilterChainMatch {
  readonly name?: string | undefined;
  readonly sni?: string | undefined;
  readonly transportProtocol?: string | undefined;
  readonly applicationProtocols: readonly string[];
  readonly destinationPort?: number | undefined;
  readonly filter?: string | undefined;
  readonly subFilter?: string | undefined;
}

export interface EnvoyRouteConfigurationMatch {
  readonly name?: string | undefined;
  readonly portNumber?: number | undefined;
  /** The name of a port of the Gateway. Matches route tables of gateways only. */
  readonly portName?: string | undefined;
  /** The Gateway, as `namespace/name`. Matches route tables of gateways only. */
  readonly gateway?: string | undefined;
  readonly virtualHost?:
    | {
        readonly name?: string | undefined;
        readonly domainName?: string | undefined;
        readonly route?: EnvoyRouteMatch | undefined;
      }
    | undefined;
}

export interface EnvoyRouteMatch {
  readonly name?: string | undefined;
  readonly action: (typeof routeActions)[number];
}

export interface EnvoyClusterMatch {
  readonly name?: string | undefined;
  readonly service?: string | undefined;
  readonly subset?: string | undefined;
  readonly portNumber?: number | undefined;
}

const contexts = ["ANY", "SIDECAR_INBOUND", "SIDECAR_OUTBOUND", "GATEWAY", "WAYPOINT"] as const;
const routeActions = ["ANY", "ROUTE", "REDIRECT", "DIRECT_RESPONSE"] as const;
const objectTypes = ["listener", "routeConfiguration", "cluster", "waypoint"] as const;
type ObjectType = (typeof objectTypes)[number];

const matchOfPlace: Readonly<Partial<Record<EnvoyPatchPlace, ObjectType>>> = {
  LISTENER: "listener",
  FILTER_CHAIN: "listener",
  NETWORK_FILTER: "listener",
  HTTP_FILTER: "listener",
  ROUTE_CONFIGURATION: "routeConfiguration",
  VIRTUAL_HOST: "routeConfiguration",
  HTTP_ROUTE: "routeConfiguration",
  CLUSTER: "cluster",
};
const connectionManagers = ["envoy.filters.network.http_connection_manager", "envoy.http_connection_manager"];
const maxVersionLength = 1024;

export function readEnvoyPatchMatch(match: Reader | undefined, applyTo: EnvoyPatchPlace): EnvoyPatchMatch {
  if (match === undefined) return { context: "ANY", proxyMetadata: {} };
  const context = match.oneOf("context", contexts) ?? "ANY";
  const proxy = match.object("proxy");
  const found: EnvoyPatchMatch = {
    context,
    proxyVersion: proxy === undefined ? undefined : readProxyVersion(proxy),
    proxyMetadata: proxy?.stringMap("metadata") ?? {},
    listener: readListener(match.object("listener"), applyTo, context),
    routeConfiguration: readRouteConfiguration(match.object("routeConfiguration")),
    cluster: readCluster(match.object("cluster")),
  };
  if (context === "WAYPOINT")
    match.warnNoEffect(
      "has no effect when it is WAYPOINT: a waypoint's configuration has the contexts SIDECAR_INBOUND and SIDECAR_OUTBOUND",
      "context",
    );
  if (match.has("waypoint"))
    match.warnNoEffect(
      "has no effect here: match by listener, routeConfiguration or cluster in the contexts SIDECAR_INBOUND and SIDECAR_OUTBOUND",
      "waypoint",
    );
  checkMatch(match, applyTo, context);
  refuseUnknown(proxy);
  return found;
}

function readProxyVersion(proxy: Reader): string | undefined {
  const version = readText(proxy, "proxyVersion");
  if (version !== undefined && version.length > maxVersionLength) {
    proxy.warn(`has more than ${maxVersionLength} characters, so it matches no proxy`, "proxyVersion");
    return version;
  }
  if (version !== undefined) checkRegex(proxy, "proxyVersion", version);
  return version;
}

/** Checks that the match describes the type of object that `applyTo` changes. */
function checkMatch(match: Reader, applyTo: EnvoyPatchPlace, context: EnvoyPatchMatch["context"]): void {
  const found = objectTypes.filter((type) => match.has(type));
  const [type] = found;
  if (found.length > 1) match.error(`must have one of ${objectTypes.join(", ")}, got ${found.join(" and ")}`);
  if ((context === "WAYPOINT") !== (type === "waypoint") && (context === "WAYPOINT" || type === "waypoint"))
    match.error("must have waypoint if and only if the context is WAYPOINT");
  const wanted = context === "WAYPOINT" ? undefined : matchOfPlace[applyTo];
  if (wanted !== undefined && type !== undefined && type !== "waypoint" && type !== wanted)
    match.error(`must be ${wanted} when applyTo is ${applyTo}`, type);
  refuseUnknown(match);
}

function readListener(
  reader: Reader | undefined,
  applyTo: EnvoyPatchPlace,
  context: EnvoyPatchMatch["context"],
): EnvoyListenerMatch | undefined {
  if (reader === undefined) return undefined;
  if (readText(reader, "portName") !== undefined) reader.warnNoEffect("has no effect; match by portNumber", "portName");
  const chain = reader.object("filterChain");
  const found: EnvoyListenerMatch = {
    name: readText(reader, "name"),
    portNumber: readPort(reader, "portNumber"),
    listenerFilter: readText(reader, "listenerFilter"),
    filterChain: chain === undefined ? undefined : readFilterChain(chain, applyTo, context),
  };
  refuseUnknown(reader);
  return found;
}

/** 0 means any port. */
function readPort(reader: Reader, field: string): number | undefined {
  return reader.integer(field) === 0 ? undefined : readPortNumber(reader, field);
}

function readFilterChain(
  reader: Reader,
  applyTo: EnvoyPatchPlace,
  context: EnvoyPatchMatch["context"],
): EnvoyFilterChainMatch {
  const filter = reader.object("filter");
  const subFilter = filter?.object("subFilter");
  if (filter !== undefined && context !== "WAYPOINT") checkFilter(filter, subFilter, applyTo);
  const protocols = readText(reader, "applicationProtocols");
  const found: EnvoyFilterChainMatch = {
    name: readText(reader, "name"),
    sni: readText(reader, "sni"),
    transportProtocol: readText(reader, "transportProtocol"),
    applicationProtocols: protocols?.split(",") ?? [],
    destinationPort: readPort(reader, "destinationPort"),
    filter: filter?.string("name"),
    subFilter: subFilter?.string("name"),
  };
  refuseUnknown(subFilter);
  refuseUnknown(filter);
  refuseUnknown(reader);
  return found;
}

function checkFilter(filter: Reader, inner: Reader | undefined, applyTo: EnvoyPatchPlace): void {
  const name = requireText(filter, "name");
  if (applyTo === "LISTENER" || applyTo === "FILTER_CHAIN")
    filter.warnNoEffect(`has no effect when applyTo is ${applyTo}`);
  warnOfOldName(filter, name);
  if (inner === undefined) return;
  if (applyTo !== "HTTP_FILTER") filter.error("needs applyTo to be HTTP_FILTER", "subFilter");
  else if (!connectionManagers.includes(name))
    filter.error(`must be ${connectionManagers[0] ?? ""} beside a subFilter, got "${name}"`, "name");
  warnOfOldName(inner, requireText(inner, "name"));
}

/**
 * Filter names of Envoy's API v2, with their current names. Envoy's configuration no longer contains the old names, so
 * a patch for them would match nothing.
 */
const oldNames: Readonly<Record<string, string>> = {
  "envoy.http_connection_manager": "envoy.filters.network.http_connection_manager",
  "envoy.tcp_proxy": "envoy.filters.network.tcp_proxy",
  "envoy.mongo_proxy": "envoy.filters.network.mongo_proxy",
  "envoy.redis_proxy": "envoy.filters.network.redis_proxy",
  "envoy.ratelimit": "envoy.filters.network.ratelimit",
  "envoy.client_ssl_auth": "envoy.filters.network.client_ssl_auth",
  "envoy.buffer": "envoy.filters.http.buffer",
  "envoy.cors": "envoy.filters.http.cors",
  "envoy.csrf": "envoy.filters.http.csrf",
  "envoy.ext_authz": "envoy.filters.http.ext_authz",
  "envoy.fault": "envoy.filters.http.fault",
  "envoy.grpc_http1_bridge": "envoy.filters.http.grpc_http1_bridge",
  "envoy.grpc_json_transcoder": "envoy.filters.http.grpc_json_transcoder",
  "envoy.grpc_web": "envoy.filters.http.grpc_web",
  "envoy.gzip": "envoy.filters.http.gzip",
  "envoy.health_check": "envoy.filters.http.health_check",
  "envoy.ip_tagging": "envoy.filters.http.ip_tagging",
  "envoy.lua": "envoy.filters.http.lua",
  "envoy.rate_limit": "envoy.filters.http.ratelimit",
  "envoy.router": "envoy.filters.http.router",
};

function warnOfOldName(reader: Reader, name: string): void {
  const renamed = ownField(oldNames, name);
  if (renamed !== undefined) reader.warn(`is the old name of ${renamed}, and matches nothing; use ${renamed}`, "name");
}

function readRouteConfiguration(reader: Reader | undefined): EnvoyRouteConfigurationMatch | undefined {
  if (reader === undefined) return undefined;
  const host = reader.object("vhost");
  const route = host?.object("route");
  const found: EnvoyRouteConfigurationMatch = {
    name: readText(reader, "name"),
    portNumber: readPort(reader, "portNumber"),
    portName: readText(reader, "portName"),
    gateway: readText(reader, "gateway"),
    virtualHost:
      host === undefined
        ? undefined
        : {
            name: readText(host, "name"),
            domainName: readText(host, "domainName"),
            route:
              route === undefined
                ? undefined
                : { name: readText(route, "name"), action: route.oneOf("action", routeActions) ?? "ANY" },
          },
  };
  refuseUnknown(route);
  refuseUnknown(host);
  refuseUnknown(reader);
  return found;
}

function readCluster(reader: Reader | undefined): EnvoyClusterMatch | undefined {
  if (reader === undefined) return undefined;
  const found = {
    name: readText(reader, "name"),
    service: readText(reader, "service"),
    subset: readText(reader, "subset"),
    portNumber: readPort(reader, "portNumber"),
  };
  refuseUnknown(reader);
  return found;
}
