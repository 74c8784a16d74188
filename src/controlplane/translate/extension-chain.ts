import { fromJson, type JsonValue } from "@bufbuild/protobuf";
import type { EnvoyTypes } from "../../wire/envoy-types/index.ts";
import type { Filter, FilterChain, HttpConnectionManager, HttpFilter } from "../../wire/envoy/index.ts";
import type { SelectedExtension } from "../model/extension-selection.ts";
import type { CompiledExtension } from "./extension-filters.ts";

const filterType = "envoy.config.listener.v3.Filter";
const httpFilterType = "envoy.extensions.filters.network.http_connection_manager.v3.HttpFilter";

type Phase = SelectedExtension["facts"]["spec"]["phase"];

export interface ChainTraffic {
  readonly side: "CLIENT" | "SERVER";
  /** The port of the chain. 0 if the chain is for any port. */
  readonly port: number;
  readonly host?: string;
}

export function extensionsFor(
  extensions: readonly CompiledExtension[],
  traffic: ChainTraffic,
): ReadonlyMap<Phase, readonly CompiledExtension[]> {
  const found = new Map<Phase, CompiledExtension[]>();
  for (const extension of extensions) {
    const { facts, hosts } = extension.selected;
    if (hosts !== undefined && (traffic.host === undefined || !hosts.includes(traffic.host))) continue;
    if (!isForTraffic(facts.spec.match, traffic)) continue;
    const list = found.get(facts.spec.phase);
    if (list === undefined) found.set(facts.spec.phase, [extension]);
    else list.push(extension);
  }
  return found;
}

function isForTraffic(match: SelectedExtension["facts"]["spec"]["match"], { side, port }: ChainTraffic): boolean {
  if (match.length === 0) return true;
  return match.some(
    ({ mode, ports }) =>
      (mode === "UNDEFINED" || mode === "CLIENT_AND_SERVER" || mode === side) &&
      (ports.length === 0 || ports.includes(port)),
  );
}

/**
 * Filters that read the peer's metadata or send the proxy's own to the peer. Extensions come after them, so that no
 * extension reads metadata that a client forged.
 */
const peerNames: ReadonlySet<string> = new Set([
  "istio.metadata_exchange",
  "waypoint_downstream_peer_metadata",
  "istio.waypoint.xfcc_client_identity",
]);
const requestFeatures: ReadonlySet<string> = new Set([
  "envoy.filters.http.grpc_web",
  "envoy.filters.http.grpc_stats",
  "istio.alpn",
  "envoy.filters.http.fault",
  "envoy.filters.http.cors",
  "istio.stats",
  "envoy.filters.http.router",
]);
const waypointTelemetry: ReadonlySet<string> = new Set([
  "waypoint_upstream_peer_metadata",
  "istio.stats",
  "envoy.filters.http.router",
]);

/** Inserts HTTP filters at their phases: before authentication, before or after authorization, and before telemetry. */
export function insertHttpExtensions(
  manager: HttpConnectionManager,
  found: ReadonlyMap<Phase, readonly CompiledExtension[]>,
  isWaypoint: boolean,
  types: EnvoyTypes,
): boolean {
  const { httpFilters: filters } = manager;
  const before = filters.length;
  const features = indexOf(filters, requestFeatures);
  const security = filters.slice(0, features);
  const authentication =
    1 +
    Math.max(
      lastOf(security, (name) => peerNames.has(name)),
      lastOf(security, (name) => name === "envoy.filters.http.ext_authz"),
    );
  const authorization = Math.max(
    authentication,
    1 + lastOf(security, (name) => name === "envoy.filters.http.jwt_authn"),
  );
  const made = (phase: Phase): HttpFilter[] =>
    (found.get(phase) ?? []).flatMap(({ http }) =>
      http === undefined
        ? []
        : (fromJson(types.mustHave(httpFilterType), http, { registry: types.registry }) as unknown as HttpFilter),
    );
  // Start at the end, so that earlier positions stay valid.
  filters.splice(
    isWaypoint ? indexOf(filters, waypointTelemetry) : features,
    0,
    ...made("STATS"),
    ...made("UNSPECIFIED"),
  );
  filters.splice(authorization, 0, ...made("AUTHZ"));
  filters.splice(authentication, 0, ...made("AUTHN"));
  return filters.length > before;
}

/** Inserts network filters: before HTTP is parsed, or around the authorization of connections. */
export function insertNetworkExtensions(
  chain: FilterChain,
  found: ReadonlyMap<Phase, readonly CompiledExtension[]>,
  types: EnvoyTypes,
): boolean {
  const { filters } = chain;
  const before = filters.length;
  const isHttp = filters.some(({ name }) => name === "envoy.filters.network.http_connection_manager");
  const telemetry = indexOf(
    filters,
    new Set(["istio.stats", "envoy.filters.network.http_connection_manager", "envoy.filters.network.tcp_proxy"]),
  );
  const security = filters.slice(0, telemetry);
  const authorization = isHttp
    ? telemetry
    : 1 +
      Math.max(
        lastOf(security, (name) => peerNames.has(name)),
        lastOf(security, (name) => name === "envoy.filters.network.ext_authz"),
      );
  const made = (phase: Phase): Filter[] =>
    (found.get(phase) ?? []).flatMap(({ network }) =>
      network === undefined
        ? []
        : (fromJson(types.mustHave(filterType), network as JsonValue, {
            registry: types.registry,
          }) as unknown as Filter),
    );
  filters.splice(telemetry, 0, ...made("STATS"), ...made("UNSPECIFIED"));
  filters.splice(authorization, 0, ...made("AUTHN"), ...made("AUTHZ"));
  return filters.length > before;
}

interface Named {
  readonly name: string;
}

function indexOf(filters: readonly Named[], names: ReadonlySet<string>): number {
  const found = filters.findIndex(({ name }) => names.has(name));
  return found < 0 ? filters.length : found;
}

function lastOf(filters: readonly Named[], is: (name: string) => boolean): number {
  return filters.findLastIndex(({ name }) => is(name));
}
