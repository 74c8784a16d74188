import type { LabelSelector, KubernetesObject } from "../api/index.ts";
import type { KubeClient } from "../kube/index.ts";
import type { PodDirectory } from "./ca/index.ts";
import { RemoteClusters, type ClusterState, type RemoteClustersOptions } from "./ingest/index.ts";
import { remoteKey, type MeshInputs, type PodFacts } from "./model/index.ts";

export interface MeshClustersOptions extends Omit<RemoteClustersOptions, "inputs"> {
  readonly inputs: MeshInputs;
  readonly podOf: (key: string) => KubernetesObject | undefined;
}

export class MeshClusters {
  readonly #options: MeshClustersOptions;
  readonly #remotes: RemoteClusters;

  constructor(options: MeshClustersOptions) {
    this.#options = options;
    this.#remotes = new RemoteClusters({ ...options, inputs: options.inputs.remote });
  }

  /** Resolves when each cluster for which proxies wait has been read, or has timed out. */
  get synced(): Promise<void> {
    return this.#remotes.synced;
  }

  async run(signal: AbortSignal): Promise<void> {
    await this.#remotes.run(signal);
  }

  setSelectors(selectors: readonly LabelSelector[]): void {
    this.#remotes.setSelectors(selectors);
  }

  clientOf(clusterId: string): KubeClient | undefined {
    return clusterId === this.#options.clusterId ? this.#options.client : this.#remotes.clientOf(clusterId);
  }

  serviceOf(clusterId: string, key: string): KubernetesObject | undefined {
    return this.#remotes.serviceOf(clusterId, key);
  }

  get ids(): readonly string[] {
    return this.states(true).map(({ id }) => id);
  }

  /** Whether the control plane reads every cluster that may belong to the mesh. */
  get areAllRead(): boolean {
    return this.#remotes.areAllRead;
  }

  /** The answer of `/debug/clusterz`. This control plane's own cluster comes first. */
  states(synced: boolean): readonly ClusterState[] {
    return [
      { id: this.#options.clusterId, secretName: "", syncStatus: synced ? "synced" : "syncing" },
      ...this.#remotes.states(),
    ];
  }

  /**
   * The pods of a cluster, for clients that request certificates of other identities. Undefined for an unknown cluster.
   */
  podsOf(clusterId: string): PodDirectory | undefined {
    const { inputs, podOf } = this.#options;
    if (clusterId === this.#options.clusterId) {
      const byAccount = inputs.pods.index("account-node", (pod) => accountsAt(pod));
      return {
        podOf: (namespace, name) => placedPod(inputs.pods.get(`${namespace}/${name}`), podOf(`${namespace}/${name}`)),
        runsOn: (namespace, account, node) => byAccount.lookup(`${namespace}/${account}@${node}`).length > 0,
      };
    }
    if (this.#remotes.clientOf(clusterId) === undefined) return undefined;
    const byAccount = inputs.remote.pods.index("account-node", (pod) =>
      accountsAt(pod).map((key) => `${pod.clusterId} ${key}`),
    );
    return {
      podOf: (namespace, name) =>
        placedPod(
          inputs.remote.pods.get(remoteKey(clusterId, `${namespace}/${name}`)),
          this.#remotes.podOf(clusterId, `${namespace}/${name}`),
        ),
      runsOn: (namespace, account, node) => byAccount.lookup(`${clusterId} ${namespace}/${account}@${node}`).length > 0,
    };
  }
}

/** The account for which the pod's node may request certificates. Empty if the pod has no account. */
function accountsAt({ namespace, serviceAccount, node, hasNoAccount }: Omit<PodFacts, "clusterId">): readonly string[] {
  return hasNoAccount === true ? [] : [`${namespace}/${serviceAccount}@${node}`];
}

function placedPod(
  pod: { readonly serviceAccount: string; readonly node: string } | undefined,
  object: KubernetesObject | undefined,
): ReturnType<PodDirectory["podOf"]> {
  return pod === undefined
    ? undefined
    : { uid: object?.metadata.uid ?? "", serviceAccount: pod.serviceAccount, node: pod.node };
}
