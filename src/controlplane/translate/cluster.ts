import { create, type MessageInitShape } from "@bufbuild/protobuf";
import {
  Cluster_DiscoveryType,
  Cluster_LbPolicy,
  ClusterSchema,
  HttpProtocolOptionsSchema,
  InternalUpstreamTransportSchema,
  RawBufferSchema,
  SubjectAltNameMatcher_SanType,
  type SubjectAltNameMatcherSchema,
  TlsParameters_TlsProtocol,
  UpstreamTlsContextSchema,
  type Cluster,
} from "../../wire/envoy/index.ts";
import { hbonePort } from "../../wire/hbone/index.ts";
import type { MeshSettings } from "../model/facts.ts";
import { durationOfMs, packed } from "./envoy-any.ts";
import { tcpMetadataExchange } from "./istio-filters.ts";
import { tlsParameters } from "./tls-compliance.ts";
import { meshPeers, ownCertificate, type TransportSocketInit, trustDomainPeers } from "./tls-context.ts";

type SubjectAltNameInit = MessageInitShape<typeof SubjectAltNameMatcherSchema>;

export const connectOriginateName = "connect_originate";
export const blackHoleName = "BlackHoleCluster";
export const passthroughName = "PassthroughCluster";
/** A cluster name that is never defined. Requests to it get an error, and connections are closed. */
export const unknownService = "UnknownService";

export const unlimited = 4_294_967_295;
const hboneIdleMs = 3_600_000;
const originalDestinationCleanupMs = 60_000;
export const originalDestinationFilter = "envoy.filters.listener.original_dst";
export const httpOptionsName = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
/** The highest limits, which apply if a policy sets none. */
export const noCircuitBreakers = {
  thresholds: [
    { maxConnections: unlimited, maxPendingRequests: unlimited, maxRequests: unlimited, maxRetries: unlimited },
  ],
};

export const rawBuffer: TransportSocketInit = {
  name: "envoy.transport_sockets.raw_buffer",
  configType: { case: "typedConfig", value: packed(RawBufferSchema, {}) },
};

/**
 * The transport to the internal listener that speaks HBONE. It passes on the endpoint's metadata, which names the
 * destination.
 */
export function internalUpstream(inner: TransportSocketInit): TransportSocketInit {
  return {
    name: "envoy.transport_sockets.internal_upstream",
    configType: {
      case: "typedConfig",
      value: packed(InternalUpstreamTransportSchema, {
        passthroughMetadata: [
          { kind: { kind: { case: "host", value: {} } }, name: originalDestinationFilter },
          { kind: { kind: { case: "cluster", value: {} } }, name: "istio" },
          { kind: { kind: { case: "host", value: {} } }, name: "istio" },
        ],
        transportSocket: inner,
      }),
    },
  };
}

/** Istio's mutual TLS to a sidecar. If the service's identities are known, the peer must have one of them. */
export function mutualTls(
  mesh: MeshSettings,
  sni: string,
  identities: readonly string[],
  http2: boolean,
): TransportSocketInit {
  return {
    name: "envoy.transport_sockets.tls",
    configType: {
      case: "typedConfig",
      value: packed(UpstreamTlsContextSchema, {
        sni,
        commonTlsContext: {
          ...meshTls(mesh, TlsParameters_TlsProtocol.TLSv1_2, [
            "istio-peer-exchange",
            "istio",
            ...(http2 ? ["h2"] : []),
          ]),
          ...meshPeers(
            identities.map((exact) => ({
              sanType: SubjectAltNameMatcher_SanType.URI,
              matcher: { matchPattern: { case: "exact" as const, value: exact } },
            })),
          ),
        },
      }),
    },
  };
}

