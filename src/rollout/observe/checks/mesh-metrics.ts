import type { Clock } from "../../../base/index.ts";
import { SampleStore } from "../../../metrics-store/index.ts";
import { labelsKey, labelsOf, metricName, type Labels } from "../../../promql/index.ts";
import type { ClusterView } from "../cluster-view.ts";
import { scrapeAll } from "./counters.ts";
import { podName } from "../live-pods.ts";
import type { Scrape } from "./scrape.ts";

const maxSeries = 50_000;
const maxSampleBytes = 32 << 20;
const retentionMs = 3_600_000;
/** Scrapes begin at least this long apart. Queries in between use the last one. */
const scrapeEveryMs = 1000;
/** The metrics to keep. Others, such as those with Envoy's names, are left out. */
const kept = /^(istio|serin|pilot)_/;

/** Stores the mesh's metrics of the last hour, for queries without a Prometheus. Only query checks fill it. */
export class MeshMetrics {
  readonly store = new SampleStore({ maxSeries, maxSampleBytes, retentionMs });
  readonly #view: ClusterView;
  readonly #scrape: Scrape;
  readonly #clock: Clock;
  readonly #originMs: number;
  #scraped: Promise<string> | undefined;
  #scrapedAtMs = -Infinity;
  #exposed = new Map<string, Labels>();

  constructor(view: ClusterView, scrape: Scrape, clock: Clock) {
    this.#view = view;
    this.#scrape = scrape;
    this.#clock = clock;
    this.#originMs = clock.nowMs() - clock.steadyMs();
  }

  /**
   * The time of the samples. It comes from the steady clock, because the store accepts no sample that is older than the
   * last one.
   */
  get nowMs(): number {
    return this.#originMs + this.#clock.steadyMs();
  }

  /**
   * Adds the current metrics of all proxies, unless the last scrape began less than `everyMs` ago. Returns why that
   * failed, or an empty text.
   */
  async refresh(everyMs: number = scrapeEveryMs): Promise<string> {
    const nowMs = this.#clock.steadyMs();
    if (this.#scraped !== undefined && nowMs - this.#scrapedAtMs < everyMs) return await this.#scraped;
    this.#scrapedAtMs = nowMs;
    this.#scraped = this.#scrapeAll();
    return await this.#scraped;
  }

  async #scrapeAll(): Promise<string> {
    const { answers, problem } = await scrapeAll(this.#view, { type: "mesh" }, this.#scrape);
    const { nowMs } = this;
    const exposed = new Map<string, Labels>();
    for (const { proxy, samples } of answers) {
      const { namespace = "", name = "" } = proxy.pod.metadata;
      for (const sample of samples) {
        if (!kept.test(sample.name)) continue;
        // The last labels of a name win. Otherwise a pod could write series in the name of another pod.
        const labels = labelsOf([
          ...Object.entries(sample.labels),
          [metricName, sample.name],
          ["job", "serin-rollout"],
          ["instance", podName(proxy.pod)],
          ["pod", name],
          ["namespace", namespace],
        ]);
        const owner = { namespace, target: name };
        if (this.store.append(labels, nowMs, sample.value, owner)) exposed.set(labelsKey(labels), labels);
      }
    }
    for (const [key, labels] of this.#exposed) if (!exposed.has(key)) this.store.end(labels, nowMs);
    this.#exposed = exposed;
    this.store.prune(nowMs);
    return answers.length === 0 ? problem : "";
  }
}
