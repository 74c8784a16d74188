import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { Cluster_DiscoveryType, Cluster_LbPolicy, ClusterSchema, HttpProtocolOptionsSchema, type Cluster } from "../../wire/envoy/index.ts";
import type { MeshSettings } from "../model/facts.ts";
import { httpOptionsName, unlimited } from "./cluster.ts";
import { durationOfMs, filterMetadata, packed } from "./envoy-any.ts";
import { inboundClusterName, inboundPassthroughCluster } from "./inbound-chain.ts";
import type { InboundTarget } from "./inbound-target.ts";

type ClusterInit = Exclude<MessageInitShape<typeof ClusterSchema>, { $typeName: string }>;

/** The proxy's own connections to its application come from here, so that the redirect lets them through. */
const ownAddress = { ipv4: "127.0.0.6", ipv6: "::6" } as const;
/** As good as never: an original destination stays known as long as its cluster does. */
const neverMs = 9_223_372_035_000;
const passthroughIdleMs = 300_000;
const circuitBreakers = { thresholds: [{ maxConnections: unlimited, maxPendingRequests: unlimited, maxRequests: unlimited, maxRetries: unlimited }] };
const useClientProtocol = { case: "useDownstreamProtocolConfig" as const, value: { httpProtocolOptions: {}, http2ProtocolOptions: {} } };

/** The application behind one port: where the connection was for, or the address that a Sidecar says. */
export function inboundCluster(target: InboundTarget, mesh: MeshSettings): Cluster {
  const name = inboundClusterName(target.port);
  const http = httpOptions(target);
  return create(ClusterSchema, {
    name,
    altStatName: `${name};`,
    connectTimeout: durationOfMs(target.connectionPool?.tcp?.connectTimeoutMs ?? mesh.connectTimeoutMs),
    circuitBreakers: breakersOf(target),
    commonLbConfig: {},
    metadata: filterMetadata({ istio: { services: target.services.map((service) => ({ ...service })) } }),
    ...(target.endpoint === undefined ? { ...originalDestination(target.bind), cleanupInterval: durationOfMs(neverMs) } : fixedEndpoint(name, target.endpoint)),
    ...(http === undefined ? {} : { typedExtensionProtocolOptions: { [httpOptionsName]: packed(HttpProtocolOptionsSchema, http) } }),
  });
}

/** The application behind whatever port the connection was for. */
export function inboundPassthrough(mesh: MeshSettings): Cluster {
  return create(ClusterSchema, {
    name: inboundPassthroughCluster,
    altStatName: `${inboundPassthroughCluster};`,
    connectTimeout: durationOfMs(mesh.connectTimeoutMs),
    circuitBreakers,
    ...originalDestination("0.0.0.0"),
    typedExtensionProtocolOptions: {
      [httpOptionsName]: packed(HttpProtocolOptionsSchema, { commonHttpProtocolOptions: { idleTimeout: durationOfMs(passthroughIdleMs) }, upstreamProtocolOptions: useClientProtocol }),
    },
  });
}

function originalDestination(bind: string): ClusterInit {
  const address = bind.includes(":") ? ownAddress.ipv6 : ownAddress.ipv4;
  return {
    clusterDiscoveryType: { case: "type", value: Cluster_DiscoveryType.ORIGINAL_DST },
    lbPolicy: Cluster_LbPolicy.CLUSTER_PROVIDED,
    upstreamBindConfig: { sourceAddress: { address, portSpecifier: { case: "portValue", value: 0 } } },
  };
}

function fixedEndpoint(clusterName: string, endpoint: string): ClusterInit {
  const socket = /^\[?(.+?)\]?:(\d+)$/.exec(endpoint);
  const address = endpoint.startsWith("unix://")
    ? { case: "pipe" as const, value: { path: endpoint.slice("unix://".length) } }
    : { case: "socketAddress" as const, value: { address: socket?.[1] ?? "127.0.0.1", portSpecifier: { case: "portValue" as const, value: Number(socket?.[2] ?? 0) } } };
  return {
    clusterDiscoveryType: { case: "type", value: Cluster_DiscoveryType.STATIC },
    loadAssignment: { clusterName, endpoints: [{ lbEndpoints: [{ hostIdentifier: { case: "endpoint", value: { address: { address } } } }] }] },
  };
}

/** A port that declares HTTP/2 is spoken to so; one that declares nothing as its client speaks. */
function httpOptions({ protocol, connectionPool }: InboundTarget): MessageInitShape<typeof HttpProtocolOptionsSchema> | undefined {
  const http = connectionPool?.http;
  const common = {
    ...(http?.idleTimeoutMs === undefined ? {} : { idleTimeout: durationOfMs(http.idleTimeoutMs) }),
    ...(http?.maxRequestsPerConnection === undefined ? {} : { maxRequestsPerConnection: http.maxRequestsPerConnection }),
  };
  const commonHttpProtocolOptions = Object.keys(common).length === 0 ? {} : { commonHttpProtocolOptions: common };
  if (protocol === "unknown" || http?.useClientProtocol === true) return { ...commonHttpProtocolOptions, upstreamProtocolOptions: useClientProtocol };
  if (protocol === "http2" || protocol === "grpc" || http?.h2UpgradePolicy === "UPGRADE") {
    return { ...commonHttpProtocolOptions, upstreamProtocolOptions: { case: "explicitHttpConfig", value: { protocolConfig: { case: "http2ProtocolOptions", value: {} } } } };
  }
  if (Object.keys(commonHttpProtocolOptions).length === 0) return undefined;
  return { ...commonHttpProtocolOptions, upstreamProtocolOptions: { case: "explicitHttpConfig", value: { protocolConfig: { case: "httpProtocolOptions", value: {} } } } };
}

function breakersOf({ connectionPool }: InboundTarget): NonNullable<ClusterInit["circuitBreakers"]> {
  const { tcp, http } = connectionPool ?? {};
  return {
    thresholds: [
      {
        maxConnections: tcp?.maxConnections ?? unlimited,
        maxPendingRequests: http?.http1MaxPendingRequests ?? unlimited,
        maxRequests: http?.http2MaxRequests ?? unlimited,
        maxRetries: http?.maxRetries ?? unlimited,
      },
    ],
  };
}
