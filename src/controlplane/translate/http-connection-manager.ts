import type { MessageInitShape } from "@bufbuild/protobuf";
import {
  CorsSchema,
  GrpcStatsConfigSchema,
  GrpcWebSchema,
  HttpConnectionManager_ForwardClientCertDetails,
  HttpConnectionManager_PathWithEscapedSlashesAction,
  HttpConnectionManager_ServerHeaderTransformation,
  HttpConnectionManagerSchema,
  HTTPFaultSchema,
  RouterSchema,
  UuidRequestIdConfigSchema,
  type RouteConfigurationSchema,
} from "../../wire/envoy/index.ts";
import type { ForwardClientCertDetails } from "../../api/istio/index.ts";
import type { MeshSettings } from "../model/facts.ts";
import { sessionRulesOf } from "../model/service/service-session.ts";
import { connectionSettingsOf, withConnectionSettings } from "./connection-settings.ts";
import { forwardHttpFilter, type DnsCache } from "./dynamic-forward-proxy.ts";
import { durationOfMs, overAds, packed } from "./envoy-any.ts";
import { filterInit, type FilterInit } from "./filter-init.ts";
import { http1Options } from "./header-case.ts";
import { httpMetadataExchange, istioAlpn, peerMetadata } from "./istio-filters.ts";
import { emptySessionFilter } from "./routing/stateful-session.ts";
import { meshTelemetry, type ProxyTelemetry } from "./telemetry/telemetry-policies.ts";

type ConnectionManagerInit = Exclude<MessageInitShape<typeof HttpConnectionManagerSchema>, { $typeName: string }>;

/**
 * The direction of the requests: from a sidecar's application, to a sidecar's application, from a gateway's clients, or
 * through a waypoint.
 */
export type HttpDirection = "outbound" | "inbound" | "gateway" | "waypoint";

export interface HttpConnectionManagerOptions {
  readonly direction: HttpDirection;
  /** The prefix of the statistics without the trailing delimiter, for example `outbound_0.0.0.0_80`. */
  readonly statPrefix: string;
  readonly mesh: MeshSettings;
  readonly routes: { readonly rds: string } | { readonly inline: MessageInitShape<typeof RouteConfigurationSchema> };
  /** The authentication and authorization filters, in order (`securityFilters(...).http`). */
  readonly security?: readonly FilterInit[];
  /** The telemetry settings. Absent means those of the mesh config. */
  readonly telemetry?: ProxyTelemetry;
  /** Whether requests may be gRPC-Web, by the protocol of the port. */
  readonly grpcWeb?: boolean;
  /** Whether requests arrive through HBONE. The tunnel then identifies the peer. */
  readonly hbone?: boolean;
  /** The DNS caches of wildcard hosts to which the requests may go. */
  readonly forwarded?: readonly DnsCache[];
  readonly fields?: ConnectionManagerInit;
}

export function httpConnectionManagerFilter(options: HttpConnectionManagerOptions): FilterInit {
  return filterInit(
    "envoy.filters.network.http_connection_manager",
    HttpConnectionManagerSchema,
    httpConnectionManager(options),
  );
}

/** A connection manager with the same filters in the same order as upstream's. */
export function httpConnectionManager(options: HttpConnectionManagerOptions): ConnectionManagerInit {
  const { direction, mesh, routes } = options;
  const { accessLogs, tracing } = options.telemetry ?? meshTelemetry(mesh);
  const manager: ConnectionManagerInit = {
    statPrefix: `${options.statPrefix};`,
    routeSpecifier:
      "rds" in routes
        ? { case: "rds", value: { routeConfigName: routes.rds, configSource: overAds } }
        : { case: "routeConfig", value: routes.inline },
    httpFilters: httpFilters(options),
    accessLog: [...accessLogs],
    useRemoteAddress: direction === "gateway",
    ...normalization(mesh),
    proxy100Continue: true,
    ...(mesh.idleTimeoutMs === undefined
      ? {}
      : { commonHttpProtocolOptions: { idleTimeout: durationOfMs(mesh.idleTimeoutMs) } }),
    streamIdleTimeout: durationOfMs(0),
    upgradeConfigs: [{ upgradeType: "websocket" }],
    requestIdExtension: {
      typedConfig: packed(UuidRequestIdConfigSchema, { useRequestIdForTraceSampling: tracing?.byRequestId ?? true }),
    },
    ...(tracing === undefined ? {} : { tracing: tracing.settings }),
    ...identity(direction, mesh),
    ...http1(direction, mesh),
    ...(mesh.proxyHeaders.requestIdDisabled ? { generateRequestId: false } : {}),
    appendXForwardedPort: mesh.proxyHeaders.xForwardedPort,
    ...options.fields,
  };
  return withConnectionSettings(manager, connectionSettingsOf(mesh, direction === "gateway"));
}

/** The options for HTTP/1. As in upstream, gateways have them even if they are empty. */
function http1(direction: HttpDirection, mesh: MeshSettings): ConnectionManagerInit {
  const keepsCase = mesh.proxyHeaders.preserveHttp1HeaderCase;
  const accepts = mesh.acceptsHttp10 === true;
  if (!keepsCase && !accepts && direction !== "gateway") return {};
  return { httpProtocolOptions: { ...http1Options(keepsCase), ...(accepts ? { acceptHttp10: true } : {}) } };
}

