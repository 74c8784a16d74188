import { invariant, type Clock } from "../base/index.ts";
import { BucketBounds, Counter, Gauge, Histogram } from "./instruments.ts";

export type MetricType = "counter" | "gauge" | "histogram";

export interface MetricsRegistryOptions {
  /** The maximum number of label sets for one metric. The default is {@link defaultMaxSeriesPerMetric}. */
  readonly maxSeriesPerMetric?: number;
  /** The maximum number of label sets for all counters and histograms. The default is {@link defaultMaxSeries}. */
  readonly maxSeries?: number;
  /** Measures how long a series has not changed. Without a clock, no series is dropped. */
  readonly clock?: Pick<Clock, "steadyMs">;
  /** The time without a change after which series are dropped. The default is {@link defaultStaleAfterMs}. */
  readonly staleAfterMs?: number;
}

export interface FamilyOptions {
  /**
   * The metric's own maximum number of label sets. If it is set, these label sets do not count against the limit of all
   * counters and histograms. It is for metrics whose number of label sets is known in advance.
   */
  readonly ownMaxSeries?: number;
}

/** The maximum number of label sets of a metric. Further label sets share one series. */
export const defaultMaxSeriesPerMetric = 2000;
/**
 * The maximum number of label sets of all counters and histograms. Further label sets share one series of their metric.
 */
export const defaultMaxSeries = 20_000;
/** The time without a change after which series are dropped, if their metric has reached half of its limit. */
export const defaultStaleAfterMs = 15 * 60_000;
/** The value of every label in the series that stands for all label sets beyond a limit. */
export const overflowLabel = "overflow";
/** Counts requests for a label set beyond a limit, by metric. */
export const droppedSeriesMetric = "serin_metrics_dropped_series_total";
/** Counts label sets that were dropped because they had not changed for long, or to make room for another owner. */
export const forgottenSeriesMetric = "serin_metrics_forgotten_series_total";
const keptSeriesMetric = "serin_metrics_series";
const seriesLimitMetric = "serin_metrics_series_limit";
/** The metrics about the limits of a registry. Each thread has its own registry and limits. */
export const limitMetrics: readonly string[] = [keptSeriesMetric, seriesLimitMetric];

export interface Series<Handle> {
  readonly values: readonly string[];
  readonly handle: Handle;
}

interface KeptSeries<Handle> extends Series<Handle> {
  /**
   * `counted` is the count at the last check. `sinceMs` is the time since which it has not changed, or -1 before the
   * first check.
   */
  counted: number;
  sinceMs: number;
}

/**
 * The state that the families of one registry share: the limit of label sets, and the counters of label sets that were
 * refused or displaced.
 */
interface SeriesBudget {
  readonly maxSeriesPerMetric: number;
  /** Returns false if the process has reached the limit. */
  take(): boolean;
  give(): void;
  dropped(family: string): void;
  /** Called when a series was dropped to make room for a series of another owner. */
  displaced(family: string): void;
  /**
   * Drops a series of an owner that has more than `least` series of one metric. Returns false if there is no such
   * owner.
   */
  makeRoom(least: number): boolean;
}

/**
 * Takes the names of the labels. Returns a function that names the owner of a label set, who causes it, by the set's
 * values.
 */
export type OwnerOf = (labelNames: readonly string[]) => (values: readonly string[]) => string;

/** All series of one metric name. */
export class MetricFamily<Handle extends Counter | Gauge | Histogram> {
  readonly name: string;
  readonly help: string;
  readonly type: MetricType;
  readonly labelNames: readonly string[];
  readonly #create: () => Handle;
  readonly #budget: SeriesBudget;
  readonly #series = new Map<string, KeptSeries<Handle>>();
  /** The keys of the series of each owner, the oldest first. */
  readonly #owned = new Map<string, Set<string>>();
  /**
   * An upper bound of the number of series of any owner. When a limit is reached, each further label set needs the
   * owner with the most series. The bound avoids counting the series of all owners each time.
   */
  #mostOwned = 0;
  #overflow: Series<Handle> | undefined;
  #rotates = false;
  #owners: OwnerOf | undefined;
  #ownerOf: ((values: readonly string[]) => string) | undefined;

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
   * Returns the Counter, Gauge or Histogram (the handle) of one label set, whose values are in the order of {@link
   * labelNames}. The same label set returns the same handle while its series exists. Beyond a limit, all label sets
   * share one handle, whose labels all have the value {@link overflowLabel}, and {@link droppedSeriesMetric} counts the
   * call. A gauge's shared handle is not exposed.
   */
  labels(...values: readonly string[]): Handle {
    // Format the message only on failure, because this runs for each request and each object.
    if (values.length !== this.labelNames.length)
      invariant(false, `${this.name} has the labels ${this.labelNames.join(", ")}; got ${values.length} value(s)`);
    const key = values.length === 1 ? (values[0] ?? "") : values.join("\u0000");
    const known = this.#series.get(key);
    if (known !== undefined) return known.handle;
    const isFree = values.length === 0;
    const owner = isFree ? undefined : this.#ownerOf?.(values);
    if (!isFree && !this.#take() && (owner === undefined || !this.#displaceFor(owner))) {
      this.#budget.dropped(this.name);
      this.#overflow ??= { values: values.map(() => overflowLabel), handle: this.#create() };
      return this.#overflow.handle;
    }
    const handle = this.#create();
    this.#series.set(key, { values: [...values], handle, counted: 0, sinceMs: -1 });
    if (owner !== undefined) {
      const owned = this.#owned.get(owner) ?? new Set();
      this.#owned.set(owner, owned.add(key));
      this.#mostOwned = Math.max(this.#mostOwned, owned.size);
    }
    return handle;
  }

