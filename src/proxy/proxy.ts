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
  listenHttp,
  listenSecureHttp,
  metricsRoute,
  RevocationLists,
  type CertificateAuthority,
  type EndpointRoute,
  type HttpEndpoint,
  type WorkloadCertificate,
} from "../dataplane/index.ts";
import type { TlsContextSource } from "../net/index.ts";
import type { NewRequestId } from "./terms/random-id.ts";
import { addProcessMetrics, MetricsRegistry } from "../telemetry/index.ts";
import { typeUrls } from "../wire/xds/index.ts";
import { appProbeRoutes } from "./agent/app-prober.ts";
import { agentFamiliesAsked, mergedMetricsRoute, metricsRoutes } from "./agent/merged-metrics.ts";
import type { CertificateFiles } from "./agent/certificate-files.ts";
import { followPodEnd } from "./agent/pod-end-folder.ts";
import { watchWorkloadHealth } from "./agent/workload-health.ts";
import { DataPath, type DataPathOptions } from "./data-path.ts";
import type { DnsCapture } from "./dns-capture/index.ts";
import { drain } from "./drain.ts";
import type { Listen } from "./listen.ts";
import { adminRoutes, onPost, servingMetricsRoute } from "./admin/admin.ts";
import { IncludedStats } from "./admin/included-stats.ts";
import { ServerStats, type ServerState } from "./admin/server-stats.ts";
import { identityOf, nodeId, xdsNode, type ProxySettings } from "./proxy-settings.ts";
import type { Serving } from "./serving.ts";
import { trustBundleSubscription } from "./tls/trust-bundle.ts";
import type { ResolveName } from "./upstream/dns-refresher.ts";

export interface ProxyOptions {
  readonly settings: ProxySettings;
  readonly authority: CertificateAuthority;
  readonly listen: Listen;
  readonly resolve: ResolveName;
  /** Set if this proxy answers the pod's DNS queries. */
  readonly dns?: Pick<DnsCapture, "subscription" | "pending" | "listen">;
  readonly readFile: (path: string) => Promise<string>;
  readonly newRequestId: NewRequestId;
  readonly log: Logger;
  /** The logger's level, which can change at run time. */
  readonly logThreshold?: LogThreshold;
  readonly clock: Clock;
  readonly random: Random;
  /**
   * The folder into which the pod's preStop hook writes a file, see {@link followPodEnd}. If absent, the hook sends a
   * request instead.
   */
  readonly podEndFolder?: string;
  /** Ends this process as a termination signal would. */
  readonly quit: () => void;
  /** Creates the part that serves requests. If absent, a {@link DataPath} in this thread serves them. */
  readonly serve?: (options: DataPathOptions) => Serving;
}

/**
 * One L7 proxy process. It gets its configuration from an xDS server and its identity from the CA, and passes requests
 * from listeners to endpoints.
 */
export class Proxy {
  readonly #options: ProxyOptions;
  readonly #registry: MetricsRegistry;
  readonly #certificates: CertificateManager;
  /** The revocation lists that tunnels check. Other connections check the mesh's lists in their TLS contexts. */
  readonly #revocations: RevocationLists | undefined;
  readonly #identity: string;
  readonly #serving: Serving;
  readonly #xds: DeltaXdsClient;
  readonly #server: ServerStats;
  #shutdown: Shutdown | undefined;
  readonly #startedMs: number;
  #wasReady = false;
  /**
   * Whether the pod began to end before this process got a SIGTERM. Then this is a native sidecar, which is stopped
   * only after its application has ended.
   */
  #podEnds = false;
  /** Writes the certificate to files. Loaded with the first certificate that is to be written. */
  #certificateFiles: Promise<CertificateFiles> | undefined;
  #healthy = true;

