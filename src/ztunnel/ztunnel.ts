import { readFile } from "node:fs/promises";
import {
  aborted,
  Readiness,
  transientError,
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
  ConnectionTracker,
  DeltaXdsClient,
  followRevocations,
  followRoots,
  jsonRoute,
  listenHttp,
  loggingRoute,
  metricsRoute,
  readinessRoute,
  RevocationLists,
  type CertificateAuthority,
  type HttpEndpoint,
  type HttpEndpointOptions,
  type XdsUpdate,
} from "../dataplane/index.ts";
import { addProcessMetrics, MetricsRegistry } from "../telemetry/index.ts";
import { typeUrls } from "../wire/xds/index.ts";
import { configDump, connectionsDump, type AdminSources } from "./admin.ts";
import { absolutePath, describeConfig, type ZtunnelConfig } from "./config.ts";
import { DnsMetrics } from "./dns/dns-metrics.ts";
import { DnsResolver, readNameservers } from "./dns/dns-resolver.ts";
import { accessLine2022 } from "./proxy/access-line-2022.ts";
import { ConnectionTelemetry } from "./proxy/connection-record.ts";
import { IdentityUsers } from "./proxy/identity-users.ts";
import type { LiveConnection, ProxyEnvironment } from "./proxy/pod-context.ts";
import { PodProxy } from "./proxy/pod-proxy.ts";
import { loadLocalConfig } from "./state/local-config.ts";
import { MeshState } from "./state/mesh-state.ts";
import { XdsMetrics } from "./xds-metrics.ts";
import { PodManager } from "./zds/pod-manager.ts";
import { ZdsClient } from "./zds/zds-client.ts";

const closingTimeoutMs = 500;

export interface ZtunnelOptions {
  readonly config: ZtunnelConfig;
  readonly authority: CertificateAuthority;
  readonly log: Logger;
  /** Writes one line of an access log that has a format of its own. The line includes its newline. */
  readonly writeLine: (line: string) => void;
  /** The level that `log` follows. The admin server changes it. */
  readonly logThreshold: LogThreshold;
  readonly clock: Clock;
  readonly random: Random;
  readonly resolvConfPath?: string;
}

/** One ztunnel process. Pods come by ZDS, the mesh by xDS, certificates from the CA. */
export class Ztunnel {
  readonly #options: ZtunnelOptions;
  readonly #log: Logger;
  readonly #registry = new MetricsRegistry();
  readonly #readiness = new Readiness();
  readonly #state = new MeshState();
  readonly #certificates: CertificateManager;
  readonly #revocations: RevocationLists | undefined;
  readonly #tracker: ConnectionTracker<LiveConnection>;
  readonly #pods: PodManager;
  #environment: ProxyEnvironment | undefined;
  #dns: DnsResolver | undefined;

