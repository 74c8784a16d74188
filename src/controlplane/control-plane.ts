import type { Server as HttpServer } from "node:http";
import type { Server as HttpsServer } from "node:https";
import { aborted, type Clock, type Logger, type Shutdown } from "../base/index.ts";
import { type CollectionGraph, type Informer, type KubeClient, type KubeConfig, QueueMetrics } from "../kube/index.ts";
import type { MetricsRegistry } from "../telemetry/index.ts";
import type { WorkloadEntry } from "../api/istio/index.ts";
import type { Node } from "../api/kubernetes/index.ts";
import {
  addExpiryMetrics,
  Authenticator,
  SecretAccess,
  CertificateService,
  createCertificateMetrics,
  IssuedCertificates,
  splitPem,
} from "./ca/index.ts";
import type { ControlPlaneSettings, ShadowSettings } from "../api/pilot-settings/index.ts";
import { DebugRoutes, type ControlPlaneState } from "./debug/debug-routes.ts";
import { envoyTypes } from "./envoy-types-file.ts";
import { WorkloadRegistration } from "./entries/index.ts";
import { runRootCertificateController } from "./gateways/index.ts";
import { fetchText, ServedVersionClient, type RemoteClient } from "./ingest/index.ts";
import { leaveService } from "./leave-service.ts";
import { addMeshMetrics } from "./mesh-metrics.ts";
import { MeshSources, type StartWork } from "./mesh-sources.ts";
import { meshKey, type MeshInputs } from "./model/index.ts";
import {
  createPlaintextServer,
  createSecureServer,
  type DiscoveryServer,
  RotatingCertificate,
  type GrpcServer,
  serveHttp,
  DebugRequests,
  type ProxyIdentity,
  type WorkloadProxies,
} from "./serve/index.ts";
import { runControllers, type ControllerParts } from "./run-controllers.ts";
import { ServedMesh } from "./served-mesh.ts";
import { ControlPlaneIdentity } from "./serving-certificate.ts";
import { trustBundle } from "./translate/index.ts";
import { TrustAnchors } from "./trust-anchors.ts";
import {
  InjectionSource,
  runCaBundleController,
  serveWebhooks,
  validationDoubt,
  webhookTls,
} from "./webhooks/index.ts";

export interface ControlPlaneOptions {
  readonly client: KubeClient;
  /** How remote clusters are reached. Absent means that their kubeconfigs say that. */
  readonly connect?: (config: KubeConfig, clusterId: string) => RemoteClient;
  readonly settings: ControlPlaneSettings;
  readonly version: string;
  readonly metrics: MetricsRegistry;
  readonly clock: Clock;
  readonly log: Logger;
}

const drainMs = 2000;
/** How long the controllers may take at shutdown to finish and to release their leases. */
const endMs = 5000;

/**
 * The same limit for a shadow control plane (`--shadow`). It has nothing to release, so requests that still wait for
 * the API server are cancelled.
 */
const shadowEndMs = 500;

export class ControlPlane {
  readonly #options: ControlPlaneOptions;
  readonly #mesh: ServedMesh;
  readonly #graph: CollectionGraph;
  readonly #inputs: MeshInputs;
  readonly #sources: MeshSources;
  readonly #registration: WorkloadRegistration | undefined;
  readonly #discovery: DiscoveryServer;
  readonly #issued: IssuedCertificates;
  readonly #debug: DebugRoutes;
  /** The control plane's authority and certificate. A shadow control plane has none. */
  #identity: ControlPlaneIdentity | undefined;
  readonly #authenticator: Authenticator;
  readonly #metrics: MetricsRegistry;
  readonly #queues: QueueMetrics;
  readonly #anchors: TrustAnchors | undefined;
  #state: ControlPlaneState = "starting";

