import { randomFillSync } from "node:crypto";
import {
  createServer,
  request as httpRequest,
  type Agent,
  type IncomingMessage,
  type RequestListener,
  type Server,
} from "node:http";
import { connect, type AddressInfo, type Socket } from "node:net";
import { unknownWorkload } from "../terms/workload-labels.ts";
import { seededRandom, systemClock, type Clock } from "../../base/index.ts";
import { connectTcp, listenTcp } from "../../net/index.ts";
import type { ExchangeRecord } from "../record/exchange-record.ts";
import { randomUuids } from "../terms/random-id.ts";
import { flagLetters } from "../terms/response-flags.ts";
import type { HttpConnectionConfig } from "../http/http-connection-config.ts";
import { HttpListener, type HttpListenerOptions } from "../connection/http-listener.ts";
import { RouteTable } from "../routing/route-table.ts";
import type { ForwardAction, RetryPolicy, Route } from "../routing/route.ts";
import { Cluster, type ClusterConfig } from "../upstream/cluster.ts";
import { defaultBalancing } from "../upstream/balancing.ts";
import type { EndpointConfig } from "../upstream/endpoint.ts";
import type { OutlierPolicy } from "../upstream/outlier-detector.ts";

export const testConnectionConfig: HttpConnectionConfig = {
  statPrefix: "test",
  codec: "auto",
  http2: { maxConcurrentStreams: 100, keepaliveIntervalMs: 0, keepaliveTimeoutMs: 0 },
  serverName: "istio-envoy",
  serverHeader: "overwrite",
  hidesEnvoyHeaders: false,
  useRemoteAddress: true,
  internalAddresses: [],
  trustedHops: 0,
  appendForwardedFor: true,
  appendForwardedPort: false,
  path: { normalize: true, mergeSlashes: false, escapedSlashes: "keep" },
  stripHostPort: "none",
  upgrades: new Set(["websocket"]),
  acceptHttp10: true,
  defaultHostForHttp10: "",
  forwardContinue: true,
  clientCertificate: "sanitize",
  clientCertificateFields: [],
  http1Trailers: false,
  generateRequestId: true,
  preserveExternalRequestId: false,
  requestIdInResponse: false,
  idleTimeoutMs: 3_600_000,
  streamIdleTimeoutMs: 0,
  requestTimeoutMs: 0,
  headTimeoutMs: 0,
  headLimits: { maxHeadBytes: 60 * 1024, maxFields: 100 },
  filters: [],
  filtersIdle: true,
  localReplies: [],
  peerMetadata: {
    readFromClient: false,
    writeToClient: false,
    readFromUpstream: false,
    writeToUpstream: false,
    inMeshOnly: false,
    labelNames: [],
  },
  maxStreamDurationMs: 0,
  maxConnectionMs: 0,
  maxRequestsPerConnection: 0,
  tracing: undefined,
  requestCapture: [],
  responseCapture: [],
};

export function forwardTo(cluster: string, more: Partial<ForwardAction> = {}): ForwardAction {
  return {
    kind: "forward",
    target: { kind: "one", cluster },
    appendForwardedHost: false,
    clusterNotFoundStatus: 503,
    rewritePath: undefined,
    rewriteHost: undefined,
    autoHostRewrite: false,
    timeoutMs: 0,
    grpcTimeout: undefined,
    stream: undefined,
    idleTimeoutMs: undefined,
    hashPolicies: [],
    retry: undefined,
    mirrors: [],
    upgrades: new Map(),
    includeAttemptCount: false,
    ...more,
  };
}

export function route(action: Route["action"], more: Partial<Route> = {}): Route {
  return {
    name: "test",
    matches: () => true,
    forConnect: false,
    action,
    requestMutations: [],
    responseMutations: [],
    cors: undefined,
    filterConfigs: new Map(),
    ...more,
  };
}

export function tableOf(...routes: readonly Route[]): RouteTable {
  return new RouteTable({ name: "test", virtualHosts: [{ name: "any", domains: ["*"], routes, requireTls: "none" }] });
}

export function retryPolicy(
  more: Partial<Omit<RetryPolicy, "on">> & { readonly on?: Partial<RetryPolicy["on"]> } = {},
): RetryPolicy {
  return {
    retries: 2,
    perTryTimeoutMs: 0,
    baseIntervalMs: 1,
    maxIntervalMs: 2,
    retriableStatusCodes: [],
    avoidPreviousHosts: true,
    hostSelectionAttempts: 5,
    otherPrioritiesAfter: undefined,
    ...more,
    on: {
      connectFailure: false,
      reset: false,
      resetBeforeRequest: false,
      refusedStream: false,
      serverError: false,
      gatewayError: false,
      retriable4xx: false,
      retriableStatusCodes: false,
      rateLimited: false,
      grpcStatuses: new Set(),
      ...more.on,
    },
  };
}

