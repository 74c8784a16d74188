import { createHash } from "node:crypto";
import type { KubernetesObject, LabelSelector } from "../../api/index.ts";
import { describeError, onAbort, type Clock, type Logger } from "../../base/index.ts";
import { parseUntrustedKubeConfig, type KubeClient, type KubeConfig } from "../../kube/index.ts";
import type { MetricsRegistry } from "../../telemetry/index.ts";
import type { RemoteInputs } from "../model/remote-inputs.ts";
import {
  createRemoteClusterMetrics,
  type RemoteClusterMetrics,
  type RemoteSyncStatus,
} from "./remote-cluster-metrics.ts";
import { KubeconfigFolder } from "./kubeconfig-folder.ts";
import type { MultiClusterKinds } from "./multi-cluster-feeds.ts";
import { SecretConfigs, type RemoteConfig, type RemoteConfigSource } from "./remote-configs.ts";
import { RemoteIngest } from "./remote-ingest.ts";
import type { IsIgnored } from "../../api/pilot-settings/index.ts";
import { ServedVersionClient } from "./served-version-client.ts";

/** A client of a remote cluster's API server. It is closed when the cluster is no longer read. */
export interface RemoteClient extends KubeClient {
  close(): void;
}

export interface RemoteClustersOptions {
  /** The client of the control plane's own cluster, whose secrets name the remote clusters. */
  readonly client: KubeClient;
  readonly namespace: string;
  /** A folder of kubeconfigs, which is read instead of the secrets. */
  readonly kubeconfigFolder?: string | undefined;
  readonly clusterId: string;
  readonly inputs: RemoteInputs;
  readonly connect: (config: KubeConfig, clusterId: string) => RemoteClient;
  /** How long the start waits for a cluster that does not answer. 0 means forever. */
  readonly timeoutMs: number;
  /** The insecure fields of kubeconfigs that are allowed, for example those that name files. */
  readonly insecureOptions: ReadonlySet<string>;
  /** The kinds of the Multi-Cluster Services API to read. If absent, none are read. */
  readonly multiClusterKinds?: MultiClusterKinds;
  /** Whether a kind is not read. If absent, every kind is read. */
  readonly isIgnored?: IsIgnored | undefined;
  readonly metrics: MetricsRegistry;
  readonly clock: Clock;
  readonly log: Logger;
}

/** The state of a cluster in the answer of `/debug/clusterz`. */
export interface ClusterState {
  readonly id: string;
  /**
   * The Secret's `namespace/name`, or the path of the file in its folder. Absent for the control plane's own cluster.
   */
  readonly secretName?: string;
  readonly syncStatus: RemoteSyncStatus;
}

interface Remote {
  readonly id: string;
  /** The key of the secret or file with the kubeconfig. */
  readonly source: string;
  readonly configHash: string;
  readonly client: RemoteClient;
  readonly ingest: RemoteIngest;
  readonly stop: AbortController;
  readonly done: Promise<void>;
  /** Whether the cluster has been read, is read for the first time, or has timed out. */
  status: RemoteSyncStatus;
}

/**
 * The maximum number of clusters. Further clusters are logged and not read: so many kubeconfigs are a mistake of their
 * author.
 */
const maxClusters = 500;

/**
 * Reads the remote clusters. Secrets with the label `istio/multiCluster=true` name them, or the files of a folder. Each
 * cluster is read independently, so that one that does not answer does not delay the others. A changed kubeconfig
 * replaces the previous one only after the cluster has been read with it.
 */
export class RemoteClusters {
  /** Resolves when every cluster that is named at the start has been read or has timed out. */
  readonly synced: Promise<void>;
  readonly #options: RemoteClustersOptions;
  readonly #configs: RemoteConfigSource;
  readonly #metrics: RemoteClusterMetrics;
  readonly #remotes = new Map<string, Remote>();
  /** Readers with a former kubeconfig, which stay until their successors have read the cluster. */
  readonly #leaving = new Set<Remote>();
  /** The clusters that each config names, even if they are not read. */
  readonly #named = new Map<string, readonly string[]>();
  readonly #started: (() => void)[] = [];
  /**
   * Resolves when the last config has been handled. Parsing a kubeconfig is asynchronous, so each config is handled
   * after its predecessor, to keep their order.
   */
  #handled: Promise<void> = Promise.resolve();
  #selectors: readonly LabelSelector[] = [];
  #signal: AbortSignal | undefined;