  constructor(given: ControlPlaneOptions) {
    const options = { ...given, client: new ServedVersionClient(given.client, given.settings.isIgnored) };
    this.#options = options;
    const { client, settings, clock, log } = options;
    this.#metrics = options.metrics;
    this.#queues = new QueueMetrics(options.metrics);
    this.#authenticator = this.#createAuthenticator();
    this.#metrics
      .gauge("istio_build", "The running release.", ["component", "tag"])
      .labels("pilot", options.version)
      .set(1);
    this.#mesh = new ServedMesh({
      revision: settings.revision,
      metrics: options.metrics,
      clock,
      log,
      settling: () => this.#sources.ingest.settling(),
      settled: (generation) => this.#sources.ingest.settled(generation),
      workloads: this.#workloadProxies(),
      debug: this.#debugRequests(),
      secretAccess: new SecretAccess({
        clientOf: (id) => this.#sources.clusters.clientOf(id),
        clock,
        log: log.scoped("secrets"),
      }),
    });
    this.#graph = this.#mesh.graph;
    this.#inputs = this.#mesh.inputs;
    addMeshMetrics(this.#inputs, this.#metrics, options.version, clock);
    this.#discovery = this.#mesh.discovery;
    this.#issued = new IssuedCertificates(clock);
    this.#sources = new MeshSources({
      ...options,
      mesh: this.#mesh,
      onMeshConfig: ({ caCertificates, trustDomain, trustDomainAliases }) =>
        this.#anchors?.setTrusted(caCertificates, [trustDomain, ...trustDomainAliases]),
    });
    this.#debug = new DebugRoutes({
      settings,
      version: options.version,
      metrics: options.metrics,
      mesh: this.#mesh,
      ingest: this.#sources.ingest,
      clusters: this.#sources.clusters,
      authenticator: this.#authenticator,
      issued: this.#issued,
      meshConfig: () => this.#sources.meshConfigTree,
      state: () => this.#state,
    });
    this.#registration = this.#workloadRegistration(client);
    this.#anchors = settings.authority.trustOverXds
      ? new TrustAnchors({
          fetchText,
          publish: (roots) => this.#mesh.trustBundles.set("", trustBundle(roots)),
          clock,
          log: log.scoped("trust"),
        })
      : undefined;
  }

  /** Registers machines outside of the cluster, unless this is switched off or the control plane writes nothing. */
  #workloadRegistration(client: KubeClient): WorkloadRegistration | undefined {
    const { settings, metrics, clock, log } = this.#options;
    const entries = this.#sources.ingest.informer("WorkloadEntry") as Informer<WorkloadEntry> | undefined;
    const { enabled, graceMs } = settings.workloadRegistration;
    if (!enabled || settings.shadow !== undefined || entries === undefined) return undefined;
    return new WorkloadRegistration({
      client,
      entries,
      instance: settings.podName,
      instanceNamespace: settings.namespace,
      clusterId: settings.clusterId,
      graceMs,
      metrics,
      queues: this.#queues,
      clock,
      log: log.scoped("registration"),
    });
  }

  #createAuthenticator(): Authenticator {
    const { settings, clock } = this.#options;
    return new Authenticator({
      clientOf: (id) => this.#sources.clusters.clientOf(id),
      clusterIds: () => this.#sources.clusters.ids,
      readsAllClusters: () => this.#sources.clusters.areAllRead,
      uidOfPod: (id, namespace, pod) => this.#sources.clusters.podsOf(id)?.podOf(namespace, pod)?.uid,
      clusterId: settings.clusterId,
      audiences: settings.authority.audiences,
      trustDomain: () => this.#trustDomain(),
      clock,
    });
  }

  #debugRequests(): DebugRequests {
    const { settings, version } = this.#options;
    const { podName: id, revision } = settings;
    return new DebugRequests({
      routes: () => this.#debug.all(this.#identity),
      types: envoyTypes,
      isSystem: (namespace) => this.#debug.isSystem(namespace),
      instance: { id, version, revision },
    });
  }

  #workloadProxies(): WorkloadProxies<ProxyIdentity> {
    return {
      connected: (proxy) => this.#registration?.connected(proxy),
      disconnected: (proxy) => this.#registration?.disconnected(proxy),
      probed: (proxy, health) => this.#registration?.probed(proxy, health),
    };
  }

  /** Serves until a drain request. Resolves when everything is closed. */
  async run(shutdown: Shutdown): Promise<void> {
    const { client, settings, clock, log } = this.#options;
    if (settings.shadow !== undefined) return await this.#runShadow(settings.shadow, shutdown.drain);
    const { drain } = shutdown;
    const mesh = await this.#sources.load();
    // Proxies need changes until they have moved to another replica.
    const stopped = new AbortController();
    const work = new Map<string, Promise<void>>();
    const start: StartWork = (name, task) =>
      void work.set(
        name,
        task.finally(() => work.delete(name)),
      );
    const injection = this.#injection();
    // The API server takes longest for these lists, so request them first.
    this.#sources.start(start, stopped.signal);
    const identity = await ControlPlaneIdentity.create(
      {
        client,
        namespace: settings.namespace,
        serviceName: settings.serviceName,
        domain: settings.domain,
        trustDomain: mesh.trustDomain,
        selfSigned: settings.authority.selfSigned,
        checkIntervalMs: settings.authority.checkIntervalMs,
        clock,
        log,
      },
      drain,
    ).catch((error: unknown) => {
      stopped.abort();
      throw error;
    });
    this.#identity = identity;
    addExpiryMetrics(this.#metrics, () => identity.authority, clock);
    start("injection", injection.run(stopped.signal));
    start("identity", identity.run(stopped.signal));
    this.#startTellingRoot(start, identity, drain);
    const http = await this.#serveHttp(identity);
    if (this.#registration !== undefined) start("workload registration", this.#registration.run(stopped.signal));
    await Promise.race([
      Promise.all([this.#sources.synced, this.#registration?.synced, injection.synced]),
      aborted(drain),
    ]);
    this.#graph.settle();
    const servers = drain.aborted ? [] : await this.#serve(identity);
    if (!drain.aborted) http.push(await this.#serveWebhooks(identity, injection));
    if (!drain.aborted) this.#state = "ready";
    const { unknownArguments } = settings;
    if (unknownArguments.length > 0)
      log.warn("arguments are unknown and have no effect", { arguments: unknownArguments.join(" ") });
    const { withoutEffect } = settings.clusters;
    if (withoutEffect.length > 0)
      log.warn("environment variables have no effect here", { variables: withoutEffect.join(", ") });
    log.info("serving", { revision: settings.revision, version: this.#options.version, namespace: settings.namespace });
    start("gateways", runControllers(this.#controllerParts(injection), drain));
    await aborted(drain);
    await this.#drain(servers, http, shutdown);
    stopped.abort();
    const ended = new AbortController();
    await Promise.race([
      Promise.all(work.values()),
      aborted(shutdown.force),
      clock.sleep(endMs, ended.signal).catch(() => undefined),
    ]);
    ended.abort();
    // Closing the client ends all waiting requests: an API server that does not answer must not block the end.
    if (work.size > 0) log.warn("stopped although some work had not ended", { work: [...work.keys()].join(", ") });
  }

  /**
   * Reads the same objects as a control plane, and serves the configuration that it would send. A shadow has no
   * authority, does not lead and writes nothing.
   */
  async #runShadow({ discovery }: ShadowSettings, signal: AbortSignal): Promise<void> {
    const { settings, clock, log } = this.#options;
    await this.#sources.load();
    const stopped = new AbortController();
    const work: Promise<void>[] = [];
    this.#sources.start((_name, task) => void work.push(task), stopped.signal);
    const http = await serveHttp(settings.http.address, settings.http.port, this.#debug.all());
    await Promise.race([this.#sources.synced, aborted(signal)]);
    this.#graph.settle();
    const server = createPlaintextServer({
      discovery: this.#discovery,
      maxRequestBytes: settings.maxRequestBytes,
      clock,
      log: log.scoped("grpc"),
    });
    if (discovery !== undefined) await server.listen(discovery.address, discovery.port);
    if (!signal.aborted) this.#state = "ready";
    log.info("shadowing", { revision: settings.revision, version: this.#options.version });
    await aborted(signal);
    server.close();
    http.close();
    http.closeAllConnections();
    stopped.abort();
    const ended = new AbortController();
    await Promise.race([Promise.all(work), clock.sleep(shadowEndMs, ended.signal).catch(() => undefined)]);
    ended.abort();
  }

  #startTellingRoot(start: StartWork, identity: ControlPlaneIdentity, signal: AbortSignal): void {
    const { client, settings, clock, log } = this.#options;
    const options = {
      client,
      queues: this.#queues,
      clock,
      log,
      root: () => identity.authority.root,
      onRootChange: (changed: () => void) => identity.onChange(changed),
    };
    const { rootConfigMap, revocationConfigMap, clusterTrustBundle } = settings.authority;
    const roots = {
      ...options,
      revocations: () => identity.authority.crl,
      includes: (name: string) => this.#sources.ingest.includesNamespace(name),
      rootConfigMap,
      revocationConfigMap,
      clusterTrustBundle,
    };
    const anchors = this.#anchors;
    if (anchors !== undefined) {
      const take = (): void => anchors.setOwn(splitPem(identity.authority.root));
      identity.onChange(take);
      take();
      start("trusted authorities", anchors.run(signal));
    }
    start("root certificates", runRootCertificateController(roots, signal));
    start(
      "webhook authorities",
      runCaBundleController(
        {
          ...options,
          validationDoubt: settings.validationFailsClosed
            ? async () => await validationDoubt(client, settings.namespace, settings.revision)
            : undefined,
          service: { namespace: settings.namespace, name: settings.serviceName },
        },
        signal,
      ),
    );
  }

  async #serveHttp(identity: ControlPlaneIdentity): Promise<(HttpServer | HttpsServer)[]> {
    const { http, monitoring } = this.#options.settings;
    return [
      await serveHttp(http.address, http.port, this.#debug.guarded(identity)),
      await serveHttp(monitoring.address, monitoring.port, this.#debug.monitoring(identity)),
    ];
  }

  /**
   * Serves injection and validation. `injection` must have read its configuration, because an incomplete one must not
   * be injected into pods.
   */
  async #serveWebhooks(identity: ControlPlaneIdentity, injection: InjectionSource): Promise<HttpsServer> {
    const { settings, clock, log } = this.#options;
    const webhooks = await serveWebhooks({
      ...settings.webhooks,
      certificate: identity.serving,
      compliance: settings.compliance,
      scope: (namespace) => ({
        context: injection.context(),
        namespaceLabels: this.#inputs.namespaces.get(namespace)?.labels ?? {},
      }),
      metrics: this.#metrics,
      clock,
      log: log.scoped("webhooks"),
    });
    identity.onChange(() => webhooks.setSecureContext(webhookTls(identity.serving, settings.compliance)));
    return webhooks;
  }

  #injection(): InjectionSource {
    const { client, settings, clock, log } = this.#options;
    const { namespace, revision, serviceName, hub, tag, clusterId, network, nativeSidecars } = settings;
    return new InjectionSource({
      client,
      namespace,
      serviceName,
      defaults: { hub, tag, istioNamespace: namespace, revision, clusterName: clusterId, network },
      nativeSidecars,
      compliance: settings.compliance,
      meshText: () => this.#sources.meshConfigText,
      kubeletVersions: () => this.#kubeletVersions(),
      clock,
      log: log.scoped("injection"),
    });
  }

  #kubeletVersions(): string[] {
    return [...this.#inputs.nodes.values()].map(({ name }) => {
      const node: Node | undefined = this.#sources.ingest.get("Node", name);
      return node?.status?.nodeInfo?.["kubeletVersion"] ?? "";
    });
  }

  async #serve(identity: ControlPlaneIdentity): Promise<readonly GrpcServer[]> {
    const { settings, clock, log } = this.#options;
    const trustDomain = (): string => this.#trustDomain();
    const { authority, trustedNodeAccounts, maxConnectionAgeMs, maxRequestBytes } = settings;
    const options = {
      discovery: this.#discovery,
      authenticator: this.#authenticator,
      certificates: new CertificateService({
        authority: () => identity.authority,
        trustDomain,
        pods: (id) => this.#sources.clusters.podsOf(id),
        trustedNodeAccounts,
        lifetimes: authority.lifetimes,
        issued: this.#issued,
      }),
      certificateMetrics: createCertificateMetrics(this.#metrics),
      maxConnectionAgeMs,
      maxRequestBytes,
      clock,
      log: log.scoped("grpc"),
    };
    const plaintext = createPlaintextServer(options);
    const secure = createSecureServer(options);
    const material = () => ({
      ...identity.serving,
      clientRoots: identity.authority.root,
      revocations: identity.authority.crl,
    });
    const certificate = new RotatingCertificate(material(), settings.compliance);
    identity.onChange(() => certificate.rotate(material()));
    await plaintext.listen(settings.grpc.address, settings.grpc.port);
    await secure.listen(settings.secureGrpc.address, settings.secureGrpc.port, certificate);
    return [plaintext, secure];
  }

  #controllerParts(injection: InjectionSource): ControllerParts {
    const { client, settings, clock, log } = this.#options;
    return {
      client,
      settings,
      mesh: this.#mesh,
      ingest: this.#sources.ingest,
      clusters: this.#sources.clusters,
      queues: this.#queues,
      meshConfig: () => this.#sources.meshConfig,
      trustDomain: () => this.#trustDomain(),
      injection,
      clock,
      log,
    };
  }

  #trustDomain(): string {
    return this.#inputs.mesh.get(meshKey)?.trustDomain ?? "cluster.local";
  }

  async #drain(
    servers: readonly GrpcServer[],
    http: readonly (HttpServer | HttpsServer)[],
    shutdown: Shutdown,
  ): Promise<void> {
    this.#state = "draining";
    const { clock, log, settings } = this.#options;
    const { namespace, serviceName, podName } = settings;
    log.info("draining", { streams: this.#discovery.streams.size });
    await leaveService({
      slices: this.#inputs.slices.values(),
      service: `${namespace}/${serviceName}`,
      pod: `${namespace}/${podName}`,
      clock,
      force: shutdown.force,
    });
    await Promise.race([Promise.all(servers.map((server) => server.stop(drainMs))), aborted(shutdown.force)]);
    for (const server of servers) server.close();
    for (const server of http) {
      server.close();
      server.closeAllConnections();
    }
  }
}