export function endpointAt(port: number, more: Partial<EndpointConfig> = {}): EndpointConfig {
  return {
    address: "127.0.0.1",
    port,
    transport: { kind: "plain" },
    weight: 1,
    priority: 0,
    healthy: true,
    hostname: undefined,
    workload: unknownWorkload,
    ...more,
  };
}

export interface FinishedExchange {
  readonly status: number;
  readonly flag: string;
  readonly details: string;
  readonly method: string;
  readonly cluster: string | undefined;
  readonly receivedBytes: number;
  readonly sentBytes: number;
}

const furtherFields = [
  "protocol",
  "status",
  "isGrpc",
  "grpcStatus",
  "requestMessages",
  "responseMessages",
  "downstreamPeer",
  "upstreamPeer",
  "requestedServerName",
  "requestId",
  "metadata",
] as const;

export const plainOutliers: OutlierPolicy = {
  consecutiveServerErrors: 0,
  consecutiveGatewayErrors: 0,
  consecutiveLocalErrors: 0,
  splitsLocalErrors: false,
  intervalMs: 1000,
  baseEjectionMs: 10_000,
  maxEjectionMs: 10_000,
  ejectionJitterMs: 0,
  maxEjectionPercent: 100,
  alwaysEjectsOne: false,
};

export const plainCluster: Omit<ClusterConfig, "name" | "limits"> = {
  loadBalancing: "round-robin",
  balancing: defaultBalancing,
  panicThreshold: 0,
  localityWeighted: false,
  slowStart: undefined,
  outliers: undefined,
  maxConnections: Infinity,
  maxPendingRequests: Infinity,
  maxRequests: Infinity,
  maxRetries: Infinity,
  retryBudget: undefined,
  upstreamProtocol: "http1",
  http2: { maxConcurrentStreams: 100, keepaliveIntervalMs: 0, keepaliveTimeoutMs: 0 },
  overridesAlpn: true,
  exchangesPeers: false,
  peerLabelNames: [],
  peerMetadata: "tell",
  service: undefined,
};

/** A loopback listener with its routes and clusters. Disposing it closes everything. */
export class Harness implements AsyncDisposable {
  readonly records: FinishedExchange[] = [];
  /** Further fields of the finished records, in the same order. */
  readonly finished: Pick<ExchangeRecord, (typeof furtherFields)[number]>[] = [];
  readonly clusters = new Map<string, Cluster>();
  readonly #servers: { close(): unknown; closeAllConnections?(): void }[] = [];
  readonly #sockets = new Set<Socket>();
  table: RouteTable | undefined;
  readonly listener: HttpListener;

  private constructor(config: Partial<HttpConnectionConfig>, seed: number, options: Partial<HttpListenerOptions>) {
    this.listener = new HttpListener({
      config: { ...testConnectionConfig, ...config },
      routeTable: () => this.table,
      cluster: (name) => this.clusters.get(name),
      observe: (record) => {
        this.records.push(summary(record));
        this.finished.push(
          Object.fromEntries(furtherFields.map((name) => [name, record[name]])) as (typeof this.finished)[number],
        );
      },
      clock: systemClock,
      random: seededRandom(seed),
      newRequestId: randomUuids((bytes) => randomFillSync(bytes)),
      ...options,
    });
  }

  static async start(
    config: Partial<HttpConnectionConfig> = {},
    seed = 1,
    options: Partial<HttpListenerOptions> = {},
  ): Promise<Harness> {
    const harness = new Harness(config, seed, options);
    await harness.listener.listen(listenTcp, [{ address: "127.0.0.1", port: 0 }]);
    return harness;
  }

  get port(): number {
    return this.listener.addresses[0]?.port ?? 0;
  }

  /** Adds a cluster with an endpoint at each of these ports. Without ports, its endpoints have not arrived yet. */
  cluster(
    name: string,
    ports: readonly number[] | undefined,
    more: Partial<ClusterConfig> = {},
    clock: Clock = systemClock,
  ): Cluster {
    const config: ClusterConfig = {
      name,
      limits: {
        connectTimeoutMs: 10_000,
        maxConnections: Infinity,
        maxPendingRequests: Infinity,
        maxRequestsPerConnection: 0,
        idleTimeoutMs: 3_600_000,
      },
      ...plainCluster,
      ...more,
    };
    const connect = (endpoint: EndpointConfig, timeoutMs: number) =>
      connectTcp({ address: endpoint.address, port: endpoint.port, timeoutMs });
    const cluster = new Cluster(config, { connector: { connect }, clock, random: seededRandom(7) });
    if (ports !== undefined) cluster.setEndpoints(ports.map((port) => endpointAt(port)));
    this.clusters.set(name, cluster);
    return cluster;
  }

