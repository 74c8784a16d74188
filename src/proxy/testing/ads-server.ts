import { create, fromBinary, fromJson, toBinary, type DescMessage, type JsonValue } from "@bufbuild/protobuf";
import { AnySchema } from "@bufbuild/protobuf/wkt";
import * as grpc from "@grpc/grpc-js";
import {
  DeltaDiscoveryRequestSchema,
  DeltaDiscoveryResponseSchema,
  ProxyConfigSchema,
} from "../../wire/discovery/index.ts";
import {
  ClusterLoadAssignmentSchema,
  ClusterSchema,
  envoyRegistry,
  ListenerSchema,
  RouteConfigurationSchema,
  SecretSchema,
  TypedExtensionConfigSchema,
  VirtualHostSchema,
} from "../../wire/envoy/index.ts";
import { discoveryMethods, typeUrls } from "../../wire/xds/index.ts";

type DiscoveryCall = grpc.ServerDuplexStream<Buffer, Buffer>;

const schemas: Readonly<Record<string, DescMessage>> = {
  [typeUrls.cluster]: ClusterSchema,
  [typeUrls.endpoint]: ClusterLoadAssignmentSchema,
  [typeUrls.listener]: ListenerSchema,
  [typeUrls.route]: RouteConfigurationSchema,
  [typeUrls.virtualHost]: VirtualHostSchema,
  [typeUrls.extensionConfig]: TypedExtensionConfigSchema,
  [typeUrls.secret]: SecretSchema,
  [typeUrls.proxyConfig]: ProxyConfigSchema,
};

export interface Acknowledgement {
  readonly typeUrl: string;
  readonly error: string | undefined;
}

/** A small delta ADS server for tests: resources as protobuf JSON, pushed when they change. */
export class AdsServer implements AsyncDisposable {
  readonly #server = new grpc.Server();
  readonly #resources = new Map<string, Map<string, JsonValue>>();
  readonly #subscribed = new Set<string>();
  /** For each type, the number of the last response by which a test pushed resources. */
  readonly #pushed = new Map<string, number>();
  readonly acknowledgements: Acknowledgement[] = [];
  /** For each acknowledgement, the number of the response that it answers. */
  readonly #answered: number[] = [];
  /** The names that the client no longer requests, in the order of its messages. */
  readonly unsubscribed: string[] = [];
  #call: DiscoveryCall | undefined;
  #version = 0;
  #onAcknowledged: () => void = () => undefined;
  url = "";

