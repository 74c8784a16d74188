import {
  labelsKey,
  metricName,
  type Labels,
  type Matcher,
  type SampleSource,
  type SeriesSlice,
} from "../../promql/index.ts";
import { SeriesSamples } from "./series-samples.ts";
import { SharedTexts } from "./shared-texts.ts";

export interface SampleStoreOptions {
  /** Further series are refused and counted. */
  readonly maxSeries?: number;
  /** Above this size, the oldest samples are dropped. */
  readonly maxSampleBytes?: number;
  /** Older samples are dropped. */
  readonly retentionMs?: number;
}

export interface SampleStoreStats {
  readonly series: number;
  readonly sampleBytes: number;
  readonly appended: number;
  /** Counts by reason: `series-limit`, `out-of-order`. */
  readonly refused: Readonly<Record<string, number>>;
  readonly oldestMs: number | undefined;
}

const defaultMaxSeries = 100_000;
const defaultMaxSampleBytes = 96 << 20;
const defaultRetentionMs = 15 * 86_400_000;
/** The share of the retained time that is dropped if there are too many samples. */
const forgottenShare = 0.1;

export interface StoredSeries {
  readonly labels: Labels;
  readonly samples: SeriesSamples;
}

type ValueIndex = Map<string, Set<StoredSeries>>;

/** Samples in memory, found by labels. All limits hold at any time. A read sees everything that was appended before. */
export class SampleStore implements SampleSource {
  readonly #maxSeries: number;
  readonly #maxSampleBytes: number;
  readonly #retentionMs: number;
  readonly #series = new Map<string, StoredSeries>();
  readonly #index = new Map<string, ValueIndex>();
  readonly #refused = new Map<string, number>();
  /** The shared texts for the labels of series that are about to be opened. */
  readonly texts = new SharedTexts();
  #appended = 0;
  #sampleBytes = 0;

  constructor({
    maxSeries = defaultMaxSeries,
    maxSampleBytes = defaultMaxSampleBytes,
    retentionMs = defaultRetentionMs,
  }: SampleStoreOptions = {}) {
    this.#maxSeries = maxSeries;
    this.#maxSampleBytes = maxSampleBytes;
    this.#retentionMs = retentionMs;
  }

