import { invariant, type Clock } from "../base/index.ts";

/** The kinds of metric that this project exposes, in Prometheus' words. */
export type MetricType = "counter" | "gauge" | "histogram";

export interface MetricsRegistryOptions {
  /** Label sets that one metric may hold; {@link defaultMaxSeriesPerMetric} when absent. */
  readonly maxSeriesPerMetric?: number;
  /** Label sets that all counters and histograms may hold together; {@link defaultMaxSeries} when absent. */
  readonly maxSeries?: number;
  /** Tells for how long a series has stood still; without it none is let go of. */
  readonly clock?: Pick<Clock, "steadyMs">;
  /** {@link defaultStaleAfterMs} when absent. */
  readonly staleAfterMs?: number;
}

/** Label sets a metric may hold before further ones share one. */
export const defaultMaxSeriesPerMetric = 2000;
/** Label sets that the counters and histograms of a process may hold before further ones share one of their metric. */
export const defaultMaxSeries = 20_000;
/** Of a metric that holds half of what it may, series that have not moved for this long make room. */
export const defaultStaleAfterMs = 15 * 60_000;
/** The value of every label of the series that stands for all label sets beyond a bound. */
export const overflowLabel = "overflow";
/** Counts requests for a label set beyond a bound, labelled with the metric's name. */
export const droppedSeriesMetric = "serin_metrics_dropped_series_total";
const forgottenSeriesMetric = "serin_metrics_forgotten_series_total";
const keptSeriesMetric = "serin_metrics_series";
const seriesLimitMetric = "serin_metrics_series_limit";

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

/** One label set of a metric. */
export interface Series<Handle> {
  readonly values: readonly string[];
  readonly handle: Handle;
}

interface KeptSeries<Handle> extends Series<Handle> {
  /** What it had counted when it was looked at last, and since when it has not moved. */
  counted: number;
  sinceMs: number;
}

/** What families of one registry share: how many label sets there may be, and who is told of what was lost. */
interface SeriesBudget {
  readonly maxSeriesPerMetric: number;
  /** Answers false when the process has as many as it may. */
  take(): boolean;
  give(): void;
  dropped(family: string): void;
}

/** All series of one metric name. */
export class MetricFamily<Handle extends Counter | Gauge | Histogram> {
  readonly name: string;
  readonly help: string;
  readonly type: MetricType;
  readonly labelNames: readonly string[];
  readonly #create: () => Handle;
  readonly #budget: SeriesBudget;
  readonly #series = new Map<string, KeptSeries<Handle>>();
  #overflow: Series<Handle> | undefined;
  #rotates = false;

  constructor(
    description: Pick<MetricFamily<Handle>, "name" | "help" | "type" | "labelNames">,
    create: () => Handle,
    budget: SeriesBudget,
  ) {
    this.name = description.name;
    this.help = description.help;
    this.type = description.type;
    this.labelNames = description.labelNames;
    this.#create = create;
    this.#budget = budget;
  }

  /**
   * The handle of one label set, values in the order of {@link labelNames}; the same set answers the same handle.
   * Beyond a bound all label sets share one handle, whose labels all say {@link overflowLabel} (a gauge's is not shown at all), and the
   * dropped-series metric counts the call.
   */
  labels(...values: readonly string[]): Handle {
    // Words are made only when it fails: this is called for each request and each object.
    if (values.length !== this.labelNames.length)
      invariant(false, `${this.name} has the labels ${this.labelNames.join(", ")}; got ${values.length} value(s)`);
    const key = values.length === 1 ? (values[0] ?? "") : values.join("\u0000");
    const known = this.#series.get(key);
    if (known !== undefined) return known.handle;
    const isFree = values.length === 0;
    if (
      !isFree &&
      (this.#series.size >= this.#budget.maxSeriesPerMetric || (this.type !== "gauge" && !this.#budget.take()))
    ) {
      this.#budget.dropped(this.name);
      this.#overflow ??= { values: values.map(() => overflowLabel), handle: this.#create() };
      return this.#overflow.handle;
    }
    const handle = this.#create();
    this.#series.set(key, { values: [...values], handle, counted: 0, sinceMs: -1 });
    return handle;
  }

  /** Forgets a label set, so that it is no longer rendered. A handle that is still held counts into nothing. */
  remove(...values: readonly string[]): void {
    this.#forget(values.length === 1 ? (values[0] ?? "") : values.join("\u0000"));
  }

  #forget(key: string): void {
    const known = this.#series.get(key);
    if (known === undefined) return;
    this.#series.delete(key);
    if (this.type !== "gauge" && known.values.length > 0) this.#budget.give();
  }

  /** Its series may be let go of once they stand still. Whoever holds handles asks for them anew when {@link MetricsRegistry.generation} has changed. */
  rotate(): this {
    this.#rotates = true;
    return this;
  }

