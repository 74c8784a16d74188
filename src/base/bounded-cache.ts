import { invariant } from "./errors.ts";

/**
 * A Map with a maximum size, for values that can be computed again. A new key empties a full cache, so that the cache
 * need not record when each value was last used.
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

/**
 * A Map for few values that are expensive to compute again. A new key replaces the oldest one of a full cache. Setting
 * a value makes its key the youngest. Reading a value does not.
 */
export class AgingCache<Key, Value> extends BoundedCache<Key, Value> {
  override set(key: Key, value: Value): this {
    this.delete(key);
    if (this.size >= this.maxEntries)
      for (const oldest of this.keys()) {
        this.delete(oldest);
        break;
      }
    return super.set(key, value);
  }
}

const moduleCaches = new Map<string, { readonly size: number; readonly maxEntries: number }>();

/** A cache that a module keeps for the life of the process. The debug pages show its size by its name. */
export function moduleCache<Key, Value>(name: string, maxEntries: number): BoundedCache<Key, Value> {
  invariant(!moduleCaches.has(name), `two caches have the name ${name}`);
  const cache = new BoundedCache<Key, Value>(maxEntries);
  moduleCaches.set(name, cache);
  return cache;
}

export function moduleCacheSizes(): Readonly<Record<string, { readonly size: number; readonly maxEntries: number }>> {
  return Object.fromEntries([...moduleCaches].map(([name, { size, maxEntries }]) => [name, { size, maxEntries }]));
}