function meshTls(mesh: MeshSettings, minimum: TlsParameters_TlsProtocol, alpnProtocols: readonly string[]) {
  return {
    alpnProtocols: [...alpnProtocols],
    ...tlsParameters(mesh, {
      tlsMinimumProtocolVersion: minimum,
      tlsMaximumProtocolVersion: TlsParameters_TlsProtocol.TLSv1_3,
    }),
    ...ownCertificate,
  };
}

/**
 * The cluster of the internal listener with the same name. Its CONNECT requests go to the endpoint's address at the
 * HBONE port.
 */
export function connectOriginateCluster(mesh: MeshSettings, peers: readonly SubjectAltNameInit[] = []): Cluster {
  return tunnelCluster(connectOriginateName, mesh, { addressIn: "waypoint", peers });
}

interface TunnelClusterOptions {
  /** The metadata field of {@link originalDestinationFilter} that overrides the address. */
  readonly addressIn?: string;
  /** The identities of destinations outside the mesh. */
  readonly peers?: readonly SubjectAltNameInit[];
  readonly options?: ReturnType<typeof tunnelOptions>;
}

export function tunnelCluster(
  name: string,
  mesh: MeshSettings,
  { addressIn, peers = [], options = tunnelOptions() }: TunnelClusterOptions,
): Cluster {
  const elsewhere =
    addressIn === undefined
      ? {}
      : {
          metadataKey: {
            key: originalDestinationFilter,
            path: [{ segment: { case: "key" as const, value: addressIn } }],
          },
        };
  return create(ClusterSchema, {
    name,
    altStatName: `${name};`,
    clusterDiscoveryType: { case: "type", value: Cluster_DiscoveryType.ORIGINAL_DST },
    connectTimeout: durationOfMs(mesh.connectTimeoutMs),
    cleanupInterval: durationOfMs(originalDestinationCleanupMs),
    lbPolicy: Cluster_LbPolicy.CLUSTER_PROVIDED,
    circuitBreakers: noCircuitBreakers,
    lbConfig: { case: "originalDstLbConfig", value: { upstreamPortOverride: hbonePort, ...elsewhere } },
    transportSocket: tunnelTls(mesh, peers),
    typedExtensionProtocolOptions: options,
  });
}

export function tunnelTls(mesh: MeshSettings, peers: readonly SubjectAltNameInit[] = []): TransportSocketInit {
  const commonTlsContext = {
    ...meshTls(mesh, TlsParameters_TlsProtocol.TLSv1_3, ["h2"]),
    ...meshPeers([trustDomainPeers(mesh.trustDomain), ...peers]),
  };
  return {
    name: "tls",
    configType: { case: "typedConfig", value: packed(UpstreamTlsContextSchema, { commonTlsContext }) },
  };
}

/** HTTP/2 for CONNECT. With `maxRequestsPerConnection: 1`, each connection carries a single tunnel. */
export function tunnelOptions(pooling: { readonly maxRequestsPerConnection?: number } = {}) {
  return {
    [httpOptionsName]: packed(HttpProtocolOptionsSchema, {
      commonHttpProtocolOptions: { ...pooling, idleTimeout: durationOfMs(hboneIdleMs) },
      upstreamProtocolOptions: {
        case: "explicitHttpConfig",
        value: { protocolConfig: { case: "http2ProtocolOptions", value: { allowConnect: true } } },
      },
    }),
  };
}

/** A cluster without endpoints, for connections that must not reach any destination. */
export function blackHoleCluster(mesh: MeshSettings): Cluster {
  return create(ClusterSchema, {
    name: blackHoleName,
    altStatName: `${blackHoleName};`,
    clusterDiscoveryType: { case: "type", value: Cluster_DiscoveryType.STATIC },
    connectTimeout: durationOfMs(mesh.connectTimeoutMs),
  });
}

/** The filter with which clusters exchange peer metadata over connections that have negotiated the exchange. */
export function clusterMetadataExchange(mesh: MeshSettings) {
  const { name, configType } = tcpMetadataExchange(mesh);
  return { name, typedConfig: configType.value };
}