  /** Lets series go that have stood still for `staleMs`, where it holds half of what it may; answers how many. */
  forgetStale(nowMs: number, staleMs: number): number {
    if (!this.#rotates || this.#series.size * 2 < this.#budget.maxSeriesPerMetric) return 0;
    let forgotten = 0;
    for (const [key, series] of this.#series) {
      const { handle } = series;
      const counted = handle instanceof Histogram ? handle.count : handle.value;
      if (series.sinceMs < 0 || counted !== series.counted) {
        series.counted = counted;
        series.sinceMs = nowMs;
      } else if (nowMs - series.sinceMs >= staleMs) {
        this.#forget(key);
        forgotten += 1;
      }
    }
    return forgotten;
  }

  /** A family of the same metric with other labels, which is registered by {@link MetricsRegistry.variant}. */
  withLabels(labelNames: readonly string[]): MetricFamily<Handle> {
    const { name, help, type } = this;
    const made = new MetricFamily({ name, help, type, labelNames }, this.#create, this.#budget);
    return this.#rotates ? made.rotate() : made;
  }

  /** With the one that stands for what is beyond a bound, if there is any. */
  *series(): Iterable<Series<Handle>> {
    yield* this.#series.values();
    if (this.#overflow !== undefined && this.type !== "gauge") yield this.#overflow;
  }

  /** Label sets within the bounds. */
  get size(): number {
    return this.#series.size;
  }

  get isEmpty(): boolean {
    return this.#series.size === 0 && this.#overflow === undefined;
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
  readonly #budget: SeriesBudget;
  readonly #maxSeries: number;
  readonly #clock: MetricsRegistryOptions["clock"];
  readonly #staleAfterMs: number;
  readonly #dropped: MetricFamily<Counter>;
  readonly #forgotten: MetricFamily<Counter>;
  readonly #keptSeries: Gauge;
  #series = 0;
  #generation = 0;

  constructor(options: MetricsRegistryOptions = {}) {
    const maxSeriesPerMetric = options.maxSeriesPerMetric ?? defaultMaxSeriesPerMetric;
    this.#maxSeries = options.maxSeries ?? defaultMaxSeries;
    this.#clock = options.clock;
    this.#staleAfterMs = options.staleAfterMs ?? defaultStaleAfterMs;
    this.#budget = {
      maxSeriesPerMetric,
      take: () => {
        if (this.#series >= this.#maxSeries) return false;
        this.#series += 1;
        return true;
      },
      give: () => (this.#series -= 1),
      dropped: (family) => {
        if (family !== droppedSeriesMetric) this.#dropped.labels(family).increment();
      },
    };
    this.#dropped = this.counter(
      droppedSeriesMetric,
      "Requests for a label set beyond a bound, which were counted for the one that stands for them all.",
      ["metric"],
    );
    this.#forgotten = this.counter(
      forgottenSeriesMetric,
      "Label sets that were let go of, as they had stood still and their metric was half full.",
      ["metric"],
    );
    this.#keptSeries = this.gauge(keptSeriesMetric, "Label sets of counters and histograms.").labels();
    const limits = this.gauge(
      seriesLimitMetric,
      "Label sets that there may be: of one metric, and of all counters and histograms.",
      ["scope"],
    );
    limits.labels("metric").set(maxSeriesPerMetric);
    limits.labels("process").set(this.#maxSeries);
  }

  /** Another number than before: series were let go of. */
  get generation(): number {
    return this.#generation;
  }

  counter(name: string, help: string, labelNames: readonly string[] = []): MetricFamily<Counter> {
    return this.#family(name, help, "counter", labelNames, () => new Counter());
  }

  gauge(name: string, help: string, labelNames: readonly string[] = []): MetricFamily<Gauge> {
    return this.#family(name, help, "gauge", labelNames, () => new Gauge());
  }

  /** `bounds` are the buckets' inclusive upper bounds, ascending, without infinity. */
  histogram(
    name: string,
    help: string,
    labelNames: readonly string[],
    bounds: readonly number[],
  ): MetricFamily<Histogram> {
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
    this.#forgetStale();
    this.#keptSeries.set(this.#series);
    return [...this.#families.values(), ...this.#variants.values()].sort((left, right) =>
      left.name === right.name ? 0 : left.name < right.name ? -1 : 1,
    );
  }

  #forgetStale(): void {
    if (this.#clock === undefined) return;
    const nowMs = this.#clock.steadyMs();
    for (const family of [...this.#families.values(), ...this.#variants.values()]) {
      const forgotten = family.forgetStale(nowMs, this.#staleAfterMs);
      if (forgotten === 0) continue;
      this.#forgotten.labels(family.name).add(forgotten);
      this.#generation += 1;
    }
  }

  /** Series of a metric with other labels than the rest of it; undefined beyond {@link maxVariants} lists of labels. */
  variant<Handle extends Counter | Gauge | Histogram>(
    family: MetricFamily<Handle>,
    labelNames: readonly string[],
  ): MetricFamily<Handle> | undefined {
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
    // What tells of the bounds is not kept out by them.
    const budget = name.startsWith("serin_metrics_")
      ? { ...this.#budget, take: () => true, give: () => undefined }
      : this.#budget;
    const family = new MetricFamily<Handle>({ name, help, type, labelNames }, create, budget);
    this.#families.set(name, family as unknown as MetricFamily<Counter>);
    return family;
  }
}
