/** The counters of filters, under Envoy's names. Filters that use the same name share a counter. */
export class FilterStatistics {
  readonly #counters = new Map<string, FilterCounter>();

  /**
   * Returns the counter of a name. Above the maximum number of names, the returned counter works but is not exported.
   */
  counter(name: string): FilterCounter {
    let counter = this.#counters.get(name);
    if (counter === undefined) {
      counter = new FilterCounter();
      if (this.#counters.size < maxCounters) this.#counters.set(name, counter);
    }
    return counter;
  }

  entries(): Iterable<readonly [name: string, counter: FilterCounter]> {
    return this.#counters;
  }
}

const maxCounters = 10_000;

export class FilterCounter {
  value = 0;

  increment(): void {
    this.value += 1;
  }

  add(count: number): void {
    this.value += count;
  }
}