  constructor(options: RemoteClustersOptions) {
    const { kubeconfigFolder: path, log, clock, metrics } = options;
    this.#options = options;
    this.#metrics = createRemoteClusterMetrics(metrics);
    this.#configs = path === undefined ? new SecretConfigs(options) : new KubeconfigFolder({ path, clock, log });
    this.synced = this.#firstSync();
  }

  async run(signal: AbortSignal): Promise<void> {
    this.#signal = signal;
    this.#metrics.managed(0);
    using _subscription = this.#configs.subscribe(({ type, config }) => {
      this.#metrics.secretEvent(type);
      if (type === "delete") this.#named.delete(config.key);
      else this.#named.set(config.key, [...config.kubeconfigs.keys()]);
      this.#handled = this.#handled
        .then(() => this.#handle(config))
        .catch((error: unknown) =>
          this.#options.log.error(`a ${this.#configs.noun} of remote clusters could not be handled`, {
            [this.#configs.noun]: config.key,
            error: describeError(error),
          }),
        );
    });
    await this.#configs.run(signal);
    await this.#handled;
    await Promise.all([...this.#remotes.values(), ...this.#leaving].map((remote) => this.#end(remote)));
  }

  /** The API server of a cluster, by the kubeconfig with which it was last read. Undefined for an unknown cluster. */
  clientOf(clusterId: string): KubeClient | undefined {
    return this.#inForce(clusterId)?.client;
  }

  /** The last seen version of a pod, with the fields that the model does not keep. */
  podOf(clusterId: string, key: string): KubernetesObject | undefined {
    return this.#inForce(clusterId)?.ingest.get("Pod", key);
  }

  /** The last seen version of a Service, with the fields that the model does not keep. */
  serviceOf(clusterId: string, key: string): KubernetesObject | undefined {
    return this.#inForce(clusterId)?.ingest.get("Service", key);
  }

  states(): readonly ClusterState[] {
    return [...this.#remotes.values()]
      .map(({ id, source, status }) => ({ id, secretName: source, syncStatus: status }))
      .sort((left, right) => (left.id < right.id ? -1 : 1));
  }

  /**
   * Whether the control plane reads every cluster that a kubeconfig names. If so, it knows all clusters of the mesh.
   */
  get areAllRead(): boolean {
    if (this.#configs.hasUnreadable) return false;
    const ids = [...this.#named.values()].flat();
    return ids.every((id) => id === this.#options.clusterId || this.#inForce(id)?.status === "synced");
  }

  setSelectors(selectors: readonly LabelSelector[]): void {
    this.#selectors = selectors;
    for (const { ingest } of [...this.#remotes.values(), ...this.#leaving]) ingest.setSelectors(selectors);
  }

  /**
   * The reader whose objects are in the model. A new kubeconfig may be wrong, so its reader replaces a working one only
   * after it has read the cluster.
   */
  #inForce(id: string): Remote | undefined {
    const latest = this.#remotes.get(id);
    if (latest === undefined || latest.status === "synced") return latest;
    return [...this.#leaving].findLast((remote) => remote.id === id && remote.status === "synced") ?? latest;
  }

  async #firstSync(): Promise<void> {
    await this.#configs.synced;
    await this.#handled;
    await Promise.all([...this.#remotes.values()].map(async ({ id }) => await this.#settled(id)));
  }

  async #settled(id: string): Promise<void> {
    while (this.#remotes.get(id)?.status === "syncing") {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#started.push(resolve);
      await promise;
    }
  }

  async #handle({ key, kubeconfigs }: RemoteConfig): Promise<void> {
    for (const remote of this.#remotes.values()) {
      if (remote.source === key && !kubeconfigs.has(remote.id) && !(await this.#inherit(remote))) this.#remove(remote);
    }
    for (const [id, text] of kubeconfigs) await this.#take(key, id, text);
    this.#metrics.managed(this.#remotes.size);
    this.#tell();
  }

  /**
   * Reads the cluster with the kubeconfig of another secret or file that also names it. Returns whether there is one.
   */
  async #inherit({ id, source }: Remote): Promise<boolean> {
    for (const { key, kubeconfigs } of this.#configs.list()) {
      const text = kubeconfigs.get(id);
      if (key === source || text === undefined) continue;
      await this.#take(key, id, text);
      if (this.#remotes.get(id)?.source === key) return true;
    }
    return false;
  }

  async #take(source: string, id: string, text: string): Promise<void> {
    const { clusterId, insecureOptions, log } = this.#options;
    const { noun } = this.#configs;
    const about = { cluster: id, [noun]: source };
    if (id === clusterId) {
      log.info(`a ${noun} names the cluster that the control plane runs in; it is ignored`, about);
      return;
    }
    const known = this.#remotes.get(id);
    const configHash = createHash("sha256").update(text).digest("hex");
    if (known?.source === source && known.configHash === configHash) return;
    const first = known?.source;
    if (first !== undefined && first !== source && this.#configs.get(first)?.kubeconfigs.has(id) === true) {
      log.warn(`two remote ${noun}s name one cluster; the first one is used`, { ...about, first });
      return;
    }
    if (known === undefined && this.#remotes.size >= maxClusters) {
      log.error("a remote cluster is ignored: there are too many", { ...about, bound: maxClusters });
      return;
    }
    try {
      const where = noun === "file" ? source : `the key ${id} of the secret ${source}`;
      const config = await parseUntrustedKubeConfig(text, where, insecureOptions);
      this.#start(source, id, configHash, config, known);
    } catch (error) {
      log.error("a remote cluster is not read: its kubeconfig is refused", { ...about, error: describeError(error) });
    }
  }

  #start(source: string, id: string, configHash: string, config: KubeConfig, previous: Remote | undefined): void {
    const { connect, inputs, clock, log } = this.#options;
    const signal = this.#signal;
    if (signal === undefined || signal.aborted) return;
    const stop = new AbortController();
    const client = connect(config, id);
    const ownLog = log.scoped(id);
    const ingest = new RemoteIngest({
      clusterId: id,
      client: new ServedVersionClient(client, this.#options.isIgnored),
      inputs,
      selectors: this.#selectors,
      multiClusterKinds: this.#options.multiClusterKinds ?? {},
      clock,
      log: ownLog,
    });
    const ended = AbortSignal.any([stop.signal, signal]);
    const remote: Remote = { id, source, configHash, client, ingest, stop, done: ingest.run(ended), status: "syncing" };
    this.#remotes.set(id, remote);
    if (previous !== undefined) this.#leaving.add(previous);
    this.#note(remote, "syncing");
    log.info(previous === undefined ? "reading a remote cluster" : "reading a remote cluster again", {
      cluster: id,
      [this.#configs.noun]: source,
      server: config.server,
    });
    this.#limit(remote);
    void ingest.synced.then(() => {
      // If the kubeconfig has changed again, the reader with the newest one will replace the reader in force.
      if (ended.aborted || this.#remotes.get(id) !== remote) return;
      ingest.enter();
      this.#replace(remote);
      this.#note(remote, "synced");
      log.info("a remote cluster has been read", { cluster: id });
    });
  }

  /** Limits how long the start waits for the cluster. The cluster is still read after that. */
  #limit(remote: Remote): void {
    const { timeoutMs, clock, log } = this.#options;
    if (timeoutMs === 0) return;
    const timer = clock.after(timeoutMs, () => {
      if (remote.status !== "syncing" || remote.stop.signal.aborted) return;
      this.#metrics.timedOut(remote.id);
      this.#note(remote, "timeout");
      log.error("a remote cluster does not answer; its services and endpoints are left out until it does", {
        cluster: remote.id,
        [this.#configs.noun]: remote.source,
        waitedMs: timeoutMs,
      });
    });
    onAbort(remote.stop.signal, () => timer[Symbol.dispose]());
    void remote.ingest.synced.then(() => timer[Symbol.dispose]());
  }

  /** Removes the former readers' objects from the model. They stay there until the successor has read the cluster. */
  #replace(successor: Remote): void {
    for (const previous of this.#leavingOf(successor.id)) previous.ingest.leave(successor.ingest);
  }

  /** Ends the former readers of a cluster, and returns them. */
  #leavingOf(id: string): readonly Remote[] {
    const found = [...this.#leaving].filter((remote) => remote.id === id);
    for (const remote of found) {
      this.#leaving.delete(remote);
      void this.#end(remote);
    }
    return found;
  }

  #remove(remote: Remote): void {
    this.#options.log.info("stopped reading a remote cluster", {
      cluster: remote.id,
      [this.#configs.noun]: remote.source,
    });
    this.#remotes.delete(remote.id);
    for (const cluster of [...this.#leavingOf(remote.id), remote]) cluster.ingest.leave();
    this.#metrics.forget(remote.id);
    void this.#end(remote);
  }

  async #end({ stop, done, client }: Remote): Promise<void> {
    stop.abort();
    client.close();
    await done;
  }

  #note(remote: Remote, status: RemoteSyncStatus): void {
    remote.status = status;
    if (this.#remotes.get(remote.id) === remote) this.#metrics.status(remote.id, status);
    this.#tell();
  }

  #tell(): void {
    for (const wake of this.#started.splice(0)) wake();
  }
}
