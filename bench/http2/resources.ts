// The configuration that both proxies get from the same kind of server. It consists of a listener with or without TLS,
// the routes of a gateway in a small mesh, and a cluster for each protocol.
import type { JsonValue } from "@bufbuild/protobuf";
import { typeUrls } from "../../src/wire/xds/index.ts";

export type UpstreamKind = "http1" | "bulk" | "http2" | "mutualTls";

export type UpstreamPorts = Readonly<Record<UpstreamKind, number>>;

export interface Certificates {
  readonly certificateChain: string;
  readonly privateKey: string;
  readonly roots: string;
}

export const serverName = "upstream.test";
const routeName = "routes";
const type = "type.googleapis.com";
const source: JsonValue = { ads: {}, resourceApiVersion: "V3" };
const secretNames = { certificate: "bench-certificate", roots: "bench-roots" } as const;
const plainRoutes = 60;

const logFormat =
  '[%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" %RESPONSE_CODE% %RESPONSE_FLAGS% %BYTES_RECEIVED% %BYTES_SENT% %DURATION% "%REQ(USER-AGENT)%" "%REQ(X-REQUEST-ID)%" "%REQ(:AUTHORITY)%" "%UPSTREAM_HOST%" %UPSTREAM_CLUSTER% %ROUTE_NAME%\n';

const commonTls: Readonly<Record<string, JsonValue>> = {
  alpnProtocols: ["h2"],
  tlsCertificateSdsSecretConfigs: [{ name: secretNames.certificate, sdsConfig: source }],
  validationContextSdsSecretConfig: { name: secretNames.roots, sdsConfig: source },
};

function listener(name: string, port: number, transportSocket?: JsonValue): JsonValue {
  const manager = {
    "@type": `${type}/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager`,
    statPrefix: name,
    rds: { configSource: source, routeConfigName: routeName },
    httpFilters: [
      {
        name: "envoy.filters.http.router",
        typedConfig: { "@type": `${type}/envoy.extensions.filters.http.router.v3.Router` },
      },
    ],
    serverName: "istio-envoy",
    useRemoteAddress: true,
    normalizePath: true,
    streamIdleTimeout: "0s",
    accessLog: [
      {
        name: "envoy.access_loggers.file",
        typedConfig: {
          "@type": `${type}/envoy.extensions.access_loggers.file.v3.FileAccessLog`,
          path: "/dev/null",
          logFormat: { textFormatSource: { inlineString: logFormat } },
        },
      },
    ],
  };
  return {
    name,
    address: { socketAddress: { address: "127.0.0.1", portValue: port } },
    filterChains: [
      {
        filters: [{ name: "envoy.filters.network.http_connection_manager", typedConfig: manager }],
        ...(transportSocket === undefined ? {} : { transportSocket }),
      },
    ],
    trafficDirection: "OUTBOUND",
  };
}

const speaksHttp2: JsonValue = {
  "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
    "@type": `${type}/envoy.extensions.upstreams.http.v3.HttpProtocolOptions`,
    explicitHttpConfig: { http2ProtocolOptions: {} },
  },
};

const upstreamTls: JsonValue = {
  name: "envoy.transport_sockets.tls",
  typedConfig: {
    "@type": `${type}/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext`,
    sni: serverName,
    commonTlsContext: commonTls,
  },
};

function cluster(name: UpstreamKind, port: number): JsonValue {
  return {
    name,
    type: "STATIC",
    connectTimeout: "2s",
    lbPolicy: "LEAST_REQUEST",
    circuitBreakers: { thresholds: [{ maxConnections: 4096, maxPendingRequests: 4096, maxRequests: 4096 }] },
    loadAssignment: {
      clusterName: name,
      endpoints: [
        { lbEndpoints: [{ endpoint: { address: { socketAddress: { address: "127.0.0.1", portValue: port } } } }] },
      ],
    },
    ...(name === "http2" || name === "mutualTls" ? { typedExtensionProtocolOptions: speaksHttp2 } : {}),
    ...(name === "mutualTls" ? { transportSocket: upstreamTls } : {}),
  };
}

/**
 * Returns many prefixes that do not match, and one route for each kind of upstream. `version` makes the routes of two
 * versions differ.
 */
export function routes(version: number): JsonValue {
  const kinds: readonly UpstreamKind[] = ["bulk", "http2", "mutualTls"];
  return {
    name: routeName,
    virtualHosts: [
      {
        name: "all",
        domains: ["*"],
        routes: [
          ...Array.from({ length: plainRoutes }, (_, index) => ({
            name: `r${index}-${version}`,
            match: { prefix: `/api/v${version}/service${index}/` },
            route: { cluster: "http1", timeout: "0s" },
          })),
          ...kinds.map((kind) => ({
            name: kind,
            match: { prefix: `/${kind}` },
            route: { cluster: kind, timeout: "0s" },
          })),
          { name: "http1", match: { prefix: "/" }, route: { cluster: "http1", timeout: "0s" } },
        ],
      },
    ],
  };
}

export const listenerNames = ["plain", "mutualTls"] as const;
export type ListenerName = (typeof listenerNames)[number];

export function resourcesFor(
  ports: Readonly<Record<ListenerName, number>>,
  upstreams: UpstreamPorts,
  certificates: Certificates,
): readonly (readonly [typeUrl: string, Readonly<Record<string, JsonValue>>])[] {
  const inline = (text: string): JsonValue => ({ inlineBytes: Buffer.from(text).toString("base64") });
  const downstreamTls: JsonValue = {
    name: "envoy.transport_sockets.tls",
    typedConfig: {
      "@type": `${type}/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext`,
      requireClientCertificate: true,
      commonTlsContext: commonTls,
    },
  };
  const kinds = Object.keys(upstreams) as UpstreamKind[];
  return [
    [
      typeUrls.secret,
      {
        [secretNames.certificate]: {
          name: secretNames.certificate,
          tlsCertificate: {
            certificateChain: inline(certificates.certificateChain),
            privateKey: inline(certificates.privateKey),
          },
        },
        [secretNames.roots]: {
          name: secretNames.roots,
          validationContext: { trustedCa: inline(certificates.roots) },
        },
      },
    ],
    [typeUrls.cluster, Object.fromEntries(kinds.map((kind) => [kind, cluster(kind, upstreams[kind])]))],
    [
      typeUrls.listener,
      {
        plain: listener("plain", ports.plain),
        mutualTls: listener("mutualTls", ports.mutualTls, downstreamTls),
      },
    ],
    [typeUrls.route, { [routeName]: routes(0) }],
  ];
}

export const routeResource = (version: number): Readonly<Record<string, JsonValue>> => ({
  [routeName]: routes(version),
});
