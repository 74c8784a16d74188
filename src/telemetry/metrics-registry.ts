import { invariant } from "../base/index.ts";

/** The kinds of metric that this project exposes, in Prometheus' words. */
export type MetricType = "counter" | "gauge" | "histogram";

export interface MetricsRegistryOptions {
  /** Label sets that one metric may hold; {@link defaultMaxSeriesPerMetric} when absent. */
  readonly maxSeriesPerMetric?: number;
}

/** Label sets a metric may hold before further ones share one hidden series. */
export const defaultMaxSeriesPerMetric = 2000;

/** The metric that counts requests for a label set beyond a metric's bound, labelled with that metric's name. */
export const droppedSeriesMetric = "serin_metrics_dropped_series_total";

/** A number that only grows. Hold on to the handle: adding to it allocates nothing. */
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

/** A number that goes up and down. */
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

/** Counts of observations by upper bound, with their sum. */
export class Histogram {
  readonly bounds: Float64Array;
  readonly #counts: Float64Array;
  #sum = 0;
  #count = 0;

  constructor(bounds: Float64Array) {
    this.bounds = bounds;
    this.#counts = new Float64Array(bounds.length + 1);
  }

  observe(value: number): void {
    const { bounds } = this;
    let low = 0;
    let high = bounds.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (value <= (bounds[middle] ?? Infinity)) high = middle;
      else low = middle + 1;
    }
    this.#counts[low] = (this.#counts[low] ?? 0) + 1;
    this.#sum += value;
    this.#count += 1;
  }

  get sum(): number {
    return this.#sum;
  }

  get count(): number {
    return this.#count;
  }

  /** The observations at or below each bound, the last entry being all of them. */
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

/** All series of one metric name. */
export class MetricFamily<Handle> {
  readonly name: string;
  readonly help: string;
  readonly type: MetricType;
  readonly labelNames: readonly string[];
  readonly #create: () => Handle;
  readonly #maxSeries: number;
  readonly #onDropped: (family: string) => void;
  readonly #series = new Map<string, { readonly values: readonly string[]; readonly handle: Handle }>();
  #hidden: Handle | undefined;

  constructor(
    description: { readonly name: string; readonly help: string; readonly type: MetricType; readonly labelNames: readonly string[] },
    create: () => Handle,
    maxSeries: number,
    onDropped: (family: string) => void,
  ) {
    this.name = description.name;
    this.help = description.help;
    this.type = description.type;
    this.labelNames = description.labelNames;
    this.#create = create;
    this.#maxSeries = maxSeries;
    this.#onDropped = onDropped;
  }

  /**
   * The handle of one label set, values in the order of {@link labelNames}; the same set answers the same handle.
   * Beyond the bound all label sets share one handle that is not rendered, and the dropped-series metric counts the call.
   */
  labels(...values: readonly string[]): Handle {
    invariant(
      values.length === this.labelNames.length,
      `${this.name} has the labels ${this.labelNames.join(", ")}; got ${values.length} value(s)`,
    );
    const key = values.length === 1 ? (values[0] ?? "") : values.join("\u0000");
    const known = this.#series.get(key);
    if (known !== undefined) return known.handle;
    if (this.#series.size >= this.#maxSeries) {
      this.#onDropped(this.name);
      this.#hidden ??= this.#create();
      return this.#hidden;
    }
    const handle = this.#create();
    this.#series.set(key, { values: [...values], handle });
    return handle;
  }

  /** Forgets a label set, so that it is no longer rendered. A handle that is still held counts into nothing. */
  remove(...values: readonly string[]): void {
    this.#series.delete(values.length === 1 ? (values[0] ?? "") : values.join("\u0000"));
  }

