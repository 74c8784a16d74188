import { readFile } from "node:fs/promises";
import {
  aborted,
  Readiness,
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
  jsonRoute,
  listenHttp,
  loggingRoute,
  metricsRoute,
  readinessRoute,
  RevocationLists,
  type CertificateAuthority,
  type HttpEndpoint,
  type HttpEndpointOptions,
  type WorkloadCertificate,
  type XdsSubscription,
  type XdsUpdate,
} from "../dataplane/index.ts";
import { addProcessMetrics, MetricsRegistry } from "../telemetry/index.ts";
import { describeRecords } from "../net/index.ts";
import { typeUrls } from "../wire/xds/index.ts";
import { configDump, connectionsDump } from "./admin.ts";
import { absolutePath, describeConfig, type ZtunnelConfig } from "./config.ts";
import { DataPath } from "./data-path.ts";
import { readNameservers } from "./dns/dns-resolver.ts";
import { isOwnPod, OwnPod } from "./own-pod.ts";
import { IdentityUsers } from "./proxy/identity-users.ts";
import { preparePod } from "./proxy/prepare-pod.ts";
import type { Serving } from "./serving.ts";
import { loadLocalConfig } from "./state/local-config.ts";
import { MeshState } from "./state/mesh-state.ts";
import { readAddresses, readAuthorizations, type ReadUpdate } from "./state/read-update.ts";
import { XdsMetrics } from "./xds-metrics.ts";
import type { AddedPod, ServedPods } from "./proxy/served-pods.ts";
import { ZdsClient } from "./zds/zds-client.ts";

const closingTimeoutMs = 500;

export interface ServingData {
  readonly config: ZtunnelConfig;
  readonly certificates: CertificateManager;
  readonly identities: IdentityUsers;
  readonly registry: MetricsRegistry;
  readonly nameservers: readonly string[];
  readonly log: Logger;
  readonly clock: Clock;
  readonly random: Random;
}

/** A {@link Serving} in other threads. The main thread sends them certificates. */
export interface ThreadServing extends Serving {
  start(): void;
  certify(certificate: WorkloadCertificate): void;
  forget(identity: string): void;
}

export interface ZtunnelOptions {
  readonly config: ZtunnelConfig;
  readonly authority: CertificateAuthority;
  readonly log: Logger;
  /** Writes one access log line in the format of 2022 (SERIN_LOG_FORMAT). The line includes its newline. */
  readonly writeLine: (line: string) => void;
  /** The level that `log` follows. The admin server changes it. */
  readonly logThreshold: LogThreshold;
  readonly clock: Clock;
  readonly random: Random;
  readonly resolvConfPath?: string;
  /** Creates the worker threads. If undefined, this thread serves. */
  readonly serve?: (data: ServingData) => ThreadServing;
}

/** One ztunnel process. It gets pods from ZDS, the mesh from xDS, and certificates from the CA. */
export class Ztunnel {
  readonly #options: ZtunnelOptions;
  readonly #log: Logger;
  readonly #registry: MetricsRegistry;
  readonly #readiness = new Readiness();
  readonly #certificates: CertificateManager;
  readonly #identities: IdentityUsers;
  readonly #revocations: RevocationLists | undefined;
  #threads: ThreadServing | undefined;

