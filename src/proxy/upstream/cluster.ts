import { type Clock, type Random, jsonEqual } from "../../base/index.ts";
import type { SocketAddress } from "../../net/index.ts";
import type { ConnectionInfo } from "../terms/connection-info.ts";
import { breakerResources, CircuitBreaker, type BreakerLimits, type BreakerThresholds } from "./circuit-breaker.ts";
import { ClientPools } from "./client-pools.ts";
import { ConnectionPool, type PoolCounters, type PoolLimits } from "./connection-pool.ts";
import { EndpointSelection, type SelectionRules } from "./endpoint-selection.ts";
import type { PreviousPriorities } from "./previous-priorities.ts";
import { endpointKey, endpointName, sourceFor, type EndpointConfig, type EndpointConnector } from "./endpoint.ts";
import type { ForwardNames } from "./forward-names.ts";
import { originalDestinationEndpoint, type OriginalDestinationRule } from "./original-destination.ts";
import { OutlierDetector, OutlierRecord, type EndpointOutcome, type OutlierPolicy } from "./outlier-detector.ts";
import { preferableStatuses, type EndpointStatus } from "./preferred-endpoint.ts";
import { warmedWeight, type SlowStart } from "./slow-start.ts";
import type { LocalZones } from "./zone-aware.ts";

export interface ClusterConfig extends SelectionRules, BreakerLimits {
  readonly name: string;
  /** The name in statistics. Absent means {@link name}. */
  readonly statName?: string;
  /** The thresholds of requests with high priority. The admin endpoint shows them, but they have no effect. */
  readonly highPriority?: BreakerThresholds;
  readonly limits: PoolLimits;
  /** The protocol to endpoints. `downstream` means the client's protocol, and `alpn` the one that TLS negotiates. */
  readonly upstreamProtocol: UpstreamProtocol;
  readonly http2: UpstreamHttp2;
  /** Whether TLS may offer the mesh's protocols instead of the configured ones. */
  readonly overridesAlpn: boolean;
  /** Whether both ends of a raw TCP connection may exchange metadata at its beginning. */
  readonly exchangesPeers: boolean;
  /** The labels, in addition to the standard ones, that both ends send each other in this exchange of metadata. */
  readonly peerLabelNames: readonly string[];
  /**
   * Whether endpoints get this proxy's metadata with HTTP requests. `external` means that all endpoints are outside the
   * mesh.
   */
  readonly peerMetadata: "tell" | "external" | "never";
  readonly outliers: OutlierPolicy | undefined;
  /** How the weights of new endpoints grow. Undefined if new endpoints get their full share at once. */
  readonly slowStart: SlowStart | undefined;
  /** The statuses in which an endpoint still gets the requests that name it. Absent means Envoy's default. */
  readonly preferableStatuses?: ReadonlySet<EndpointStatus>;
  /** The service for metrics: `istio.services[0]` of the cluster's metadata. */
  readonly service: { readonly host: string; readonly name: string; readonly namespace: string } | undefined;
  /** Set if the cluster has no endpoints of its own, and connects to the destination that the client chose. */
  readonly originalDestination?: OriginalDestinationRule | undefined;
}

export type UpstreamProtocol = "http1" | "http2" | "downstream" | "alpn";

/** HTTP/2 settings for endpoints. An interval of 0 means no PINGs. */
export interface UpstreamHttp2 {
  readonly maxConcurrentStreams: number;
  readonly keepaliveIntervalMs: number;
  readonly keepaliveTimeoutMs: number;
}

/** The maximum number of destinations of a cluster without endpoints of its own, at the same time. */
export const maxDestinations = 4096;
const firstEndpointsLimitMs = 5000;

export interface Ejection {
  readonly cluster: string;
  readonly endpoint: string;
  readonly forMs: number;
}

export interface ClusterRuntime {
  /** Creates a breaker that shares its counts with other threads. Absent if this is the only serving thread. */
  readonly breaker?: (cluster: string, limits: BreakerLimits) => CircuitBreaker;
  readonly ejected?: (ejection: Ejection) => void;
  /** Resolves the names that clients request. Set only for a cluster that forwards to these names. */
  readonly names?: ForwardNames;
  /** Returns where the proxies of this proxy's workload are. Absent if the proxy does not request them. */
  readonly localZones?: () => LocalZones | undefined;
  readonly connector: EndpointConnector;
  readonly clock: Clock;
  readonly random: Random;
}

