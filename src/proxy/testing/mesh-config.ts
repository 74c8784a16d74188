import type { JsonObject, JsonValue } from "@bufbuild/protobuf";

// A control plane's configuration for a sidecar in Istio's form.

const type = "type.googleapis.com";

export function tcpProxy(cluster: string): JsonValue {
  return {
    name: "envoy.filters.network.tcp_proxy",
    typedConfig: {
      "@type": `${type}/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy`,
      cluster,
      statPrefix: cluster,
    },
  };
}

export function connectionManager(more: Readonly<Record<string, JsonValue>>): JsonValue {
  return {
    name: "envoy.filters.network.http_connection_manager",
    typedConfig: {
      "@type": `${type}/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager`,
      statPrefix: "test;",
      serverName: "istio-envoy",
      streamIdleTimeout: "0s",
      useRemoteAddress: false,
      httpFilters: [
        { name: "istio.stats", typedConfig: { "@type": `${type}/stats.PluginConfig` } },
        {
          name: "envoy.filters.http.router",
          typedConfig: { "@type": `${type}/envoy.extensions.filters.http.router.v3.Router` },
        },
      ],
      ...more,
    },
  };
}

/** Istio's filter with which proxies exchange their metadata over HTTP. */
export function metadataExchange(value: JsonValue): JsonValue {
  return {
    name: "istio.metadata_exchange",
    typedConfig: {
      "@type": `${type}/udpa.type.v1.TypedStruct`,
      typeUrl: `${type}/io.istio.http.peer_metadata.Config`,
      value,
    },
  };
}

export const router: JsonValue = {
  name: "envoy.filters.http.router",
  typedConfig: { "@type": `${type}/envoy.extensions.filters.http.router.v3.Router` },
};

const stats: JsonValue = {
  name: "istio.stats",
  typedConfig: { "@type": `${type}/stats.PluginConfig`, disableHostHeaderFallback: true },
};

const secret = (name: string): JsonValue => ({
  name,
  sdsConfig: { apiConfigSource: { apiType: "GRPC", grpcServices: [{ envoyGrpc: { clusterName: "sds-grpc" } }] } },
});

function meshTls(names: readonly JsonValue[], alpnProtocols: readonly string[]): JsonValue {
  return {
    alpnProtocols: [...alpnProtocols],
    tlsParams: { tlsMinimumProtocolVersion: "TLSv1_2", tlsMaximumProtocolVersion: "TLSv1_3" },
    tlsCertificateSdsSecretConfigs: [secret("default")],
    combinedValidationContext: {
      defaultValidationContext: { matchSubjectAltNames: [...names] },
      validationContextSdsSecretConfig: secret("ROOTCA"),
    },
  };
}

export function downstreamTls(alpnProtocols: readonly string[]): JsonValue {
  return {
    name: "envoy.transport_sockets.tls",
    typedConfig: {
      "@type": `${type}/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext`,
      requireClientCertificate: true,
      commonTlsContext: meshTls([{ prefix: "spiffe://cluster.local/" }], alpnProtocols),
    },
  };
}

/** A gateway's TLS: its certificate is a secret of the control plane. */
export function gatewayTls(secretName: string, more: Readonly<Record<string, JsonValue>> = {}): JsonValue {
  return {
    name: "envoy.transport_sockets.tls",
    typedConfig: {
      "@type": `${type}/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext`,
      commonTlsContext: {
        alpnProtocols: ["h2", "http/1.1"],
        tlsCertificateSdsSecretConfigs: [{ name: secretName, sdsConfig: { ads: {} } }],
        ...more,
      },
    },
  };
}

const httpMatch = { transportProtocol: "raw_buffer", applicationProtocols: ["http/1.1", "h2c"] };
const meshMatch = {
  transportProtocol: "tls",
  applicationProtocols: ["istio", "istio-peer-exchange", "istio-http/1.0", "istio-http/1.1", "istio-h2"],
};

export const originalDestination: JsonValue = {
  name: "envoy.filters.listener.original_dst",
  typedConfig: { "@type": `${type}/envoy.extensions.filters.listener.original_dst.v3.OriginalDst` },
};
const tlsInspector: JsonValue = {
  name: "envoy.filters.listener.tls_inspector",
  typedConfig: { "@type": `${type}/envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector` },
};
export const httpInspector: JsonValue = {
  name: "envoy.filters.listener.http_inspector",
  typedConfig: { "@type": `${type}/envoy.extensions.filters.listener.http_inspector.v3.HttpInspector` },
};

function socketAddress(address: string, portValue: number): JsonValue {
  return { socketAddress: { address, portValue } };
}

