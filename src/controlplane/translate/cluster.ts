import { create, type MessageInitShape } from "@bufbuild/protobuf";
import {
  Cluster_DiscoveryType,
  Cluster_LbPolicy,
  ClusterSchema,
  HttpProtocolOptionsSchema,
  InternalUpstreamTransportSchema,
  RawBufferSchema,
  SubjectAltNameMatcher_SanType,
  TlsParameters_TlsProtocol,
  UpstreamTlsContextSchema,
  type Cluster,
  type TransportSocketSchema,
} from "../../wire/envoy/index.ts";
import { clusterName } from "../model/backend-resolution.ts";
import { hostnameOf, type MeshSettings, type ServiceFacts, type ServicePortFacts } from "../model/facts.ts";
import { durationOfMs, filterMetadata, overAds, overAgentSds, packed } from "./envoy-any.ts";

type TransportSocketInit = MessageInitShape<typeof TransportSocketSchema>;

export const connectOriginateName = "connect_originate";
export const blackHoleName = "BlackHoleCluster";

const unlimited = 4_294_967_295;
const hboneIdleMs = 3_600_000;
const defaultConnectTimeoutMs = 10_000;
const originalDestinationCleanupMs = 60_000;
const hbonePort = 15_008;
export const originalDestinationFilter = "envoy.filters.listener.original_dst";
const httpOptionsName = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
const circuitBreakers = { thresholds: [{ maxConnections: unlimited, maxPendingRequests: unlimited, maxRequests: unlimited, maxRetries: unlimited }] };

const rawBuffer: TransportSocketInit = {
  name: "envoy.transport_sockets.raw_buffer",
  configType: { case: "typedConfig", value: packed(RawBufferSchema, {}) },
};

/** Through the internal listener that speaks HBONE; what the endpoint's metadata says goes along. */
const internalUpstream: TransportSocketInit = {
  name: "envoy.transport_sockets.internal_upstream",
  configType: {
    case: "typedConfig",
    value: packed(InternalUpstreamTransportSchema, {
      passthroughMetadata: [
        { kind: { kind: { case: "host", value: {} } }, name: originalDestinationFilter },
        { kind: { kind: { case: "cluster", value: {} } }, name: "istio" },
        { kind: { kind: { case: "host", value: {} } }, name: "istio" },
      ],
      transportSocket: rawBuffer,
    }),
  },
};

/** A Service's port as an EDS cluster, whose endpoints choose between HBONE, Istio's mutual TLS and plain text. */
export function serviceCluster(service: ServiceFacts, port: ServicePortFacts, mesh: MeshSettings, identities: readonly string[]): Cluster {
  const host = hostnameOf(service, mesh.domain);
  const name = clusterName(port.port, host);
  const cluster = create(ClusterSchema, {
    name,
    altStatName: `${name};`,
    clusterDiscoveryType: { case: "type", value: Cluster_DiscoveryType.EDS },
    edsClusterConfig: { serviceName: name, edsConfig: overAds },
    connectTimeout: durationOfMs(mesh.connectTimeoutMs),
    lbPolicy: Cluster_LbPolicy.LEAST_REQUEST,
    circuitBreakers,
    commonLbConfig: { healthyPanicThreshold: {} },
    metadata: filterMetadata({ istio: { services: [{ host, name: service.name, namespace: service.namespace }] } }),
    transportSocketMatches: [
      { name: "hbone", match: { tunnel: "http" }, transportSocket: internalUpstream },
      { name: "tlsMode-istio", match: { tlsMode: "istio" }, transportSocket: mutualTls(`outbound_.${port.port}_._.${host}`, identities) },
      { name: "tlsMode-disabled", match: {}, transportSocket: rawBuffer },
    ],
  });
  if (port.appProtocol === "grpc" || port.appProtocol === "http2") {
    cluster.typedExtensionProtocolOptions[httpOptionsName] = packed(HttpProtocolOptionsSchema, {
      upstreamProtocolOptions: { case: "explicitHttpConfig", value: { protocolConfig: { case: "http2ProtocolOptions", value: {} } } },
    });
  }
  return cluster;
}