export class Endpoint {
  config: EndpointConfig;
  readonly name: string;
  readonly cluster: Cluster;
  /** The connections that all clients share. Some clusters use a pool for each client instead: see {@link poolFor}. */
  readonly pool: ConnectionPool;
  readonly #clientPools: ClientPools;
  activeRequests = 0;
  activeConnections = 0;
  /** Metric handles by response status and flag, so that a request finds them without building a key. */
  readonly statistics = new Map<number, unknown>();
  readonly counters: PoolCounters & { requests: number; errors: number; successes: number } = {
    ...noConnections(),
    requests: 0,
    errors: 0,
    successes: 0,
  };

  /** The SPIFFE id that the endpoint proved last. Empty before that, and without TLS. */
  peerIdentity = "";
  readonly outliers = new OutlierRecord();
  /**
   * When the control plane first called the endpoint healthy, on the steady clock, which is when its slow start begins.
   * Infinite before that.
   */
  #healthySinceMs = Infinity;

  constructor(config: EndpointConfig, cluster: Cluster, runtime: ClusterRuntime) {
    this.config = config;
    this.noteHealth(runtime.clock.steadyMs());
    this.name = endpointName(config);
    this.cluster = cluster;
    const poolOptions = {
      endpoint: config,
      ...runtime,
      limits: cluster.config.limits,
      onPeer: (identity: string | undefined) => this.knowPeer(identity),
      counters: this.counters,
      breaker: cluster.breaker,
      http2: cluster.config.http2,
    };
    this.pool = new ConnectionPool(poolOptions);
    this.#clientPools = new ClientPools(poolOptions);
  }

  poolFor(downstream: ConnectionInfo): ConnectionPool {
    if (this.config.proxyHeader !== undefined) return this.#clientPools.get(downstream);
    const source = sourceFor(this.config, downstream.originalSource);
    return source === undefined ? this.pool : this.#clientPools.ofSource(source);
  }

  *pools(): Iterable<ConnectionPool> {
    yield this.pool;
    yield* this.#clientPools.all();
  }

  get openConnections(): number {
    let open = 0;
    for (const pool of this.pools()) open += pool.openConnections;
    return open;
  }

  drain(): void {
    for (const pool of this.pools()) pool.drain();
  }

  /** Called when the control plane has removed the address from the cluster. */
  remove(): void {
    for (const pool of this.pools()) pool.remove();
  }

  /** Closes idle and old connections. Must be called once a second, with the steady clock. */
  sweep(nowMs: number): void {
    this.pool.sweep(nowMs);
    this.#clientPools.sweep(nowMs);
  }

  /**
   * Whether the endpoint may get requests: the control plane calls it healthy, and outlier detection has not ejected
   * it.
   */
  get usable(): boolean {
    return this.config.healthy && this.outliers.ejectedAtMs === undefined;
  }

  /** Counts a TCP connection to the endpoint. The caller must call {@link endRelay} later. */
  beginRelay(): void {
    this.activeConnections += 1;
    this.cluster.breaker.relayed.force();
  }

  endRelay(): void {
    this.activeConnections -= 1;
    this.cluster.breaker.relayed.give();
  }

  /** The endpoint's status. An ejection by outlier detection takes precedence over what the control plane says. */
  get status(): EndpointStatus {
    if (this.outliers.ejectedAtMs !== undefined) return "unhealthy";
    return this.config.status ?? (this.config.healthy ? "unknown" : "unhealthy");
  }

  get healthySinceMs(): number {
    return this.#healthySinceMs;
  }