export const virtualOutbound: JsonValue = {
  name: "virtualOutbound",
  address: socketAddress("0.0.0.0", 15_001),
  useOriginalDst: true,
  trafficDirection: "OUTBOUND",
  filterChains: [
    {
      name: "virtualOutbound-blackhole",
      filterChainMatch: { destinationPort: 15_001 },
      filters: [stats, tcpProxy("BlackHoleCluster")],
    },
    { name: "virtualOutbound-catchall-tcp", filters: [stats, tcpProxy("PassthroughCluster")] },
  ],
};

/** Routes HTTP to any address on this port. Other traffic passes unchanged. */
export function outboundHttp(port: number, routes: string): JsonValue {
  return {
    name: `0.0.0.0_${port}`,
    address: socketAddress("0.0.0.0", port),
    bindToPort: false,
    trafficDirection: "OUTBOUND",
    continueOnListenerFiltersTimeout: true,
    listenerFiltersTimeout: "0s",
    listenerFilters: [httpInspector],
    defaultFilterChain: { name: "PassthroughFilterChain", filters: [stats, tcpProxy("PassthroughCluster")] },
    filterChains: [
      {
        filterChainMatch: httpMatch,
        filters: [
          connectionManager({
            rds: { configSource: { ads: {} }, routeConfigName: routes },
            httpFilters: [
              metadataExchange({
                upstream_discovery: [{ istio_headers: {} }],
                upstream_propagation: [{ istio_headers: {} }],
              }),
              stats,
              router,
            ],
          }),
        ],
      },
    ],
  };
}

export function outboundTcp(address: string, port: number, cluster: string): JsonValue {
  return {
    name: `${address}_${port}`,
    address: socketAddress(address, port),
    bindToPort: false,
    trafficDirection: "OUTBOUND",
    filterChains: [{ filters: [stats, tcpProxy(cluster)] }],
  };
}

/** Accepts mutual TLS on these ports, and also plain text unless `strict` is set. */
export function virtualInbound(
  ports: readonly { readonly port: number; readonly http: boolean }[],
  strict: boolean,
  rules?: JsonValue,
): JsonValue {
  const chains = ports.flatMap(({ port, http }) => {
    const filters: JsonValue[] = http
      ? [inboundHttp(port, rules)]
      : [peerExchange, ...accessRules("network", rules), stats, tcpProxy(`inbound|${port}||`)];
    const secured = {
      name: `0.0.0.0_${port}`,
      filterChainMatch: { ...(strict ? { transportProtocol: "tls" } : meshMatch), destinationPort: port },
      transportSocket: downstreamTls(http ? ["h2", "http/1.1"] : ["istio-peer-exchange", "h2", "http/1.1"]),
      filters,
    };
    const plain = {
      name: `0.0.0.0_${port}_plain`,
      filterChainMatch: { transportProtocol: "raw_buffer", destinationPort: port },
      filters,
    };
    return strict ? [secured] : [secured, plain];
  });
  return {
    name: "virtualInbound",
    address: socketAddress("0.0.0.0", 15_006),
    trafficDirection: "INBOUND",
    continueOnListenerFiltersTimeout: true,
    listenerFiltersTimeout: "0s",
    listenerFilters: [
      originalDestination,
      { ...(tlsInspector as object), filterDisabled: { destinationPortRange: { start: 15_006, end: 15_007 } } },
    ],
    filterChains: [
      {
        name: "virtualInbound-blackhole",
        filterChainMatch: { destinationPort: 15_006 },
        filters: [stats, tcpProxy("BlackHoleCluster")],
      },
      {
        name: "virtualInbound",
        filterChainMatch: { transportProtocol: "tls" },
        transportSocket: downstreamTls(["istio-peer-exchange", "h2", "http/1.1"]),
        filters: [stats, tcpProxy("InboundPassthroughCluster")],
      },
      ...chains,
    ],
  };
}

/** The inbound listener in mode TPROXY: connections to the application have the client's address. */
export function transparentInbound(...given: Parameters<typeof virtualInbound>): JsonValue {
  const listener = virtualInbound(...given) as JsonObject;
  const listenerFilters = [...(listener["listenerFilters"] as JsonValue[]), originalSource];
  return { ...listener, transparent: true, listenerFilters };
}

const originalSource: JsonValue = {
  name: "envoy.filters.listener.original_src",
  typedConfig: { "@type": `${type}/envoy.extensions.filters.listener.original_src.v3.OriginalSrc`, mark: 1337 },
};

