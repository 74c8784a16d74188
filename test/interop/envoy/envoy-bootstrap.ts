// The bootstrap that makes a stock Envoy a proxy of the mesh: it has the clusters by which Istio's configuration refers
// to the control plane and the agent, the histogram buckets that the pod requests, and nothing else.
import { createLogger } from "../../../src/base/index.ts";
import { podHistogramBuckets, type ProxySettings } from "../../../src/proxy/index.ts";

export type BootstrapSettings = Pick<
  ProxySettings,
  | "role"
  | "instanceIp"
  | "podName"
  | "podNamespace"
  | "domain"
  | "workloadName"
  | "metadata"
  | "xdsUrl"
  | "xdsRootFile"
  | "clusterId"
> & { readonly ports: Pick<ProxySettings["ports"], "admin"> };

export interface BootstrapOptions {
  readonly settings: BootstrapSettings;
  readonly secretSocket: string;
  readonly token: string;
  /** The socket mark for connections of clusters that do not bind them. Absent means no mark. */
  readonly mark: number | undefined;
}

type Json = string | number | boolean | Json[] | { [name: string]: Json };

const socketLevel = 1;
const markOption = 36;

export function envoyBootstrap({ settings, secretSocket, token, mark }: BootstrapOptions): Json {
  const buckets = podHistogramBuckets(settings.metadata, createLogger({ scope: "envoy-agent" }));
  const { hostname, port } = new URL(settings.xdsUrl);
  return {
    node: {
      id: `${settings.role}~${settings.instanceIp}~${settings.podName}.${settings.podNamespace}~${settings.domain}`,
      cluster: `${settings.workloadName}.${settings.podNamespace}`,
      metadata: settings.metadata as Json,
    },
    admin: { address: address("127.0.0.1", settings.ports.admin) },
    bootstrapExtensions: [
      {
        name: "envoy.bootstrap.internal_listener",
        typedConfig: {
          "@type": "type.googleapis.com/envoy.extensions.bootstrap.internal_listener.v3.InternalListener",
        },
      },
    ],
    ...(buckets.length === 0
      ? {}
      : {
          statsConfig: {
            histogramBucketSettings: buckets.map(({ prefix, bounds }) => ({ match: { prefix }, buckets: [...bounds] })),
          },
        }),
    // Istio's own bootstrap of Envoy has this setting too.
    layeredRuntime: { layers: [{ name: "static", staticLayer: { "re2.max_program_size.error_level": 32_768 } }] },
    ...(mark === undefined
      ? {}
      : {
          clusterManager: {
            upstreamBindConfig: {
              socketOptions: [{ level: socketLevel, name: markOption, intValue: mark, state: "STATE_PREBIND" }],
            },
          },
        }),
    dynamicResources: {
      adsConfig: {
        apiType: "DELTA_GRPC",
        transportApiVersion: "V3",
        setNodeOnFirstMessageOnly: true,
        grpcServices: [
          {
            envoyGrpc: { clusterName: "xds-grpc" },
            initialMetadata: [
              { key: "authorization", value: `Bearer ${token}` },
              { key: "clusterid", value: settings.clusterId },
            ],
          },
        ],
      },
      ldsConfig: ads,
      cdsConfig: ads,
    },
    staticResources: {
      clusters: [discoveryCluster(hostname, Number(port), settings.xdsRootFile), secretCluster(secretSocket)],
    },
  };
}

const ads = { ads: {}, initialFetchTimeout: "0s", resourceApiVersion: "V3" } as const;

function address(host: string, port: number): Json {
  return { socketAddress: { address: host, portValue: port } };
}

function endpointAt(name: string, target: Json): Json {
  return { clusterName: name, endpoints: [{ lbEndpoints: [{ endpoint: { address: target } }] }] };
}

const http2: Json = {
  "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
    "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
    explicitHttpConfig: { http2ProtocolOptions: {} },
  },
};

function discoveryCluster(host: string, port: number, rootFile: string | undefined): Json {
  return {
    name: "xds-grpc",
    type: "STRICT_DNS",
    dnsLookupFamily: "V4_ONLY",
    connectTimeout: "2s",
    loadAssignment: endpointAt("xds-grpc", address(host, port)),
    typedExtensionProtocolOptions: http2,
    ...(rootFile === undefined ? {} : { transportSocket: tls(host, rootFile) }),
  };
}

function tls(host: string, rootFile: string): Json {
  return {
    name: "envoy.transport_sockets.tls",
    typedConfig: {
      "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
      sni: host,
      commonTlsContext: {
        alpnProtocols: ["h2"],
        validationContext: {
          trustedCa: { filename: rootFile },
          matchTypedSubjectAltNames: [{ sanType: "DNS", matcher: { exact: host } }],
        },
      },
    },
  };
}

function secretCluster(path: string): Json {
  return {
    name: "sds-grpc",
    type: "STATIC",
    connectTimeout: "1s",
    loadAssignment: endpointAt("sds-grpc", { pipe: { path } }),
    typedExtensionProtocolOptions: http2,
  };
}