  /** Records since when the endpoint is healthy. Must be called after each change of {@link config}. */
  noteHealth(nowMs: number): void {
    if (this.config.healthy && this.#healthySinceMs === Infinity) this.#healthySinceMs = nowMs;
  }

  knowPeer(identity: string | undefined): void {
    if (identity === undefined || identity === this.peerIdentity) return;
    this.peerIdentity = identity;
    this.statistics.clear();
  }

  /**
   * Reports the outcome of a request or a TCP connection. Must be called once for each attempt that used the endpoint.
   */
  report(outcome: EndpointOutcome): void {
    this.cluster.judge(this, outcome);
  }

  /** Whether no request or TCP connection is open. Connections may be kept for other requests. */
  get idle(): boolean {
    return this.activeRequests === 0 && this.activeConnections === 0;
  }

  /** Whether no request is open and no connection is kept. */
  get unused(): boolean {
    return (
      this.idle && this.pool.openConnections === 0 && this.pool.pendingRequests === 0 && this.#clientPools.size === 0
    );
  }
}

export interface ClusterCounters {
  requests: number;
  retries: number;
  noHealthyEndpoint: number;
  overflow: number;
  /** The number of requests that ended by the time limit of the whole request. */
  timeouts: number;
  /** The number of attempts that ended by the time limit of one attempt. */
  tryTimeouts: number;
  /** The number of waiting requests that failed because no connection could be opened. */
  waitFailures: number;
  /** The number of responses by the first digit of their status: `responses[2]` counts statuses 200 to 299. */
  readonly responses: number[];
}

/** A named set of endpoints. An endpoint that stays in the set when it is updated keeps its connections. */
export class Cluster {
  readonly config: ClusterConfig;
  readonly #runtime: ClusterRuntime;
  #endpoints = new Map<string, Endpoint>();
  /** The endpoints by name. Made when a request first names its endpoint. */
  #byName: ReadonlyMap<string, Endpoint> | undefined;
  #selection: EndpointSelection<Endpoint>;
  readonly #outliers: OutlierDetector | undefined;
  readonly breaker: CircuitBreaker;
  /** Whether an endpoint is in its slow start, so that weights change over time. */
  #warming = false;
  #hasEndpoints = false;
  readonly #addedAtMs: number;
  /** Resolves when the first endpoints arrive, for requests that wait for them. */
  #first: { readonly promise: Promise<void>; readonly resolve: () => void; readonly limit: Disposable } | undefined;
  #left = false;
  activeRequests = 0;
  counters: ClusterCounters = {
    requests: 0,
    retries: 0,
    noHealthyEndpoint: 0,
    overflow: 0,
    timeouts: 0,
    tryTimeouts: 0,
    waitFailures: 0,
    responses: [0, 0, 0, 0, 0, 0],
  };

  /** The counts of removed endpoints, so that totals never fall. */
  readonly #ofRemoved: PoolCounters = noConnections();

