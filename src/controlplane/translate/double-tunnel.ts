import { create } from "@bufbuild/protobuf";
import {
  Cluster_DiscoveryType,
  ClusterSchema,
  HeaderValueOption_HeaderAppendAction,
  InternalUpstreamTransportSchema,
  ListenerSchema,
  NetworkSetFilterStateSchema,
  TcpProxySchema,
  type Cluster,
  type Listener,
} from "../../wire/envoy/index.ts";
import type { MeshSettings } from "../model/facts.ts";
import { noCircuitBreakers, originalDestinationFilter, tunnelCluster, tunnelOptions, tunnelTls } from "./cluster.ts";
import { internalAddress } from "./envoy-address.ts";
import { packed } from "./envoy-any.ts";
import { destinationState, filterInit, filterState } from "./filter-init.ts";
import { originalDestination } from "./listener-filters.ts";

/**
 * The internal listener in front of endpoints in other networks. Its tunnel runs through the outer tunnel and ends at
 * the server in the other network.
 */
export const innerConnectName = "inner_connect_originate";
/** The listener of the outer tunnel, which ends at the other network's gateway. */
const outerConnectName = "outer_connect_originate";
/** The service and port that both CONNECT requests name. */
const targetState = "istio.double_hbone.hbone_target_address";

export const doubleTunnelNames: readonly string[] = [innerConnectName, outerConnectName];

/** Whether ingress gateways enter other networks by two tunnels. */
export function ingressCrossesNetworks({ ambientMultiNetwork, ambientNetworkCrossing }: MeshSettings): boolean {
  return ambientMultiNetwork === true && ambientNetworkCrossing?.ingress === true;
}

/** The kind of the sending proxy. The other network's gateway decides by it whether to use a waypoint. */
export type TunnelSource = "waypoint" | "gateway";

/**
 * The listeners for HBONE within HBONE. The endpoint's metadata names the gateway, and the service that the gateway is
 * asked for. `network` is the proxy's own.
 */
export function doubleTunnelListeners(source: TunnelSource, network: string): readonly Listener[] {
  const propagate = filterInit("propagate_endpoint_metadata", NetworkSetFilterStateSchema, {
    onNewConnection: [
      filterState(destinationState, `%DYNAMIC_METADATA(${originalDestinationFilter}:local)%`, {
        inherits: "TRANSITIVE",
      }),
      filterState(targetState, "%DYNAMIC_METADATA(istio:double_hbone:hbone_target_address)%", {
        inherits: "TRANSITIVE",
        isHashed: true,
      }),
    ],
  });
  const tunnel = (name: string, header: readonly [key: string, value: string]) =>
    filterInit("envoy.filters.network.tcp_proxy", TcpProxySchema, {
      statPrefix: name,
      clusterSpecifier: { case: "cluster", value: name },
      tunnelingConfig: {
        hostname: `%FILTER_STATE(${targetState}:PLAIN)%`,
        headersToAdd: [
          {
            appendAction: HeaderValueOption_HeaderAppendAction.OVERWRITE_IF_EXISTS_OR_ADD,
            header: { key: header[0], value: header[1] },
          },
        ],
      },
    });
  const listener = { listenerSpecifier: { case: "internalListener" as const, value: {} }, useOriginalDst: false };
  return [
    create(ListenerSchema, {
      ...listener,
      name: innerConnectName,
      filterChains: [{ filters: [propagate, tunnel(innerConnectName, ["x-forwarded-network", network])] }],
    }),
    create(ListenerSchema, {
      ...listener,
      name: outerConnectName,
      listenerFilters: [originalDestination()],
      filterChains: [{ filters: [tunnel(outerConnectName, ["x-istio-source", source])] }],
    }),
  ];
}

/**
 * The clusters to which {@link doubleTunnelListeners} connect. The inner tunnel's TLS runs inside the outer tunnel.
 * Each connection to the gateway carries one tunnel, so that the load balancer in front of the gateway spreads the
 * tunnels.
 */
export function doubleTunnelClusters(mesh: MeshSettings): readonly Cluster[] {
  const unpooled = tunnelOptions({ maxRequestsPerConnection: 1 });
  const inner = create(ClusterSchema, {
    name: innerConnectName,
    altStatName: `${innerConnectName};`,
    clusterDiscoveryType: { case: "type", value: Cluster_DiscoveryType.STATIC },
    circuitBreakers: noCircuitBreakers,
    loadAssignment: {
      clusterName: innerConnectName,
      endpoints: [
        {
          lbEndpoints: [
            {
              hostIdentifier: { case: "endpoint", value: { address: { address: internalAddress(outerConnectName) } } },
            },
          ],
        },
      ],
    },
    typedExtensionProtocolOptions: unpooled,
    transportSocket: {
      name: "internal_upstream_with_tls",
      configType: {
        case: "typedConfig",
        value: packed(InternalUpstreamTransportSchema, { transportSocket: tunnelTls(mesh) }),
      },
    },
  });
  return [inner, tunnelCluster(outerConnectName, mesh, { options: unpooled })];
}