  constructor(options: ZtunnelOptions) {
    const { config, clock, random, log } = options;
    this.#registry = new MetricsRegistry({ clock });
    this.#options = options;
    this.#log = log;
    // The main thread needs no revocation lists if there are worker threads. The workers perform the handshakes and
    // have their own lists.
    this.#revocations =
      config.revocationsFile === undefined || options.serve !== undefined
        ? undefined
        : new RevocationLists(addRevocationMetrics(this.#registry));
    this.#certificates = new CertificateManager({
      authority: options.authority,
      log: log.scoped("identity"),
      validitySeconds: config.secretTtlSeconds,
      ...config.handshakes,
      ...(this.#revocations === undefined ? {} : { revocations: this.#revocations }),
      onCertificate: (certificate) => this.#threads?.certify(certificate),
      onForgotten: (identity) => this.#threads?.forget(identity),
      clock,
      random,
    });
    this.#identities = new IdentityUsers(this.#certificates);
    addCertificateMetrics(this.#registry, this.#certificates);
    this.#registry
      .gauge("istio_build", "Istio component build info.", ["component", "tag"])
      .labels("ztunnel", config.version)
      .set(1);
    addProcessMetrics(this.#registry, process);
  }

  /**
   * Serves until the process has drained. The first shutdown request stops accepting and waits for live connections.
   * The second one closes them.
   */
  async run(shutdown: Shutdown): Promise<void> {
    const { config } = this.#options;
    this.#log.info(`version: ${config.version}`);
    this.#log.info(`running with config: ${describeConfig(config)}`);
    this.#log.info(await describeRecords());
    const serving = await this.#serving();
    const endpoints = await this.#listen(serving);
    const ended = new AbortController();
    // Revocation lists must be read before the first handshake.
    const following = await this.#followRevocations(ended.signal);
    const own = config.ownWorkload === undefined ? undefined : new OwnPod(serving, config.ownWorkload, this.#log);
    await own?.start(config.ports.hbone);
    const background = [
      following.ended,
      this.#runXds(serving, ended.signal),
      this.#runPods(this.#counted(serving), serving.state, shutdown.drain),
      this.#followRoots(ended.signal),
    ];
    try {
      await aborted(shutdown.drain);
      own?.end();
      await this.#drain(serving, shutdown);
    } finally {
      await serving.end();
      this.#certificates.close();
      ended.abort();
      await Promise.all([...background, ...endpoints.map((endpoint) => endpoint.close())]);
    }
  }

  async #serving(): Promise<Serving> {
    const { config, clock, random, log, serve, writeLine } = this.#options;
    const local = new MeshState();
    if (config.localXdsPath !== "") await loadLocalConfig(config.localXdsPath, local);
    const data: ServingData = {
      config,
      certificates: this.#certificates,
      identities: this.#identities,
      registry: this.#registry,
      nameservers: await readNameservers(this.#options.resolvConfPath ?? "/etc/resolv.conf"),
      log,
      clock,
      random,
    };
    this.#threads = serve?.(data);
    this.#threads?.start();
    const serving =
      this.#threads ??
      new DataPath({
        ...data,
        drainLog: log.scoped("drain"),
        writeLine,
      });
    await serving.apply(local.snapshot());
    return serving;
  }

  /** Wraps the pods to count them in the metrics. */
  #counted(serving: Serving): ServedPods {
    const served = this.#registry
      .gauge("workload_manager_active_proxy_count", "The total number current workloads with active proxies.")
      .labels();
    const started = this.#registry
      .counter("workload_manager_proxies_started_total", "The total number of proxies that were started.")
      .labels();
    const stopped = this.#registry
      .counter("workload_manager_proxies_stopped_total", "The total number of proxies that were stopped.")
      .labels();
    const pending = this.#registry
      .gauge("workload_manager_pending_proxy_count", "The total number current workloads with pending proxies.")
      .labels();
    // Pods that were announced but are not served yet. A pod whose addition failed stays here, because the agent
    // announces it again.
    const awaited = new Set<string>();
    const uids = () => serving.uids().filter((uid) => !isOwnPod(uid));
    this.#registry.onCollect(() => {
      served.set(uids().length);
      pending.set(awaited.size);
    });
    return {
      descriptors: (uid) => serving.descriptors(uid),
      uids: () => [...new Set([...uids(), ...awaited])],
      remove: (uid, handedOver) => {
        awaited.delete(uid);
        if (serving.uids().includes(uid)) stopped.increment();
        serving.remove(uid, handedOver);
      },
      add: async (pod: AddedPod) => {
        started.increment();
        awaited.add(pod.uid);
        await serving.add(pod);
        awaited.delete(pod.uid);
      },
    };
  }

  async #listen(serving: Serving): Promise<readonly HttpEndpoint[]> {
    const { config, clock, logThreshold } = this.#options;
    const metrics = metricsRoute(async (names) => await serving.metrics(names));
    const admin = { config, certificates: this.#certificates, serving };
    const threshold: LogThreshold = {
      get level() {
        return logThreshold.level;
      },
      set level(level) {
        logThreshold.level = level;
        serving.setLogLevel(level);
      },
    };
    return await Promise.all([
      listenHttp({
        address: "127.0.0.1",
        port: config.ports.admin,
        routes: {
          "/config_dump": jsonRoute(() => configDump(admin)),
          "/connections": jsonRoute(async () => connectionsDump(await serving.connections(), clock.nowMs())),
          "/logging": loggingRoute(threshold),
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

  /** Resolves after the first attempt to read the revocation lists, or at once if no lists are configured. */
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

  /** Follows the control plane until the process ends. A draining ztunnel still applies updates. */
  async #runXds(serving: Serving, signal: AbortSignal): Promise<void> {
    const { config, log, clock, random } = this.#options;
    if (config.xdsAddress === "") return;
    const task = this.#readiness.add("state manager");
    const metrics = new XdsMetrics(this.#registry);
    const take = (read: (update: XdsUpdate) => ReadUpdate): XdsSubscription["apply"] => {
      return async (update) => {
        metrics.received(update);
        const { change, refuseUnreadable } = read(update);
        await serving.apply(change);
        refuseUnreadable();
      };
    };
    const client = new DeltaXdsClient({
      endpoint: {
        url: config.xdsAddress,
        rootCertificateFile: absolutePath(config.xdsRootCertificate),
        ...(config.xdsAddress.startsWith("https:") ? { tokenFile: absolutePath(config.tokenFile) } : {}),
        headers: { clusterid: config.clusterId },
        compliance: config.handshakes.compliance,
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
        { typeUrl: typeUrls.address, mode: "wildcard", apply: take(readAddresses) },
        { typeUrl: typeUrls.authorization, mode: "wildcard", apply: take(readAuthorizations) },
      ],
      onEnded: (reason) => metrics.ended(reason),
      log: log.scoped("xds"),
      clock,
      random,
    });
    void client.synced.then(() => task[Symbol.dispose]());
    await client.run(signal);
  }

  async #runPods(pods: ServedPods, state: MeshState, drain: AbortSignal): Promise<void> {
    const { config, log, clock, random } = this.#options;
    let task: Disposable | undefined = this.#readiness.add("workload proxy manager");
    if (config.dedicatedWorkload !== undefined) {
      const info = config.dedicatedWorkload;
      await pods.add({ uid: `${info.namespace}/${info.name}`, info, namespaceFd: undefined, listeners: [] });
      task[Symbol.dispose]();
      return;
    }
    const client = new ZdsClient({
      path: config.zdsPath,
      revision: config.revision,
      pods,
      prepare: async (info) =>
        await preparePod(info, { state, certificates: this.#certificates, identities: this.#identities, clock }),
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

  async #drain(serving: Serving, shutdown: Shutdown): Promise<void> {
    this.#readiness.add("draining");
    serving.drain();
    await Promise.race([serving.idle(), aborted(shutdown.force)]);
    if (serving.open === 0) return;
    this.#log.warn(`closing ${serving.open} connection(s) that are still open`);
    serving.abortAll(new Error("connection closed due to connection drain"));
    // Wait, because each connection still writes its access log line.
    await Promise.race([serving.idle(), this.#options.clock.sleep(closingTimeoutMs)]);
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