  /** A family of the same metric with other labels, which is registered by {@link MetricsRegistry.variant}. */
  withLabels(labelNames: readonly string[]): MetricFamily<Handle> {
    const { name, help, type } = this;
    return new MetricFamily({ name, help, type, labelNames }, this.#create, this.#maxSeries, this.#onDropped);
  }

  series(): Iterable<{ readonly values: readonly string[]; readonly handle: Handle }> {
    return this.#series.values();
  }

  get size(): number {
    return this.#series.size;
  }
}

/** Lists of labels that metrics have beside their own, in a whole process. */
const maxVariants = 200;

/** Every metric of a process. A name may be asked for again, with the same type and labels, and is then the same metric. */
export class MetricsRegistry {
  readonly #families = new Map<string, MetricFamily<Counter> | MetricFamily<Gauge> | MetricFamily<Histogram>>();
  /** Of metrics that some series of have other labels, by name and labels. */
  readonly #variants = new Map<string, MetricFamily<Counter> | MetricFamily<Gauge> | MetricFamily<Histogram>>();
  readonly #collectors: (() => void)[] = [];
  readonly #maxSeries: number;
  readonly #dropped: MetricFamily<Counter>;

  constructor(options: MetricsRegistryOptions = {}) {
    this.#maxSeries = options.maxSeriesPerMetric ?? defaultMaxSeriesPerMetric;
    this.#dropped = this.counter(droppedSeriesMetric, "Requests for a label set beyond a metric's bound.", ["metric"]);
  }

  counter(name: string, help: string, labelNames: readonly string[] = []): MetricFamily<Counter> {
    return this.#family(name, help, "counter", labelNames, () => new Counter());
  }

  gauge(name: string, help: string, labelNames: readonly string[] = []): MetricFamily<Gauge> {
    return this.#family(name, help, "gauge", labelNames, () => new Gauge());
  }

  /** `bounds` are the buckets' inclusive upper bounds, ascending, without infinity. */
  histogram(name: string, help: string, labelNames: readonly string[], bounds: readonly number[]): MetricFamily<Histogram> {
    invariant(
      bounds.every((bound, index) => index === 0 || bound > (bounds[index - 1] ?? -Infinity)),
      `the bounds of ${name} must ascend`,
    );
    const shared = Float64Array.from(bounds);
    return this.#family(name, help, "histogram", labelNames, () => new Histogram(shared));
  }

  /** Calls `collect` before each rendering, to set gauges that are cheaper to compute than to keep. */
  onCollect(collect: () => void): void {
    this.#collectors.push(collect);
  }

  /** The families in the order of their names, after the collectors have run. */
  families(): readonly (MetricFamily<Counter> | MetricFamily<Gauge> | MetricFamily<Histogram>)[] {
    for (const collect of this.#collectors) collect();
    return [...this.#families.values(), ...this.#variants.values()].sort((left, right) => (left.name === right.name ? 0 : left.name < right.name ? -1 : 1));
  }

  /** Series of a metric with other labels than the rest of it; undefined beyond {@link maxVariants} lists of labels. */
  variant<Handle extends Counter | Gauge | Histogram>(family: MetricFamily<Handle>, labelNames: readonly string[]): MetricFamily<Handle> | undefined {
    const key = [family.name, ...labelNames].join(" ");
    const known = this.#variants.get(key);
    if (known !== undefined) return known as unknown as MetricFamily<Handle>;
    if (this.#variants.size >= maxVariants) return undefined;
    const made = family.withLabels(labelNames);
    this.#variants.set(key, made as unknown as MetricFamily<Counter>);
    return made;
  }

  #family<Handle extends Counter | Gauge | Histogram>(
    name: string,
    help: string,
    type: MetricType,
    labelNames: readonly string[],
    create: () => Handle,
  ): MetricFamily<Handle> {
    const known = this.#families.get(name);
    if (known !== undefined) {
      invariant(
        known.type === type && known.labelNames.join() === labelNames.join(),
        `the metric ${name} exists as ${known.type} with other labels or type`,
      );
      return known as unknown as MetricFamily<Handle>;
    }
    invariant(/^[a-zA-Z_:][a-zA-Z0-9_:]*$/.test(name), `"${name}" is no Prometheus metric name`);
    const onDropped = (family: string): void => {
      if (family !== droppedSeriesMetric) this.#dropped.labels(family).increment();
    };
    const family = new MetricFamily<Handle>({ name, help, type, labelNames }, create, this.#maxSeries, onDropped);
    this.#families.set(name, family as unknown as MetricFamily<Counter>);
    return family;
  }
}