/** How the client's certificate is forwarded, and the `server` header of responses. */
function identity(direction: HttpDirection, mesh: MeshSettings): ConnectionManagerInit {
  const { gatewayTopology, proxyHeaders } = mesh;
  const server = serverNaming(mesh);
  switch (direction) {
    case "outbound":
      // If no setting names the server, Envoy's own name applies.
      return proxyHeaders.serverDisabled || proxyHeaders.serverValue !== undefined ? server : {};
    case "inbound":
      return { ...inboundCertificate(mesh, proxyHeaders.clientCertificateDetails), ...server };
    case "gateway":
      return {
        ...certificateForwarding(gatewayTopology.forwardClientCertDetails, "SANITIZE_SET", {
          subject: true,
          cert: true,
          dns: true,
          uri: true,
        }),
        xffNumTrustedHops: gatewayTopology.numTrustedProxies,
        ...server,
      };
    case "waypoint":
      return server;
  }
}

/**
 * How client certificates are forwarded: as `wanted`, or else as `usual`. The mode decides whether the details are set,
 * because only some modes send them.
 */
function certificateForwarding(
  wanted: ForwardClientCertDetails,
  usual: Exclude<ForwardClientCertDetails, "UNDEFINED">,
  setCurrentClientCertDetails: ConnectionManagerInit["setCurrentClientCertDetails"],
): ConnectionManagerInit {
  const details = wanted === "UNDEFINED" ? usual : wanted;
  const forwardClientCertDetails = HttpConnectionManager_ForwardClientCertDetails[details];
  return details === "SANITIZE_SET" || details === "APPEND_FORWARD"
    ? { forwardClientCertDetails, setCurrentClientCertDetails }
    : { forwardClientCertDetails };
}

function inboundCertificate(
  { proxyHeaders: { forwardedClientCert: wanted } }: MeshSettings,
  details: MeshSettings["proxyHeaders"]["clientCertificateDetails"] = {},
): ConnectionManagerInit {
  const forwardClientCertDetails =
    HttpConnectionManager_ForwardClientCertDetails[wanted === "UNDEFINED" ? "APPEND_FORWARD" : wanted];
  return { forwardClientCertDetails, setCurrentClientCertDetails: { subject: true, dns: true, uri: true, ...details } };
}

/**
 * The mesh config's header settings for the listener where tunnels end. The listeners for the connections inside the
 * tunnel have the other header settings.
 */
export function tunnelHeaders(mesh: MeshSettings): ConnectionManagerInit {
  return {
    ...inboundCertificate(mesh),
    ...serverNaming(mesh),
    ...(mesh.proxyHeaders.requestIdDisabled ? { generateRequestId: false } : {}),
  };
}

export function routerFilter({ proxyHeaders }: MeshSettings): FilterInit {
  return filterInit(
    "envoy.filters.http.router",
    RouterSchema,
    proxyHeaders.envoyDebugHeadersDisabled ? { suppressEnvoyHeaders: true } : {},
  );
}

function serverNaming({ proxyHeaders }: MeshSettings): ConnectionManagerInit {
  if (proxyHeaders.serverDisabled)
    return { serverHeaderTransformation: HttpConnectionManager_ServerHeaderTransformation.PASS_THROUGH };
  return { serverName: proxyHeaders.serverValue ?? "istio-envoy" };
}

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
      return {
        normalizePath: true,
        mergeSlashes: true,
        pathWithEscapedSlashesAction: HttpConnectionManager_PathWithEscapedSlashesAction.UNESCAPE_AND_FORWARD,
      };
  }
}

/** Whether the proxy keeps sessions. As in upstream, only gateways and the sidecars of clients do. */
function keepsSessions(direction: HttpDirection, mesh: MeshSettings): boolean {
  return (direction === "outbound" || direction === "gateway") && sessionRulesOf(mesh).enabled;
}

/**
 * The HTTP filters in order. First come the filters that identify the peer, then those for authentication and
 * authorization, then those that a route may configure. The router is last.
 */
function httpFilters({
  direction,
  mesh,
  security = [],
  grpcWeb = false,
  hbone = false,
  forwarded = [],
  telemetry = meshTelemetry(mesh),
}: HttpConnectionManagerOptions): FilterInit[] {
  return [
    ...(direction === "waypoint" || hbone
      ? []
      : [httpMetadataExchange(direction === "inbound" ? "downstream" : "upstream", mesh)]),
    ...security,
    ...(grpcWeb ? [filterInit("envoy.filters.http.grpc_web", GrpcWebSchema, {})] : []),
    filterInit("envoy.filters.http.grpc_stats", GrpcStatsConfigSchema, {
      emitFilterState: true,
      perMethodStatSpecifier: { case: "statsForAllMethods", value: { value: false } },
    }),
    ...(direction === "outbound" || direction === "gateway" ? [istioAlpn()] : []),
    filterInit("envoy.filters.http.fault", HTTPFaultSchema, {}),
    filterInit("envoy.filters.http.cors", CorsSchema, {}),
    ...(direction === "waypoint" ? forwarded.map(forwardHttpFilter) : []),
    ...(direction === "waypoint"
      ? [peerMetadata("waypoint_upstream_peer_metadata", { upstream_discovery: [{ workload_discovery: {} }] })]
      : []),
    ...telemetry.stats(direction === "outbound" ? "client" : direction === "waypoint" ? "waypoint" : "server"),
    ...(keepsSessions(direction, mesh) ? [emptySessionFilter()] : []),
    ...(direction === "waypoint" ? [] : forwarded.map(forwardHttpFilter)),
    routerFilter(mesh),
  ];
}
