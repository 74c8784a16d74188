import { createHash } from "node:crypto";
import { messageOf, userError, type Clock } from "../../base/index.ts";
import { labelsKey, labelsOf, metricName, type Labels } from "../../promql/index.ts";
import { parsePrometheus, type PrometheusSample } from "../../telemetry/index.ts";
import type { SampleStore } from "../store/index.ts";
import type { FetchMetrics } from "./fetch-metrics.ts";
import { relabel } from "./relabel.ts";
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
  /** Reports the types that targets declare, by metric family. */
  readonly learn: (types: ReadonlyMap<string, string>) => void;
}

/** The number of series that one target may expose at once. */
const maxSeriesATarget = 50_000;

/** Scrapes one target repeatedly, and marks the end of its series. */
export class TargetLoop {
  readonly target: ScrapeTarget;
  readonly #options: TargetLoopOptions;
  #health: TargetHealth = { health: "unknown", lastScrapeMs: undefined, durationMs: 0, lastError: "" };
  /** The series of the last scrape, by the text of their labels. */
  #exposed = new Map<string, Labels>();

  constructor(options: TargetLoopOptions) {
    this.target = options.target;
    this.#options = options;
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

  /** Spreads targets over the interval by their key. The first scrape still comes soon. */
  #firstDelayMs(nowMs: number): number {
    const { target } = this.#options;
    const spreadMs = Math.min(target.intervalMs, 5_000);
    const offsetMs = createHash("md5").update(target.key).digest().readUInt32BE(0) % spreadMs;
    return (offsetMs - (nowMs % spreadMs) + spreadMs) % spreadMs;
  }

  /** Makes one scrape. Stores its samples and the metrics about it (`up`, `scrape_…`). */
  async scrape(signal: AbortSignal): Promise<void> {
    const { target, fetch, clock } = this.#options;
    const timestampMs = clock.nowMs();
    let lastError = "";
    let samples: readonly PrometheusSample[] = [];
    let kept = 0;
    let added = 0;
    try {
      const text = await fetch(target, AbortSignal.any([signal, AbortSignal.timeout(target.timeoutMs)]));
      const parsed = parsePrometheus(text);
      this.#options.learn(parsed.types);
      samples = parsed.samples;
      const labelled = samples.flatMap((sample) => this.#labelled(sample));
      this.#checkCount(labelled.length);
      kept = labelled.length;
      added = this.#append(labelled, timestampMs);
    } catch (error) {
      if (signal.aborted) throw error;
      lastError = messageOf(error);
      this.#endExposed(timestampMs);
    }
    const durationMs = clock.nowMs() - timestampMs;
    this.#health = { health: lastError === "" ? "up" : "down", lastScrapeMs: timestampMs, durationMs, lastError };
    this.#report(timestampMs, {
      up: lastError === "" ? 1 : 0,
      scrape_duration_seconds: durationMs / 1000,
      scrape_samples_scraped: samples.length,
      scrape_samples_post_metric_relabeling: kept,
      scrape_series_added: added,
    });
  }

  #checkCount(count: number): void {
    const { sampleLimit } = this.target.job;
    if (sampleLimit > 0 && count > sampleLimit)
      throw userError("sample-limit", `${count} samples, but the job's sample_limit is ${sampleLimit}`);
    if (count > maxSeriesATarget)
      throw userError("sample-limit", `${count} samples, but one target may have at most ${maxSeriesATarget}`);
  }

  #labelled(
    sample: PrometheusSample,
  ): { readonly labels: Labels; readonly value: number; readonly timestampMs: number | undefined }[] {
    const { job, labels: own } = this.target;
    const merged = new Map<string, string>([[metricName, sample.name]]);
    for (const [name, value] of Object.entries(sample.labels))
      merged.set(job.honorLabels || !own.has(name) ? name : `exported_${name}`, value);
    for (const [name, value] of own) if (!job.honorLabels || (merged.get(name) ?? "") === "") merged.set(name, value);
    const relabelled = relabel(merged, job.metricRelabelRules);
    if (relabelled === undefined) return [];
    return [
      {
        labels: labelsOf(relabelled),
        value: sample.value,
        timestampMs: job.honorTimestamps ? sample.timestampMs : undefined,
      },
    ];
  }

  #append(
    samples: readonly { readonly labels: Labels; readonly value: number; readonly timestampMs: number | undefined }[],
    timestampMs: number,
  ): number {
    const { store } = this.#options;
    const exposed = new Map<string, Labels>();
    let added = 0;
    for (const sample of samples) {
      const key = labelsKey(sample.labels);
      const known = this.#exposed.get(key);
      if (known === undefined) added += 1;
      // Use the same object each time, because derived values are cached by it.
      const labels = known ?? sample.labels;
      exposed.set(key, labels);
      store.append(labels, sample.timestampMs ?? timestampMs, sample.value);
    }
    for (const [key, labels] of this.#exposed) if (!exposed.has(key)) store.end(labels, timestampMs);
    this.#exposed = exposed;
    return added;
  }

  #endExposed(timestampMs: number): void {
    for (const labels of this.#exposed.values()) this.#options.store.end(labels, timestampMs);
    this.#exposed = new Map();
  }

  #report(timestampMs: number, values: Readonly<Record<string, number>>): void {
    for (const [name, value] of Object.entries(values))
      this.#options.store.append(labelsOf([[metricName, name], ...this.target.labels]), timestampMs, value);
  }

  /** Marks all series as ended, because the target is gone. */
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
