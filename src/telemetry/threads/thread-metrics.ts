import { forgottenSeriesMetric, limitMetrics } from "../metrics-registry.ts";
import { mergeSnapshots, type FamilySnapshot, type SeriesSnapshot } from "../render-prometheus.ts";

/**
 * Merges the metrics of several threads as if one thread had counted them. The counters and histograms of a thread that
 * has ended still count. If a thread has dropped a series, its counts remain as long as another thread has that series.
 */
export class ThreadMetrics {
  readonly #shared: ReadonlySet<string>;
  readonly #threads = new Map<number, readonly FamilySnapshot[]>();
  #past: readonly FamilySnapshot[] = [];

  /**
   * `shared` names the metrics that have the same value in all threads. For these, and for the metrics about each
   * thread's limits, the greatest value is used and not the sum.
   */
  constructor(shared: Iterable<string> = []) {
    this.#shared = new Set([...shared, ...limitMetrics]);
  }

  take(thread: number, snapshot: readonly FamilySnapshot[]): void {
    const before = this.#threads.get(thread) ?? [];
    this.#threads.set(thread, snapshot);
    if (forgottenBy(snapshot) > forgottenBy(before)) this.#settle(withoutSeries(countsOf(before), snapshot));
  }

  ended(thread: number): void {
    const last = this.#threads.get(thread) ?? [];
    this.#threads.delete(thread);
    this.#keep(countsOf(last));
  }

  of(thread: number): readonly FamilySnapshot[] {
    return this.#threads.get(thread) ?? [];
  }

  merged(own: readonly FamilySnapshot[]): readonly FamilySnapshot[] {
    return mergeSnapshots([own, ...this.#threads.values(), this.#past], this.#shared);
  }

  /**
   * Keeps the counts of series that one thread has dropped and another still has. If a sum became smaller, a scraper
   * would take the remaining number for new counts.
   */
  #settle(dropped: readonly FamilySnapshot[]): void {
    const live = [...this.#threads.values()].flat();
    const droppedByAll = withoutSeries(dropped, live);
    this.#past = withoutSeries(this.#past, droppedByAll);
    this.#keep(withoutSeries(dropped, droppedByAll));
  }

  #keep(counts: readonly FamilySnapshot[]): void {
    this.#past = mergeSnapshots([this.#past, counts], this.#shared);
  }
}

function countsOf(families: readonly FamilySnapshot[]): readonly FamilySnapshot[] {
  return families.filter(({ type }) => type !== "gauge");
}

function forgottenBy(families: readonly FamilySnapshot[]): number {
  return families
    .filter(({ name }) => name === forgottenSeriesMetric)
    .flatMap(({ series }) => series)
    .reduce((sum, { value }) => sum + value, 0);
}

/** Returns the series of these families that the others do not have. */
function withoutSeries(families: readonly FamilySnapshot[], others: readonly FamilySnapshot[]): FamilySnapshot[] {
  const known = new Set(others.flatMap((family) => family.series.map((series) => seriesKey(family, series))));
  return families.flatMap((family) => {
    const left = family.series.filter((series) => !known.has(seriesKey(family, series)));
    return left.length === 0 ? [] : [{ ...family, series: left }];
  });
}

function seriesKey({ name, labelNames }: FamilySnapshot, { values }: SeriesSnapshot): string {
  return [name, ...labelNames, ...values].join("\u0000");
}
