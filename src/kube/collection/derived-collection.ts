import { invariant } from "../../base/index.ts";
import type { Collection, CollectionIndex, CollectionReader } from "../collection.ts";
import { BaseCollection, StoredIndex, type Change, type PauseDue, type Settling } from "./base-collection.ts";
import { DependencyRecorder } from "./dependency-recorder.ts";

/**
 * Computes the items of one input, by key. It must be pure: the result may depend only on the input and on reads
 * through the reader. If several inputs yield the same key, the item of the smallest input key applies.
 */
export type Compute<Input, Item> = (
  input: Input,
  reader: CollectionReader,
  key: string,
) => Iterable<readonly [key: string, item: Item]>;

export interface DerivedOptions<Item> {
  readonly equals: (left: Item, right: Item) => boolean;
  /** Called when a computation throws. Its input keeps its previous results. */
  readonly failed: (collection: string, key: string, error: unknown) => void;
  readonly nowMs: () => number;
}

export class DerivedCollection<Input, Item> extends BaseCollection<Item> {
  readonly input: BaseCollection<Input>;
  readonly #compute: Compute<Input, Item>;
  readonly #options: DerivedOptions<Item>;
  readonly #recorder = new DependencyRecorder();
  readonly #dirty = new Set<string>();
  /** The results of each input's last computation. */
  readonly #yielded = new Map<string, Yield<Item>>();
  /** The inputs that yield the same key, for each key that several inputs yield. */
  readonly #contested = new Map<string, Set<string>>();
  readonly #owner = new Map<string, string>();

