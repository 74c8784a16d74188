import type { Clock, Random } from "../../base/index.ts";
import type { SocketAddress } from "../../net/index.ts";
import { ConnectionPool, type PoolCounters, type PoolLimits } from "./connection-pool.ts";
import { endpointKey, endpointName, type EndpointConfig, type EndpointConnector } from "./endpoint.ts";
import { originalDestinationEndpoint, type OriginalDestinationRule } from "./original-destination.ts";
import { createLoadBalancer, type LoadBalancer, type LoadBalancing } from "./load-balancer.ts";

export interface ClusterConfig {
  readonly name: string;
  readonly loadBalancing: LoadBalancing;
  readonly limits: PoolLimits;
  /** Requests that may be under way at once. */
  readonly maxRequests: number;
  /** `istio.services[0]` of the cluster's metadata, for metrics. */
  readonly service: { readonly host: string; readonly name: string; readonly namespace: string } | undefined;
  /** The cluster has no endpoints of its own: it goes where the client wanted to go. */
  readonly originalDestination?: OriginalDestinationRule | undefined;
}

/** Destinations that such a cluster knows at once. */
const maxDestinations = 4096;

export interface ClusterRuntime {
  readonly connector: EndpointConnector;
  readonly clock: Clock;
  readonly random: Random;
}

/** One endpoint with what is under way to it. */
export class Endpoint {
  config: EndpointConfig;
  readonly name: string;
  readonly cluster: Cluster;
  readonly pool: ConnectionPool;
  activeRequests = 0;
  /** TCP connections that are relayed to it. */
  activeConnections = 0;
  /** Metric handles by status and flag; kept here so that a request finds them without building a key. */
  readonly statistics = new Map<number, unknown>();
  readonly counters: PoolCounters & { requests: number; errors: number; successes: number } = {
    connectionsOpened: 0,
    connectFailures: 0,
    connectionsClosed: 0,
    requests: 0,
    errors: 0,
    successes: 0,
  };

  constructor(config: EndpointConfig, cluster: Cluster, runtime: ClusterRuntime) {
    this.config = config;
    this.name = endpointName(config);
    this.cluster = cluster;
    this.pool = new ConnectionPool({ endpoint: config, ...runtime, limits: cluster.config.limits, counters: this.counters });
  }

  /** Nothing is under way, and no connection is kept. */
  get unused(): boolean {
    return this.activeRequests === 0 && this.activeConnections === 0 && this.pool.openConnections === 0 && this.pool.pendingRequests === 0;
  }
}

export interface ClusterCounters {
  requests: number;
  retries: number;
  noHealthyEndpoint: number;
  overflow: number;
}

/** A named set of endpoints. Endpoints that stay through an update keep their connections. */
export class Cluster {
  readonly config: ClusterConfig;
  readonly #runtime: ClusterRuntime;
  #endpoints = new Map<string, Endpoint>();
  #balancer: LoadBalancer<Endpoint> = { pick: () => undefined };
  #hasEndpoints = false;
  activeRequests = 0;
  readonly counters: ClusterCounters = { requests: 0, retries: 0, noHealthyEndpoint: 0, overflow: 0 };

  constructor(config: ClusterConfig, runtime: ClusterRuntime) {
    this.config = config;
    this.#runtime = runtime;
  }

  get name(): string {
    return this.config.name;
  }

  /** Whether endpoints have been set at all, be it to none. */
  get hasEndpoints(): boolean {
    return this.#hasEndpoints;
  }

  endpoints(): Iterable<Endpoint> {
    return this.#endpoints.values();
  }

  setEndpoints(configs: readonly EndpointConfig[]): void {
    const next = new Map<string, Endpoint>();
    for (const config of configs) {
      const key = endpointKey(config);
      const known = this.#endpoints.get(key);
      if (known === undefined) next.set(key, new Endpoint(config, this, this.#runtime));
      else {
        if (JSON.stringify(known.config.workload) !== JSON.stringify(config.workload)) known.statistics.clear();
        known.config = config;
        next.set(key, known);
      }
    }
    for (const [key, endpoint] of this.#endpoints) if (!next.has(key)) endpoint.pool.drain();
    this.#endpoints = next;
    this.#hasEndpoints = true;
    this.#balancer = createLoadBalancer(this.config.loadBalancing, this.#usable(), this.#runtime.random);
  }

  /** An endpoint for a request; `avoid` are those tried before, of which one is taken again after `attempts` picks. */
  pick(avoid: ReadonlySet<Endpoint> | undefined, attempts: number): Endpoint | undefined {
    let endpoint = this.#balancer.pick();
    if (avoid === undefined) return endpoint;
    for (let attempt = 1; endpoint !== undefined && avoid.has(endpoint) && attempt < attempts; attempt += 1) {
      endpoint = this.#balancer.pick();
    }
    return endpoint;
  }

  /** The endpoint that stands for a destination; undefined when the cluster has endpoints of its own, or too many by now. */
  forDestination(destination: SocketAddress): Endpoint | undefined {
    const rule = this.config.originalDestination;
    if (rule === undefined) return undefined;
    const config = originalDestinationEndpoint(rule, destination);
    const key = endpointKey(config);
    let endpoint = this.#endpoints.get(key);
    if (endpoint !== undefined || this.#endpoints.size >= maxDestinations) return endpoint;
    endpoint = new Endpoint(config, this, this.#runtime);
    this.#endpoints.set(key, endpoint);
    return endpoint;
  }

  sweep(nowMs: number): void {
    for (const [key, endpoint] of this.#endpoints) {
      endpoint.pool.sweep(nowMs);
      if (this.config.originalDestination !== undefined && endpoint.unused) this.#endpoints.delete(key);
    }
  }

  /** Takes it out of use: idle connections close, exchanges that run go on. */
  drain(): void {
    for (const endpoint of this.#endpoints.values()) endpoint.pool.drain();
  }

  /** The healthy endpoints of the most preferred priority that has any. */
  #usable(): Endpoint[] {
    const healthy = [...this.#endpoints.values()].filter((endpoint) => endpoint.config.healthy && endpoint.config.weight > 0);
    const best = healthy.reduce((lowest, endpoint) => Math.min(lowest, endpoint.config.priority), Infinity);
    return healthy.filter((endpoint) => endpoint.config.priority === best);
  }
}
