import type { Clock } from "../../base/index.ts";

export interface RecentValuesOptions {
  /** A value of this age is no longer returned. */
  readonly maxAgeMs: number;
  /** The maximum number of values. A further one replaces the oldest. */
  readonly maxValues: number;
}

/** Values by key, each until it is too old. Old values are dropped when another is added. */
export class RecentValues<Value> {
  readonly #clock: Clock;
  readonly #options: RecentValuesOptions;
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
