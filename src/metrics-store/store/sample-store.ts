import {
  labelsKey,
  metricName,
  type Labels,
  type Matcher,
  type SampleSource,
  type SeriesSlice,
} from "../../promql/index.ts";
import { SeriesSamples } from "./series-samples.ts";
import { maxSharedLength, SharedTexts, textBytes } from "./shared-texts.ts";
import {
  largestTarget,
  seriesOf,
  StoreUsage,
  type NamespaceUsage,
  type SeriesOwner,
  type StoredSeries,
} from "./store-usage.ts";

export interface SampleStoreOptions {
  readonly maxSeries?: number;
  /** The maximum size of all labels with their index. */
  readonly maxLabelBytes?: number;
  /** The maximum size of all samples. Beyond it, the namespace with the most samples loses its oldest ones. */
  readonly maxSampleBytes?: number;
  /** The age at which samples are dropped. */
  readonly retentionMs?: number;
}

export interface SampleStoreStats {
  readonly series: number;
  readonly labelBytes: number;
  readonly sampleBytes: number;
  readonly appended: number;
  /** How many samples were refused for each reason: `series-limit`, `out-of-order`, `out-of-bounds`. */
  readonly refused: Readonly<Record<string, number>>;
  /** How many series were dropped early to make room. */
  readonly dropped: number;
  readonly oldestMs: number | undefined;
}

const defaultMaxSeries = 100_000;
/** It suffices for the maximum number of series if they are Istio's standard ones, which take almost 4 KB each. */
const defaultMaxLabelBytes = 384 << 20;
const defaultMaxSampleBytes = 96 << 20;
const defaultRetentionMs = 15 * 86_400_000;
/**
 * If there are too many samples, the store drops the oldest samples of a namespace in steps of this share of their time
 * range. If that does not suffice, it drops this share of the namespace's series.
 */
const forgottenShare = 0.1;
/**
 * Making room frees so much that this share of the limit is used. It reads all series of a namespace, so it must not
 * happen often.
 */
const goalShare = 0.95;
/** The approximate memory of one label in its series and in the index, apart from its text. */
const labelPlaceBytes = 64;
/** The approximate memory of a name, or of one of its values, in the index, apart from its text. */
const indexPlaceBytes = 200;
const unknownOwner: SeriesOwner = { namespace: "", target: "" };

type ValueIndex = Map<string, Set<StoredSeries>>;

/**
 * Stores samples in memory and finds them by labels. It never exceeds its limits. A full store drops series of the
 * namespace that uses the most. A read sees everything that was appended before it.
 */
export class SampleStore implements SampleSource {
  readonly #maxSeries: number;
  readonly #maxLabelBytes: number;
  readonly #maxSampleBytes: number;
  readonly #retentionMs: number;
  readonly #series = new Map<string, StoredSeries>();
  readonly #index = new Map<string, ValueIndex>();
  readonly #usage: StoreUsage;
  readonly #refused = new Map<string, number>();
  /** The texts that the labels of new series share. */
  readonly texts = new SharedTexts();
  #appended = 0;
  #dropped = 0;
  #labelBytes = 0;
  #sampleBytes = 0;

  constructor({
    maxSeries = defaultMaxSeries,
    maxLabelBytes = defaultMaxLabelBytes,
    maxSampleBytes = defaultMaxSampleBytes,
    retentionMs = defaultRetentionMs,
  }: SampleStoreOptions = {}) {
    this.#maxSeries = maxSeries;
    this.#maxLabelBytes = maxLabelBytes;
    this.#usage = new StoreUsage({ maxSeries, maxLabelBytes });
    this.#maxSampleBytes = maxSampleBytes;
    this.#retentionMs = retentionMs;
  }

