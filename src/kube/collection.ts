/**
 * A set of items by key that changes over time. A derived collection is computed from others by a pure function for
 * each item. The runtime records which inputs each item read, and recomputes only the items affected by a change.
 */
export interface Collection<Item> {
  readonly name: string;
  readonly size: number;
  get(key: string): Item | undefined;
  values(): IterableIterator<Item>;
  entries(): IterableIterator<[key: string, item: Item]>;
  /** Calls the handler once with all items, then with every batch of changes, after the whole graph has settled. */
  subscribe(handler: (changes: readonly CollectionChange<Item>[]) => void): Disposable;
  /** Calls the handler with every later batch of changes, after the whole graph has settled. */
  onChange(handler: (changes: readonly CollectionChange<Item>[]) => void): Disposable;
  /** An index with any number of keys for each item. A second call with the same name returns the same index. */
  index(name: string, keysOf: (item: Item) => Iterable<string>): CollectionIndex<Item>;
  readonly stats: CollectionStats;
}

export interface CollectionIndex<Item> {
  readonly collection: Collection<Item>;
  lookup(key: string): readonly Item[];
}

export type CollectionChange<Item> =
  | { readonly type: "set"; readonly key: string; readonly item: Item; readonly previous: Item | undefined }
  | { readonly type: "delete"; readonly key: string; readonly previous: Item };

export interface CollectionStats {
  readonly size: number;
  readonly recomputations: number;
  readonly lastCostMs: number;
}

/** The inputs of a derivation. Each read is recorded as a dependency of the item that is being computed. */
export interface CollectionReader {
  get<Item>(collection: Collection<Item>, key: string): Item | undefined;
  lookup<Item>(index: CollectionIndex<Item>, key: string): readonly Item[];
  /** Returns all items. The computation then depends on every item, so use this only for small collections. */
  all<Item>(collection: Collection<Item>): readonly Item[];
}
