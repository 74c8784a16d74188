import { containing, messageOf, type Clock, type Logger, type Random } from "../base/index.ts";
import {
  hboneCutOffs,
  type CertificateSource,
  type EndpointAnswer,
  type XdsClient,
  type XdsSubscription,
} from "../dataplane/index.ts";
import {
  AccessLog,
  addContainmentMetrics,
  fileSink,
  renderPrometheus,
  type FamilyNames,
  type MetricsRegistry,
} from "../telemetry/index.ts";
import { formatBaggage } from "../wire/hbone/index.ts";
import type { CallCluster } from "./terms/call-cluster.ts";
import { FilterStatistics } from "./terms/filter-statistics.ts";
import type { NewRequestId } from "./terms/random-id.ts";
import { ownMetadata } from "./peers/peer-metadata.ts";
import type { ExternalSecrets } from "./external-secrets.ts";
import type { Listen } from "./listen.ts";
import { LuaScripts } from "./filters/lua/index.ts";
import { ListenerSet } from "./listener-set.ts";
import { ownPlace } from "./config/clusters/local-cluster.ts";
import { clusterStatuses } from "./admin/cluster-status.ts";
import { configAnswer } from "./admin/config-answers.ts";
import { ConnectionObserver } from "./observe/connection-observer.ts";
import { bucketsOf, podHistogramBuckets } from "./observe/histogram-buckets.ts";
import { IstioMetrics } from "./observe/istio-metrics.ts";
import { FirstExpiry } from "./admin/first-expiry.ts";
import { IncludedStats } from "./admin/included-stats.ts";
import { ProxyStats } from "./admin/proxy-stats.ts";
import { AppliedConfig } from "./applied-config.ts";
import { identityOf, nodeId, xdsNode, type ProxySettings } from "./proxy-settings.ts";
import type { ClusterStatus, Serving, ServingStatus, Statistic } from "./serving.ts";
import type { JointLimits } from "./joint-limits.ts";
import { readBoundedFile } from "./tls/bounded-file.ts";
import { SecretStore } from "./tls/secret-store.ts";
import { TlsContexts } from "./tls/tls-contexts.ts";
import type { ServiceSecret } from "./tls/tls-spec.ts";
import { CollectorExports } from "./tracing/collector-exports.ts";
import type { ClusterRuntime, Ejection } from "./upstream/cluster.ts";
import type { ModuleHost } from "./wasm/index.ts";
import { clusterCaller } from "./upstream/cluster-call.ts";
import { MeshConnector } from "./upstream/connector.ts";
import type { ResolveName } from "./upstream/dns-refresher.ts";
import { OwnConnections } from "./upstream/own-connections.ts";

export interface DataPathOptions {
  readonly settings: ProxySettings;
  readonly certificates: CertificateSource;
  readonly registry: MetricsRegistry;
  readonly listen: Listen;
  readonly resolve: ResolveName;
  readonly readFile: (path: string) => Promise<string>;
  readonly newRequestId: NewRequestId;
  readonly log: Logger;
  readonly clock: Clock;
  readonly random: Random;
  /** When the process started, as Unix time in milliseconds. */
  readonly startedMs: number;
  /** The limits that apply to all threads together. Set if other threads serve the same configuration. */
  readonly shared?: JointLimits;
}

/**
 * How long a removed waypoint still accepts connections. Some ztunnels learn of the removal later than the waypoint,
 * and until then they send new connections to it.
 */
const waypointLingerMs = 2000;
const sweepMs = 1000;
/** How long tunnels may take to end after the last connection in them has ended. */
const tunnelEndMs = 1000;
const tunnelEndStepMs = 10;
/** How long the last spans and log entries may take to reach their collector when the proxy ends. */
const exportsEndMs = 2000;
/**
 * The mark of packets that the pod's redirect rules let pass: 1337, as in upstream Istio. In the mode TPROXY it is
 * 1338, because rules keep packets with the mark 1337 in the pod, whatever their destination is.
 */
export function redirectMark({ metadata }: Pick<ProxySettings, "metadata">): number {
  return metadata["INTERCEPTION_MODE"] === "TPROXY" ? 1338 : 1337;
}

const maxAccessLogs = 16;

