import { isInsideAddress, type Clock, type Logger } from "../base/index.ts";
import type { MeshConfig, MeshNetworks } from "../api/istio/index.ts";
import { createKubeClient, type KubeClient, type KubeConfig } from "../kube/index.ts";
import type { MetricsRegistry } from "../telemetry/index.ts";
import type { ControlPlaneSettings } from "../api/pilot-settings/index.ts";
import {
  ConfigMapIngest,
  fetchTextWithin,
  GatewayNames,
  KeySetIngest,
  keySetRoots,
  MeshConfigFile,
  MeshIngest,
  MeshNetworksFile,
  multiClusterKinds,
  PullSecretIngest,
  SecretIngest,
  type RemoteClient,
} from "./ingest/index.ts";
import { MeshClusters } from "./mesh-clusters.ts";
import { meshSettings } from "./mesh-settings.ts";
import { meshKey } from "./model/index.ts";
import { reportLimits } from "./report-limits.ts";
import type { ServedMesh } from "./served-mesh.ts";

export interface MeshSourcesOptions {
  readonly client: KubeClient;
  /** How remote clusters are reached. Absent means that their kubeconfigs say that. */
  readonly connect?: ((config: KubeConfig, clusterId: string) => RemoteClient) | undefined;
  readonly settings: ControlPlaneSettings;
  readonly mesh: ServedMesh;
  /** Called with each mesh config before it is in force. */
  readonly onMeshConfig: (config: MeshConfig) => void;
  readonly metrics: MetricsRegistry;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Starts work that runs until the control plane ends. If the work does not end then, the log has its name. */
export type StartWork = (name: string, task: Promise<void>) => void;

/** Reads everything from which the mesh is derived: the clusters, the files, and the keys of token issuers. */
export class MeshSources {
  readonly #options: MeshSourcesOptions;
  readonly ingest: MeshIngest;
  readonly clusters: MeshClusters;
  readonly #secrets: SecretIngest;
  readonly #configMaps: ConfigMapIngest;
  readonly #pullSecrets: PullSecretIngest;
  readonly #configFile: MeshConfigFile;
  readonly #networksFile: MeshNetworksFile;
  #config: MeshConfig | undefined;
  #networks: MeshNetworks = {};

  constructor(options: MeshSourcesOptions) {
    this.#options = options;
    const { client, settings, mesh, clock, log } = options;
    const { inputs } = mesh;
    this.#configFile = new MeshConfigFile(settings.meshConfigPath, clock, log);
    this.#networksFile = new MeshNetworksFile(settings.meshNetworksPath, clock, log);
    this.#secrets = new SecretIngest({
      client,
      references: mesh.references,
      secrets: inputs.secrets,
      clock,
      log: log.scoped("secrets"),
    });
    this.#pullSecrets = new PullSecretIngest({
      client,
      references: mesh.pullSecrets,
      pullSecrets: inputs.extensions.pullSecrets,
      clock,
      log: log.scoped("pull secrets"),
    });
    this.#configMaps = new ConfigMapIngest({
      client,
      references: mesh.configMaps,
      configMaps: inputs.configMaps,
      clock,
      log: log.scoped("config maps"),
    });
    this.ingest = new MeshIngest({
      client,
      inputs,
      revision: settings.revision,
      metrics: options.metrics,
      multiClusterKinds: multiClusterKinds(settings.clusters.services),
      isIgnored: settings.isIgnored,
      clock,
      log,
    });
    reportLimits(mesh.limits, this.ingest.refused, log);
    this.clusters = this.#createClusters();
  }

  #createClusters(): MeshClusters {
    const { client, connect, settings, mesh, metrics, clock, log } = this.#options;
    return new MeshClusters({
      client,
      namespace: settings.namespace,
      clusterId: settings.clusterId,
      inputs: mesh.inputs,
      connect: connect ?? ((config) => createKubeClient(config, { log, clock, userAgent: "istiod" })),
      kubeconfigFolder: settings.clusters.kubeconfigFolder,
      timeoutMs: settings.clusters.remoteTimeoutMs,
      insecureOptions: settings.clusters.insecureKubeConfigOptions,
      multiClusterKinds: multiClusterKinds(settings.clusters.services),
      isIgnored: settings.isIgnored,
      podOf: (key) => this.ingest.get("Pod", key),
      metrics,
      clock,
      log: log.scoped("clusters"),
    });
  }

  /** The mesh config in force. Undefined before {@link load}. */
  get meshConfig(): MeshConfig | undefined {
    return this.#config;
  }

  get meshConfigTree(): unknown {
    return this.#configFile.tree;
  }

  get meshConfigText(): string {
    return this.#configFile.text;
  }

  /** Resolves when all lists that must be complete before proxies are served have been read. */
  get synced(): Promise<unknown> {
    return Promise.all([this.ingest.synced, this.clusters.synced]);
  }

  /** Reads the files, on which everything else depends. */
  async load(): Promise<MeshConfig> {
    const config = await this.#configFile.load();
    this.#networks = await this.#networksFile.load();
    this.#takeConfig(config);
    return config;
  }

  start(start: StartWork, signal: AbortSignal): void {
    start("ingest", this.ingest.run(signal));
    start("secrets", this.#secrets.run(signal));
    start("pull secrets", this.#pullSecrets.run(signal));
    start("config maps", this.#configMaps.run(signal));
    start("keys of token issuers", this.#keySets().run(signal));
    start("remote clusters", this.clusters.run(signal));
    if (this.#options.settings.clusters.resolveGatewayNames)
      start("names of gateways", this.#gatewayNames().run(signal));
    start(
      "mesh config",
      this.#configFile.run(signal, (config) => this.#takeConfig(config)),
    );
    start(
      "mesh networks",
      this.#networksFile.run(signal, (networks) => this.#takeNetworks(networks)),
    );
  }

  #keySets(): KeySetIngest {
    const { mesh, settings, metrics, clock, log } = this.#options;
    return new KeySetIngest({
      requestAuthentications: mesh.inputs.requestAuthentications,
      keySets: mesh.inputs.keySets,
      fetcher: settings.keySetFetcher,
      fetchText: (url, signal) =>
        fetchTextWithin(url, signal, {
          additionalRoots: keySetRoots,
          blockedNetworks: settings.blockedKeySetNetworks ?? [],
          isInside: isInsideAddress,
        }),
      metrics,
      clock,
      log: log.scoped("keys"),
    });
  }

  #gatewayNames(): GatewayNames {
    const { mesh, clock, log } = this.#options;
    return new GatewayNames({
      gateways: mesh.networkGateways,
      resolved: mesh.inputs.resolvedNames,
      clock,
      log: log.scoped("networks"),
    });
  }

  #takeConfig(config: MeshConfig): void {
    const { settings, mesh, onMeshConfig } = this.#options;
    this.#config = config;
    onMeshConfig(config);
    mesh.inputs.mesh.set(meshKey, meshSettings(config, settings, this.#networks));
    this.ingest.setSelectors(config.discoverySelectors);
    this.clusters.setSelectors(config.discoverySelectors);
  }

  #takeNetworks(networks: MeshNetworks): void {
    this.#networks = networks;
    if (this.#config !== undefined) this.#takeConfig(this.#config);
  }
}
