/**
 * A bounded map whose owners share its room. If it is full, the owner with the most entries loses its oldest one, so
 * that an owner with many entries cannot displace the entries of others.
 */
export class SharedCache<Value> {
  readonly #maxEntries: number;
  readonly #entries = new Map<string, { readonly owner: string; readonly value: Value }>();
  readonly #keysOf = new Map<string, Set<string>>();

  constructor(maxEntries: number) {
    this.#maxEntries = maxEntries;
  }

  get(key: string): Value | undefined {
    return this.#entries.get(key)?.value;
  }

  set(owner: string, key: string, value: Value): void {
    this.delete(key);
    if (this.#entries.size >= this.#maxEntries) this.#evict();
    this.#entries.set(key, { owner, value });
    const keys = this.#keysOf.get(owner);
    if (keys === undefined) this.#keysOf.set(owner, new Set([key]));
    else keys.add(key);
  }

  delete(key: string): void {
    const entry = this.#entries.get(key);
    if (entry === undefined) return;
    this.#entries.delete(key);
    const keys = this.#keysOf.get(entry.owner);
    keys?.delete(key);
    if (keys?.size === 0) this.#keysOf.delete(entry.owner);
  }

  /** A caller may delete entries during the iteration. */
  *entries(): IterableIterator<readonly [key: string, value: Value]> {
    for (const [key, { value }] of this.#entries) yield [key, value];
  }

  #evict(): void {
    let most: ReadonlySet<string> = new Set();
    for (const keys of this.#keysOf.values()) if (keys.size > most.size) most = keys;
    const [oldest] = most;
    if (oldest !== undefined) this.delete(oldest);
  }
}