  static async start(): Promise<AdsServer> {
    const ads = new AdsServer();
    const identity = (bytes: Buffer): Buffer => bytes;
    const definition = {
      deltaAds: {
        path: discoveryMethods.deltaAds,
        requestStream: true,
        responseStream: true,
        requestSerialize: identity,
        requestDeserialize: identity,
        responseSerialize: identity,
        responseDeserialize: identity,
      },
    } as const;
    ads.#server.addService(definition, { deltaAds: (call: DiscoveryCall) => ads.#serve(call) });
    const port = await new Promise<number>((resolve, reject) => {
      ads.#server.bindAsync("127.0.0.1:0", grpc.ServerCredentials.createInsecure(), (error, bound) =>
        error === null ? resolve(bound) : reject(error),
      );
    });
    ads.url = `http://127.0.0.1:${port}`;
    return ads;
  }

  /** Sets resources and pushes them at once to all subscribers of the type. */
  push(typeUrl: string, resources: Readonly<Record<string, JsonValue>>, removed: readonly string[] = []): void {
    const known = this.#resources.get(typeUrl) ?? new Map<string, JsonValue>();
    this.#resources.set(typeUrl, known);
    for (const [name, resource] of Object.entries(resources)) known.set(name, resource);
    for (const name of removed) known.delete(name);
    if (!this.#subscribed.has(typeUrl)) return;
    this.#send(typeUrl, Object.keys(resources), removed);
    this.#pushed.set(typeUrl, this.#version);
  }

  hasAskedFor(typeUrl: string): boolean {
    return this.#subscribed.has(typeUrl);
  }

  /**
   * Resolves with the client's answer to the last push of that type, or to a later response. The answer to an earlier
   * response may still be under way, such as that to the proxy's second request of the type.
   */
  async acknowledged(typeUrl: string, after = this.acknowledgements.length): Promise<Acknowledgement> {
    const least = this.#pushed.get(typeUrl) ?? 0;
    for (;;) {
      const found = this.acknowledgements.find(
        (one, index) => index >= after && one.typeUrl === typeUrl && (this.#answered[index] ?? 0) >= least,
      );
      if (found !== undefined) return found;
      await new Promise<void>((resolve) => (this.#onAcknowledged = resolve));
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.forceShutdown();
    await Promise.resolve();
  }

  #serve(call: DiscoveryCall): void {
    this.#call = call;
    call.on("error", () => undefined);
    call.on("data", (bytes: Buffer) => {
      const request = fromBinary(DeltaDiscoveryRequestSchema, bytes);
      if (request.responseNonce !== "") {
        const { typeUrl, errorDetail, responseNonce } = request;
        this.acknowledgements.push({ typeUrl, error: errorDetail?.message });
        this.#answered.push(Number(responseNonce));
        this.#onAcknowledged();
        return;
      }
      this.unsubscribed.push(...request.resourceNamesUnsubscribe);
      this.#subscribed.add(request.typeUrl);
      // Do not answer for a type without resources, because an empty response would make a proxy ready.
      const known = this.#resources.get(request.typeUrl);
      if (known !== undefined) this.#send(request.typeUrl, [...known.keys()], []);
    });
  }

  #send(typeUrl: string, names: readonly string[], removed: readonly string[]): void {
    const schema = schemas[typeUrl];
    const resources = this.#resources.get(typeUrl);
    if (schema === undefined) return;
    this.#version += 1;
    const version = String(this.#version);
    const response = create(DeltaDiscoveryResponseSchema, {
      typeUrl,
      nonce: version,
      systemVersionInfo: version,
      removedResources: [...removed],
      resources: names.map((name) => {
        const message = fromJson(schema, resources?.get(name) ?? {}, { registry: envoyRegistry() });
        return { name, version, resource: create(AnySchema, { typeUrl, value: toBinary(schema, message) }) };
      }),
    });
    this.#call?.write(Buffer.from(toBinary(DeltaDiscoveryResponseSchema, response)));
  }
}

const type = "type.googleapis.com";

/** A gateway's listener in istiod's form. */
export function httpListener(port: number, routes: string, more: Readonly<Record<string, JsonValue>> = {}): JsonValue {
  return {
    name: `listener_${port}`,
    address: { socketAddress: { address: "127.0.0.1", portValue: port } },
    filterChains: [
      {
        filters: [
          {
            name: "envoy.filters.network.http_connection_manager",
            typedConfig: {
              "@type": `${type}/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager`,
              statPrefix: `outbound_${port};`,
              rds: { configSource: { ads: {} }, routeConfigName: routes },
              httpFilters: [
                { name: "istio.stats", typedConfig: { "@type": `${type}/stats.PluginConfig` } },
                {
                  name: "envoy.filters.http.router",
                  typedConfig: { "@type": `${type}/envoy.extensions.filters.http.router.v3.Router` },
                },
              ],
              serverName: "istio-envoy",
              useRemoteAddress: true,
              normalizePath: true,
              proxy100Continue: true,
              streamIdleTimeout: "0s",
              upgradeConfigs: [{ upgradeType: "websocket" }],
              ...more,
            },
          },
        ],
      },
    ],
    trafficDirection: "OUTBOUND",
  };
}

/** A cluster with endpoints by discovery (EDS), with the transport sockets of an ambient mesh. */
export function edsCluster(name: string, service = "a"): JsonValue {
  const raw = {
    name: "raw",
    typedConfig: { "@type": `${type}/envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer` },
  };
  return {
    name,
    type: "EDS",
    edsClusterConfig: { edsConfig: { ads: {} }, serviceName: name },
    connectTimeout: "10s",
    lbPolicy: "LEAST_REQUEST",
    metadata: {
      filterMetadata: {
        istio: { services: [{ host: `${service}.test.svc.cluster.local`, name: service, namespace: "test" }] },
      },
    },
    transportSocketMatches: [
      {
        name: "hbone",
        match: { tunnel: "http" },
        transportSocket: {
          name: "envoy.transport_sockets.internal_upstream",
          typedConfig: {
            "@type": `${type}/envoy.extensions.transport_sockets.internal_upstream.v3.InternalUpstreamTransport`,
            transportSocket: raw,
          },
        },
      },
      { name: "tlsMode-disabled", match: {}, transportSocket: raw },
    ],
  };
}

export function plainEndpoints(name: string, ports: readonly number[]): JsonValue {
  return {
    clusterName: name,
    endpoints: [
      {
        lbEndpoints: ports.map((portValue) => ({
          endpoint: { address: { socketAddress: { address: "127.0.0.1", portValue } } },
          metadata: { filterMetadata: { istio: { workload: "a-v1;test;a;v1;Kubernetes" } } },
          healthStatus: "HEALTHY",
          loadBalancingWeight: 1,
        })),
      },
    ],
  };
}

/** An endpoint behind a tunnel. `waypoint` is the address where the tunnel ends. */
export function tunnelEndpoint(name: string, local: string, waypoint: string): JsonValue {
  return {
    clusterName: name,
    endpoints: [
      {
        lbEndpoints: [
          {
            endpoint: {
              address: { envoyInternalAddress: { serverListenerName: "connect_originate", endpointId: local } },
            },
            metadata: {
              filterMetadata: {
                "envoy.filters.listener.original_dst": { local, waypoint },
                "envoy.transport_socket_match": { tunnel: "http" },
              },
            },
          },
        ],
      },
    ],
  };
}

export function weightedRoute(name: string, weights: Readonly<Record<string, number>>): JsonValue {
  return {
    name,
    ignorePortInHostMatching: true,
    virtualHosts: [
      {
        name: "*:80",
        domains: ["*"],
        includeRequestAttemptCount: true,
        routes: [
          {
            name: "r",
            match: { prefix: "/" },
            route: {
              timeout: "0s",
              clusterNotFoundResponseCode: "INTERNAL_SERVER_ERROR",
              retryPolicy: {
                retryOn: "connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes",
                numRetries: 2,
              },
              weightedClusters: {
                clusters: Object.entries(weights).map(([cluster, weight]) => ({ name: cluster, weight })),
              },
            },
          },
        ],
      },
    ],
  };
}
