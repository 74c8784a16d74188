import type { EncodedResource } from "../translate/index.ts";
import { KnownResources } from "./known-resources.ts";
import type { Delivery, DuePart, ResourceGroups } from "./subscription.ts";

export interface ClusterDelivery {
  readonly delivery: Delivery;
  readonly part: DuePart;
  /** Whether the response lists all clusters. The client removes those that are missing from it. */
  readonly isComplete: boolean;
  /**
   * Whether a cluster has endpoints in EDS. Clusters that resolve names, and those of the original destination, have
   * none.
   */
  readonly hasEndpoints: (name: string) => boolean;
}

/** A version that no cluster has. It stands for any version of a client that is not the current one. */
const anotherVersion = "";

export class SentClusters {
  readonly #isEnvoy: boolean;
  /** The version of each cluster that the client has or was sent. */
  readonly #known = new KnownResources();
  /** New clusters whose endpoints the client has not acknowledged yet. */
  readonly #warming = new Set<string>();
  /**
   * Clusters that were sent to an Envoy, but whose endpoints have not been sent since. An Envoy activates and
   * acknowledges a changed cluster only when endpoints arrive after it. If it has the endpoints of the cluster's
   * previous form, it does not ask for them.
   */
  readonly #owed = new Set<string>();

  constructor(isEnvoy: boolean) {
    this.#isEnvoy = isEnvoy;
  }

  /** Whether the client has the endpoints of all clusters, so that it may get routes to them. */
  get areWarm(): boolean {
    return this.#warming.size === 0;
  }

  /**
   * Records that the client has a cluster from an earlier stream. The stored texts are those of the cluster object,
   * which all streams share: the client's own texts would take memory for each client.
   */
  addKnown(cluster: EncodedResource, version: string): void {
    this.#known.set(cluster.name, version === cluster.version ? cluster.version : anotherVersion);
  }

  send({ delivery, part, isComplete, hasEndpoints }: ClusterDelivery): void {
    const isFirst = part === "asked" && this.#known.begin(delivery.groups);
    let sent = 0;
    for (const group of delivery.groups) {
      sent += group.length;
      if (isFirst) {
        if (this.#isEnvoy) for (const { name } of group) this.#owed.add(name);
        continue;
      }
      for (const { name, version } of group) {
        const known = this.#known.get(name);
        if (known === undefined && part === "changed" && hasEndpoints(name)) this.#warming.add(name);
        if (known === version) continue;
        if (this.#isEnvoy) this.#owed.add(name);
        this.#known.set(name, version);
      }
    }
    for (const name of delivery.removed) this.#forget(name);
    if (isComplete && this.#known.size > sent) {
      const names = new Set(delivery.groups.flatMap((group) => group.map(({ name }) => name)));
      for (const name of this.#known.names()) if (!names.has(name)) this.#forget(name);
    }
    if (part === "asked" && !isFirst) this.#known.share(delivery.groups);
  }

  acknowledgeEndpoints(groups: ResourceGroups): void {
    if (this.#warming.size === 0) return;
    for (const group of groups) for (const { name } of group) this.#warming.delete(name);
  }

  /** Called for a response that says that these endpoints do not exist. The client no longer waits for them then. */
  withoutEndpoints(names: readonly string[]): void {
    if (this.#warming.size === 0) return;
    for (const name of names) this.#warming.delete(name);
  }

  stopWarming(): void {
    this.#warming.clear();
  }

  /** Forgets and returns those of the names whose endpoints must be sent although the client already has them. */
  takeOwed(names: Iterable<string>): readonly string[] {
    return [...names].filter((name) => this.#owed.delete(name));
  }

  #forget(name: string): void {
    this.#known.delete(name);
    this.#warming.delete(name);
    this.#owed.delete(name);
  }
}
