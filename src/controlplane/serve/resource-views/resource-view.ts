import type { Collection, CollectionIndex } from "../../../kube/index.ts";
import { scopedResourceKey, type EncodedResource, type ScopedEncodedResource } from "../../translate/index.ts";

/** The resources of one type that one proxy may see. */
export interface ResourceView {
  get(name: string): EncodedResource | undefined;
  all(): Iterable<EncodedResource>;
  /**
   * All resources, in lists. Other views and calls may return the same list object, so that its encoded bytes can be
   * shared.
   */
  groups?(): readonly (readonly EncodedResource[])[];
  /**
   * Calls the listener with the names that were changed or removed, each time the model has settled. Resources that
   * exist already are not reported.
   */
  subscribe(changed: (names: readonly string[]) => void): Disposable;
  /**
   * Called when the only stream of this view no longer wants a name. Absent if the view stores nothing about requested
   * names.
   */
  forget?(name: string): void;
  /** Whether the owner of these resources is known. The first answer should wait for that. Absent means always. */
  readonly known?: () => boolean;
}

export const emptyView: ResourceView = {
  get: () => undefined,
  all: () => [],
  subscribe: () => ({ [Symbol.dispose]: () => undefined }),
};

/** The resources of a view in lists, even if the view itself has no shared lists. */
export function groupsOf(view: ResourceView): readonly (readonly EncodedResource[])[] {
  return view.groups?.() ?? [[...view.all()]];
}

/** The resources of whole collections, keyed by resource name. All proxies of a kind share them. */
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

/** The resources of one scope in a collection that is keyed by {@link scopedResourceKey}. */
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
    return followScope(this.#collection, this.#scope, changed);
  }
}

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

/** Several views as one. If two resources have the same name, the earlier view's counts. */
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

  groups(): readonly (readonly EncodedResource[])[] {
    const earlier: ResourceView[] = [];
    return this.#views.flatMap((view) => {
      const groups =
        earlier.length === 0 ? groupsOf(view) : groupsOf(view).map((group) => withoutNames(group, earlier));
      earlier.push(view);
      return groups.filter((group) => group.length > 0);
    });
  }

  subscribe(changed: (names: readonly string[]) => void): Disposable {
    return joined(this.#views.map((view) => view.subscribe(changed)));
  }
}

/** The resources that no earlier view has. If nothing is removed, this is the given list itself. */
function withoutNames(group: readonly EncodedResource[], earlier: readonly ResourceView[]): readonly EncodedResource[] {
  const isTaken = ({ name }: EncodedResource): boolean => earlier.some((view) => view.get(name) !== undefined);
  return group.some(isTaken) ? group.filter((resource) => !isTaken(resource)) : group;
}

export interface ViewSource {
  /**
   * The view. Undefined until it is known; the source has no resources then. The object stays the same as long as the
   * view does.
   */
  current(): ResourceView | undefined;
  /** Keeps the source alive, and calls `changed` when `current` may have changed. */
  follow(changed: () => void): Disposable;
  /** Whether all objects that determine the view have been read. */
  known(): boolean;
}

/**
 * A view that is replaced when what determines it changes, such as when a proxy's pod appears or a Sidecar selects it.
 */
export class SwitchingView implements ResourceView {
  readonly #source: ViewSource;
  /** The view that is followed. Set while this view has a follower. */
  #followed: { view: ResourceView | undefined } | undefined;

  constructor(source: ViewSource) {
    this.#source = source;
  }

  get(name: string): EncodedResource | undefined {
    return this.#current()?.get(name);
  }

  all(): Iterable<EncodedResource> {
    return this.#current()?.all() ?? [];
  }

  groups(): readonly (readonly EncodedResource[])[] {
    const view = this.#current();
    return view === undefined ? [] : groupsOf(view);
  }

  known(): boolean {
    return this.#source.known();
  }

  subscribe(changed: (names: readonly string[]) => void): Disposable {
    const leaving = new Set<Disposable>();
    // Follow the old view a little longer. The change of the model that replaced it may also concern resources of the
    // old view whose collections have not notified their followers yet. The client still has the previous versions of
    // these resources.
    const leave = (old: Disposable): void => {
      leaving.add(old);
      queueMicrotask(() => {
        if (leaving.delete(old)) old[Symbol.dispose]();
      });
    };
    const following = this.#source.follow(() => {
      const next = this.#source.current();
      if (next === followed.view) return;
      const before = versionsOf(followed.view);
      if (inner !== undefined) leave(inner);
      followed.view = next;
      inner = next?.subscribe(changed);
      const after = versionsOf(next);
      const names = [...new Set([...before.keys(), ...after.keys()])].filter(
        (name) => before.get(name) !== after.get(name),
      );
      if (names.length > 0) changed(names);
    });
    const followed: { view: ResourceView | undefined } = { view: this.#source.current() };
    let inner = followed.view?.subscribe(changed);
    this.#followed = followed;
    const ended = (): void => {
      if (this.#followed === followed) this.#followed = undefined;
      inner?.[Symbol.dispose]();
      for (const old of leaving) old[Symbol.dispose]();
      leaving.clear();
    };
    return joined([following, { [Symbol.dispose]: ended }]);
  }

  #current(): ResourceView | undefined {
    return this.#followed === undefined ? this.#source.current() : this.#followed.view;
  }
}

function versionsOf(view: ResourceView | undefined): ReadonlyMap<string, string> {
  return new Map([...(view?.all() ?? [])].map((resource) => [resource.name, resource.version]));
}

type ScopeFollowers = Map<string, Set<(names: readonly string[]) => void>>;

/**
 * One subscription to a collection serves all followers of its scopes, so that a change notifies only the followers of
 * its own scope.
 */
const followedCollections = new WeakMap<Collection<unknown>, ScopeFollowers>();

/** Reports the changed names of one scope in a collection that is keyed by {@link scopedResourceKey}. */
export function followScope(
  collection: Collection<{ readonly scope: string }>,
  scope: string,
  changed: (names: readonly string[]) => void,
): Disposable {
  let followers = followedCollections.get(collection);
  if (followers === undefined) {
    const created: ScopeFollowers = new Map();
    followedCollections.set(collection, created);
    collection.onChange((changes) => {
      const namesByScope = new Map<string, string[]>();
      for (const change of changes) {
        const owner = change.type === "set" ? change.item.scope : change.previous.scope;
        if (!created.has(owner)) continue;
        const names = namesByScope.get(owner);
        const name = change.key.slice(owner.length + 1);
        if (names === undefined) namesByScope.set(owner, [name]);
        else names.push(name);
      }
      for (const [owner, names] of namesByScope) for (const follower of created.get(owner) ?? []) follower(names);
    });
    followers = created;
  }
  const all = followers;
  // Two subscriptions may pass the same function, so wrap it.
  const follower = (names: readonly string[]): void => changed(names);
  const own = all.get(scope) ?? new Set();
  all.set(scope, own.add(follower));
  return {
    [Symbol.dispose]: () => {
      own.delete(follower);
      if (own.size === 0 && all.get(scope) === own) all.delete(scope);
    },
  };
}

/** Reports the keys of each batch of changes, but not what already exists. */
export function subscribeToKeys(
  collection: Collection<unknown>,
  changed: (keys: readonly string[]) => void,
): Disposable {
  return collection.onChange((changes) => changed(changes.map((change) => change.key)));
}

export function joined(parts: readonly Disposable[]): Disposable {
  return {
    [Symbol.dispose]: () => {
      for (const part of parts) part[Symbol.dispose]();
    },
  };
}