  constructor(options: ProxyOptions) {
    const { settings, clock, random, log } = options;
    this.#options = options;
    this.#registry = new MetricsRegistry({ clock });
    this.#startedMs = clock.nowMs();
    this.#identity = identityOf(settings);
    this.#revocations =
      settings.meshRevocationsFile === undefined
        ? undefined
        : new RevocationLists(addRevocationMetrics(this.#registry));
    this.#certificates = new CertificateManager({
      authority: options.authority,
      log: log.scoped("identity"),
      validitySeconds: settings.secretTtlSeconds,
      compliance: settings.compliance,
      ...(this.#revocations === undefined ? {} : { revocations: this.#revocations }),
      onCertificate: (certificate) => {
        this.#serving.certify(certificate);
        void this.#writeCertificate(certificate);
      },
      clock,
      random,
    });
    addCertificateMetrics(this.#registry, this.#certificates);
    const { listen, resolve, readFile, newRequestId, serve = (given) => new DataPath(given) } = options;
    this.#serving = serve({
      settings,
      certificates: this.#certificates,
      registry: this.#registry,
      listen,
      resolve,
      readFile,
      newRequestId,
      log,
      clock,
      random,
      startedMs: this.#startedMs,
    });
    this.#registry
      .gauge("istio_build", "Istio component build info.", ["component", "tag"])
      .labels("proxy", settings.version)
      .set(1);
    addProcessMetrics(this.#registry, process);
    this.#xds = this.#xdsClient();
    this.#serving.attach(this.#xds);
    const included = new IncludedStats(settings.statsInclusion);
    for (const error of included.faults)
      log.warn("an expression for statistics is not valid and includes none", { error });
    this.#server = new ServerStats({
      included,
      startedMs: this.#startedMs,
      nowMs: () => clock.nowMs(),
      isConnected: () => this.#xds.connected,
      state: () => this.#knownState(),
    });
    this.#server.expose(this.#registry);
  }

  /** Runs until shutdown, and then drains (see {@link drain}). The second shutdown request closes what is left. */
  async run(shutdown: Shutdown): Promise<void> {
    this.#shutdown = shutdown;
    const { log, settings, clock } = this.#options;
    log.info(`version: ${settings.version}`);
    log.info("starting", { node: nodeId(settings), control_plane: settings.xdsUrl });
    // Start the DNS server first, because our own look-ups may be redirected to it.
    const dns = await this.#options.dns?.listen();
    const endpoints = await this.#listen();
    const ended = new AbortController();
    const background = [
      this.#xds.run(ended.signal),
      this.#followRoots(ended.signal),
      this.#followRevocations(ended.signal),
      this.#tellHealth(ended.signal),
      this.#followPodEnd(ended.signal),
    ];
    this.#certificates.prefetch(this.#identity);
    this.#serving.start();
    try {
      await aborted(shutdown.drain);
      this.#serving.closeUnused();
      await drain({
        serving: this.#serving,
        shutdown,
        minimumMs: settings.drainMs,
        inboundOnly: settings.role === "sidecar",
        applicationEnded: settings.role === "sidecar" && this.#podEnds,
        clock,
        log,
      });
    } finally {
      await this.#serving.end(shutdown.force);
      this.#certificates.close();
      ended.abort();
      await Promise.all(background);
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

  async #followPodEnd(signal: AbortSignal): Promise<void> {
    const { podEndFolder: folder, log } = this.#options;
    if (folder !== undefined) await followPodEnd({ folder, onPodEnd: () => this.#drainForPodEnd(), log }, signal);
  }

  #drainForPodEnd(): void {
    if (this.#podEnds) return;
    this.#podEnds = true;
    this.#serving.drain(this.#options.settings.role === "sidecar");
    this.#serving.closeUnused();
  }

  async #writeCertificate(certificate: WorkloadCertificate): Promise<void> {
    const { settings, log } = this.#options;
    const output = settings.certificateOutput;
    if (output === undefined) return;
    this.#certificateFiles ??= import("./agent/certificate-files.ts").then(
      ({ CertificateFiles }) => new CertificateFiles(output, log.scoped("identity")),
    );
    await (await this.#certificateFiles).write(certificate);
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

  #xdsClient(): DeltaXdsClient {
    const { settings, dns, log, clock, random } = this.#options;
    return new DeltaXdsClient({
      endpoint: {
        url: settings.xdsUrl,
        ...(settings.xdsRootFile === undefined ? {} : { rootCertificateFile: settings.xdsRootFile }),
        ...(settings.xdsRootFile === undefined ? {} : { tokenFile: settings.tokenFile }),
        headers: { clusterid: settings.clusterId },
        compliance: settings.compliance,
      },
      node: xdsNode(settings),
      subscriptions: [
        ...this.#serving.subscriptions(),
        ...(settings.requestsTrustBundle ? [trustBundleSubscription(this.#certificates)] : []),
        ...(dns === undefined ? [] : [dns.subscription()]),
      ],
      log: log.scoped("xds"),
      clock,
      random,
    });
  }

  async #listen(): Promise<readonly HttpEndpoint[]> {
    const { settings, log, clock, quit } = this.#options;
    const state = async (): Promise<ServerState> => {
      await this.#pending();
      return this.#knownState();
    };
    const metrics = servingMetricsRoute(this.#serving, state);
    const merged = mergedMetricsRoute({
      own: settings.mergesOwnMetrics
        ? metrics
        : metricsRoute(async (names) => await this.#serving.metrics(agentFamiliesAsked(names))),
      apps: settings.appMetrics,
      address: settings.instanceIp,
      registry: this.#registry,
      log,
    });
    const ready: EndpointRoute = () => this.#readiness();
    const admin = adminRoutes({
      settings,
      serving: this.#serving,
      logThreshold: this.#options.logThreshold,
      server: this.#server,
      startedMs: this.#startedMs,
      nowMs: () => clock.nowMs(),
      state,
      setHealth: (healthy) => {
        this.#healthy = healthy;
        this.#serving.failHealthChecks(!healthy);
      },
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
      forOwnPod(route, ({ remotePort = 0, localPort = 0 }) => this.#serving.owns(remotePort, localPort));
    const metricRoutes = metricsRoutes({ merged, own: metrics, inPodOnly: settings.metricsInPodOnly, inPod });
    return await Promise.all([
      listenHttp({
        address: "127.0.0.1",
        port: settings.ports.admin,
        routes: Object.fromEntries(Object.entries(admin).map(([path, route]) => [path, inPod(route)])),
      }),
      everywhere(settings.ports.stats, {
        ...appProbeRoutes(settings.appProbers, settings.instanceIp),
        ...metricRoutes.status,
        "/healthz/ready": ready,
        "/quitquitquit": inPod(onPost(quit)),
        "/drain": inPod(onPost(() => this.#drainForPodEnd())),
      }),
      everywhere(settings.ports.envoyStats, metricRoutes.envoy),
      everywhere(settings.ports.readiness, { "/healthz/ready": ready }),
      ...this.#secureMetrics(metricRoutes),
    ]);
  }

  /** Serves metrics to clients that show a certificate of the mesh, at the ports that the environment names. */
  #secureMetrics(
    metricRoutes: Pick<ReturnType<typeof metricsRoutes>, "secure" | "secureMerged">,
  ): Promise<HttpEndpoint>[] {
    const { secureStats, secureMergedStats } = this.#options.settings.ports;
    const context: TlsContextSource = async () => (await this.#certificates.fetch(this.#identity)).context;
    return [
      { port: secureStats, routes: metricRoutes.secure },
      { port: secureMergedStats, routes: metricRoutes.secureMerged },
    ].flatMap(({ port, routes }) =>
      port === 0 ? [] : listenSecureHttp({ address: "0.0.0.0", port, routes, context }),
    );
  }

  async #readiness(): Promise<{ status: number; body: string }> {
    if (this.#isDraining()) return { status: 503, body: "draining\n" };
    if (!this.#healthy) return { status: 503, body: "not ready: the health check was set to fail\n" };
    const pending = await this.#pending();
    if (pending.length > 0) return { status: 503, body: `not ready, pending: ${pending.join(", ")}\n` };
    return { status: 200, body: "ready\n" };
  }

  #isDraining(): boolean {
    return this.#shutdown?.drain.aborted === true;
  }

  /**
   * The state, as far as it is known without asking the workers. {@link #pending} notices when the proxy becomes live.
   */
  #knownState(): ServerState {
    if (this.#isDraining() || !this.#healthy) return "DRAINING";
    return this.#wasReady ? "LIVE" : "INITIALIZING";
  }

  /**
   * Names what readiness still waits for. Without the proxy's certificate, for example, every handshake of a peer would
   * fail.
   */
  async #pending(): Promise<readonly string[]> {
    if (this.#wasReady) return [];
    const own = this.#certificates.peek(this.#identity) === undefined ? ["the workload's certificate"] : [];
    const { pending, listeners } = await this.#serving.status();
    // Wait until no update is in progress: with several workers an update takes a while, and the next one may contain
    // the listeners that clients wait for.
    const behind = this.#xds.behind ? ["updates from the control plane"] : [];
    const all = [...pending, ...(this.#options.dns?.pending() ?? []), ...own, ...behind];
    if (all.length === 0 && !this.#wasReady) {
      // Once ready, the proxy stays ready until it leaves. A control plane that is unreachable must not take gateways
      // out of service.
      this.#wasReady = true;
      this.#options.log.info("ready", { listeners });
    }
    return all;
  }
}
