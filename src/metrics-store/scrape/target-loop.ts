import { createHash } from "node:crypto";
import { messageOf, ownCopy, userError, type Clock } from "../../base/index.ts";
import type { BudgetShare, SharedBudget } from "../../base/shared-budget/index.ts";
import { labelsKey, labelsOf, metricName, type Labels } from "../../promql/index.ts";
import { lengthOfHead, readSampleText, readValue, SampleLines } from "../../telemetry/index.ts";
import { textBytes, type SampleStore } from "../store/index.ts";
import type { FetchMetrics } from "./fetch-metrics.ts";
import { relabel } from "./relabel.ts";
import type { ScrapeTurns } from "../../base/scrape-turns/index.ts";
import type { ScrapeTarget } from "./targets.ts";

export interface TargetHealth {
  readonly health: "unknown" | "up" | "down";
  readonly lastScrapeMs: number | undefined;
  readonly durationMs: number;
  /** Empty if the last scrape succeeded. */
  readonly lastError: string;
}

export interface TargetLoopOptions {
  readonly target: ScrapeTarget;
  readonly store: SampleStore;
  readonly fetch: FetchMetrics;
  readonly clock: Clock;
  /** The budget for the texts that all loops keep from the last scrapes: the heads of samples, and the types. */
  readonly texts: SharedBudget;
  readonly turns: ScrapeTurns;
}

/** The maximum number of series that one target may expose at once. */
const maxSeriesATarget = 50_000;
/** The maximum number of lines of a response. Comments, and samples that rules drop, count too. */
const maxLines = 500_000;
const maxTypesATarget = 5_000;
/** The maximum length of a sample's name and labels together. */
const maxHeadCharacters = 16_384;
const maxLabels = 128;
/** The approximate memory of a kept head or type, apart from its text. */
const entryOverheadBytes = 128;
/** After this time, other work has its turn. */
const sliceMs = 10;
/**
 * How far the time that a target gives a sample may be in the past or the future, as in Prometheus. Other samples are
 * refused. A sample far in the future would block its series, because a series accepts no sample that is older than its
 * last one, and another target may write the same series.
 */
const maxPastMs = 3_600_000;
const maxFutureMs = 600_000;

/** The content type of OpenMetrics, whose timestamps are in seconds. */
const openMetrics = /^application\/openmetrics-text\b/i;

/** A series that the target exposed in the last scrape. */
interface ExposedSeries {
  readonly labels: Labels;
  /** The number of the last scrape with the series. */
  scrape: number;
  /**
   * Whether the store had room for the series. If not, nothing limits the memory of the series here, so it is not kept.
   */
  isStored: boolean;
}

/**
 * The series that a head means. A head is the text of a sample's name and labels, as the target writes it. Undefined if
 * the job's rules drop the series.
 */
interface KnownHead {
  readonly series: ExposedSeries | undefined;
  /** What the head counts in the budget for texts. */
  readonly size: number;
  scrape: number;
}

interface ScrapeCounts {
  scraped: number;
  kept: number;
  added: number;
}

interface ReadSample {
  readonly series: ExposedSeries;
  readonly value: number;
  readonly timestampMs: number | undefined;
}

/**
 * Scrapes one target at its interval. When the target no longer exposes a series, the loop marks the series as ended.
 */
export class TargetLoop {
  readonly target: ScrapeTarget;
  readonly #options: TargetLoopOptions;
  #health: TargetHealth = { health: "unknown", lastScrapeMs: undefined, durationMs: 0, lastError: "" };
  /** The series of the last scrape, by {@link labelsKey}. */
  readonly #exposed = new Map<string, ExposedSeries>();
  /**
   * The known heads. A head finds its series without reading the labels again. A head for which the budget has no room
   * is read in each scrape.
   */
  readonly #heads = new Map<string, KnownHead>();
  #scrapes = 0;
  #types: ReadonlyMap<string, string> = new Map();
  /** The unit of the timestamps in the present response, in milliseconds. */
  #timestampUnitMs = 1;
  /** What the types use of the budget for texts. */
  readonly #typesShare: BudgetShare;
  /** What the heads use of the budget for texts. */
  readonly #headsShare: BudgetShare;

  constructor(options: TargetLoopOptions) {
    this.target = options.target;
    this.#options = options;
    const { namespace } = options.target.owner;
    this.#typesShare = options.texts.share(namespace);
    this.#headsShare = options.texts.share(namespace);
  }

  get types(): ReadonlyMap<string, string> {
    return this.#types;
  }

  get health(): TargetHealth {
    return this.#health;
  }

