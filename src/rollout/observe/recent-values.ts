import type { Clock } from "../../base/index.ts";

export interface RecentValuesOptions {
  /** A value is returned until it is this old. */
  readonly maxAgeMs: number;
  /** The maximum number of values. Beyond it, the oldest one is forgotten. */
  readonly maxValues: number;
}

/** Values by key, each until it is too old. Old values are dropped when another is added. */
export class RecentValues<Value> {
  readonly #clock: Clock;
  readonly #options: RecentValuesOptions;
  /** The kept values, the oldest first. */
  readonly #kept = new Map<string, { readonly atMs: number; readonly value: Value }>();

  constructor(clock: Clock, options: RecentValuesOptions) {
    this.#clock = clock;
    this.#options = options;
  }

  get size(): number {
    return this.#kept.size;
  }

  get(key: string): Value | undefined {
    const kept = this.#kept.get(key);
    return kept === undefined || this.#isOld(kept.atMs) ? undefined : kept.value;
  }

  set(key: string, value: Value): void {
    // Deleted first, so that the map stays ordered by age.
    this.#kept.delete(key);
    for (const [other, { atMs }] of this.#kept) {
      if (!this.#isOld(atMs) && this.#kept.size < this.#options.maxValues) break;
      this.#kept.delete(other);
    }
    this.#kept.set(key, { atMs: this.#clock.steadyMs(), value });
  }

  #isOld(atMs: number): boolean {
    return this.#clock.steadyMs() - atMs >= this.#options.maxAgeMs;
  }
}
