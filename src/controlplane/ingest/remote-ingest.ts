import { formatIssues, type KubernetesObject, type LabelSelector } from "../../api/index.ts";
import type { Clock, Logger } from "../../base/index.ts";
import type { KubeClient } from "../../kube/index.ts";
import type { RemoteInputs } from "../model/remote-inputs.ts";
import { DiscoveryNamespaces } from "./discovery-namespaces.ts";
import { warnOfFields, type MultiClusterKinds, type TellOfIssues } from "./multi-cluster-feeds.ts";
import { withInformers, type InformedFeed } from "./feeds.ts";
import { createRemoteFeeds, type RemoteFeed } from "./remote-feeds.ts";

export interface RemoteIngestOptions {
  readonly clusterId: string;
  readonly client: KubeClient;
  readonly inputs: RemoteInputs;
  readonly selectors: readonly LabelSelector[];
  readonly multiClusterKinds: MultiClusterKinds;
  readonly clock: Clock;
  readonly log: Logger;
}

/**
 * Reads one remote cluster. Its objects enter the model only after all have been read once. While its API server is
 * unreachable, the last known objects stay.
 */
export class RemoteIngest {
  /** Resolves when all kinds have been listed once. */
  readonly synced: Promise<void>;
  readonly #options: RemoteIngestOptions;
  readonly #namespaces = new DiscoveryNamespaces();
  readonly #feeds: readonly InformedFeed<RemoteFeed>[];
  readonly #subscriptions: Disposable[] = [];
  #entered = false;

  constructor(options: RemoteIngestOptions) {
    const { clusterId, client, inputs, selectors, clock, log } = options;
    this.#options = options;
    this.#namespaces.setSelectors(selectors);
    const multiCluster = {
      kinds: options.multiClusterKinds,
      warned: warnOfFields(log),
      refused: refusal(log),
    };
    this.#feeds = withInformers(createRemoteFeeds(inputs, clusterId, multiCluster), client, { log, clock });
    this.synced = Promise.all(this.#feeds.map(({ informer }) => informer.synced)).then(() => undefined);
  }

  async run(signal: AbortSignal): Promise<void> {
    await Promise.all(this.#feeds.map(({ informer }) => informer.run(signal)));
    for (const subscription of this.#subscriptions) subscription[Symbol.dispose]();
  }

  enter(): void {
    this.#entered = true;
    const { inputs, clusterId } = this.#options;
    inputs.clusters.set(clusterId, { id: clusterId });
    for (const { feed, informer } of this.#feeds) {
      this.#subscriptions.push(
        informer.subscribe((change) => this.#take(feed, change.key, change.object, change.type === "set")),
      );
    }
  }

  /** Removes the cluster from the model, except the objects that its successor holds. */
  leave(successor?: RemoteIngest): void {
    for (const subscription of this.#subscriptions.splice(0)) subscription[Symbol.dispose]();
    if (!this.#entered) return;
    const successors = successor === undefined ? [] : successor.#feeds;
    for (const [index, { feed }] of this.#feeds.entries()) feed.leaveTo(successors[index]?.feed);
    if (successor === undefined) this.#options.inputs.clusters.delete(this.#options.clusterId);
  }

  get(kind: string, key: string): KubernetesObject | undefined {
    return this.#feeds.find(({ feed }) => feed.kind.kind === kind)?.informer.get(key);
  }

  setSelectors(selectors: readonly LabelSelector[]): void {
    this.#refill(this.#namespaces.setSelectors(selectors));
  }

  #take(feed: RemoteFeed, key: string, object: KubernetesObject, isThere: boolean): void {
    feed.take(key, isThere && this.#namespaces.includes(object.metadata.namespace) ? object : undefined);
    if (
      feed.kind.kind === "Namespace" &&
      this.#namespaces.setNamespace(key, isThere ? (object.metadata.labels ?? {}) : undefined)
    )
      this.#refill(new Set([key]));
  }

  #refill(namespaces: ReadonlySet<string>): void {
    if (!this.#entered || namespaces.size === 0) return;
    for (const { feed, informer } of this.#feeds) {
      for (const object of informer.list()) {
        const { namespace, name = "" } = object.metadata;
        if (namespace !== undefined && namespaces.has(namespace))
          this.#take(feed, `${namespace}/${name}`, object, true);
      }
    }
  }
}

function refusal(log: Logger): TellOfIssues {
  return ({ kind, metadata }, issues) =>
    log.warn("an object is not valid and is not used", {
      kind: kind ?? "",
      namespace: metadata.namespace ?? "",
      name: metadata.name ?? "",
      faults: formatIssues(issues),
    });
}