  constructor(options: ZtunnelOptions) {
    const { config, clock, random, log } = options;
    this.#options = options;
    this.#log = log;
    this.#revocations =
      config.revocationsFile === undefined ? undefined : new RevocationLists(addRevocationMetrics(this.#registry));
    this.#certificates = new CertificateManager({
      authority: options.authority,
      log: log.scoped("identity"),
      validitySeconds: config.secretTtlSeconds,
      ...(this.#revocations === undefined ? {} : { revocations: this.#revocations }),
      clock,
      random,
    });
    addCertificateMetrics(this.#registry, this.#certificates);
    const connections = this.#registry.gauge("serin_ztunnel_connections", "Connections that live now.", ["state"]);
    const active = connections.labels("active");
    const draining = connections.labels("draining");
    this.#tracker = new ConnectionTracker({
      log: log.scoped("drain"),
      onChange: (counts) => {
        active.set(counts.active);
        draining.set(counts.draining);
      },
    });
    this.#registry
      .gauge("istio_build", "Istio component build info.", ["component", "tag"])
      .labels("ztunnel", config.version)
      .set(1);
    addProcessMetrics(this.#registry, process);
    const served = this.#registry
      .gauge("workload_manager_active_proxy_count", "The total number current workloads with active proxies.")
      .labels();
    const started = this.#registry
      .counter("workload_manager_proxies_started_total", "The total number of proxies that were started.")
      .labels();
    this.#registry.onCollect(() => served.set(this.#pods.uids().length));
    this.#pods = new PodManager({
      create: (pod) => {
        started.increment();
        return new PodProxy({ environment: this.#requireEnvironment(), ...pod });
      },
      log,
      terminationGraceMs: config.terminationGraceMs,
    });
  }

  /**
   * Runs until it has drained. The first shutdown request stops accepting and waits for live connections; the second
   * closes them.
   */
  async run(shutdown: Shutdown): Promise<void> {
    const { config } = this.#options;
    this.#log.info(`version: ${config.version}`);
    this.#log.info(`running with config: ${describeConfig(config)}`);
    await this.#prepare();
    const endpoints = await this.#listen();
    const ended = new AbortController();
    // Before the first handshake.
    const following = await this.#followRevocations(ended.signal);
    const background = [
      following.ended,
      this.#runXds(ended.signal),
      this.#runPods(shutdown.drain),
      this.#followRoots(ended.signal),
    ];
    using _policies = this.#state.onPolicyChange(() => this.#enforcePolicies());
    try {
      await aborted(shutdown.drain);
      await this.#drain(shutdown);
    } finally {
      this.#pods.closeAll();
      this.#certificates.close();
      ended.abort();
      await Promise.all([...background, ...endpoints.map((endpoint) => endpoint.close())]);
    }
  }

  async #prepare(): Promise<void> {
    const { config, clock, random, log } = this.#options;
    if (config.localXdsPath !== "") await loadLocalConfig(config.localXdsPath, this.#state);
    this.#dns = new DnsResolver({
      state: this.#state,
      network: config.network,
      domain: config.clusterDomain,
      nameservers: await readNameservers(this.#options.resolvConfPath ?? "/etc/resolv.conf"),
      log: log.scoped("dns"),
      metrics: new DnsMetrics(this.#registry),
    });
    this.#environment = {
      state: this.#state,
      certificates: this.#certificates,
      identities: new IdentityUsers(this.#certificates),
      telemetry: this.#telemetry(),
      tracker: this.#tracker,
      log,
      clock,
      random,
      mark: config.mark,
      ports: config.ports,
      network: config.network,
      dns: this.#dns,
    };
  }

  #telemetry(): ConnectionTelemetry {
    const { config, log, clock, random, writeLine } = this.#options;
    if (config.logFormat === "current") return new ConnectionTelemetry(this.#registry, log, clock);
    return new ConnectionTelemetry(this.#registry, log, clock, (ended) => writeLine(accessLine2022(ended, random)));
  }

  #requireEnvironment(): ProxyEnvironment {
    if (this.#environment === undefined) throw transientError("not-started", "the ztunnel has not been started");
    return this.#environment;
  }

  async #listen(): Promise<readonly HttpEndpoint[]> {
    const { config, clock } = this.#options;
    const admin: AdminSources = {
      config,
      state: this.#state,
      certificates: this.#certificates,
      tracker: this.#tracker,
      pods: this.#pods,
    };
    const metrics = metricsRoute(this.#registry);
    return await Promise.all([
      listenHttp({
        address: "127.0.0.1",
        port: config.ports.admin,
        routes: {
          "/config_dump": jsonRoute(() => configDump(admin)),
          "/connections": jsonRoute(() => connectionsDump(this.#tracker, clock.nowMs())),
          "/logging": loggingRoute(this.#options.logThreshold),
        },
      }),
      listenEverywhere({ port: config.ports.stats, routes: { "/metrics": metrics, "/stats/prometheus": metrics } }),
      listenEverywhere({ port: config.ports.readiness, routes: { "/healthz/ready": readinessRoute(this.#readiness) } }),
    ]);
  }

  async #followRoots(signal: AbortSignal): Promise<void> {
    const { config, clock, log } = this.#options;
    if (config.fakeCa) return;
    await followRoots(
      {
        path: absolutePath(config.caRootCertificate),
        readFile: async (path) => await readFile(path, "utf8"),
        certificates: this.#certificates,
        clock,
        log: log.scoped("identity"),
      },
      signal,
    );
  }

  /** Resolves when the lists have been read, or when it is known that there are none. */
  async #followRevocations(signal: AbortSignal): Promise<{ readonly ended: Promise<void> }> {
    const { config, clock, log } = this.#options;
    const revocations = this.#revocations;
    if (revocations === undefined || config.revocationsFile === undefined) return { ended: Promise.resolve() };
    const path = absolutePath(config.revocationsFile);
    const { promise, resolve } = Promise.withResolvers<void>();
    const ended = followRevocations(
      { path, readFile, revocations, clock, log: log.scoped("identity") },
      signal,
      resolve,
    );
    await promise;
    return { ended };
  }

  /** Runs until the process ends, including while it drains. */
  async #runXds(signal: AbortSignal): Promise<void> {
    const { config, log, clock, random } = this.#options;
    if (config.xdsAddress === "") return;
    const task = this.#readiness.add("state manager");
    const metrics = new XdsMetrics(this.#registry);
    const counted = (apply: (update: XdsUpdate) => void) => (update: XdsUpdate) => {
      metrics.received(update);
      apply(update);
    };
    const client = new DeltaXdsClient({
      endpoint: {
        url: config.xdsAddress,
        rootCertificateFile: absolutePath(config.xdsRootCertificate),
        ...(config.xdsAddress.startsWith("https:") ? { tokenFile: absolutePath(config.tokenFile) } : {}),
        headers: { clusterid: config.clusterId },
      },
      node: {
        id: `ztunnel~${config.instanceIp}~${config.podName}.${config.podNamespace}~${config.podNamespace}.svc.${config.clusterDomain}`,
        metadata: {
          NAME: config.podName,
          NAMESPACE: config.podNamespace,
          INSTANCE_IPS: config.instanceIp,
          SERVICE_ACCOUNT: config.serviceAccount,
          NODE_NAME: config.nodeName,
          CLUSTER_ID: config.clusterId,
          NETWORK: config.network,
          ...config.metadata,
        },
      },
      subscriptions: [
        { typeUrl: typeUrls.address, mode: "wildcard", apply: counted((update) => this.#state.applyAddresses(update)) },
        {
          typeUrl: typeUrls.authorization,
          mode: "wildcard",
          apply: counted((update) => this.#state.applyAuthorizations(update)),
        },
      ],
      onEnded: (reason) => metrics.ended(reason),
      log: log.scoped("xds"),
      clock,
      random,
    });
    void client.synced.then(() => task[Symbol.dispose]());
    await client.run(signal);
  }

  async #runPods(drain: AbortSignal): Promise<void> {
    const { config, log, clock, random } = this.#options;
    let task: Disposable | undefined = this.#readiness.add("workload proxy manager");
    if (config.dedicatedWorkload !== undefined) {
      const info = config.dedicatedWorkload;
      await this.#pods.add({ uid: `${info.namespace}/${info.name}`, info, namespaceFd: undefined, listeners: [] });
      task[Symbol.dispose]();
      return;
    }
    const client = new ZdsClient({
      path: config.zdsPath,
      revision: config.revision,
      pods: this.#pods,
      log: log.scoped("inpod"),
      clock,
      random,
      onSynced: (synced) => {
        if (!synced) task ??= this.#readiness.add("workload proxy manager");
        else {
          task?.[Symbol.dispose]();
          task = undefined;
        }
      },
    });
    await client.run(drain);
  }

  #enforcePolicies(): void {
    if (!this.#state.hasPolicies) return;
    for (const { details, abort } of this.#tracker.list()) {
      if (details.stillAllowed?.() === false) abort(new Error("connection closed due to policy change"));
    }
  }

  async #drain(shutdown: Shutdown): Promise<void> {
    this.#readiness.add("draining");
    this.#pods.drainAll();
    this.#tracker.drainAll();
    await Promise.race([this.#tracker.idle(), aborted(shutdown.force)]);
    if (this.#tracker.size === 0) return;
    this.#log.warn(`closing ${this.#tracker.size} connection(s) that still live`);
    this.#tracker.abortAll(new Error("connection closed due to connection drain"));
    // Each connection still writes its line of the access log.
    await Promise.race([this.#tracker.idle(), this.#options.clock.sleep(closingTimeoutMs)]);
  }
}

/** Listens on all addresses of both families, or only of IPv4 if there is no IPv6. */
async function listenEverywhere(options: Omit<HttpEndpointOptions, "address">): Promise<HttpEndpoint> {
  try {
    return await listenHttp({ address: "::", ...options });
  } catch {
    return await listenHttp({ address: "0.0.0.0", ...options });
  }
}
