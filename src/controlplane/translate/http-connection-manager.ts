import type { MessageInitShape } from "@bufbuild/protobuf";
import {
  CorsSchema,
  GrpcStatsConfigSchema,
  GrpcWebSchema,
  HttpConnectionManager_ForwardClientCertDetails,
  HttpConnectionManager_PathWithEscapedSlashesAction,
  HttpConnectionManagerSchema,
  HTTPFaultSchema,
  RouterSchema,
  UuidRequestIdConfigSchema,
  type RouteConfigurationSchema,
} from "../../wire/envoy/index.ts";
import type { MeshSettings } from "../model/facts.ts";
import { meshAccessLogs, type AccessLogInit } from "./access-log.ts";
import { durationOfMs, overAds, packed } from "./envoy-any.ts";
import { filterInit, type FilterInit } from "./filter-init.ts";
import { httpMetadataExchange, istioAlpn, istioStats, peerMetadata } from "./istio-filters.ts";

type ConnectionManagerInit = Exclude<MessageInitShape<typeof HttpConnectionManagerSchema>, { $typeName: string }>;

/** Whose requests these are: of a sidecar's own application, to it, of a gateway's clients, or of a waypoint's. */
export type HttpDirection = "outbound" | "inbound" | "gateway" | "waypoint";

export interface HttpConnectionManagerOptions {
  readonly direction: HttpDirection;
  /** Without the delimiter, for example `outbound_0.0.0.0_80`. */
  readonly statPrefix: string;
  readonly mesh: MeshSettings;
  readonly routes: { readonly rds: string } | { readonly inline: MessageInitShape<typeof RouteConfigurationSchema> };
  /** What decides whether a request may pass, in the order in which it is asked (`securityFilters(...).http`). */
  readonly security?: readonly FilterInit[];
  /** What Telemetry asks for; the mesh config's when absent. */
  readonly accessLogs?: readonly AccessLogInit[];
  /** Requests may be gRPC-Web: a port of that protocol. */
  readonly grpcWeb?: boolean;
  /** Requests came through HBONE: the tunnel has told who the peer is. */
  readonly hbone?: boolean;
  /** Fields that one listener has otherwise. */
  readonly fields?: ConnectionManagerInit;
}

/** An HTTP connection manager as a network filter. */
export function httpConnectionManagerFilter(options: HttpConnectionManagerOptions): FilterInit {
  return filterInit("envoy.filters.network.http_connection_manager", HttpConnectionManagerSchema, httpConnectionManager(options));
}

/** A connection manager with upstream's filters in upstream's order. Tracing is off. */
export function httpConnectionManager(options: HttpConnectionManagerOptions): ConnectionManagerInit {
  const { direction, mesh, routes } = options;
  return {
    statPrefix: `${options.statPrefix};`,
    routeSpecifier: "rds" in routes ? { case: "rds", value: { routeConfigName: routes.rds, configSource: overAds } } : { case: "routeConfig", value: routes.inline },
    httpFilters: httpFilters(options),
    accessLog: [...(options.accessLogs ?? meshAccessLogs(mesh))],
    useRemoteAddress: direction === "gateway",
    ...normalization(mesh),
    proxy100Continue: true,
    streamIdleTimeout: durationOfMs(0),
    upgradeConfigs: [{ upgradeType: "websocket" }],
    requestIdExtension: { typedConfig: packed(UuidRequestIdConfigSchema, { useRequestIdForTraceSampling: true }) },
    ...identity(direction),
    ...options.fields,
  };
}

/** Who is told of the client's certificate, and who names itself in answers. */
function identity(direction: HttpDirection): ConnectionManagerInit {
  switch (direction) {
    case "outbound":
      return {};
    case "inbound":
      return {
        forwardClientCertDetails: HttpConnectionManager_ForwardClientCertDetails.APPEND_FORWARD,
        setCurrentClientCertDetails: { subject: true, dns: true, uri: true },
        serverName,
      };
    case "gateway":
      return {
        forwardClientCertDetails: HttpConnectionManager_ForwardClientCertDetails.SANITIZE_SET,
        setCurrentClientCertDetails: { subject: true, cert: true, dns: true, uri: true },
        serverName,
        httpProtocolOptions: {},
      };
    case "waypoint":
      return { serverName };
  }
}
const serverName = "istio-envoy";

function normalization(mesh: MeshSettings): ConnectionManagerInit {
  const keep = { pathWithEscapedSlashesAction: HttpConnectionManager_PathWithEscapedSlashesAction.KEEP_UNCHANGED };
  switch (mesh.pathNormalization) {
    case "NONE":
      return { ...keep, normalizePath: false };
    case "DEFAULT":
    case "BASE":
      return { ...keep, normalizePath: true };
    case "MERGE_SLASHES":
      return { ...keep, normalizePath: true, mergeSlashes: true };
    case "DECODE_AND_MERGE_SLASHES":
      return { normalizePath: true, mergeSlashes: true, pathWithEscapedSlashesAction: HttpConnectionManager_PathWithEscapedSlashesAction.UNESCAPE_AND_FORWARD };
  }
}

/** Who the peer is comes before what is decided by it; what a route may ask for comes next; the router is last. */
function httpFilters({ direction, security = [], grpcWeb = false, hbone = false }: HttpConnectionManagerOptions): FilterInit[] {
  return [
    ...(direction === "waypoint" || hbone ? [] : [httpMetadataExchange(direction === "inbound" ? "downstream" : "upstream")]),
    ...security,
    ...(grpcWeb ? [filterInit("envoy.filters.http.grpc_web", GrpcWebSchema, {})] : []),
    filterInit("envoy.filters.http.grpc_stats", GrpcStatsConfigSchema, { emitFilterState: true, perMethodStatSpecifier: { case: "statsForAllMethods", value: { value: false } } }),
    ...(direction === "outbound" || direction === "gateway" ? [istioAlpn()] : []),
    filterInit("envoy.filters.http.fault", HTTPFaultSchema, {}),
    filterInit("envoy.filters.http.cors", CorsSchema, {}),
    ...(direction === "waypoint" ? [peerMetadata("waypoint_upstream_peer_metadata", { upstream_discovery: [{ workload_discovery: {} }] })] : []),
    istioStats(direction === "outbound" ? "client" : direction === "waypoint" ? "waypoint" : "server"),
    filterInit("envoy.filters.http.router", RouterSchema, {}),
  ];
}
