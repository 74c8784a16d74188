import type { Collection, CollectionIndex } from "../../kube/index.ts";
import { scopedResourceKey, type EncodedResource, type ScopedEncodedResource } from "../translate/index.ts";

/** The resources of one type that one proxy may see. */
export interface ResourceView {
  get(name: string): EncodedResource | undefined;
  all(): Iterable<EncodedResource>;
  /** Calls with the names that changed or went, after each settling of the model; not for what is there already. */
  subscribe(changed: (names: readonly string[]) => void): Disposable;
}

export const emptyView: ResourceView = {
  get: () => undefined,
  all: () => [],
  subscribe: () => ({ [Symbol.dispose]: () => undefined }),
};

/** Whole collections, keyed by resource name, that all proxies of a kind share. */
export class CollectionView implements ResourceView {
  readonly #collections: readonly Collection<EncodedResource>[];

  constructor(collections: readonly Collection<EncodedResource>[]) {
    this.#collections = collections;
  }

  get(name: string): EncodedResource | undefined {
    for (const collection of this.#collections) {
      const found = collection.get(name);
      if (found !== undefined) return found;
    }
    return undefined;
  }

  *all(): Iterable<EncodedResource> {
    for (const collection of this.#collections) yield* collection.values();
  }

  subscribe(changed: (names: readonly string[]) => void): Disposable {
    return joined(this.#collections.map((collection) => subscribeToKeys(collection, changed)));
  }
}

/** Those resources of a collection, keyed by {@link scopedResourceKey}, that are of one scope. */
export class ScopedView implements ResourceView {
  readonly #collection: Collection<ScopedEncodedResource>;
  readonly #index: CollectionIndex<ScopedEncodedResource>;
  readonly #scope: string;

  constructor(collection: Collection<ScopedEncodedResource>, scope: string) {
    this.#collection = collection;
    this.#index = collection.index("scope", (item) => [item.scope]);
    this.#scope = scope;
  }

  get(name: string): EncodedResource | undefined {
    return this.#collection.get(scopedResourceKey(this.#scope, name))?.resource;
  }

  *all(): Iterable<EncodedResource> {
    for (const item of this.#index.lookup(this.#scope)) yield item.resource;
  }

  subscribe(changed: (names: readonly string[]) => void): Disposable {
    const prefix = scopedResourceKey(this.#scope, "");
    return subscribeToKeys(this.#collection, (keys) => {
      const own = keys.filter((key) => key.startsWith(prefix)).map((key) => key.slice(prefix.length));
      if (own.length > 0) changed(own);
    });
  }
}

/** A view whose scope is not known yet (the proxy's pod has not been seen): empty until it is. */
export class DeferredView implements ResourceView {
  readonly #resolve: () => ResourceView | undefined;
  readonly #whenever: (retry: () => void) => Disposable;
  #view: ResourceView | undefined;

  constructor(resolve: () => ResourceView | undefined, whenever: (retry: () => void) => Disposable) {
    this.#resolve = resolve;
    this.#whenever = whenever;
    this.#view = resolve();
  }

  get(name: string): EncodedResource | undefined {
    return this.#view?.get(name);
  }

  all(): Iterable<EncodedResource> {
    return this.#view?.all() ?? [];
  }

  subscribe(changed: (names: readonly string[]) => void): Disposable {
    if (this.#view !== undefined) return this.#view.subscribe(changed);
    let inner: Disposable | undefined;
    const waiting = this.#whenever(() => {
      if (inner !== undefined) return;
      this.#view ??= this.#resolve();
      if (this.#view === undefined) return;
      inner = this.#view.subscribe(changed);
      changed([...this.#view.all()].map((resource) => resource.name));
    });
    return joined([waiting, { [Symbol.dispose]: () => inner?.[Symbol.dispose]() }]);
  }
}

/** The keys of each batch of changes; not of what is there already. */
export function subscribeToKeys(collection: Collection<unknown>, changed: (keys: readonly string[]) => void): Disposable {
  let started = false;
  const subscription = collection.subscribe((changes) => {
    if (started) changed(changes.map((change) => change.key));
  });
  started = true;
  return subscription;
}

function joined(parts: readonly Disposable[]): Disposable {
  return {
    [Symbol.dispose]: () => {
      for (const part of parts) part[Symbol.dispose]();
    },
  };
}
