/**
 * A set of items by key that changes over time. A pure function computes each item of a derived collection from the
 * items of others. The graph records which items each computation has read, and repeats only computations that a change
 * affects.
 */
export interface Collection<Item> {
  readonly name: string;
  readonly size: number;
  get(key: string): Item | undefined;
  values(): IterableIterator<Item>;
  entries(): IterableIterator<[key: string, item: Item]>;
  /** Calls the handler once with all items, and then with each batch of changes after the whole graph has settled. */
  subscribe(handler: (changes: readonly CollectionChange<Item>[]) => void): Disposable;
  /** Calls the handler with each later batch of changes after the whole graph has settled. */
  onChange(handler: (changes: readonly CollectionChange<Item>[]) => void): Disposable;
  /**
   * Returns an index. Each item has any number of keys in it. A second call with the same name returns the same index.
   */
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

/** The access of a computation to other collections. Every read is recorded as a dependency of this computation. */
export interface CollectionReader {
  get<Item>(collection: Collection<Item>, key: string): Item | undefined;
  lookup<Item>(index: CollectionIndex<Item>, key: string): readonly Item[];
  /** Returns all items. The computation then depends on every item, so use this only for small collections. */
  all<Item>(collection: Collection<Item>): readonly Item[];
}