/** Serves requests in one thread, from listeners to endpoints, with the configuration from the control plane. */
export class DataPath implements Serving {
  readonly workers = 1;
  readonly #options: DataPathOptions;
  readonly #secrets: SecretStore;
  readonly #connector: MeshConnector;
  readonly #ownConnections: OwnConnections;
  readonly #config: AppliedConfig;
  readonly #listeners: ListenerSet;
  readonly #stats: ProxyStats;
  readonly #exports: CollectorExports;
  /** Runs WebAssembly modules. Loaded when the first module is configured. */
  #modules: Promise<ModuleHost> | undefined;
  /** Asks SDS providers for secrets. Loaded when the first provider is configured. */
  #external: Promise<ExternalSecrets> | undefined;
  readonly #accessLogs = new Map<string, AccessLog>();
  readonly #observer: ConnectionObserver;
  /** The number of log lines that were lost because more than {@link maxAccessLogs} files were needed. */
  #refusedLines = 0;
  #closesUnused = false;
  #failsHealthChecks = false;
  #sweeper: ReturnType<typeof setInterval> | undefined;

  constructor(options: DataPathOptions) {
    const { settings, clock, random, log, certificates, registry, shared } = options;
    this.#options = options;
    const identity = identityOf(settings);
    this.#secrets = new SecretStore({
      certificates,
      identity,
      readFile: options.readFile,
      meshRevocationsFile: settings.meshRevocationsFile,
      onChange: () => this.#listeners.proceed(),
      clock,
      log: log.scoped("secret"),
    });
    const contexts = new TlsContexts(this.#secrets, settings.compliance !== undefined);
    this.#ownConnections = new OwnConnections(Object.values(settings.ports));
    this.#connector = new MeshConnector({
      ownConnections: this.#ownConnections,
      certificates,
      contexts,
      clock,
      identity,
      tunnelHeaders: tunnelHeaders(settings),
      log,
      ...(settings.role === "sidecar" ? { mark: redirectMark(settings) } : {}),
    });
    const statistics = new FilterStatistics();
    const serviceName = `${settings.workloadName}.${settings.podNamespace}`;
    const callCluster = clusterCaller((name) => this.#config.cluster(name));
    this.#exports = new CollectorExports({
      node: { id: nodeId(settings), service: serviceName, address: settings.instanceIp, zone: "" },
      callCluster,
      statistics,
      clock,
      log: log.scoped("export"),
    });
    this.#config = new AppliedConfig({
      runtime: { connector: this.#connector, clock, random, ...(shared === undefined ? {} : limitsOf(shared)) },
      resolve: options.resolve,
      sharesResources: shared !== undefined,
      ownPlace: ownPlace(settings),
      secrets: this.#secrets,
      contexts,
      followSecrets: (wanted) => this.#followSecrets(wanted),
      services: {
        clock,
        log,
        modules: () => this.#loadModules(statistics, callCluster),
        random,
        statistics,
        failsHealthChecks: () => this.#failsHealthChecks,
        serviceName,
        clusterHealth: (name) => this.#config.cluster(name)?.health,
        callCluster,
        exports: this.#exports,
        ...(shared === undefined ? {} : { buckets: shared.buckets }),
        scripts: new LuaScripts({ clock, callCluster, log: log.scoped("lua") }),
      },
      clock,
      log: log.scoped("config"),
    });
    this.#observer = this.#connectionObserver();
    this.#listeners = this.#listenerSet(contexts);
    this.#stats = this.#proxyStats(statistics);
    this.#stats.expose(registry);
    this.#countDroppedLines();
    addContainmentMetrics(registry);
  }

  #proxyStats(filters: FilterStatistics): ProxyStats {
    return new ProxyStats({
      config: this.#config,
      listeners: this.#listeners,
      filters,
      expiry: new FirstExpiry(this.#secrets, () => this.#options.clock.nowMs()),
      included: new IncludedStats(this.#options.settings.statsInclusion),
    });
  }

  subscriptions(): readonly XdsSubscription[] {
    return this.#config.subscriptions();
  }

  attach(client: Pick<XdsClient, "setNames">): void {
    this.#config.attach(this.#listeners, client);
  }

  start(): void {
    this.#sweeper = setInterval(() => this.#sweep(), sweepMs);
  }

  /**
   * The main thread obtains the certificate, which this thread shares. Listeners that waited for the certificate may
   * now start.
   */
  certify(): void {
    this.#listeners.proceed();
  }

  setLogLevel(): void {
    // Nothing to do: this thread uses the logger of the process, whose level is already set.
  }

  status(): Promise<ServingStatus> {
    const { connections, lastAcceptedMs } = this.#listeners;
    return Promise.resolve({
      pending: this.#config.pending(),
      listeners: this.#listeners.accepting,
      connections,
      quietMs: lastAcceptedMs === 0 ? Infinity : this.#options.clock.steadyMs() - lastAcceptedMs,
    });
  }

  failHealthChecks(fails: boolean): void {
    this.#failsHealthChecks = fails;
  }

  drain(inboundOnly: boolean): void {
    this.#listeners.drain(inboundOnly);
  }

  closeUnused(): void {
    this.#closesUnused = true;
    this.#config.closeUnused();
  }

  stopListening(): void {
    this.#listeners.stopListening();
  }

  closeQuiet(quietMs: number): void {
    this.#listeners.closeQuiet(quietMs);
  }

  closeAll(): void {
    this.#listeners.closeAll();
  }

  async end(force: AbortSignal): Promise<void> {
    clearInterval(this.#sweeper);
    this.#observer.flush();
    await this.#exports.flush(exportsEndMs);
    void this.#modules?.then((modules) => modules.end());
    void this.#external?.then((external) => external.close());
    this.#config.close();
    this.#connector.close();
    await this.#tunnelsEnded(force);
    this.#observer.flush();
    await Promise.all([...this.#accessLogs.values()].map((accessLog) => accessLog.close()));
  }

  eject({ cluster, endpoint, forMs }: Ejection): void {
    this.#config.cluster(cluster)?.eject(endpoint, forMs);
  }

  owns(remotePort: number, localPort: number): boolean {
    return this.#ownConnections.has(remotePort, localPort);
  }

  answer(target: string): EndpointAnswer {
    const { settings, startedMs, clock } = this.#options;
    return configAnswer(
      {
        settings,
        nodeId: nodeId(settings),
        config: this.#config,
        listeners: this.#listeners,
        secrets: this.#secrets,
        startedMs,
        nowMs: () => clock.nowMs(),
      },
      target,
    );
  }

  clusters(): Promise<readonly ClusterStatus[]> {
    return Promise.resolve(clusterStatuses(this.#config.allClusters()));
  }

  statistics(): Promise<readonly Statistic[]> {
    return Promise.resolve(this.#stats.statistics());
  }

  metrics(names?: FamilyNames): Promise<string> {
    return Promise.resolve(renderPrometheus(this.#options.registry, names));
  }

  #loadModules(statistics: FilterStatistics, callCluster: CallCluster): Promise<ModuleHost> {
    const { settings, clock, log, registry } = this.#options;
    this.#modules ??= import("./wasm/index.ts").then(
      (wasm) =>
        new wasm.ModuleHost({
          clock,
          log: log.scoped("wasm"),
          registry,
          statistics,
          callCluster,
          hasCluster: (name) => this.#config.cluster(name) !== undefined,
          node: wasm.nodeAttributes(nodeId(settings), settings),
          readFile: async (path) => await readBoundedFile(path, wasm.maxModuleBytes),
          fetch,
        }),
    );
    return this.#modules;
  }

  #followSecrets(wanted: ReadonlyMap<string, ServiceSecret>): void {
    if (wanted.size === 0 && this.#external === undefined) return;
    const { settings, clock, random, log } = this.#options;
    this.#external ??= import("./external-secrets.ts").then(
      ({ ExternalSecrets: Loaded }) =>
        new Loaded({
          store: this.#secrets,
          clusterOf: (name) => this.#config.cluster(name),
          node: xdsNode(settings),
          clock,
          random,
          log: log.scoped("secret"),
        }),
    );
    void this.#external.then((external) => external.follow(wanted));
  }

  #connectionObserver(): ConnectionObserver {
    const { settings, clock, log, registry } = this.#options;
    return new ConnectionObserver({
      role: settings.role,
      registry,
      metrics: new IstioMetrics(
        registry,
        sourceLabels(settings, identityOf(settings)),
        bucketsOf(podHistogramBuckets(settings.metadata, log)),
      ),
      accessLog: (path) => this.#accessLog(path),
      clock,
    });
  }

  #listenerSet(contexts: TlsContexts): ListenerSet {
    const { settings, clock, random, log, registry, newRequestId, listen } = this.#options;
    const identity = identityOf(settings);
    const observer = this.#observer;
    return new ListenerSet({
      listen,
      contexts,
      localIdentity: identity,
      maxConnections: settings.maxConnectionsPerThread,
      leavingLimitMs: settings.connectionDrainMs,
      lingerMs: settings.role === "waypoint" ? waypointLingerMs : 0,
      startNeeds: () => this.#config.startNeeds(),
      replaced: () => this.#config.followListeners(),
      observeRefused: (listener, info) => observer.refused(listener, info),
      clock,
      log: log.scoped("listener"),
      chains: {
        routeTable: (name) => this.#config.routeTable(name),
        cluster: (name) => this.#config.cluster(name),
        connector: this.#connector,
        clock,
        random,
        newRequestId,
        ownMetadata: ownMetadata(nodeId(settings), sourceLabels(settings, identity), settings.podName, settings.labels),
        onTrouble: (message, error) => log.error(message, { error: messageOf(error) }),
        observeHttp: (listener, _chain, http, record) => observer.exchange(listener, http, record),
        observeStream: (listener, http, record) => observer.stream(listener, http, record),
        observeTcp: (listener, chain) => observer.tcp(listener, chain),
        observeTunnel: (logs, tunnel) => observer.tunnel(logs, tunnel, String(newRequestId())),
        onCutOff: hboneCutOffs(registry),
      },
    });
  }

  #countDroppedLines(): void {
    const { registry } = this.#options;
    const droppedLines = registry
      .counter("serin_access_log_dropped_lines_total", "Lines that were dropped because a log was too slow.")
      .labels();
    registry.onCollect(() =>
      droppedLines.add(
        [...this.#accessLogs.values()].reduce((sum, log) => sum + log.droppedLines, this.#refusedLines) -
          droppedLines.value,
      ),
    );
  }

  #sweep(): void {
    const nowMs = this.#options.clock.steadyMs();
    containing(() => this.#listeners.sweep());
    containing(() => this.#secrets.sweep(nowMs));
    void this.#external?.then((external) => external.sweep());
    containing(() => this.#config.sweep(nowMs));
    containing(() => this.#ownConnections.sweep(nowMs));
    if (this.#closesUnused) containing(() => this.#config.closeUnused());
  }

  /**
   * Waits for a limited time until the closed tunnels have ended, so that peers get the GOAWAY and do not report a
   * fault.
   */
  async #tunnelsEnded(force: AbortSignal): Promise<void> {
    const { clock } = this.#options;
    const deadline = clock.steadyMs() + tunnelEndMs;
    while (this.#connector.tunnelConnections > 0 && clock.steadyMs() < deadline && !force.aborted)
      await clock.sleep(tunnelEndStepMs);
  }

  #accessLog(path: string): AccessLog | undefined {
    let accessLog = this.#accessLogs.get(path);
    if (accessLog !== undefined) return accessLog;
    const { clock, log } = this.#options;
    if (this.#accessLogs.size >= maxAccessLogs) {
      if (this.#refusedLines === 0)
        log.warn(`more than ${maxAccessLogs} files of access logs: the lines of further ones are dropped and counted`, {
          path,
        });
      this.#refusedLines += 1;
      return undefined;
    }
    accessLog = new AccessLog({ sink: fileSink(path), clock, onTrouble: (message) => log.warn(message, { path }) });
    this.#accessLogs.set(path, accessLog);
    return accessLog;
  }
}

function limitsOf(shared: JointLimits): Pick<ClusterRuntime, "breaker" | "ejected"> {
  return {
    breaker: (cluster, limits) => shared.breaker(cluster, limits),
    ejected: (ejection) => shared.ejected(ejection),
  };
}

function tunnelHeaders(settings: ProxySettings): readonly (readonly [string, string])[] {
  const baggage = formatBaggage({
    cluster: settings.clusterId,
    namespace: settings.podNamespace,
    workloadName: settings.workloadName,
    workloadType: "deployment",
    serviceName: settings.labels["service.istio.io/canonical-name"] ?? settings.workloadName,
    serviceVersion: settings.labels["service.istio.io/canonical-revision"] ?? "latest",
  });
  return [
    ["baggage", baggage],
    ...(settings.role === "sidecar"
      ? []
      : [["x-istio-source", settings.role === "waypoint" ? "waypoint" : "gateway"] as const]),
  ];
}

function sourceLabels(settings: ProxySettings, principal: string): ConstructorParameters<typeof IstioMetrics>[1] {
  const { labels } = settings;
  return {
    principal,
    workload: settings.workloadName,
    namespace: settings.podNamespace,
    canonicalName:
      labels["service.istio.io/canonical-name"] ??
      labels["app.kubernetes.io/name"] ??
      labels["app"] ??
      settings.workloadName,
    canonicalRevision: labels["service.istio.io/canonical-revision"] ?? labels["version"] ?? "latest",
    cluster: settings.clusterId,
    app: labels["app"] ?? "unknown",
    version: labels["version"] ?? "unknown",
  };
}
