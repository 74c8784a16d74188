import type { Collection } from "../../../kube/index.ts";
import type { ClientService, EncodedResource, OutboundClusters, SharedCluster } from "../../translate/index.ts";
import { joined, subscribeToKeys, type ResourceView } from "./resource-view.ts";

export class ScopeClusterView implements ResourceView {
  readonly #clusters: OutboundClusters;
  readonly #shared: Collection<EncodedResource>;
  readonly #keyOf: (cluster: SharedCluster) => string | undefined;
  readonly #scope: string;

  constructor(clusters: OutboundClusters, kind: "clusters" | "endpoints", scope: string) {
    this.#clusters = clusters;
    this.#shared = kind === "clusters" ? clusters.clusters : clusters.assignments;
    this.#keyOf = kind === "clusters" ? ({ cluster }) => cluster : ({ endpoints }) => endpoints;
    this.#scope = scope;
  }

  get(name: string): EncodedResource | undefined {
    const key = this.#keyFor(name);
    return key === undefined ? undefined : this.#shared.get(key);
  }

  *all(): Iterable<EncodedResource> {
    for (const { key: service } of this.#services()) {
      for (const cluster of this.#clusters.services.get(service)?.clusters ?? []) {
        const key = this.#keyOf(cluster);
        const found = key === undefined ? undefined : this.#shared.get(key);
        if (found !== undefined) yield found;
      }
    }
  }

  subscribe(changed: (names: readonly string[]) => void): Disposable {
    let services = this.#services();
    const notify = (names: readonly string[]): void => {
      if (names.length > 0) changed(names);
    };
    return joined([
      this.#clusters.services.onChange((changes) =>
        notify(
          changes.flatMap((change) => {
            const item = change.type === "set" ? change.item : undefined;
            const isReached = serviceOf(services, (item ?? change.previous)?.hostname ?? "")?.key === change.key;
            return isReached
              ? this.#differing(change.previous?.clusters ?? noClusters, item?.clusters ?? noClusters)
              : [];
          }),
        ),
      ),
      // Report services that were added to the scope or removed from it. If a removed service's clusters are used by no
      // scope any more, their removal has already been reported.
      this.#clusters.scopes.onChange((changes) => {
        if (!changes.some(({ key }) => key === this.#scope)) return;
        const before = services;
        services = this.#services();
        const [gone, come] = differing(before, services);
        const clustersOf = (list: readonly ClientService[]): readonly SharedCluster[] =>
          list.flatMap(({ key }) => this.#clusters.services.get(key)?.clusters ?? []);
        notify(this.#differing(clustersOf(gone), clustersOf(come)));
      }),
      subscribeToKeys(this.#shared, (keys) =>
        notify(
          keys.flatMap((key) => {
            const name = key.slice(0, key.indexOf("#"));
            return this.#keyFor(name) === key ? name : [];
          }),
        ),
      ),
    ]);
  }

  /** Names that are in one list only, or that belong to different resources in the two lists. */
  #differing(before: readonly SharedCluster[], after: readonly SharedCluster[]): readonly string[] {
    const keys = new Map(before.map((cluster) => [cluster.variant.name, this.#keyOf(cluster)]));
    const names = after.flatMap((cluster) => {
      const { name } = cluster.variant;
      const isSame = keys.has(name) && keys.get(name) === this.#keyOf(cluster);
      keys.delete(name);
      return isSame ? [] : name;
    });
    return [...keys.keys(), ...names];
  }

  #services(): readonly ClientService[] {
    return this.#clusters.scopes.get(this.#scope)?.services ?? none;
  }

  #keyFor(name: string): string | undefined {
    const service = serviceOf(this.#services(), name.slice(name.lastIndexOf("|") + 1));
    const clusters = service === undefined ? undefined : this.#clusters.services.get(service.key)?.clusters;
    const cluster = found(clusters ?? noClusters, name, ({ variant }) => variant.name);
    return cluster === undefined ? undefined : this.#keyOf(cluster);
  }
}

const none: readonly ClientService[] = [];
const noClusters: readonly SharedCluster[] = [];

function serviceOf(services: readonly ClientService[], hostname: string): ClientService | undefined {
  return found(services, hostname, ({ service }) => service.hostname);
}

/** The first item with this name. The list is sorted by name, so a binary search finds it. */
function found<Item>(items: readonly Item[], name: string, nameOf: (item: Item) => string): Item | undefined {
  let from = 0;
  let to = items.length;
  while (from < to) {
    const middle = (from + to) >> 1;
    const item = items[middle];
    if (item !== undefined && nameOf(item) < name) from = middle + 1;
    else to = middle;
  }
  const item = items[from];
  return item !== undefined && nameOf(item) === name ? item : undefined;
}

/** The entries that are in only one of the lists. Skips the equal beginning and end, which are most of the entries. */
function differing(
  before: readonly ClientService[],
  after: readonly ClientService[],
): readonly [gone: readonly ClientService[], come: readonly ClientService[]] {
  const shorter = Math.min(before.length, after.length);
  let head = 0;
  while (head < shorter && before[head]?.key === after[head]?.key) head += 1;
  let tail = 0;
  while (tail < shorter - head && before[before.length - 1 - tail]?.key === after[after.length - 1 - tail]?.key)
    tail += 1;
  const [gone, come] = [before.slice(head, before.length - tail), after.slice(head, after.length - tail)];
  const [goneKeys, comeKeys] = [new Set(gone.map(({ key }) => key)), new Set(come.map(({ key }) => key))];
  return [gone.filter(({ key }) => !comeKeys.has(key)), come.filter(({ key }) => !goneKeys.has(key))];
}