/** Istio's mutual TLS to a sidecar: the peer must be one of the identities behind the Service, where they are known. */
function mutualTls(sni: string, identities: readonly string[]): TransportSocketInit {
  return {
    name: "envoy.transport_sockets.tls",
    configType: {
      case: "typedConfig",
      value: packed(UpstreamTlsContextSchema, {
        sni,
        commonTlsContext: {
          ...meshTls(TlsParameters_TlsProtocol.TLSv1_2, ["istio-peer-exchange", "istio"]),
          validationContextType: {
            case: "combinedValidationContext",
            value: {
              defaultValidationContext: {
                matchTypedSubjectAltNames: identities.map((exact) => ({ sanType: SubjectAltNameMatcher_SanType.URI, matcher: { matchPattern: { case: "exact" as const, value: exact } } })),
              },
              validationContextSdsSecretConfig: { name: "ROOTCA", sdsConfig: overAgentSds },
            },
          },
        },
      }),
    },
  };
}

function meshTls(minimum: TlsParameters_TlsProtocol, alpnProtocols: readonly string[]) {
  return {
    alpnProtocols: [...alpnProtocols],
    tlsParams: { tlsMinimumProtocolVersion: minimum, tlsMaximumProtocolVersion: TlsParameters_TlsProtocol.TLSv1_3 },
    tlsCertificateSdsSecretConfigs: [{ name: "default", sdsConfig: overAgentSds }],
  };
}

/** Where the internal listener of the same name sends its CONNECTs: the endpoint's address, at the HBONE port. */
export function connectOriginateCluster(mesh: MeshSettings): Cluster {
  return create(ClusterSchema, {
    name: connectOriginateName,
    altStatName: `${connectOriginateName};`,
    clusterDiscoveryType: { case: "type", value: Cluster_DiscoveryType.ORIGINAL_DST },
    connectTimeout: durationOfMs(defaultConnectTimeoutMs),
    cleanupInterval: durationOfMs(originalDestinationCleanupMs),
    lbPolicy: Cluster_LbPolicy.CLUSTER_PROVIDED,
    circuitBreakers,
    lbConfig: {
      case: "originalDstLbConfig",
      value: { upstreamPortOverride: hbonePort, metadataKey: { key: originalDestinationFilter, path: [{ segment: { case: "key", value: "waypoint" } }] } },
    },
    transportSocket: {
      name: "tls",
      configType: {
        case: "typedConfig",
        value: packed(UpstreamTlsContextSchema, {
          commonTlsContext: {
            ...meshTls(TlsParameters_TlsProtocol.TLSv1_3, ["h2"]),
            validationContextType: {
              case: "combinedValidationContext",
              value: {
                defaultValidationContext: {
                  matchTypedSubjectAltNames: [{ sanType: SubjectAltNameMatcher_SanType.URI, matcher: { matchPattern: { case: "prefix", value: `spiffe://${mesh.trustDomain}/` } } }],
                },
                validationContextSdsSecretConfig: { name: "ROOTCA", sdsConfig: overAgentSds },
              },
            },
          },
        }),
      },
    },
    typedExtensionProtocolOptions: {
      [httpOptionsName]: packed(HttpProtocolOptionsSchema, {
        commonHttpProtocolOptions: { idleTimeout: durationOfMs(hboneIdleMs) },
        upstreamProtocolOptions: { case: "explicitHttpConfig", value: { protocolConfig: { case: "http2ProtocolOptions", value: { allowConnect: true } } } },
      }),
    },
  });
}

/** A cluster without endpoints, for what must go nowhere. */
export function blackHoleCluster(): Cluster {
  return create(ClusterSchema, {
    name: blackHoleName,
    altStatName: `${blackHoleName};`,
    clusterDiscoveryType: { case: "type", value: Cluster_DiscoveryType.STATIC },
    connectTimeout: durationOfMs(defaultConnectTimeoutMs),
  });
}