  /** Returns whether there is room for one more series. If so, counts the series against the limit of all metrics. */
  #take(): boolean {
    return this.#series.size < this.#budget.maxSeriesPerMetric && (this.type === "gauge" || this.#budget.take());
  }

  /**
   * Makes room for a series of this owner by dropping a series of an owner with more series. Returns whether there is
   * room. If so, counts the new series.
   */
  #displaceFor(owner: string): boolean {
    const own = this.#owned.get(owner)?.size ?? 0;
    // If this metric has room, the limit of all metrics is exhausted.
    const isFull = this.#series.size >= this.#budget.maxSeriesPerMetric;
    const made = isFull ? this.mostOwnedAbove(own + 1) > 0 && this.dropOldest() : this.#budget.makeRoom(own + 1);
    return made && this.#take();
  }

  /** Returns the number of series of the owner with the most series, or 0 if the number is not above `least`. */
  mostOwnedAbove(least: number): number {
    if (this.#mostOwned <= least) return 0;
    this.#mostOwned = this.#most().size;
    return this.#mostOwned > least ? this.#mostOwned : 0;
  }

  /** Drops the oldest series of the owner with the most series. Returns false if there is none. */
  dropOldest(): boolean {
    const [oldest] = this.#most();
    if (oldest === undefined) return false;
    this.#forget(oldest);
    this.#budget.displaced(this.name);
    return true;
  }

  #most(): ReadonlySet<string> {
    let most: ReadonlySet<string> = new Set();
    for (const owned of this.#owned.values()) if (owned.size > most.size) most = owned;
    return most;
  }

  /** Removes a label set from the output. Its former handle has no effect any more. */
  remove(...values: readonly string[]): void {
    this.#forget(values.length === 1 ? (values[0] ?? "") : values.join("\u0000"));
  }

  #forget(key: string): void {
    const known = this.#series.get(key);
    if (known === undefined) return;
    this.#series.delete(key);
    const owner = this.#ownerOf?.(known.values);
    const owned = owner === undefined ? undefined : this.#owned.get(owner);
    owned?.delete(key);
    if (owner !== undefined && owned?.size === 0) this.#owned.delete(owner);
    if (this.type !== "gauge" && known.values.length > 0) this.#budget.give();
  }

  /**
   * Lets this metric drop series that have not changed for a while. Holders of handles must request them again when
   * {@link MetricsRegistry.generation} has changed. If `owners` is set, a new series beyond a limit replaces a series
   * of the owner with the most series, so that no owner can use up the limit for others. Call it before the first
   * series exists.
   */
  rotate(owners?: OwnerOf): this {
    this.#rotates = true;
    this.#owners = owners;
    this.#ownerOf = owners?.(this.labelNames);
    return this;
  }

  /**
   * Drops series that have not changed for `staleMs`, if the family has reached half of its limit. Returns their
   * number.
   */
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

  /** Returns a family of the same metric with other labels, for {@link MetricsRegistry.variant}. */
  withLabels(labelNames: readonly string[]): MetricFamily<Handle> {
    const { name, help, type } = this;
    const made = new MetricFamily({ name, help, type, labelNames }, this.#create, this.#budget);
    return this.#rotates ? made.rotate(this.#owners) : made;
  }

  /** Returns all series, including the one that stands for label sets beyond a limit. */
  *series(): Iterable<Series<Handle>> {
    yield* this.#series.values();
    if (this.#overflow !== undefined && this.type !== "gauge") yield this.#overflow;
  }

  /** The number of label sets within the limits. */
  get size(): number {
    return this.#series.size;
  }

  get isEmpty(): boolean {
    return this.#series.size === 0 && this.#overflow === undefined;
  }
}

/** The maximum number of additional label lists that the metrics of a registry may have. */
const maxVariants = 200;

/**
 * All metrics of a thread or process. Registering a name again with the same type and labels returns the same metric.
 */
export class MetricsRegistry {
  readonly #families = new Map<string, MetricFamily<Counter> | MetricFamily<Gauge> | MetricFamily<Histogram>>();
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
      displaced: (family) => {
        this.#forgotten.labels(family).increment();
        this.#generation += 1;
      },
      makeRoom: (least) => {
        let [most, largest]: [number, { dropOldest(): boolean } | undefined] = [least, undefined];
        for (const family of [...this.#families.values(), ...this.#variants.values()]) {
          const owned = family.mostOwnedAbove(most);
          if (owned > 0) [most, largest] = [owned, family];
        }
        return largest?.dropOldest() === true;
      },
    };
    this.#dropped = this.counter(
      droppedSeriesMetric,
      "Requests for a label set beyond a limit, which were counted in the series that all of these share.",
      ["metric"],
    );
    this.#forgotten = this.counter(
      forgottenSeriesMetric,
      "Label sets that were dropped because they had not changed for long and their metric was half full, or because they belonged to the namespace with the most and another one needed room.",
      ["metric"],
    );
    this.#keptSeries = this.gauge(keptSeriesMetric, "Label sets of counters and histograms.").labels();
    const limits = this.gauge(
      seriesLimitMetric,
      "The maximum number of label sets: of one metric, and of all counters and histograms.",
      ["scope"],
    );
    limits.labels("metric").set(maxSeriesPerMetric);
    limits.labels("process").set(this.#maxSeries);
  }

  /** A number that changes when series are dropped. */
  get generation(): number {
    return this.#generation;
  }

  counter(
    name: string,
    help: string,
    labelNames: readonly string[] = [],
    options: FamilyOptions = {},
  ): MetricFamily<Counter> {
    return this.#family({ name, help, type: "counter", labelNames }, () => new Counter(), options);
  }

  gauge(
    name: string,
    help: string,
    labelNames: readonly string[] = [],
    options: FamilyOptions = {},
  ): MetricFamily<Gauge> {
    return this.#family({ name, help, type: "gauge", labelNames }, () => new Gauge(), options);
  }

  /** `bounds` are the inclusive upper bounds of the buckets, ascending, without infinity. */
  histogram(
    name: string,
    help: string,
    labelNames: readonly string[],
    bounds: readonly number[],
  ): MetricFamily<Histogram> {
    invariant(
      bounds.every((bound, index) => index === 0 || bound > (bounds[index - 1] ?? -Infinity)),
      `the bounds of ${name} must be ascending`,
    );
    const shared = new BucketBounds(bounds);
    return this.#family({ name, help, type: "histogram", labelNames }, () => new Histogram(shared));
  }

  /** Calls `collect` before each rendering, for gauges that are cheaper to compute than to maintain. */
  onCollect(collect: () => void): void {
    this.#collectors.push(collect);
  }

  /** Runs the collectors. Returns the families in the order of their names. */
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

  /**
   * Returns the family of a metric's series that have other labels. Returns undefined beyond {@link maxVariants} label
   * lists.
   */
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
    description: Pick<MetricFamily<Handle>, "name" | "help" | "type" | "labelNames">,
    create: () => Handle,
    { ownMaxSeries }: FamilyOptions = {},
  ): MetricFamily<Handle> {
    const { name, type, labelNames } = description;
    const known = this.#families.get(name);
    if (known !== undefined) {
      invariant(
        known.type === type && known.labelNames.join() === labelNames.join(),
        `the metric ${name} exists as ${known.type} with other labels or type`,
      );
      return known as unknown as MetricFamily<Handle>;
    }
    invariant(/^[a-zA-Z_:][a-zA-Z0-9_:]*$/.test(name), `"${name}" is not a valid Prometheus metric name`);
    // The metrics about the limits do not count against the limits.
    const isApart = name.startsWith("serin_metrics_") || ownMaxSeries !== undefined;
    const budget = isApart
      ? {
          ...this.#budget,
          maxSeriesPerMetric: ownMaxSeries ?? this.#budget.maxSeriesPerMetric,
          take: () => true,
          give: () => undefined,
        }
      : this.#budget;
    const family = new MetricFamily<Handle>(description, create, budget);
    this.#families.set(name, family as unknown as MetricFamily<Counter>);
    return family;
  }
}
