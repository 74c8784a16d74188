import { create, type MessageInitShape } from "@bufbuild/protobuf";
import {
  Cluster_DiscoveryType,
  ClusterSchema,
  HttpConnectionManagerSchema,
  HttpProtocolOptionsSchema,
  HttpSetFilterStateSchema,
  InternalUpstreamTransportSchema,
  ListenerSchema,
  TrafficDirection,
  type Cluster,
  type Listener,
} from "../../../wire/envoy/index.ts";
import { hbonePort } from "../../../wire/hbone/index.ts";
import { httpOptionsName, noCircuitBreakers, rawBuffer } from "../cluster.ts";
import type { MeshSettings } from "../../model/facts.ts";
import type { AccessLogInit } from "../telemetry/access-log.ts";
import { internalAddress, tcpAddress } from "../envoy-address.ts";
import { durationOfMs, packed } from "../envoy-any.ts";
import { destinationState, filterInit, filterState, type FilterInit } from "../filter-init.ts";
import { routerFilter, tunnelHeaders } from "../http-connection-manager.ts";
import { hboneChains, type FilterChainInit, type HboneContext } from "./inbound-chain.ts";
import { inspectors } from "./inbound-listener.ts";
import { type InboundTarget, wildcardOf } from "./inbound-target.ts";
import { peerMetadata } from "../istio-filters.ts";
import { originalDestination } from "../listener-filters.ts";
import { downstreamTls, hboneServer } from "../tls-context.ts";

export const mainInternalName = "main_internal";
/**
 * Filter state names under which the tunnel's end records the CONNECT's authority and the kind of the sending proxy.
 */
export const connectAuthorityState = "io.istio.connect_authority";
export const connectSourceState = "io.istio.source";
const connectTerminateName = "connect_terminate";
const maxTunnels = 100;
const keepAliveIntervalMs = 10_000;
const keepAliveTimeoutMs = 20_000;
const internalIdleMs = 300_000;

/** One listener terminates tunnels to the workload, and an internal one serves the connections inside. */
export function hboneListeners(targets: readonly InboundTarget[], context: HboneContext): readonly Listener[] {
  const chains = hboneChains(targets, context);
  const main = create(ListenerSchema, {
    name: mainInternalName,
    listenerSpecifier: { case: "internalListener", value: {} },
    trafficDirection: TrafficDirection.INBOUND,
    continueOnListenerFiltersTimeout: true,
    filterChains: [...chains],
    listenerFilters: [originalDestination(), ...inspectors(chains)],
  });
  return [connectTerminateListener(context.mesh, wildcardOf(context)), main];
}

/**
 * The listener that terminates HBONE tunnels from the mesh's workloads. It passes each CONNECT, with its client and
 * destination, to {@link mainInternalName}.
 */
export function connectTerminateListener(
  mesh: MeshSettings,
  wildcard: string,
  accessLogs: readonly AccessLogInit[] = [],
  notesSource = false,
): Listener {
  return create(ListenerSchema, {
    name: connectTerminateName,
    address: { address: tcpAddress(wildcard, hbonePort) },
    connectionBalanceConfig: { balanceType: { case: "exactBalance", value: {} } },
    filterChains: [terminateChain(mesh, accessLogs, notesSource)],
  });
}

function terminateChain(
  mesh: MeshSettings,
  accessLogs: readonly AccessLogInit[],
  notesSource: boolean,
): FilterChainInit {
  const manager = filterInit("envoy.filters.network.http_connection_manager", HttpConnectionManagerSchema, {
    statPrefix: connectTerminateName,
    accessLog: [...accessLogs],
    routeSpecifier: { case: "routeConfig", value: connectRoute },
    httpFilters: [
      peerMetadata("waypoint_downstream_peer_metadata", {
        downstream_discovery: [{ workload_discovery: {} }],
        shared_with_upstream: true,
      }),
      connectState(notesSource),
      routerFilter(mesh),
    ],
    ...tunnelHeaders(mesh),
    useRemoteAddress: false,
    streamIdleTimeout: durationOfMs(0),
    upgradeConfigs: [{ upgradeType: "CONNECT" }],
    http2ProtocolOptions: {
      allowConnect: true,
      maxConcurrentStreams: maxTunnels,
      connectionKeepalive: { interval: durationOfMs(keepAliveIntervalMs), timeout: durationOfMs(keepAliveTimeoutMs) },
    },
  });
  return { name: "default", filters: [manager], transportSocket: downstreamTls(hboneServer(mesh)) };
}

const connectRoute: Extract<
  NonNullable<Exclude<MessageInitShape<typeof HttpConnectionManagerSchema>, { $typeName: string }>["routeSpecifier"]>,
  { case: "routeConfig" }
>["value"] = {
  name: "default",
  virtualHosts: [
    {
      name: "default",
      domains: ["*"],
      routes: [
        {
          match: { pathSpecifier: { case: "connectMatcher", value: {} } },
          action: {
            case: "route",
            value: {
              clusterSpecifier: { case: "cluster", value: mainInternalName },
              upgradeConfigs: [{ upgradeType: "CONNECT", connectConfig: {} }],
            },
          },
        },
      ],
    },
  ],
};

/** The filter that records the values that the connection inside the tunnel must inherit from the tunnel. */
function connectState(notesSource: boolean): FilterInit {
  const value = (key: string, format: string, isHashed = false) =>
    filterState(key, format, { inherits: "ONCE", isHashed });
  return filterInit("connect_authority", HttpSetFilterStateSchema, {
    onRequestHeaders: [
      value(destinationState, "%REQ(:AUTHORITY)%"),
      value(connectAuthorityState, "%REQ(:AUTHORITY)%", true),
      ...(notesSource ? [value(connectSourceState, "%REQ(x-istio-source)%", true)] : []),
      value("envoy.filters.listener.original_dst.remote_ip", "%DOWNSTREAM_REMOTE_ADDRESS%"),
      value("io.istio.peer_principal", "%DOWNSTREAM_PEER_URI_SAN%", true),
      value("io.istio.local_principal", "%DOWNSTREAM_LOCAL_URI_SAN%", true),
    ],
  });
}

export function hboneCluster(): Cluster {
  return internalListenerCluster(mainInternalName);
}

export function internalListenerCluster(name: string, listener = name): Cluster {
  return create(ClusterSchema, {
    name,
    altStatName: `${name};`,
    clusterDiscoveryType: { case: "type", value: Cluster_DiscoveryType.STATIC },
    circuitBreakers: noCircuitBreakers,
    loadAssignment: {
      clusterName: name,
      endpoints: [
        {
          lbEndpoints: [
            { hostIdentifier: { case: "endpoint", value: { address: { address: internalAddress(listener) } } } },
          ],
        },
      ],
    },
    transportSocket: {
      name: "envoy.transport_sockets.internal_upstream",
      configType: {
        case: "typedConfig",
        value: packed(InternalUpstreamTransportSchema, { transportSocket: rawBuffer }),
      },
    },
    typedExtensionProtocolOptions: {
      [httpOptionsName]: packed(HttpProtocolOptionsSchema, {
        commonHttpProtocolOptions: { idleTimeout: durationOfMs(internalIdleMs) },
        upstreamProtocolOptions: {
          case: "useDownstreamProtocolConfig",
          value: { httpProtocolOptions: {}, http2ProtocolOptions: {} },
        },
      }),
    },
  });
}