  readonly #reader: CollectionReader = {
    get: <Read>(collection: Collection<Read>, key: string): Read | undefined => {
      this.#recorder.readKey(this.#readable(collection) as BaseCollection<unknown>, key);
      return collection.get(key);
    },
    lookup: <Read>(index: CollectionIndex<Read>, key: string): readonly Read[] => {
      invariant(index instanceof StoredIndex, `${this.name} may read only indexes of its own graph`);
      this.#readable(index.collection as Collection<unknown>);
      this.#recorder.readKey(index as StoredIndex<unknown>, key);
      return index.lookup(key) as readonly Read[];
    },
    all: <Read>(collection: Collection<Read>): readonly Read[] => {
      const readable = this.#readable(collection);
      this.#recorder.readAll(readable as BaseCollection<unknown>);
      return readable.sorted();
    },
  };

  constructor(
    name: string,
    ordinal: number,
    input: BaseCollection<Input>,
    compute: Compute<Input, Item>,
    options: DerivedOptions<Item>,
  ) {
    super(name, ordinal);
    this.input = input;
    this.#compute = compute;
    this.#options = options;
    for (const [key] of input.entries()) this.#dirty.add(key);
  }

  /** Marks the inputs whose results may change, because `collection` has changed. */
  invalidate<Other>(collection: BaseCollection<Other>, changes: readonly Change<Other>[]): void {
    const changed = collection as BaseCollection<unknown>;
    const isInput = changed === (this.input as BaseCollection<unknown>);
    if (isInput) for (const change of changes) this.#dirty.add(change.key);
    if (this.#recorder.hasReadKeys(changed))
      for (const change of changes) this.#mark(this.#recorder.inputsOfKey(changed, change.key));
    this.#mark(this.#recorder.inputsOfAll(changed));
    for (const index of collection.indexes.values()) {
      if (!this.#recorder.hasReadKeys(index as StoredIndex<unknown>)) continue;
      for (const change of changes) this.#invalidateIndex(index, change);
    }
  }

  override *settle(isPauseDue: PauseDue): Settling<Item> {
    if (this.#dirty.size === 0) return [];
    const startMs = this.#options.nowMs();
    const touched = new Set<string>();
    for (const key of this.#dirty) {
      this.#recompute(key, touched);
      if (isPauseDue()) yield;
    }
    this.#dirty.clear();
    const changes = [...touched].flatMap((key) => this.#change(key) ?? []);
    yield* this.commitAll(changes, isPauseDue);
    this.lastCostMs = this.#options.nowMs() - startMs;
    return changes;
  }

  #invalidateIndex<Other>(index: StoredIndex<Other>, change: Change<Other>): void {
    const target = index as StoredIndex<unknown>;
    if (change.previous !== undefined)
      for (const key of index.keysOf(change.previous)) this.#mark(this.#recorder.inputsOfKey(target, key));
    if (change.type === "set")
      for (const key of index.keysOf(change.item)) this.#mark(this.#recorder.inputsOfKey(target, key));
  }

  #mark(inputs: Iterable<string>): void {
    for (const input of inputs) this.#dirty.add(input);
  }

  #recompute(inputKey: string, touched: Set<string>): void {
    const input = this.input.get(inputKey);
    const before = this.#yielded.get(inputKey);
    let after: Yield<Item> | undefined;
    this.#recorder.begin(inputKey);
    try {
      if (input !== undefined) {
        this.recomputations += 1;
        after = yieldOf(this.#compute(input, this.#reader, inputKey));
      }
    } catch (error) {
      this.#options.failed(this.name, inputKey, error);
      return;
    } finally {
      this.#recorder.finish();
    }
    for (const key of before?.keys() ?? []) {
      touched.add(key);
      if (after?.has(key) !== true) this.#release(key, inputKey);
    }
    for (const key of after?.keys() ?? []) {
      touched.add(key);
      if (before?.has(key) !== true) this.#claim(key, inputKey);
    }
    if (after === undefined || after.size === 0) this.#yielded.delete(inputKey);
    else this.#yielded.set(inputKey, after);
  }

  #claim(key: string, input: string): void {
    const owner = this.#owner.get(key);
    if (owner === undefined) {
      this.#owner.set(key, input);
      return;
    }
    const contenders = this.#contested.get(key) ?? new Set([owner]);
    contenders.add(input);
    this.#contested.set(key, contenders);
    // The owner is the smallest input that yields the key. So one comparison suffices, even if thousands of inputs
    // yield the key.
    if (input < owner) this.#owner.set(key, input);
  }

  #release(key: string, input: string): void {
    const contenders = this.#contested.get(key);
    if (contenders === undefined) {
      this.#owner.delete(key);
      return;
    }
    contenders.delete(input);
    if (this.#owner.get(key) === input) this.#owner.set(key, smallest(contenders));
    if (contenders.size === 1) this.#contested.delete(key);
  }

  #change(key: string): Change<Item> | undefined {
    const previous = this.items.get(key);
    const owner = this.#owner.get(key);
    const item = owner === undefined ? undefined : this.#yielded.get(owner)?.get(key);
    if (item === undefined) return previous === undefined ? undefined : { type: "delete", key, previous };
    if (previous !== undefined && this.#options.equals(previous, item)) return undefined;
    return { type: "set", key, item, previous };
  }

  #readable<Read>(collection: Collection<Read>): BaseCollection<Read> {
    invariant(
      collection instanceof BaseCollection,
      `${this.name} may read only collections of its own graph, not ${collection.name}`,
    );
    invariant(
      collection.ordinal < this.ordinal,
      `${this.name} may read only collections that were made before it, not ${collection.name}: there must be no cycle`,
    );
    return collection as BaseCollection<Read>;
  }
}

/** The results of one computation, by key. Most inputs yield one item, for which a Map would take too much memory. */
interface Yield<Item> {
  readonly size: number;
  keys(): Iterable<string>;
  has(key: string): boolean;
  get(key: string): Item | undefined;
}

class SingleYield<Item> implements Yield<Item> {
  readonly #key: string;
  readonly #item: Item;

  constructor(key: string, item: Item) {
    this.#key = key;
    this.#item = item;
  }

  get size(): number {
    return 1;
  }

  keys(): Iterable<string> {
    return [this.#key];
  }

  has(key: string): boolean {
    return key === this.#key;
  }

  get(key: string): Item | undefined {
    return key === this.#key ? this.#item : undefined;
  }
}

function yieldOf<Item>(entries: Iterable<readonly [key: string, item: Item]>): Yield<Item> {
  const list = Array.isArray(entries) ? (entries as readonly (readonly [key: string, item: Item])[]) : [...entries];
  const [first] = list;
  return list.length === 1 && first !== undefined ? new SingleYield(...first) : new Map(list);
}

function smallest(keys: Iterable<string>): string {
  let found: string | undefined;
  for (const key of keys) if (found === undefined || key < found) found = key;
  invariant(found !== undefined, "a contested key has at least one contender");
  return found;
}
