import { BaseCollection, type Change, type PauseDue, type Settling } from "./base-collection.ts";

/**
 * A collection that is written from outside. Writes are pending until the graph settles. Of several writes to one key,
 * the last applies.
 */
export class SourceCollection<Item> extends BaseCollection<Item> {
  readonly #pending = new Map<string, Item | undefined>();
  readonly #equals: (left: Item, right: Item) => boolean;
  readonly #dirty: () => void;

  constructor(name: string, ordinal: number, equals: (left: Item, right: Item) => boolean, dirty: () => void) {
    super(name, ordinal);
    this.#equals = equals;
    this.#dirty = dirty;
  }

  set(key: string, item: Item): void {
    this.#pending.set(key, item);
    this.#dirty();
  }

  delete(key: string): void {
    this.#pending.set(key, undefined);
    this.#dirty();
  }

  override *settle(isPauseDue: PauseDue): Settling<Item> {
    const changes: Change<Item>[] = [];
    for (const [key, item] of this.#pending) {
      const previous = this.items.get(key);
      if (item === undefined) {
        if (previous === undefined) continue;
        changes.push({ type: "delete", key, previous });
      } else {
        if (previous !== undefined && this.#equals(previous, item)) continue;
        changes.push({ type: "set", key, item, previous });
      }
    }
    this.#pending.clear();
    yield* this.commitAll(changes, isPauseDue);
    return changes;
  }
}