  async backend(handler: RequestListener): Promise<{ port: number; server: Server }> {
    const server = createServer({ keepAliveTimeout: 60_000 }, handler);
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    this.#servers.push(server);
    return { port: (server.address() as AddressInfo).port, server };
  }

  async rawBackend(onSocket: (socket: Socket) => void): Promise<number> {
    const { createServer: createTcpServer } = await import("node:net");
    const server = createTcpServer({ allowHalfOpen: true }, (socket) => {
      this.#sockets.add(socket);
      socket.on("error", () => undefined);
      onSocket(socket);
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    this.#servers.push(server);
    return (server.address() as AddressInfo).port;
  }

  client(): RawClient {
    const client = new RawClient(this.port);
    this.#sockets.add(client.socket);
    return client;
  }

  /** Sends one request with node:http, over a new connection unless an agent is given. */
  get(path: string, options: RequestOptions = {}): Promise<Answer> {
    return fetchOnce(this.port, path, options);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.listener.stopListening();
    this.listener.closeAll();
    for (const cluster of this.clusters.values()) cluster.drain();
    for (const socket of this.#sockets) socket.destroy();
    for (const server of this.#servers) {
      server.closeAllConnections?.();
      server.close();
    }
    await Promise.resolve();
  }
}

function summary(record: ExchangeRecord): FinishedExchange {
  const { status, details, method, receivedBytes, sentBytes } = record;
  return {
    status,
    flag: flagLetters(record.flag),
    details,
    method,
    cluster: record.cluster?.name,
    receivedBytes,
    sentBytes,
  };
}

export interface RequestOptions {
  readonly method?: string;
  readonly headers?: Record<string, string>;
  readonly body?: string | Buffer;
  readonly host?: string;
  readonly agent?: Agent;
}

export interface Answer {
  readonly status: number;
  readonly headers: IncomingMessage["headers"];
  readonly body: string;
}

export function fetchOnce(port: number, path: string, options: RequestOptions = {}): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const { method = "GET", headers = {}, agent, host = "127.0.0.1" } = options;
    const request = httpRequest({ port, host, path, method, headers, agent: agent ?? false }, (response) => {
      const chunks: Buffer[] = [];
      response.on("data", (chunk: Buffer) => chunks.push(chunk));
      response.on("error", reject);
      response.on("end", () =>
        resolve({
          status: response.statusCode ?? 0,
          headers: response.headers,
          body: Buffer.concat(chunks).toString(),
        }),
      );
    });
    request.on("error", reject);
    request.end(options.body);
  });
}

/** A client that sends raw bytes and waits for text. */
export class RawClient {
  readonly socket: Socket;
  readonly closed: Promise<void>;
  received = "";
  #check: (() => void) | undefined;

  constructor(port: number) {
    this.socket = connect({ port, host: "127.0.0.1", noDelay: true, allowHalfOpen: true });
    this.socket.on("data", (chunk) => {
      this.received += chunk.toString("latin1");
      this.#check?.();
    });
    const closed = Promise.withResolvers<void>();
    this.closed = closed.promise;
    this.socket.on("error", () => undefined);
    this.socket.on("end", () => closed.resolve());
    this.socket.on("close", () => closed.resolve());
  }

  send(text: string | Buffer): void {
    this.socket.write(typeof text === "string" ? Buffer.from(text, "latin1") : text);
  }

  /** Resolves with all received text once it matches. Rejects if the connection ends first. */
  until(pattern: RegExp): Promise<string> {
    return new Promise((resolve, reject) => {
      let ended = false;
      void this.closed.then(() => {
        ended = true;
        this.#check?.();
      });
      this.#check = () => {
        if (pattern.test(this.received)) resolve(this.received);
        else if (ended) reject(new Error(`the connection ended; so far: ${JSON.stringify(this.received)}`));
      };
      this.#check();
    });
  }
}

/**
 * Sends a text and returns all that is received. The client ends its side after it has received as many bytes as it
 * sent.
 */
export function sendText(port: number, text: string): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    let received = "";
    socket.on("data", (bytes) => {
      received += bytes.toString();
      if (received.length >= text.length) socket.end();
    });
    socket.on("error", () => undefined);
    socket.on("close", () => resolve(received));
    socket.write(text);
  });
}
