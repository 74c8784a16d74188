import { randomUUID } from "node:crypto";
import type { PrometheusSample } from "../../../telemetry/index.ts";
import type { CheckObservation, CheckSubject } from "../../decide/index.ts";
import {
  addHistograms,
  gainOfBoth,
  noDurations,
  totalOf,
  type DurationHistogram,
} from "../../judge/duration-histogram.ts";
import type { ClusterView } from "../cluster-view.ts";
import { ReporterChoice, isCounted, requestsMetric, scrapeAll, type Answer } from "./counters.ts";
import { LastSeen } from "./last-seen.ts";
import { groupingOf, type Group, type Grouping, type Reporter } from "./sample-groups.ts";
import { podName } from "../live-pods.ts";
import type { Scrape } from "./scrape.ts";

/** A metric with finer buckets. Only Serin's own proxies have it. */
export const fineDurationMetric = "serin_request_duration_milliseconds";
const durationMetric = "istio_request_duration_milliseconds";
/** The counters of requests are scraped too, because they decide which reporter is chosen. */
const durationMetrics = [requestsMetric, fineDurationMetric, durationMetric];

type Sides = Readonly<Record<Group, DurationHistogram>>;

const noSides: Sides = { canary: noDurations, stable: noDurations };

/**
 * Sums the histograms of each version over all proxies. It adds each proxy's increases, so that a proxy that restarts
 * or comes later does not distort the sums. The sums begin anew with each observer, and `epoch` identifies the
 * observer.
 */
export class DurationObserver {
  readonly #epoch = randomUUID();
  readonly #last = new LastSeen<Sides>();
  readonly #choice = new ReporterChoice();
  #sums: Sides = noSides;

  async observe(view: ClusterView, subject: CheckSubject, scrape: Scrape, step = ""): Promise<CheckObservation> {
    const { answers, problem } = await scrapeAll(view, subject, scrape, durationMetrics, step);
    if (answers.length === 0) return { type: "unavailable", detail: problem };
    const grouping = groupingOf(view, subject, this.#choice.servers);
    const { changes } = this.#choice;
    const reporter = this.#choice.of(answers, subject, grouping);
    const first = this.#last.size === 0;
    // After a change, the new reporter's present counters become the baseline.
    if (this.#choice.changes > changes)
      for (const { proxy, samples } of answers)
        this.#last.set(podName(proxy.pod), readHistograms({ proxy, samples }, grouping, reporter));
    for (const answer of answers) this.#take(answer, readHistograms(answer, grouping, reporter), first);
    return {
      type: "durations",
      epoch: this.#epoch,
      ...this.#sums,
      sources: answers.map(({ proxy }) => podName(proxy.pod)),
    };
  }

  /**
   * Adds the proxy's increase since the last look. The very first look adds the proxies' whole counts, and the judge
   * takes them as its baseline. A proxy that appears later, or whose counts fell, adds nothing now, and its present
   * counts become the baseline.
   */
  #take({ proxy }: Answer, now: Sides, first: boolean): void {
    const key = podName(proxy.pod);
    const before = this.#last.get(key);
    this.#last.set(key, now);
    if (before === undefined && !first) return;
    const gain = gainOfBoth(before ?? noSides, now);
    if (gain === undefined) return;
    this.#sums = {
      canary: addHistograms(this.#sums.canary, gain.canary),
      stable: addHistograms(this.#sums.stable, gain.stable),
    };
  }
}

function readHistograms({ proxy, samples }: Answer, grouping: Grouping, reporter: Reporter): Sides {
  const metric = samples.some(({ name }) => name === `${fineDurationMetric}_count`)
    ? fineDurationMetric
    : durationMetric;
  const buckets: Record<Group, Map<number, number>> = { canary: new Map(), stable: new Map() };
  const sums: Record<Group, number> = { canary: 0, stable: 0 };
  for (const sample of samples) {
    const isBucket = sample.name === `${metric}_bucket`;
    if (!isBucket && sample.name !== `${metric}_sum`) continue;
    const group = isCounted(sample, proxy, reporter) ? grouping(sample, proxy) : undefined;
    if (group === undefined) continue;
    if (isBucket) addBucket(buckets[group], sample);
    else sums[group] += sample.value;
  }
  return { canary: histogramOf(buckets.canary, sums.canary), stable: histogramOf(buckets.stable, sums.stable) };
}

function addBucket(buckets: Map<number, number>, { labels, value }: PrometheusSample): void {
  const bound = labels["le"] === "+Inf" ? Infinity : Number(labels["le"]);
  buckets.set(bound, (buckets.get(bound) ?? 0) + value);
}

function histogramOf(buckets: ReadonlyMap<number, number>, sumMs: number): DurationHistogram {
  const bounds = [...buckets.keys()].toSorted((left, right) => left - right);
  let below = 0;
  const counts = bounds.map((bound) => {
    const count = Math.max(0, (buckets.get(bound) ?? 0) - below);
    below = Math.max(below, buckets.get(bound) ?? 0);
    return count;
  });
  if (counts.length === 0) return noDurations;
  const histogram = { boundsMs: bounds.filter((bound) => bound !== Infinity), counts, sumMs };
  return totalOf(histogram) === 0 ? noDurations : histogram;
}