  get stats(): SampleStoreStats {
    let oldestMs: number | undefined;
    for (const { samples } of this.#series.values())
      if (samples.firstMs !== undefined && samples.firstMs < (oldestMs ?? Infinity)) oldestMs = samples.firstMs;
    return {
      series: this.#series.size,
      labelBytes: this.#labelBytes,
      sampleBytes: this.#sampleBytes,
      appended: this.#appended,
      refused: Object.fromEntries(this.#refused),
      dropped: this.#dropped,
      oldestMs,
    };
  }

  get retentionMs(): number {
    return this.#retentionMs;
  }

  /** The series with these labels, which is created if there is room. Undefined if there is no room. */
  #open(labels: Labels, owner: SeriesOwner): StoredSeries | undefined {
    const key = labelsKey(labels);
    const known = this.#series.get(key);
    if (known !== undefined) return known;
    const labelBytes = labelBytesOf(labels);
    if (!this.#makeRoom(labels, labelBytes, owner)) {
      this.refuse("series-limit");
      return undefined;
    }
    const series = { labels, samples: new SeriesSamples(), owner, labelBytes, placeBytes: this.#newPlaceBytes(labels) };
    this.#series.set(key, series);
    this.#usage.add(series);
    this.#labelBytes += labelBytes;
    this.#sampleBytes += series.samples.bytes;
    for (const [name, value] of labels) this.#postings(name, value).add(series);
    return series;
  }

  /** The memory that the index needs for names and values that are new to it. */
  #newPlaceBytes(labels: Labels): number {
    let bytes = 0;
    for (const [name, value] of labels) {
      const values = this.#index.get(name);
      if (values === undefined) bytes += placeBytesOf(name);
      if (values?.has(value) !== true) bytes += placeBytesOf(value);
    }
    return bytes;
  }

  #makeRoom(labels: Labels, labelBytes: number, owner: SeriesOwner): boolean {
    // A dropped series may remove values from the index that these labels need, so compute the new places in each
    // round.
    while (
      this.#series.size >= this.#maxSeries ||
      this.#labelBytes + labelBytes + this.#newPlaceBytes(labels) > this.#maxLabelBytes
    ) {
      const surplus = this.#usage.surplus(owner);
      if (surplus === undefined) return false;
      this.#drop(surplus);
      this.#dropped += 1;
    }
    return true;
  }