  constructor(config: ClusterConfig, runtime: ClusterRuntime) {
    this.config = config;
    this.#runtime = runtime;
    this.#addedAtMs = runtime.clock.steadyMs();
    this.breaker = runtime.breaker?.(config.name, config) ?? new CircuitBreaker(config);
    this.#selection = new EndpointSelection<Endpoint>([], config, { random: runtime.random });
    this.#outliers =
      config.outliers === undefined
        ? undefined
        : new OutlierDetector(config.outliers, runtime.random, () => this.#records());
  }

  /** Continues the counts of the cluster that this one replaces, so that its statistics never fall. */
  countOnFrom(previous: Cluster): void {
    // Share the counters, because open requests of the previous cluster still count.
    this.counters = previous.counters;
    addTo(this.#ofRemoved, previous.connectionTotals());
    for (const resource of breakerResources) {
      this.breaker[resource].overflows += previous.breaker[resource].overflows;
      this.breaker[resource].taken += previous.breaker[resource].taken;
    }
    const [own, before] = [this.outlierCounters, previous.outlierCounters];
    if (own === undefined || before === undefined) return;
    own.ejections += before.ejections;
    own.overflows += before.overflows;
  }

  get name(): string {
    return this.config.name;
  }

  get statName(): string {
    return this.config.statName ?? this.config.name;
  }

  /** Resolves the names that clients request. Undefined if the cluster does not forward to such names. */
  get names(): ForwardNames | undefined {
    return this.#runtime.names;
  }

  /** Whether endpoints have been set. An empty list counts too. */
  get hasEndpoints(): boolean {
    return this.#hasEndpoints;
  }

  /**
   * A promise for requests that arrive before the cluster's endpoints. It resolves when the endpoints have arrived or
   * are late. Undefined if endpoints have been set (even an empty list), or have not arrived in time.
   *
   * A cluster always arrives before its endpoints. If the control plane or this process is slow, routes to the cluster
   * arrive before its endpoints too.
   */
  firstEndpoints(): Promise<void> | undefined {
    if (this.#hasEndpoints || this.#left) return undefined;
    if (this.#first !== undefined) return this.#first.promise;
    const { clock } = this.#runtime;
    const leftMs = this.#addedAtMs + firstEndpointsLimitMs - clock.steadyMs();
    if (leftMs <= 0) return undefined;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#first = { promise, resolve, limit: clock.after(leftMs, () => this.#releaseWaiting()) };
    return promise;
  }

  #releaseWaiting(): void {
    this.#first?.limit[Symbol.dispose]();
    this.#first?.resolve();
    this.#first = undefined;
  }

  get health(): { readonly total: number; readonly usable: number } {
    const endpoints = [...this.#endpoints.values()];
    return { total: endpoints.length, usable: endpoints.filter(({ usable }) => usable).length };
  }

  endpoints(): Iterable<Endpoint> {
    return this.#endpoints.values();
  }

  /** The connection counts of all endpoints since the start, including removed endpoints. */
  connectionTotals(): PoolCounters {
    const totals = { ...this.#ofRemoved };
    for (const { counters } of this.#endpoints.values()) addTo(totals, counters);
    return totals;
  }

  countResponse(status: number): void {
    const { responses } = this.counters;
    const digit = Math.trunc(status / 100);
    responses[digit] = (responses[digit] ?? 0) + 1;
  }

  /** Sets the endpoints. A removed endpoint may still run, so connections that are being opened to it continue. */
  setEndpoints(configs: readonly EndpointConfig[]): void {
    this.#replaceEndpoints(configs, (endpoint) => endpoint.drain());
  }

  /**
   * Sets the endpoints that the control plane has discovered. An address that is no longer among them has probably
   * vanished, so requests do not wait long for a connection to it.
   */
  discoverEndpoints(configs: readonly EndpointConfig[]): void {
    const present = new Set(configs.map(({ address, port }) => `${address} ${port}`));
    this.#replaceEndpoints(configs, (endpoint) => {
      const { address, port } = endpoint.config;
      if (present.has(`${address} ${port}`)) endpoint.drain();
      else endpoint.remove();
    });
  }

  #replaceEndpoints(configs: readonly EndpointConfig[], leave: (endpoint: Endpoint) => void): void {
    const next = new Map<string, Endpoint>();
    for (const config of configs) {
      const key = endpointKey(config);
      const known = this.#endpoints.get(key);
      if (known === undefined) next.set(key, new Endpoint(config, this, this.#runtime));
      else {
        if (!jsonEqual(known.config.workload, config.workload)) known.statistics.clear();
        known.config = config;
        known.noteHealth(this.#runtime.clock.steadyMs());
        next.set(key, known);
      }
    }
    for (const [key, endpoint] of this.#endpoints) {
      if (next.has(key)) continue;
      leave(endpoint);
      addTo(this.#ofRemoved, endpoint.counters);
    }
    this.#endpoints = next;
    this.#byName = undefined;
    this.#hasEndpoints = true;
    this.#select();
    this.#releaseWaiting();
  }

  /**
   * Chooses an endpoint for a request. `avoid` are the endpoints of earlier attempts. One of them is returned only if
   * `attempts` picks have found no other endpoint. `hash` is the request's 32-bit hash, for clusters that choose by
   * hash. `previous` are the priorities of earlier attempts that must be left out. Returns undefined if no endpoint may
   * get the request.
   */
  pick(
    avoid: ReadonlySet<Endpoint> | undefined,
    attempts: number,
    hash?: number,
    previous?: PreviousPriorities,
  ): Endpoint | undefined {
    const selection = previous === undefined ? this.#selection : previous.choose(this.#selection);
    let endpoint = selection.pick(hash, 0);
    if (avoid === undefined) return endpoint;
    for (let attempt = 1; endpoint !== undefined && avoid.has(endpoint) && attempt < attempts; attempt += 1) {
      endpoint = selection.pick(hash, attempt);
    }
    return endpoint;
  }

  /**
   * The endpoint that a request names, regardless of load balancing. Undefined if there is no such endpoint, and
   * `unusable` if it must get no requests.
   */
  named(name: string): Endpoint | "unusable" | undefined {
    this.#byName ??= new Map([...this.#endpoints.values()].map((endpoint) => [endpoint.name, endpoint]));
    const endpoint = this.#byName.get(name);
    if (endpoint === undefined) return undefined;
    return (this.config.preferableStatuses ?? preferableStatuses).has(endpoint.status) ? endpoint : "unusable";
  }

  /** Called when the zones of this workload's proxies have changed. */
  followZones(): void {
    if (this.config.zoneAware !== undefined && this.#hasEndpoints) this.#select();
  }

  get choosesByHash(): boolean {
    return this.config.loadBalancing === "ring-hash" || this.config.loadBalancing === "maglev";
  }

  /**
   * Counts the outcome of a request (passive health checking), and ejects the endpoint for a while if it has failed too
   * often.
   */
  judge(endpoint: Endpoint, outcome: EndpointOutcome): void {
    if (this.#outliers?.report(endpoint.outliers, outcome, this.#runtime.clock.steadyMs()) !== true) return;
    this.#select();
    const { ejected } = this.#runtime;
    if (ejected === undefined) return;
    for (const [key, one] of this.#endpoints)
      if (one === endpoint) ejected({ cluster: this.name, endpoint: key, forMs: endpoint.outliers.ejectedForMs });
  }

  /** Called when another thread of this proxy has ejected an endpoint. */
  eject(key: string, forMs: number): void {
    const record = this.#endpoints.get(key)?.outliers;
    if (record === undefined) return;
    if (this.#outliers?.eject(record, forMs, this.#runtime.clock.steadyMs()) === true) this.#select();
  }

  get outlierCounters(): OutlierDetector["counters"] | undefined {
    return this.#outliers?.counters;
  }

  /**
   * The endpoint for a destination that the client chose. Undefined if the cluster has its own endpoints, or if too
   * many destinations have open requests.
   */
  forDestination(destination: SocketAddress, hostname?: string): Endpoint | undefined {
    const rule = this.config.originalDestination;
    if (rule === undefined) return undefined;
    const config = originalDestinationEndpoint(rule, destination, hostname);
    // Make the name part of the key: it decides which certificate is required and which server name TLS sends. So two
    // names with the same address are two endpoints.
    const key = `${endpointKey(config)} ${hostname ?? ""}`;
    let endpoint = this.#endpoints.get(key);
    if (endpoint !== undefined) return endpoint;
    if (this.#endpoints.size >= maxDestinations && !this.#forgetIdle()) return undefined;
    endpoint = new Endpoint(config, this, this.#runtime);
    this.#endpoints.set(key, endpoint);
    return endpoint;
  }

  /**
   * Removes the oldest destination without an open request or TCP connection, and closes its idle connections. Returns
   * false if there is none.
   */
  #forgetIdle(): boolean {
    for (const [key, endpoint] of this.#endpoints) {
      if (!endpoint.idle) continue;
      endpoint.drain();
      this.#forget(key, endpoint);
      return true;
    }
    return false;
  }

  #forget(key: string, endpoint: Endpoint): void {
    this.#endpoints.delete(key);
    addTo(this.#ofRemoved, endpoint.counters);
  }

  /**
   * Lets ejected endpoints come back, and closes idle and old connections. Must be called once a second, with the
   * steady clock.
   */
  sweep(nowMs: number): void {
    this.#runtime.names?.sweep(nowMs);
    const returned = this.#outliers?.sweep(nowMs) === true;
    if (returned || this.#warming) this.#select();
    for (const [key, endpoint] of this.#endpoints) {
      endpoint.sweep(nowMs);
      if (this.config.originalDestination !== undefined && endpoint.unused) this.#forget(key, endpoint);
    }
  }

  /** Takes the cluster out of use. Idle connections close, and open exchanges continue to their end. */
  drain(): void {
    this.#left = true;
    this.#releaseWaiting();
    for (const endpoint of this.#endpoints.values()) endpoint.drain();
  }

  #select(): void {
    const { slowStart } = this.config;
    const endpoints = [...this.#endpoints.values()];
    const nowMs = this.#runtime.clock.steadyMs();
    this.#warming =
      slowStart !== undefined &&
      endpoints.some(({ healthySinceMs }) => healthySinceMs <= nowMs && nowMs - healthySinceMs < slowStart.windowMs);
    const weightOf =
      !this.#warming || slowStart === undefined
        ? undefined
        : (endpoint: Endpoint) => warmedWeight(slowStart, endpoint.config.weight, nowMs - endpoint.healthySinceMs);
    const { random, localZones } = this.#runtime;
    this.#selection = new EndpointSelection(endpoints, this.config, {
      random,
      weightOf,
      localZones: this.config.zoneAware === undefined ? undefined : localZones?.(),
    });
  }

  *#records(): Iterable<OutlierRecord> {
    for (const endpoint of this.#endpoints.values()) yield endpoint.outliers;
  }
}

function noConnections(): PoolCounters {
  return { connectionsOpened: 0, connectFailures: 0, connectTimeouts: 0, connectionsClosed: 0 };
}

function addTo(totals: PoolCounters, counters: PoolCounters): void {
  totals.connectionsOpened += counters.connectionsOpened;
  totals.connectFailures += counters.connectFailures;
  totals.connectTimeouts += counters.connectTimeouts;
  totals.connectionsClosed += counters.connectionsClosed;
}
