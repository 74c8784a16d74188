import { BaseCollection, type Change, type PauseDue, type Settling } from "./base-collection.ts";
import { structurallyEqual } from "./structurally-equal.ts";

/**
 * The elements of lists, by the elements' own keys. Elements with the same key must be interchangeable, and the
 * collection contains the one that was added first. The work for a changed list is proportional to the part between its
 * common beginning and end with the old list.
 */
export class FlattenedCollection<Input, Item> extends BaseCollection<Item> {
  readonly input: BaseCollection<Input>;
  readonly #listOf: (input: Input) => readonly Item[];
  readonly #keyOf: (item: Item) => string;
  readonly #dirty = new Set<string>();
  readonly #lists = new Map<string, readonly Item[]>();
  /** The elements by key. An element occurs once for each list that contains it. */
  readonly #elements = new Map<string, Item[]>();

  constructor(
    name: string,
    ordinal: number,
    input: BaseCollection<Input>,
    listOf: (input: Input) => readonly Item[],
    keyOf: (item: Item) => string,
  ) {
    super(name, ordinal);
    this.input = input;
    this.#listOf = listOf;
    this.#keyOf = keyOf;
    for (const [key] of input.entries()) this.#dirty.add(key);
  }

  invalidate<Other>(collection: BaseCollection<Other>, changes: readonly Change<Other>[]): void {
    if ((collection as BaseCollection<unknown>) !== (this.input as BaseCollection<unknown>)) return;
    for (const change of changes) this.#dirty.add(change.key);
  }

  override *settle(isPauseDue: PauseDue): Settling<Item> {
    if (this.#dirty.size === 0) return [];
    const touched = new Set<string>();
    for (const key of this.#dirty) {
      const input = this.input.get(key);
      const list: readonly Item[] = input === undefined ? empty : this.#listOf(input);
      this.recomputations += 1;
      this.#replace(this.#lists.get(key) ?? empty, list, touched);
      if (input === undefined) this.#lists.delete(key);
      else this.#lists.set(key, list);
      if (isPauseDue()) yield;
    }
    this.#dirty.clear();
    const changes = [...touched].flatMap((key) => this.#change(key) ?? []);
    yield* this.commitAll(changes, isPauseDue);
    return changes;
  }

  /** Replaces a list. Skips the common beginning and end of both lists. */
  #replace(before: readonly Item[], after: readonly Item[], touched: Set<string>): void {
    const shorter = Math.min(before.length, after.length);
    let head = 0;
    while (head < shorter && before[head] === after[head]) head += 1;
    let tail = 0;
    while (tail < shorter - head && before[before.length - 1 - tail] === after[after.length - 1 - tail]) tail += 1;
    for (const item of after.slice(head, after.length - tail)) this.#use(item, touched);
    for (const item of before.slice(head, before.length - tail)) this.#release(item, touched);
  }

  #use(item: Item, touched: Set<string>): void {
    const key = this.#keyOf(item);
    const elements = this.#elements.get(key);
    if (elements !== undefined) {
      elements.push(item);
      return;
    }
    this.#elements.set(key, [item]);
    touched.add(key);
  }

  #release(item: Item, touched: Set<string>): void {
    const key = this.#keyOf(item);
    const elements = this.#elements.get(key);
    const index = elements?.indexOf(item) ?? -1;
    if (elements === undefined || index < 0) return;
    elements.splice(index, 1);
    if (index === 0) touched.add(key);
    if (elements.length === 0) this.#elements.delete(key);
  }

  #change(key: string): Change<Item> | undefined {
    const previous = this.items.get(key);
    const item = this.#elements.get(key)?.[0];
    if (item === undefined) return previous === undefined ? undefined : { type: "delete", key, previous };
    return previous !== undefined && structurallyEqual(previous, item)
      ? undefined
      : { type: "set", key, item, previous };
  }
}

const empty: readonly never[] = [];