  #postings(name: string, value: string): Set<StoredSeries> {
    let values = this.#index.get(name);
    if (values === undefined) {
      this.#index.set(name, (values = new Map()));
      this.#labelBytes += placeBytesOf(name);
    }
    let postings = values.get(value);
    if (postings === undefined) {
      values.set(value, (postings = new Set()));
      this.#labelBytes += placeBytesOf(value);
    }
    return postings;
  }

  /**
   * Appends a sample. Returns false if it is refused, and counts the reason in `stats`. A series keeps its first owner.
   */
  append(labels: Labels, timestampMs: number, value: number, owner = unknownOwner): boolean {
    const series = this.#open(labels, owner);
    if (series === undefined) return false;
    let isTaken = false;
    this.#change(series, (samples) => {
      isTaken = samples.append(timestampMs, value);
    });
    if (isTaken) this.#appended += 1;
    else this.refuse("out-of-order");
    if (this.#sampleBytes > this.#maxSampleBytes) this.#forgetOldest();
    return isTaken;
  }

  has(labels: Labels): boolean {
    return this.#series.has(labelsKey(labels));
  }

  refuse(reason: string): void {
    this.#refused.set(reason, (this.#refused.get(reason) ?? 0) + 1);
  }

  /** Marks a series as no longer exposed. It has no value then until the next append. */
  end(labels: Labels, timestampMs: number): void {
    const series = this.#series.get(labelsKey(labels));
    if (series !== undefined) this.#change(series, (samples) => samples.end(timestampMs));
  }

  #change(series: StoredSeries, change: (samples: SeriesSamples) => void): void {
    const { samples } = series;
    const usage = this.#usage.of(series);
    const before = samples.bytes;
    change(samples);
    usage.sampleBytes += samples.bytes - before;
    this.#sampleBytes += samples.bytes - before;
    if (samples.isEnded) usage.ended.add(series);
    else usage.ended.delete(series);
  }

  /** Drops samples that are older than the retention. */
  prune(nowMs: number): void {
    const timeMs = nowMs - this.#retentionMs;
    for (const series of this.#series.values()) if (!this.#forgetBefore(series, timeMs)) this.#drop(series);
  }

  #forgetOldest(): void {
    const goal = this.#maxSampleBytes * goalShare;
    while (this.#sampleBytes > goal) {
      const usage = this.#usage.largest();
      if (usage === undefined) return;
      if (this.#forgetOldestOf(usage, goal)) continue;
      do this.#thin(usage);
      while (this.#sampleBytes > goal && this.#usage.largest() === usage);
    }
  }

  /**
   * Drops the oldest samples of a namespace, and ended series that have no others. Live series stay, even if they look
   * old because they were not yet scraped in this interval. Returns false if nothing could be dropped.
   */
  #forgetOldestOf(usage: NamespaceUsage, goal: number): boolean {
    const before = this.#sampleBytes;
    let [oldestMs, newestMs] = [Infinity, -Infinity];
    for (const { samples } of seriesOf(usage)) {
      oldestMs = Math.min(oldestMs, samples.firstMs ?? Infinity);
      newestMs = Math.max(newestMs, samples.lastMs);
    }
    for (let step = 1; step * forgottenShare <= 1; step += 1) {
      const timeMs = oldestMs + (newestMs - oldestMs) * step * forgottenShare;
      for (const series of seriesOf(usage)) {
        if (this.#forgetBefore(series, timeMs) || !series.samples.isEnded) continue;
        this.#drop(series);
        this.#dropped += 1;
      }
      if (this.#sampleBytes <= goal || this.#usage.largest() !== usage) break;
    }
    return this.#sampleBytes < before;
  }

  /** Drops a share of a namespace's series: ended ones or, if there are none, those of its largest target. */
  #thin(usage: NamespaceUsage): void {
    const series = [...(usage.ended.size > 0 ? usage.ended : largestTarget(usage))];
    const count = Math.ceil(series.length * forgottenShare);
    for (const dropped of series.slice(0, count)) this.#drop(dropped);
    this.#dropped += count;
  }

  /** Drops the samples before a time. Returns false if the series has no later sample. */
  #forgetBefore(series: StoredSeries, timeMs: number): boolean {
    let isNewer = true;
    this.#change(series, (samples) => {
      isNewer = samples.forgetBefore(timeMs);
    });
    return isNewer;
  }

  #drop(series: StoredSeries): void {
    this.#series.delete(labelsKey(series.labels));
    this.#usage.remove(series);
    this.#labelBytes -= series.labelBytes;
    this.#sampleBytes -= series.samples.bytes;
    for (const [name, value] of series.labels) this.#unindex(name, value, series);
  }

  #unindex(name: string, value: string, series: StoredSeries): void {
    const values = this.#index.get(name);
    const postings = values?.get(value);
    postings?.delete(series);
    if (postings?.size === 0) {
      values?.delete(value);
      this.#labelBytes -= placeBytesOf(value);
    }
    if (values?.size === 0) {
      this.#index.delete(name);
      this.#labelBytes -= placeBytesOf(name);
    }
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

  /** The labels of the series that meet all matchers and have samples in (fromMs, toMs]. */
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

  /** The metrics with the most series, which show what fills the store. */
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

/**
 * The memory of a series' labels: the key, which repeats all texts, the labels' places, and the texts that are too long
 * to be shared.
 */
function labelBytesOf(labels: Labels): number {
  let bytes = textBytes(labelsKey(labels)) + labels.size * labelPlaceBytes;
  for (const label of labels) for (const text of label) if (text.length > maxSharedLength) bytes += textBytes(text);
  return bytes;
}

function placeBytesOf(text: string): number {
  return textBytes(text) + indexPlaceBytes;
}
