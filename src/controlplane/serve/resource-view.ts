import type { Collection, CollectionIndex } from "../../kube/index.ts";
import { scopedResourceKey, type EncodedResource, type ScopedEncodedResource } from "../translate/index.ts";

/** The resources of one type that one proxy may see. */
export interface ResourceView {
  get(name: string): EncodedResource | undefined;
  all(): Iterable<EncodedResource>;
  /** Calls with the names that changed or went, after each settling of the model; not for what is there already. */
  subscribe(changed: (names: readonly string[]) => void): Disposable;
  /** False while it is not known whose resources these are: a first answer should wait for that. Absent: always known. */
  readonly known?: () => boolean;
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

/** Of a view only what has one of the names. */
export class NamedView implements ResourceView {
  readonly #view: ResourceView;
  readonly #names: ReadonlySet<string>;

  constructor(view: ResourceView, names: Iterable<string>) {
    this.#view = view;
    this.#names = new Set(names);
  }

  get(name: string): EncodedResource | undefined {
    return this.#names.has(name) ? this.#view.get(name) : undefined;
  }

  *all(): Iterable<EncodedResource> {
    for (const name of this.#names) {
      const found = this.#view.get(name);
      if (found !== undefined) yield found;
    }
  }

  subscribe(changed: (names: readonly string[]) => void): Disposable {
    return this.#view.subscribe((names) => {
      const own = names.filter((name) => this.#names.has(name));
      if (own.length > 0) changed(own);
    });
  }
}

/** Several views as one; of two resources with one name that of the earlier view counts. */
export class UnionView implements ResourceView {
  readonly #views: readonly ResourceView[];

  constructor(views: readonly ResourceView[]) {
    this.#views = views;
  }

  get(name: string): EncodedResource | undefined {
    for (const view of this.#views) {
      const found = view.get(name);
      if (found !== undefined) return found;
    }
    return undefined;
  }

  *all(): Iterable<EncodedResource> {
    const seen = new Set<string>();
    for (const view of this.#views) {
      for (const resource of view.all()) {
        if (seen.has(resource.name)) continue;
        seen.add(resource.name);
        yield resource;
      }
    }
  }

  subscribe(changed: (names: readonly string[]) => void): Disposable {
    return joined(this.#views.map((view) => view.subscribe(changed)));
  }
}

/** Which shared resource is meant by a name in a scope. */
export interface ScopedReference {
  readonly scope: string;
  readonly name: string;
}

/**
 * The resources of one scope among those that scopes share: `references` are keyed by {@link scopedResourceKey}, the shared
 * ones by any key that begins with the resource's name and `#`.
 */
export class ReferencedView<Reference extends ScopedReference> implements ResourceView {
  readonly #references: Collection<Reference>;
  readonly #index: CollectionIndex<Reference>;
  readonly #shared: Collection<EncodedResource>;
  readonly #keyOf: (reference: Reference) => string | undefined;
  readonly #scope: string;

  constructor(references: Collection<Reference>, shared: Collection<EncodedResource>, keyOf: (reference: Reference) => string | undefined, scope: string) {
    this.#references = references;
    this.#index = references.index("scope", (item) => [item.scope]);
    this.#shared = shared;
    this.#keyOf = keyOf;
    this.#scope = scope;
  }

  get(name: string): EncodedResource | undefined {
    const key = this.#keyFor(name);
    return key === undefined ? undefined : this.#shared.get(key);
  }

  *all(): Iterable<EncodedResource> {
    for (const reference of this.#index.lookup(this.#scope)) {
      const found = this.get(reference.name);
      if (found !== undefined) yield found;
    }
  }

  subscribe(changed: (names: readonly string[]) => void): Disposable {
    const prefix = scopedResourceKey(this.#scope, "");
    const tell = (names: readonly string[]): void => {
      if (names.length > 0) changed(names);
    };
    return joined([
      subscribeToKeys(this.#references, (keys) => tell(keys.filter((key) => key.startsWith(prefix)).map((key) => key.slice(prefix.length)))),
      subscribeToKeys(this.#shared, (keys) =>
        tell(keys.flatMap((key) => {
          const name = key.slice(0, key.indexOf("#"));
          return this.#keyFor(name) === key ? name : [];
        })),
      ),
    ]);
  }

  #keyFor(name: string): string | undefined {
    const reference = this.#references.get(scopedResourceKey(this.#scope, name));
    return reference === undefined ? undefined : this.#keyOf(reference);
  }
}

/** Where a view that may change comes from. */
export interface ViewSource {
  /** Undefined while nobody knows which it is: then it is empty. The same object as long as it is the same. */
  current(): ResourceView | undefined;
  /** Keeps the source alive, and calls whenever `current` may be another one. */
  follow(changed: () => void): Disposable;
  /** Whether all that decides the view has been seen. */
  known(): boolean;
}

/** A view that turns into another one, as what decides it changes (a proxy's pod is seen, or a Sidecar selects it). */
export class SwitchingView implements ResourceView {
  readonly #source: ViewSource;

  constructor(source: ViewSource) {
    this.#source = source;
  }

  get(name: string): EncodedResource | undefined {
    return this.#source.current()?.get(name);
  }

  all(): Iterable<EncodedResource> {
    return this.#source.current()?.all() ?? [];
  }

  known(): boolean {
    return this.#source.known();
  }

  subscribe(changed: (names: readonly string[]) => void): Disposable {
    const following = this.#source.follow(() => {
      const next = this.#source.current();
      if (next === view) return;
      const before = versionsOf(view);
      inner?.[Symbol.dispose]();
      view = next;
      inner = view?.subscribe(changed);
      const after = versionsOf(view);
      const names = [...new Set([...before.keys(), ...after.keys()])].filter((name) => before.get(name) !== after.get(name));
      if (names.length > 0) changed(names);
    });
    let view = this.#source.current();
    let inner = view?.subscribe(changed);
    return joined([following, { [Symbol.dispose]: () => inner?.[Symbol.dispose]() }]);
  }
}

function versionsOf(view: ResourceView | undefined): ReadonlyMap<string, string> {
  return new Map([...(view?.all() ?? [])].map((resource) => [resource.name, resource.version]));
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
