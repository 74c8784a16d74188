/**
 * A number that only grows. Keep the Counter that `MetricFamily.labels` returns. Adding to it allocates nothing, but
 * each call of `labels` does.
 */
export class Counter {
  #value = 0;

  /** `amount` must not be negative. */
  add(amount: number): void {
    this.#value += amount;
  }

  increment(): void {
    this.#value += 1;
  }

  get value(): number {
    return this.#value;
  }
}

export class Gauge {
  #value = 0;

  set(value: number): void {
    this.#value = value;
  }

  add(amount: number): void {
    this.#value += amount;
  }

  get value(): number {
    return this.#value;
  }
}

/**
 * The number of search ranges: one for each power of two up to 31 bits, one for greater numbers, and one for the end.
 */
const powers = 34;
const maxPower = powers - 2;
const firstLargeNumber = 2 ** (maxPower - 1);

/** The upper bounds of a histogram's buckets, which its series share. */
export class BucketBounds {
  readonly values: Float64Array;
  /**
   * Where to begin the search for the bucket of a number. For each power of two, it is the index of the first bound
   * that is not below half of that power. So most numbers are compared with only one or two bounds.
   */
  readonly #starts: Uint16Array;

  constructor(values: readonly number[]) {
    this.values = Float64Array.from(values);
    this.#starts = Uint16Array.from({ length: powers }, (_, power) => {
      if (power === 0) return 0;
      const start = power > maxPower ? -1 : values.findIndex((bound) => bound >= 2 ** (power - 1));
      return start < 0 ? values.length : start;
    });
  }

  /** Returns the index of the first bound that the number does not exceed. */
  indexOf(value: number): number {
    const { values } = this;
    const power = value < 1 ? 0 : value < firstLargeNumber ? 32 - Math.clz32(value) : maxPower;
    let low = this.#starts[power] ?? 0;
    let high = this.#starts[power + 1] ?? 0;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (value <= (values[middle] ?? Infinity)) high = middle;
      else low = middle + 1;
    }
    return low;
  }
}

export class Histogram {
  readonly #bounds: BucketBounds;
  readonly #counts: Float64Array;
  #sum = 0;
  #count = 0;

  constructor(bounds: BucketBounds) {
    this.#bounds = bounds;
    this.#counts = new Float64Array(bounds.values.length + 1);
  }

  get bounds(): Float64Array {
    return this.#bounds.values;
  }

  observe(value: number): void {
    const index = this.#bounds.indexOf(value);
    this.#counts[index] = (this.#counts[index] ?? 0) + 1;
    this.#sum += value;
    this.#count += 1;
  }

  get sum(): number {
    return this.#sum;
  }

  get count(): number {
    return this.#count;
  }

  /** Returns the number of observations at or below each bound. The last entry counts all observations. */
  cumulative(): Float64Array {
    const out = new Float64Array(this.#counts.length);
    let total = 0;
    for (let index = 0; index < out.length; index += 1) {
      total += this.#counts[index] ?? 0;
      out[index] = total;
    }
    return out;
  }
}
