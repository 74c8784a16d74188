/**
 * A Map for values that can be computed again. A new key empties a full cache: this bounds the memory, costs nothing
 * when a value is read, and needs no record of when a value was last used.
 */
export class BoundedCache<Key, Value> extends Map<Key, Value> {
  readonly maxEntries: number;

  constructor(maxEntries: number) {
    super();
    this.maxEntries = maxEntries;
  }

  override set(key: Key, value: Value): this {
    if (this.size >= this.maxEntries && !this.has(key)) this.clear();
    return super.set(key, value);
  }
}