  async run(signal: AbortSignal): Promise<void> {
    const { target, clock } = this.#options;
    try {
      await clock.sleep(this.#firstDelayMs(clock.nowMs()), signal);
      for (;;) {
        const startedMs = clock.nowMs();
        await this.scrape(signal);
        await clock.sleep(Math.max(0, target.intervalMs - (clock.nowMs() - startedMs)), signal);
      }
    } catch (error) {
      if (!signal.aborted) throw error;
    } finally {
      this.#end(clock.nowMs());
    }
  }

  /**
   * The time until the first scrape. It depends on the target's key, so that scrapes of many targets are spread over
   * time. It is short, so that there are samples soon.
   */
  #firstDelayMs(nowMs: number): number {
    const { target } = this.#options;
    const spreadMs = Math.min(target.intervalMs, 5_000);
    const offsetMs = createHash("md5").update(target.key).digest().readUInt32BE(0) % spreadMs;
    return (offsetMs - (nowMs % spreadMs) + spreadMs) % spreadMs;
  }

  /** Scrapes once. Stores the samples, and metrics about the scrape itself (`up`, `scrape_…`). */
  async scrape(signal: AbortSignal): Promise<void> {
    const { target, fetch, clock } = this.#options;
    const timestampMs = clock.nowMs();
    const timeout = AbortSignal.timeout(target.timeoutMs);
    let lastError = "";
    let isRead = false;
    const counts: ScrapeCounts = { scraped: 0, kept: 0, added: 0 };
    try {
      await fetch(target, AbortSignal.any([signal, timeout]), async (text, contentType) => {
        isRead = true;
        this.#timestampUnitMs = openMetrics.test(contentType) ? 1000 : 1;
        await this.#read(text, timestampMs, counts, signal);
      });
    } catch (error) {
      if (signal.aborted) throw error;
      lastError =
        timeout.aborted && !isRead
          ? `no complete answer within ${target.timeoutMs / 1000} s, which is the scrape_timeout`
          : messageOf(error);
      this.#endExposed(timestampMs);
    }
    const durationMs = clock.nowMs() - timestampMs;
    this.#health = { health: lastError === "" ? "up" : "down", lastScrapeMs: timestampMs, durationMs, lastError };
    this.#report(timestampMs, {
      up: lastError === "" ? 1 : 0,
      scrape_duration_seconds: durationMs / 1000,
      scrape_samples_scraped: counts.scraped,
      scrape_samples_post_metric_relabeling: counts.kept,
      scrape_series_added: counts.added,
    });
  }

  async #read(text: string, timestampMs: number, counts: ScrapeCounts, signal: AbortSignal): Promise<void> {
    this.#scrapes += 1;
    const before = this.#exposed.size;
    const samples: ReadSample[] = [];
    const lines = new SampleLines(text, maxTypesATarget);
    await this.#inSlices(lines, signal, (line) => {
      counts.scraped += 1;
      const sample = this.#sampleOf(line, lines.lineNumber);
      if (sample !== undefined) samples.push(sample);
      if (samples.length > maxSeriesATarget)
        throw userError("sample-limit", `more than ${maxSeriesATarget} samples, which is the limit for one target`);
    });
    this.#learn(lines.types);
    this.#checkCount(samples.length);
    counts.kept = samples.length;
    counts.added = this.#exposed.size - before;
    await this.#append(samples, timestampMs);
  }

  /** Calls `read` with the line of each sample, in slices of time. Queries can be answered between them. */
  async #inSlices(lines: SampleLines, signal: AbortSignal, read: (line: string) => void): Promise<void> {
    const slice = await this.#beginSlice();
    for (let line = lines.next(); line !== undefined; line = lines.next()) {
      if (line !== "") read(line);
      if (lines.lineNumber > maxLines)
        throw userError("sample-limit", `the answer has more than ${maxLines} lines, which is the limit`);
      if (lines.lineNumber % 64 !== 0) continue;
      await slice();
      signal.throwIfAborted();
    }
  }

  /**
   * Waits for a turn. The returned function must be called between units of work: if the slice is over, it waits for
   * the next turn.
   */
  async #beginSlice(): Promise<() => Promise<void>> {
    const { clock, turns } = this.#options;
    const { namespace } = this.target.owner;
    await turns.next(namespace);
    let sliceFromMs = clock.steadyMs();
    return async () => {
      if (clock.steadyMs() - sliceFromMs < sliceMs) return;
      await turns.next(namespace);
      sliceFromMs = clock.steadyMs();
    };
  }

  #learn(types: ReadonlyMap<string, string>): void {
    this.#forgetTypes();
    const { texts } = this.#options.store;
    const known = new Map<string, string>();
    for (const [name, type] of types) {
      const size = textBytes(name) + textBytes(type) + entryOverheadBytes;
      if (!this.#typesShare.add(size)) break;
      known.set(texts.of(name), texts.of(type));
    }
    this.#types = known;
  }

  #forgetTypes(): void {
    this.#typesShare.set(0);
    this.#types = new Map();
  }

  #checkCount(count: number): void {
    const { sampleLimit } = this.target.job;
    if (sampleLimit > 0 && count > sampleLimit)
      throw userError("sample-limit", `${count} samples, but the job's sample_limit is ${sampleLimit}`);
  }

  #sampleOf(line: string, lineNumber: number): ReadSample | undefined {
    const length = lengthOfHead(line);
    const { series } = this.#headOf(line, length, lineNumber);
    const { value, timestamp } = readValue(line, length, lineNumber);
    if (series === undefined) return undefined;
    const isUsed = this.target.job.honorTimestamps && timestamp !== undefined;
    return { series, value, timestampMs: isUsed ? timestamp * this.#timestampUnitMs : undefined };
  }

  #headOf(line: string, length: number, lineNumber: number): KnownHead {
    if (length > maxHeadCharacters)
      throw userError(
        "sample-limit",
        `line ${lineNumber}: the name and the labels have ${length} characters, at most ${maxHeadCharacters} are allowed`,
      );
    const text = line.slice(0, length);
    let head = this.#heads.get(text);
    if (head === undefined) {
      head = this.#newHead(line, length, lineNumber);
      if (this.#headsShare.add(head.size)) this.#heads.set(ownCopy(text), head);
    }
    head.scrape = this.#scrapes;
    if (head.series !== undefined) head.series.scrape = this.#scrapes;
    return head;
  }

  #newHead(line: string, length: number, lineNumber: number): KnownHead {
    const { name, labels } = readSampleText(line, lineNumber);
    const count = Object.keys(labels).length;
    if (count > maxLabels)
      throw userError(
        "sample-limit",
        `line ${lineNumber}: there are ${count} labels, at most ${maxLabels} are allowed`,
      );
    const size = textBytes(line.slice(0, length)) + entryOverheadBytes;
    return { series: this.#seriesOf(name, labels), size, scrape: this.#scrapes };
  }

  /** The series with its final labels. Undefined if the job's rules drop it. */
  #seriesOf(name: string, exposed: Readonly<Record<string, string>>): ExposedSeries | undefined {
    const { job, labels: own } = this.target;
    const merged = new Map<string, string>([[metricName, name]]);
    for (const [label, value] of Object.entries(exposed))
      merged.set(job.honorLabels || !own.has(label) ? label : `exported_${label}`, value);
    for (const [label, value] of own)
      if (!job.honorLabels || (merged.get(label) ?? "") === "") merged.set(label, value);
    const relabelled = relabel(merged, job.metricRelabelRules);
    if (relabelled === undefined) return undefined;
    const { texts } = this.#options.store;
    const labels = labelsOf([...relabelled].map(([label, value]) => [texts.of(label), texts.of(value)] as const));
    const key = labelsKey(labels);
    let series = this.#exposed.get(key);
    if (series === undefined) this.#exposed.set(key, (series = { labels, scrape: this.#scrapes, isStored: false }));
    return series;
  }

  /**
   * Appends the samples of a scrape to the store, and ends the series that the scrape no longer has. Forgets a series
   * for which the store has no room, because nothing else limits the memory of such series.
   */
  async #append(samples: readonly ReadSample[], timestampMs: number): Promise<void> {
    const { store } = this.#options;
    const { owner } = this.target;
    const slice = await this.#beginSlice();
    for (const [index, { series, value, timestampMs: own = timestampMs }] of samples.entries()) {
      if (own < timestampMs - maxPastMs || own > timestampMs + maxFutureMs) store.refuse("out-of-bounds");
      else store.append(series.labels, own, value, owner);
      series.isStored = store.has(series.labels);
      if (index % 64 === 63) await slice();
    }
    for (const [key, { labels, scrape, isStored }] of this.#exposed) {
      if (scrape === this.#scrapes && isStored) continue;
      this.#exposed.delete(key);
      store.end(labels, timestampMs);
    }
    for (const [text, head] of this.#heads)
      if (head.scrape !== this.#scrapes || head.series?.isStored === false) this.#forgetHead(text, head);
  }

  #forgetHead(text: string, { size }: KnownHead): void {
    this.#heads.delete(text);
    this.#headsShare.add(-size);
  }

  #endExposed(timestampMs: number): void {
    for (const { labels } of this.#exposed.values()) this.#options.store.end(labels, timestampMs);
    this.#exposed.clear();
    for (const [text, head] of this.#heads) this.#forgetHead(text, head);
    this.#forgetTypes();
  }

  #report(timestampMs: number, values: Readonly<Record<string, number>>): void {
    const { labels, owner } = this.target;
    for (const [name, value] of Object.entries(values))
      this.#options.store.append(labelsOf([[metricName, name], ...labels]), timestampMs, value, owner);
  }

  /** Marks all series as ended, because the target no longer exists. */
  #end(timestampMs: number): void {
    this.#endExposed(timestampMs);
    for (const name of [
      "up",
      "scrape_duration_seconds",
      "scrape_samples_scraped",
      "scrape_samples_post_metric_relabeling",
      "scrape_series_added",
    ]) {
      this.#options.store.end(labelsOf([[metricName, name], ...this.target.labels]), timestampMs);
    }
  }
}