  get stats(): SampleStoreStats {
    let oldestMs: number | undefined;
    for (const { samples } of this.#series.values())
      if (samples.firstMs !== undefined && samples.firstMs < (oldestMs ?? Infinity)) oldestMs = samples.firstMs;
    return {
      series: this.#series.size,
      sampleBytes: this.#sampleBytes,
      appended: this.#appended,
      refused: Object.fromEntries(this.#refused),
      oldestMs,
    };
  }

  get retentionMs(): number {
    return this.#retentionMs;
  }

  /** The series with these labels. Creates it if there is room. Keep the result to append without a lookup. */
  open(labels: Labels): StoredSeries | undefined {
    const key = labelsKey(labels);
    const known = this.#series.get(key);
    if (known !== undefined) return known;
    if (this.#series.size >= this.#maxSeries) {
      this.#refuse("series-limit");
      return undefined;
    }
    const series = { labels, samples: new SeriesSamples() };
    this.#series.set(key, series);
    this.#sampleBytes += series.samples.bytes;
    for (const [name, value] of labels) this.#postings(name, value).add(series);
    return series;
  }

  #postings(name: string, value: string): Set<StoredSeries> {
    let values = this.#index.get(name);
    if (values === undefined) this.#index.set(name, (values = new Map()));
    let postings = values.get(value);
    if (postings === undefined) values.set(value, (postings = new Set()));
    return postings;
  }

  /** Returns false if the sample was refused. `stats` has the reason. */
  append(labels: Labels, timestampMs: number, value: number): boolean {
    const series = this.open(labels);
    if (series === undefined) return false;
    const { samples } = series;
    const before = samples.bytes;
    const isTaken = samples.append(timestampMs, value);
    this.#sampleBytes += samples.bytes - before;
    if (isTaken) this.#appended += 1;
    else this.#refuse("out-of-order");
    if (this.#sampleBytes > this.#maxSampleBytes) this.#forgetOldest();
    return isTaken;
  }

  #refuse(reason: string): void {
    this.#refused.set(reason, (this.#refused.get(reason) ?? 0) + 1);
  }

  /** Marks a series as no longer exposed. It has no value until the next append. */
  end(labels: Labels, timestampMs: number): void {
    const samples = this.#series.get(labelsKey(labels))?.samples;
    if (samples === undefined) return;
    const before = samples.bytes;
    samples.end(timestampMs);
    this.#sampleBytes += samples.bytes - before;
  }

  /** Drops samples older than the retention. */
  prune(nowMs: number): void {
    this.#forgetBefore(nowMs - this.#retentionMs);
  }

  #forgetOldest(): void {
    const { oldestMs = 0 } = this.stats;
    let newestMs = oldestMs;
    for (const { samples } of this.#series.values()) newestMs = Math.max(newestMs, samples.lastMs);
    for (let share = forgottenShare; share <= 1 && this.#sampleBytes > this.#maxSampleBytes; share += forgottenShare) {
      this.#forgetBefore(oldestMs + (newestMs - oldestMs) * share);
    }
  }

  #forgetBefore(timeMs: number): void {
    for (const [key, series] of this.#series) {
      const before = series.samples.bytes;
      const isKept = series.samples.forgetBefore(timeMs);
      this.#sampleBytes += series.samples.bytes - before;
      if (isKept) continue;
      this.#series.delete(key);
      this.#sampleBytes -= series.samples.bytes;
      for (const [name, value] of series.labels) this.#unindex(name, value, series);
    }
  }

  #unindex(name: string, value: string, series: StoredSeries): void {
    const values = this.#index.get(name);
    const postings = values?.get(value);
    postings?.delete(series);
    if (postings?.size === 0) values?.delete(value);
    if (values?.size === 0) this.#index.delete(name);
  }

  select(matchers: readonly Matcher[], fromMs: number, toMs: number): readonly SeriesSlice[] {
    const slices: SeriesSlice[] = [];
    for (const { labels, samples } of this.#matching(matchers)) {
      if (samples.lastMs <= fromMs) continue;
      const slice = samples.between(fromMs, toMs);
      if (slice.timesMs.length > 0) slices.push({ labels, ...slice });
    }
    return slices;
  }

  /** The labels of series that have samples in (fromMs, toMs] and match all matchers. */
  series(matchers: readonly Matcher[], fromMs: number, toMs: number): Labels[] {
    return this.#matching(matchers)
      .filter(({ samples }) => samples.hasBetween(fromMs, toMs))
      .map(({ labels }) => labels);
  }

  labelNames(): string[] {
    return [...this.#index.keys()].sort();
  }

  labelValues(name: string): string[] {
    return [...(this.#index.get(name)?.keys() ?? [])].sort();
  }

  /** The metrics with the most series, to find what fills the store. */
  largestMetrics(count: number): { readonly name: string; readonly value: number }[] {
    const sizes = [...(this.#index.get(metricName) ?? [])].map(([name, postings]) => ({ name, value: postings.size }));
    return sizes.toSorted((a, b) => b.value - a.value).slice(0, count);
  }

  #matching(matchers: readonly Matcher[]): readonly StoredSeries[] {
    let fewest: Iterable<StoredSeries> = this.#series.values();
    let least = Infinity;
    for (const { name, operator, value } of matchers) {
      if (operator !== "=" || value === "") continue;
      const postings = this.#index.get(name)?.get(value);
      if (postings === undefined) return [];
      if (postings.size < least) {
        fewest = postings;
        least = postings.size;
      }
    }
    return [...fewest].filter(({ labels }) => matchers.every(({ name, matches }) => matches(labels.get(name) ?? "")));
  }
}