/** Exchanges metadata over raw connections that agree on it by ALPN. Used by chains and by clusters. */
const peerExchange: JsonValue = {
  name: "istio.metadata_exchange",
  typedConfig: {
    "@type": `${type}/udpa.type.v1.TypedStruct`,
    typeUrl: `${type}/envoy.tcp.metadataexchange.config.MetadataExchange`,
    value: { enable_discovery: true, protocol: "istio-peer-exchange" },
  },
};

/** The filter that holds access rules, if there are any. */
function accessRules(level: "http" | "network", rules: JsonValue | undefined): JsonValue[] {
  if (rules === undefined) return [];
  const statPrefix = level === "network" ? { statPrefix: "tcp." } : {};
  return [
    {
      name: `envoy.filters.${level}.rbac`,
      typedConfig: {
        "@type": `type.googleapis.com/envoy.extensions.filters.${level}.rbac.v3.RBAC`,
        rules,
        ...statPrefix,
      },
    },
  ];
}

function inboundHttp(port: number, rules: JsonValue | undefined): JsonValue {
  const cluster = `inbound|${port}||`;
  return connectionManager({
    statPrefix: `inbound_0.0.0.0_${port};`,
    forwardClientCertDetails: "APPEND_FORWARD",
    setCurrentClientCertDetails: { subject: true, dns: true, uri: true },
    httpFilters: [
      metadataExchange({
        downstream_discovery: [{ istio_headers: {} }],
        downstream_propagation: [{ istio_headers: {} }],
      }),
      ...accessRules("http", rules),
      stats,
      router,
    ],
    routeConfig: {
      name: cluster,
      virtualHosts: [
        {
          name: `inbound|http|${port}`,
          domains: ["*"],
          routes: [{ name: "default", match: { prefix: "/" }, route: { cluster, timeout: "0s" } }],
        },
      ],
    },
  });
}

export const blackHole: JsonValue = { name: "BlackHoleCluster", type: "STATIC", connectTimeout: "1s" };
export const passthrough: JsonValue = {
  name: "PassthroughCluster",
  type: "ORIGINAL_DST",
  lbPolicy: "CLUSTER_PROVIDED",
  connectTimeout: "10s",
};

/**
 * A cluster to the original destination. Its connections come from the source address that the pod's redirect rules
 * leave alone.
 */
export function inboundCluster(name: string, service?: string): JsonValue {
  return {
    name,
    type: "ORIGINAL_DST",
    lbPolicy: "CLUSTER_PROVIDED",
    connectTimeout: "10s",
    upstreamBindConfig: { sourceAddress: { address: "127.0.0.6", portValue: 0 } },
    ...(service === undefined
      ? {}
      : {
          metadata: {
            filterMetadata: {
              istio: { services: [{ host: `${service}.test.svc.cluster.local`, name: service, namespace: "test" }] },
            },
          },
        }),
  };
}

/**
 * A service's cluster. Its connections use mutual TLS to the endpoints that support it, which must have this identity.
 */
export function outboundCluster(name: string, service: string, identity: string): JsonValue {
  return {
    name,
    type: "EDS",
    edsClusterConfig: { edsConfig: { ads: {} }, serviceName: name },
    connectTimeout: "10s",
    lbPolicy: "LEAST_REQUEST",
    filters: [peerExchange],
    metadata: {
      filterMetadata: {
        istio: { services: [{ host: `${service}.test.svc.cluster.local`, name: service, namespace: "test" }] },
      },
    },
    transportSocketMatches: [
      {
        name: "tlsMode-istio",
        match: { tlsMode: "istio" },
        transportSocket: {
          name: "envoy.transport_sockets.tls",
          typedConfig: {
            "@type": `${type}/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext`,
            sni: `outbound_.80_._.${service}.test.svc.cluster.local`,
            commonTlsContext: meshTls([{ exact: identity }], ["istio-peer-exchange", "istio"]),
          },
        },
      },
      {
        name: "tlsMode-disabled",
        match: {},
        transportSocket: {
          name: "raw",
          typedConfig: { "@type": `${type}/envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer` },
        },
      },
    ],
  };
}

export function meshEndpoint(cluster: string, address: string, port: number): JsonValue {
  return {
    clusterName: cluster,
    endpoints: [
      {
        lbEndpoints: [
          {
            endpoint: { address: socketAddress(address, port) },
            metadata: {
              filterMetadata: {
                "envoy.transport_socket_match": { tlsMode: "istio" },
                istio: { workload: "shop-v1;test;shop;v1;Kubernetes" },
              },
            },
          },
        ],
      },
    ],
  };
}
