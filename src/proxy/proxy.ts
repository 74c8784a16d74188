import {
  aborted,
  messageOf,
  type Clock,
  type Logger,
  type LogThreshold,
  type Random,
  type Shutdown,
} from "../base/index.ts";
import {
  addCertificateMetrics,
  addRevocationMetrics,
  CertificateManager,
  DeltaXdsClient,
  followRevocations,
  followRoots,
  forOwnPod,
  hboneCutOffs,
  formatIdentity,
  listenHttp,
  metricsRoute,
  RevocationLists,
  type CertificateAuthority,
  type EndpointRoute,
  type HttpEndpoint,
} from "../dataplane/index.ts";
import { AccessLog, addProcessMetrics, fileSink, MetricsRegistry } from "../telemetry/index.ts";
import { formatBaggage } from "../wire/hbone/index.ts";
import { typeUrls } from "../wire/xds/index.ts";
import { appProbeRoutes } from "./agent/app-prober.ts";
import { mergedMetricsRoute } from "./agent/merged-metrics.ts";
import { watchWorkloadHealth } from "./agent/workload-health.ts";
import type { DnsCapture } from "./dns-capture/index.ts";
import { drain } from "./drain.ts";
import { FilterStatistics } from "./filters/filter-statistics.ts";
import type { Listen } from "./listen.ts";
import { ListenerSet } from "./listener-set.ts";
import { adminRoutes, nodeId, onPost } from "./observe/admin.ts";
import { encodePeerMetadata } from "./http/peer-metadata.ts";
import { ConnectionObserver } from "./observe/connection-observer.ts";
import { bucketsOf, podHistogramBuckets } from "./observe/histogram-buckets.ts";
import { IstioMetrics } from "./observe/istio-metrics.ts";
import { ProxyStats } from "./observe/proxy-stats.ts";
import { ProxyConfig } from "./proxy-config.ts";
import type { ProxySettings } from "./proxy-settings.ts";
import { SecretStore } from "./tls/secret-store.ts";
import { TlsContexts } from "./tls/tls-contexts.ts";
import { trustBundleSubscription } from "./tls/trust-bundle.ts";
import { CollectorExports } from "./tracing/collector-exports.ts";
import { clusterCaller } from "./upstream/cluster-call.ts";
import { MeshConnector } from "./upstream/connector.ts";
import { OwnConnections } from "./upstream/own-connections.ts";
import type { ResolveName } from "./upstream/dns-refresher.ts";

export interface ProxyOptions {
  readonly settings: ProxySettings;
  readonly authority: CertificateAuthority;
  readonly listen: Listen;
  readonly resolve: ResolveName;
  /** Present when this proxy answers the pod's DNS queries. */
  readonly dns?: Pick<DnsCapture, "subscription" | "pending" | "listen">;
  readonly readFile: (path: string) => Promise<string>;
  readonly newRequestId: () => string;
  readonly log: Logger;
  /** The logger's level, to be changed while it runs. */
  readonly logThreshold?: LogThreshold;
  readonly clock: Clock;
  readonly random: Random;
  /** Asks this process to end, as a signal would. */
  readonly quit: () => void;
}

const sweepMs = 1000;
/** For tunnels to end after the last connection has. */
const tunnelEndMs = 1000;
const tunnelEndStepMs = 10;
/** For the last spans and logs to reach their collector. */
const exportsEndMs = 2000;
/** What the redirect of a pod's connections lets pass. */
export const redirectMark = 0x539;
/** Access log files that are held open at once. */
const maxAccessLogs = 16;

/** One L7 proxy process: configuration by xDS, identity by the CA, requests from listeners to endpoints. */
export class Proxy {
  readonly #options: ProxyOptions;
  readonly #registry: MetricsRegistry;
  readonly #certificates: CertificateManager;
  /** For tunnels; other connections have the mesh's lists in their contexts. */
  readonly #revocations: RevocationLists | undefined;
  readonly #identity: string;
  readonly #secrets: SecretStore;
  readonly #connector: MeshConnector;
  readonly #ownConnections: OwnConnections;
  readonly #config: ProxyConfig;
  readonly #listeners: ListenerSet;
  readonly #stats: ProxyStats;
  readonly #xds: DeltaXdsClient;
  readonly #exports: CollectorExports;
  readonly #accessLogs = new Map<string, AccessLog>();
  /** Lines of files beyond {@link maxAccessLogs}. */
  #refusedLines = 0;
  readonly #startedMs: number;
  #wasReady = false;
  #draining = false;
  /** The pod began to end before we were told to: we are a native sidecar, which is told once its application has ended. */
  #podEnds = false;
  #healthy = true;

