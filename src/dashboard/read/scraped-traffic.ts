import { setImmediate } from "node:timers/promises";
import type { SourceState } from "../../api/dashboard/index.ts";
import { combineTraffic, type CountedTraffic, type MeasuredTraffic } from "../views/index.ts";
import { TrafficScraper, type TrafficScraperOptions } from "./traffic-scraper.ts";
import type { ProcessSteps, TrafficSource, TrafficSteps } from "./traffic-source.ts";

/** The maximum number of measurements that are cached, for requests with the same window. */
const maxKeptMeasurements = 16;
/** The longest window that is summed every second. A longer one has too many slots for that. */
const cheapWindowSeconds = 180;
const longWindowShare = 0.01;

/** Traffic that this process scrapes itself. */
export class ScrapedTraffic implements TrafficSource {
  readonly #scraper: TrafficScraper;
  readonly #kept = new Map<
    string,
    { readonly madeMs: number; readonly version: number; readonly traffic: MeasuredTraffic }
  >();
  #version = 0;

  constructor(options: Omit<TrafficScraperOptions, "onCounted"> & { readonly onCounted: () => void }) {
    this.#scraper = new TrafficScraper({
      ...options,
      onCounted: () => {
        this.#version += 1;
        options.onCounted();
      },
    });
  }

  get version(): number {
    return this.#version;
  }

  source(): SourceState {
    return this.#scraper.source();
  }

  async run(signal: AbortSignal): Promise<void> {
    await this.#scraper.run(signal);
  }

  async measure(windowSeconds: number, atMs: number): Promise<MeasuredTraffic> {
    const { history } = this.#scraper;
    const key = `${windowSeconds} ${atMs}`;
    const latestMs = history.latestMs ?? 0;
    const kept = this.#kept.get(key);
    const renewMs = windowSeconds <= cheapWindowSeconds ? 0 : windowSeconds * 1000 * longWindowShare;
    if (kept !== undefined && (kept.version === this.#version || latestMs - kept.madeMs < renewMs)) return kept.traffic;
    const toMs = atMs === 0 ? latestMs : atMs;
    const counted = history.counted(toMs - windowSeconds * 1000, toMs);
    const traffic: MeasuredTraffic = {
      edges: combineTraffic(counted),
      windowSeconds,
      asOfMs: toMs,
      oldestMs: history.oldestMs,
    };
    this.#kept.delete(key);
    if (this.#kept.size >= maxKeptMeasurements) this.#kept.delete(this.#kept.keys().next().value ?? "");
    this.#kept.set(key, { madeMs: latestMs, version: this.#version, traffic });
    return traffic;
  }

  async steps<Value>(
    { firstMs, stepMs, points, windowMs }: TrafficSteps,
    valueOf: (counted: readonly CountedTraffic[]) => Value,
    signal?: AbortSignal,
  ): Promise<readonly (Value | undefined)[]> {
    const { history } = this.#scraper;
    const { oldestMs = Infinity, latestMs = 0 } = history;
    const values: (Value | undefined)[] = [];
    for (let index = 0; index < points; index += 1) {
      const toMs = Math.round(firstMs + index * stepMs);
      if (toMs <= oldestMs || toMs - windowMs >= latestMs) {
        values.push(undefined);
        continue;
      }
      values.push(valueOf(history.counted(toMs - windowMs, toMs)));
      // In a large mesh, a point takes milliseconds. Let other work run between two points.
      await setImmediate();
      signal?.throwIfAborted();
    }
    return values;
  }

  async processes({
    subjects,
    of,
    firstMs,
    stepMs,
    points,
    windowMs,
  }: ProcessSteps): Promise<readonly (number | null)[]> {
    const { processes } = this.#scraper;
    return Array.from({ length: points }, (_, index) => {
      const atMs = Math.round(firstMs + index * stepMs);
      return subjects.reduce<number | null>((sum, { workload }) => {
        const value = processes.value(workload, of, atMs - windowMs, atMs);
        return value === null ? sum : (sum ?? 0) + value;
      }, null);
    });
  }
}
