import { create, type MessageInitShape } from "@bufbuild/protobuf";
import {
  CorsSchema,
  FileAccessLogSchema,
  GrpcStatsConfigSchema,
  HttpConnectionManager_ForwardClientCertDetails,
  HttpConnectionManager_PathWithEscapedSlashesAction,
  HttpConnectionManagerSchema,
  HTTPFaultSchema,
  ListenerSchema,
  OriginalDstSchema,
  RouterSchema,
  TcpProxySchema,
  TrafficDirection,
  type Listener,
} from "../../wire/envoy/index.ts";
import type { MeshSettings } from "../model/facts.ts";
import { connectOriginateName, originalDestinationFilter } from "./cluster.ts";
import { durationOfMs, overAds, packed } from "./envoy-any.ts";

const transportSocketTimeoutMs = 15_000;

export function listenerName(port: number): string {
  return `0.0.0.0_${port}`;
}

export function routeName(port: number): string {
  return `http.${port}`;
}

/** One plain HTTP port of a Gateway; the routes of all of its listeners on that port come as one table. */
export function httpListener(port: number, mesh: MeshSettings): Listener {
  return create(ListenerSchema, {
    name: listenerName(port),
    address: { address: { case: "socketAddress", value: { address: "0.0.0.0", portSpecifier: { case: "portValue", value: port } } } },
    trafficDirection: TrafficDirection.OUTBOUND,
    maxConnectionsToAcceptPerSocketEvent: 1,
    filterChains: [
      {
        transportSocketConnectTimeout: durationOfMs(transportSocketTimeoutMs),
        filters: [{ name: "envoy.filters.network.http_connection_manager", configType: { case: "typedConfig", value: packed(HttpConnectionManagerSchema, connectionManager(port, mesh)) } }],
      },
    ],
  });
}

function connectionManager(port: number, mesh: MeshSettings): MessageInitShape<typeof HttpConnectionManagerSchema> {
  return {
    statPrefix: `outbound_${listenerName(port)};`,
    routeSpecifier: { case: "rds", value: { routeConfigName: routeName(port), configSource: overAds } },
    httpFilters: [
      { name: "envoy.filters.http.grpc_stats", configType: { case: "typedConfig", value: packed(GrpcStatsConfigSchema, { emitFilterState: true, perMethodStatSpecifier: { case: "statsForAllMethods", value: { value: false } } }) } },
      { name: "envoy.filters.http.fault", configType: { case: "typedConfig", value: packed(HTTPFaultSchema, {}) } },
      { name: "envoy.filters.http.cors", configType: { case: "typedConfig", value: packed(CorsSchema, {}) } },
      { name: "envoy.filters.http.router", configType: { case: "typedConfig", value: packed(RouterSchema, {}) } },
    ],
    ...accessLog(mesh),
    forwardClientCertDetails: HttpConnectionManager_ForwardClientCertDetails.SANITIZE_SET,
    setCurrentClientCertDetails: { subject: true, cert: true, dns: true, uri: true },
    useRemoteAddress: true,
    normalizePath: true,
    pathWithEscapedSlashesAction: HttpConnectionManager_PathWithEscapedSlashesAction.KEEP_UNCHANGED,
    proxy100Continue: true,
    serverName: "istio-envoy",
    streamIdleTimeout: durationOfMs(0),
    upgradeConfigs: [{ upgradeType: "websocket" }],
    httpProtocolOptions: {},
  };
}

function accessLog(mesh: MeshSettings): Pick<MessageInitShape<typeof HttpConnectionManagerSchema>, "accessLog"> {
  if (mesh.accessLogFile === "") return {};
  const format = mesh.accessLogFormat === "" ? {} : { accessLogFormat: { case: "logFormat" as const, value: { format: { case: "textFormatSource" as const, value: { specifier: { case: "inlineString" as const, value: mesh.accessLogFormat } } } } } };
  return {
    accessLog: [{ name: "envoy.access_loggers.file", configType: { case: "typedConfig", value: packed(FileAccessLogSchema, { path: mesh.accessLogFile, ...format }) } }],
  };
}

/** The internal listener that carries a connection to an HBONE endpoint: a CONNECT for the endpoint's own address. */
export function connectOriginateListener(): Listener {
  return create(ListenerSchema, {
    name: connectOriginateName,
    listenerSpecifier: { case: "internalListener", value: {} },
    useOriginalDst: false,
    listenerFilters: [{ name: originalDestinationFilter, configType: { case: "typedConfig", value: packed(OriginalDstSchema, {}) } }],
    filterChains: [
      {
        filters: [
          {
            name: "envoy.filters.network.tcp_proxy",
            configType: {
              case: "typedConfig",
              value: packed(TcpProxySchema, {
                statPrefix: connectOriginateName,
                clusterSpecifier: { case: "cluster", value: connectOriginateName },
                tunnelingConfig: { hostname: "%DOWNSTREAM_LOCAL_ADDRESS%" },
              }),
            },
          },
        ],
      },
    ],
  });
}
