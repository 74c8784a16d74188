import type { Collection, CollectionChange, CollectionIndex, CollectionStats } from "../collection.ts";

export type Change<Item> = CollectionChange<Item>;
export type Settling<Item> = Generator<undefined, readonly Change<Item>[]>;
export type PauseDue = () => boolean;

/** An index that is updated with its collection. A lookup returns the items in the order of their keys. */
export class StoredIndex<Item> implements CollectionIndex<Item> {
  readonly collection: BaseCollection<Item>;
  readonly keysOf: (item: Item) => Iterable<string>;
  readonly #entries = new Map<string, Map<string, Item>>();
  readonly #sorted = new Map<string, readonly Item[]>();

  constructor(collection: BaseCollection<Item>, keysOf: (item: Item) => Iterable<string>) {
    this.collection = collection;
    this.keysOf = keysOf;
    for (const [key, item] of collection.entries()) this.#add(key, item);
  }

  lookup(key: string): readonly Item[] {
    const found = this.#sorted.get(key);
    if (found !== undefined) return found;
    const entry = this.#entries.get(key);
    if (entry === undefined) return [];
    const sorted = sortedByKey(entry);
    this.#sorted.set(key, sorted);
    return sorted;
  }

  apply(change: Change<Item>): void {
    if (change.previous !== undefined) {
      for (const key of this.keysOf(change.previous)) {
        this.#sorted.delete(key);
        const entry = this.#entries.get(key);
        entry?.delete(change.key);
        if (entry?.size === 0) this.#entries.delete(key);
      }
    }
    if (change.type === "set") this.#add(change.key, change.item);
  }

  #add(itemKey: string, item: Item): void {
    for (const key of this.keysOf(item)) {
      this.#sorted.delete(key);
      let entry = this.#entries.get(key);
      if (entry === undefined) this.#entries.set(key, (entry = new Map()));
      entry.set(itemKey, item);
    }
  }
}

/** The common part of all collections: items, indexes, subscribers, and the changes of the current batch. */
export abstract class BaseCollection<Item> implements Collection<Item> {
  readonly name: string;
  /** The position in the order of construction. A computation may read only collections with a lower ordinal. */
  readonly ordinal: number;
  readonly indexes = new Map<string, StoredIndex<Item>>();
  protected readonly items = new Map<string, Item>();
  protected recomputations = 0;
  protected lastCostMs = 0;
  readonly #subscribers = new Set<(changes: readonly Change<Item>[]) => void>();
  #changes: Change<Item>[] = [];
  #sorted: readonly Item[] | undefined;

  constructor(name: string, ordinal: number) {
    this.name = name;
    this.ordinal = ordinal;
  }

  /**
   * Applies the pending changes, and returns them for the collections that depend on this one. Yields when a pause is
   * due.
   */
  abstract settle(isPauseDue: PauseDue): Settling<Item>;

  get size(): number {
    return this.items.size;
  }

  get(key: string): Item | undefined {
    return this.items.get(key);
  }

  values(): IterableIterator<Item> {
    return this.items.values();
  }

  entries(): IterableIterator<[string, Item]> {
    return this.items.entries();
  }

  sorted(): readonly Item[] {
    this.#sorted ??= sortedByKey(this.items);
    return this.#sorted;
  }

  subscribe(handler: (changes: readonly Change<Item>[]) => void): Disposable {
    const subscription = this.onChange(handler);
    handler([...this.items].map(([key, item]) => ({ type: "set", key, item, previous: undefined })));
    return subscription;
  }

  onChange(handler: (changes: readonly Change<Item>[]) => void): Disposable {
    this.#subscribers.add(handler);
    return { [Symbol.dispose]: () => void this.#subscribers.delete(handler) };
  }

  index(name: string, keysOf: (item: Item) => Iterable<string>): StoredIndex<Item> {
    const known = this.indexes.get(name);
    if (known !== undefined) return known;
    const index = new StoredIndex(this, keysOf);
    this.indexes.set(name, index);
    return index;
  }

  get stats(): CollectionStats {
    return { size: this.items.size, recomputations: this.recomputations, lastCostMs: this.lastCostMs };
  }

  /**
   * Notifies the subscribers of the changes since the last call. If one throws, calls `failed` and notifies the others.
   */
  publish(failed: (error: unknown) => void): void {
    if (this.#changes.length === 0) return;
    const changes = this.#changes;
    this.#changes = [];
    for (const handler of this.#subscribers) {
      try {
        handler(changes);
      } catch (error) {
        failed(error);
      }
    }
  }

  protected *commitAll(changes: readonly Change<Item>[], isPauseDue: PauseDue): Generator<undefined, void> {
    for (const change of changes) {
      this.#commit(change);
      if (isPauseDue()) yield;
    }
  }

  #commit(change: Change<Item>): void {
    if (change.type === "set") this.items.set(change.key, change.item);
    else this.items.delete(change.key);
    this.#sorted = undefined;
    for (const index of this.indexes.values()) index.apply(change);
    this.#changes.push(change);
  }
}

function sortedByKey<Item>(items: ReadonlyMap<string, Item>): readonly Item[] {
  return [...items].sort(([left], [right]) => (left < right ? -1 : 1)).map(([, item]) => item);
}