  constructor(options: ProxyOptions) {
    const { settings, clock, random, log } = options;
    this.#options = options;
    this.#registry = new MetricsRegistry({ clock });
    this.#startedMs = clock.nowMs();
    this.#identity = formatIdentity({
      trustDomain: settings.trustDomain,
      namespace: settings.podNamespace,
      serviceAccount: settings.serviceAccount,
    });
    this.#revocations =
      settings.meshRevocationsFile === undefined
        ? undefined
        : new RevocationLists(addRevocationMetrics(this.#registry));
    this.#certificates = new CertificateManager({
      authority: options.authority,
      log: log.scoped("identity"),
      validitySeconds: settings.secretTtlSeconds,
      ...(this.#revocations === undefined ? {} : { revocations: this.#revocations }),
      clock,
      random,
    });
    addCertificateMetrics(this.#registry, this.#certificates);
    this.#secrets = new SecretStore({
      certificates: this.#certificates,
      identity: this.#identity,
      readFile: options.readFile,
      meshRevocationsFile: settings.meshRevocationsFile,
      clock,
      log: log.scoped("secret"),
    });
    const contexts = new TlsContexts(this.#secrets);
    this.#ownConnections = new OwnConnections(Object.values(settings.ports));
    this.#connector = new MeshConnector({
      ownConnections: this.#ownConnections,
      certificates: this.#certificates,
      contexts,
      clock,
      identity: this.#identity,
      tunnelHeaders: tunnelHeaders(settings),
      ...(settings.role === "sidecar" ? { mark: redirectMark } : {}),
    });
    const statistics = new FilterStatistics();
    const callCluster = clusterCaller((name) => this.#config.cluster(name));
    this.#exports = new CollectorExports({
      node: {
        id: nodeId(settings),
        service: `${settings.workloadName}.${settings.podNamespace}`,
        address: settings.instanceIp,
        zone: "",
      },
      callCluster,
      statistics,
      clock,
      log: log.scoped("export"),
    });
    this.#config = new ProxyConfig({
      runtime: { connector: this.#connector, clock, random },
      resolve: options.resolve,
      secrets: this.#secrets,
      services: { clock, random, statistics, callCluster, exports: this.#exports },
      clock,
      log: log.scoped("config"),
    });
    const observer = new ConnectionObserver({
      role: settings.role,
      metrics: new IstioMetrics(
        this.#registry,
        sourceLabels(settings, this.#identity),
        bucketsOf(podHistogramBuckets(settings.metadata, log)),
      ),
      accessLog: (path) => this.#accessLog(path),
      clock,
    });
    this.#listeners = new ListenerSet({
      listen: options.listen,
      contexts,
      localIdentity: this.#identity,
      leavingLimitMs: settings.connectionDrainMs,
      observeRefused: (listener, info) => observer.refused(listener, info),
      clock,
      log: log.scoped("listener"),
      chains: {
        routeTable: (name) => this.#config.routeTable(name),
        cluster: (name) => this.#config.cluster(name),
        connector: this.#connector,
        clock,
        random,
        newRequestId: options.newRequestId,
        ownMetadata: {
          id: nodeId(settings),
          value: encodePeerMetadata(sourceLabels(settings, this.#identity), settings.podName),
        },
        onTrouble: (what, error) => log.error(what, { error: messageOf(error) }),
        observeHttp: (listener, _chain, http, record) => observer.exchange(listener, http, record),
        observeStream: (listener, http, record) => observer.stream(listener, http, record),
        observeTcp: (listener, chain) => observer.tcp(listener, chain),
        observeTunnel: (logs, tunnel) => observer.tunnel(logs, tunnel, options.newRequestId()),
        onCutOff: hboneCutOffs(this.#registry),
      },
    });
    this.#stats = new ProxyStats(this.#config, this.#listeners, statistics);
    this.#stats.expose(this.#registry);
    this.#registry
      .gauge("istio_build", "Istio component build info.", ["component", "tag"])
      .labels("proxy", settings.version)
      .set(1);
    addProcessMetrics(this.#registry, process);
    const droppedLines = this.#registry
      .counter("serin_access_log_dropped_lines_total", "Lines that were lost, as a log took them too slowly.")
      .labels();
    this.#registry.onCollect(() =>
      droppedLines.add(
        [...this.#accessLogs.values()].reduce((sum, log) => sum + log.droppedLines, this.#refusedLines) -
          droppedLines.value,
      ),
    );
    this.#xds = this.#xdsClient();
    this.#config.attach(this.#listeners, this.#xds);
  }

  /** Runs until drained: see {@link drain}. The second request to shut down closes what is left. */
  async run(shutdown: Shutdown): Promise<void> {
    const { log, settings, clock } = this.#options;
    log.info(`version: ${settings.version}`);
    log.info("starting", { node: nodeId(settings), control_plane: settings.xdsUrl });
    // Before all else: our own look-ups may be redirected to it.
    const dns = await this.#options.dns?.listen();
    const endpoints = await this.#listen(shutdown);
    const ended = new AbortController();
    const background = [
      this.#xds.run(ended.signal),
      this.#followRoots(ended.signal),
      this.#followRevocations(ended.signal),
      this.#tellHealth(ended.signal),
    ];
    this.#certificates.prefetch(this.#identity);
    const sweeper = setInterval(() => this.#sweep(), sweepMs);
    try {
      await aborted(shutdown.drain);
      this.#draining = true;
      await drain({
        listeners: this.#listeners,
        shutdown,
        minimumMs: settings.drainMs,
        inboundOnly: settings.role === "sidecar",
        applicationEnded: settings.role === "sidecar" && this.#podEnds,
        clock,
        log,
      });
    } finally {
      clearInterval(sweeper);
      await this.#exports.flush(exportsEndMs);
      this.#config.close();
      this.#connector.close();
      await this.#tunnelsEnded(shutdown);
      this.#certificates.close();
      ended.abort();
      await Promise.all([...background, ...[...this.#accessLogs.values()].map((accessLog) => accessLog.flush())]);
      dns?.close();
      await Promise.all(endpoints.map((endpoint) => endpoint.close()));
    }
    log.info("drained");
  }

  async #followRevocations(signal: AbortSignal): Promise<void> {
    const { settings, clock, log } = this.#options;
    const path = settings.meshRevocationsFile;
    if (this.#revocations === undefined || path === undefined) return;
    const readFile = async (from: string): Promise<Buffer> => Buffer.from(await this.#options.readFile(from), "latin1");
    await followRevocations(
      { path, readFile, revocations: this.#revocations, optional: true, clock, log: log.scoped("identity") },
      signal,
    );
  }

  async #tellHealth(signal: AbortSignal): Promise<void> {
    const { settings, clock } = this.#options;
    if (settings.workloadProbe === undefined) return;
    const report = (fault: string | undefined): void => this.#xds.tell(typeUrls.healthInformation, fault);
    await watchWorkloadHealth({ probe: settings.workloadProbe, address: settings.instanceIp, clock, report }, signal);
  }

  async #followRoots(signal: AbortSignal): Promise<void> {
    const { settings, readFile, clock, log } = this.#options;
    if (settings.caRootFile === undefined) return;
    await followRoots(
      { path: settings.caRootFile, readFile, certificates: this.#certificates, clock, log: log.scoped("identity") },
      signal,
    );
  }

  /** Idle tunnels end in order, so that their peers do not take our end for a fault. */
  async #tunnelsEnded(shutdown: Shutdown): Promise<void> {
    const { clock } = this.#options;
    const deadline = clock.steadyMs() + tunnelEndMs;
    while (this.#connector.tunnelConnections > 0 && clock.steadyMs() < deadline && !shutdown.force.aborted)
      await clock.sleep(tunnelEndStepMs);
  }

  #xdsClient(): DeltaXdsClient {
    const { settings, dns, log, clock, random } = this.#options;
    return new DeltaXdsClient({
      endpoint: {
        url: settings.xdsUrl,
        ...(settings.xdsRootFile === undefined ? {} : { rootCertificateFile: settings.xdsRootFile }),
        ...(settings.xdsRootFile === undefined ? {} : { tokenFile: settings.tokenFile }),
        headers: { clusterid: settings.clusterId },
      },
      node: {
        id: nodeId(settings),
        cluster: `${settings.workloadName}.${settings.podNamespace}`,
        metadata: settings.metadata,
      },
      subscriptions: [
        ...this.#config.subscriptions(),
        ...(settings.asksForTrustBundle ? [trustBundleSubscription(this.#certificates)] : []),
        ...(dns === undefined ? [] : [dns.subscription()]),
      ],
      log: log.scoped("xds"),
      clock,
      random,
    });
  }

  async #listen(shutdown: Shutdown): Promise<readonly HttpEndpoint[]> {
    const { settings, log, clock, quit } = this.#options;
    const metrics = metricsRoute(this.#registry);
    const merged = mergedMetricsRoute({
      own: metrics,
      app: settings.appMetrics,
      address: settings.instanceIp,
      registry: this.#registry,
      log,
    });
    const ready: EndpointRoute = () => this.#readiness();
    const admin = adminRoutes({
      settings,
      config: this.#config,
      listeners: this.#listeners,
      secrets: this.#secrets,
      stats: this.#stats,
      registry: this.#registry,
      logThreshold: this.#options.logThreshold,
      startedMs: this.#startedMs,
      nowMs: () => clock.nowMs(),
      state: () =>
        shutdown.drain.aborted || !this.#healthy ? "DRAINING" : this.#pending().length === 0 ? "LIVE" : "INITIALIZING",
      drainListeners: (inboundOnly) => this.#listeners.drain(inboundOnly),
      setHealth: (healthy) => (this.#healthy = healthy),
      quit,
    });
    const everywhere = async (port: number, routes: Readonly<Record<string, EndpointRoute>>): Promise<HttpEndpoint> => {
      try {
        return await listenHttp({ address: "::", port, routes });
      } catch (error) {
        log.debug("no IPv6 here", { error: messageOf(error) });
        return await listenHttp({ address: "0.0.0.0", port, routes });
      }
    };
    const inPod = (route: EndpointRoute): EndpointRoute =>
      forOwnPod(route, ({ remotePort = 0, localPort = 0 }) => this.#ownConnections.has(remotePort, localPort));
    return await Promise.all([
      listenHttp({
        address: "127.0.0.1",
        port: settings.ports.admin,
        routes: Object.fromEntries(Object.entries(admin).map(([path, route]) => [path, inPod(route)])),
      }),
      everywhere(settings.ports.stats, {
        ...appProbeRoutes(settings.appProbers, settings.instanceIp),
        "/stats/prometheus": merged,
        "/metrics": merged,
        "/healthz/ready": ready,
        "/quitquitquit": inPod(onPost(quit)),
        "/drain": inPod(
          onPost(() => {
            this.#podEnds = true;
            this.#listeners.drain(settings.role === "sidecar");
            this.#config.closeUnused();
          }),
        ),
      }),
      everywhere(settings.ports.envoyStats, { "/stats/prometheus": metrics }),
      everywhere(settings.ports.readiness, { "/healthz/ready": ready }),
    ]);
  }

  #readiness(): { status: number; body: string } {
    if (this.#draining) return { status: 503, body: "draining\n" };
    if (!this.#healthy) return { status: 503, body: "not ready: the health check was made to fail\n" };
    const pending = this.#pending();
    if (pending.length > 0) return { status: 503, body: `not ready, pending: ${pending.join(", ")}\n` };
    if (!this.#wasReady) this.#options.log.info("ready", { listeners: [...this.#listeners.listeners()].length });
    // Once ready, only leaving makes us unready: a control plane that is away must not take gateways out of service.
    this.#wasReady = true;
    return { status: 200, body: "ready\n" };
  }

  /** What is waited for before the pod may get traffic: without its certificate, every peer's handshake would fail. */
  #pending(): readonly string[] {
    if (this.#wasReady) return [];
    const own = this.#certificates.peek(this.#identity) === undefined ? ["the workload's certificate"] : [];
    return [...this.#config.pending(), ...(this.#options.dns?.pending() ?? []), ...own];
  }

  #sweep(): void {
    this.#listeners.sweep();
    this.#secrets.sweep(this.#options.clock.steadyMs());
    this.#config.sweep(this.#options.clock.steadyMs());
    if (this.#podEnds || this.#draining) this.#config.closeUnused();
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
