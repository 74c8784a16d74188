import { messageOf, transientError, type Clock, withoutEnd } from "../../base/index.ts";
import type { SourceState } from "../../api/dashboard/index.ts";
import {
  combineTraffic,
  connectionLabels,
  responseLabels,
  trafficLabels,
  type CountedTraffic,
  type MeasuredTraffic,
  type TrafficLabels,
} from "../views/index.ts";
import type { ProcessSteps, ProcessSubject, TrafficSource, TrafficSteps } from "./traffic-source.ts";

export interface PrometheusTrafficOptions {
  readonly url: string;
  readonly clock: Clock;
  readonly onCounted: () => void;
}

/** The time between two queries. It is longer than that between two views, because a Prometheus scrapes less often. */
const askIntervalMs = 5000;
const timeoutMs = 20_000;
/** The shortest window for rates. A rate needs at least two scrapes, and most Prometheus scrape every 15 s. */
const leastWindowSeconds = 60;
const maxKeptMeasurements = 16;
/** How many queries may run at the same time, and how many may wait. */
export const maxConcurrentQueries = 4;
const maxWaitingQueries = 64;
const maxPodsOfQuery = 1000;
const podName = /^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$/;

/** The labels by which traffic is grouped. `app` is that of the reporting pod, which tells a ztunnel from a proxy. */
const names = ["app", ...connectionLabels];
const requestNames = [...names, ...responseLabels];

interface Sample {
  readonly labels: Readonly<Record<string, string>>;
  /** One value for each point. Undefined where there is none. */
  readonly values: readonly (number | undefined)[];
}

/** The points of a range. A single moment is one point. */
interface Points {
  readonly firstMs: number;
  readonly stepMs: number;
  readonly points: number;
}

type Family = "requests" | "durations" | "bytes" | "opened";

/** The metrics that each measure needs. Connections have bytes, and may also carry counted requests. */
const familiesOf: Readonly<Record<TrafficSteps["of"], readonly Family[]>> = {
  requests: ["requests"],
  durations: ["durations"],
  bytes: ["requests", "bytes"],
};
const allFamilies: readonly Family[] = ["requests", "durations", "bytes", "opened"];

function queriesOf(family: Family, seconds: number): readonly string[] {
  const rate = (metric: string, by: readonly string[]): string =>
    `sum by (${by.join(",")}) (rate(${metric}[${seconds}s]))`;
  switch (family) {
    case "requests":
      return [rate("istio_requests_total", requestNames)];
    case "durations":
      return [rate("istio_request_duration_milliseconds_bucket", [...requestNames, "le"])];
    case "bytes":
      return [rate("istio_tcp_sent_bytes_total", names), rate("istio_tcp_received_bytes_total", names)];
    case "opened":
      return [rate("istio_tcp_connections_opened_total", names)];
  }
}

/**
 * The query for the memory or the CPU time of pods, by the labels that the usual configuration adds to scrapes of pods.
 * Counts a pod once, even if several jobs scrape it. Undefined without pods.
 */
function processQuery(
  subjects: readonly ProcessSubject[],
  of: ProcessSteps["of"],
  seconds: number,
): string | undefined {
  const pods = subjects
    .flatMap(({ namespace, pods: names }) => names.map((pod) => ({ namespace, pod })))
    .filter(({ namespace, pod }) => podName.test(pod) && podName.test(namespace))
    .slice(0, maxPodsOfQuery);
  const series = [...Map.groupBy(pods, ({ namespace }) => namespace)].map(([namespace, own]) => {
    const selector = `{namespace="${namespace}",pod=~"${own.map(({ pod }) => pod.replaceAll(".", "[.]")).join("|")}"}`;
    return of === "memoryBytes"
      ? `process_resident_memory_bytes${selector}`
      : `rate(process_cpu_seconds_total${selector}[${seconds}s])`;
  });
  return series.length === 0 ? undefined : `sum(max by (namespace,pod) (${series.join(" or ")}))`;
}

interface Sum {
  readonly labels: TrafficLabels;
  requestRate: number;
  byteRate: number;
  openedRate: number;
  readonly buckets: [number, number][];
}

class PointSums {
  readonly #sums = new Map<string, Sum>();

  add(family: Family, key: string, labels: TrafficLabels, upToMs: number, value: number): void {
    let sum = this.#sums.get(key);
    if (sum === undefined)
      this.#sums.set(key, (sum = { labels, requestRate: 0, byteRate: 0, openedRate: 0, buckets: [] }));
    if (family === "requests") sum.requestRate += value;
    else if (family === "durations") sum.buckets.push([upToMs, value]);
    else if (family === "bytes") sum.byteRate += value;
    else sum.openedRate += value;
  }

  counted(): CountedTraffic[] {
    return [...this.#sums.values()].map(({ labels, requestRate, byteRate, openedRate, buckets }) => {
      const sorted = buckets.sort(([a], [b]) => a - b);
      const counts = sorted.map(([, value], index) => Math.max(0, value - (sorted[index - 1]?.[1] ?? 0)));
      const boundsMs = sorted.map(([bound]) => bound).filter((bound) => bound !== Infinity);
      return {
        labels,
        requestRate,
        byteRate,
        openedRate,
        durations:
          sorted.length === 0
            ? undefined
            : { boundsMs, counts: counts.length > boundsMs.length ? counts : [...counts, 0] },
      };
    });
  }
}

export class PrometheusTraffic implements TrafficSource {
  readonly #options: PrometheusTrafficOptions;
  readonly #kept = new Map<string, { readonly version: number; readonly traffic: Promise<MeasuredTraffic> }>();
  readonly #waiting: (() => void)[] = [];
  #running = 0;
  #version = 0;
  #answeredMs: number | undefined;
  #problem: string | undefined;

  constructor(options: PrometheusTrafficOptions) {
    this.#options = options;
  }

  get version(): number {
    return this.#version;
  }

  source(): SourceState {
    const asOf = this.#answeredMs === undefined ? {} : { asOfMs: this.#answeredMs };
    return {
      name: "prometheus",
      ok: this.#problem === undefined,
      ...asOf,
      ...(this.#problem === undefined ? {} : { problem: this.#problem }),
    };
  }

  async run(signal: AbortSignal): Promise<void> {
    const { clock, onCounted } = this.#options;
    while (!signal.aborted) {
      this.#version += 1;
      onCounted();
      await clock.sleep(askIntervalMs, signal).catch(() => undefined);
    }
  }

  async measure(windowSeconds: number, atMs: number): Promise<MeasuredTraffic> {
    const seconds = Math.max(leastWindowSeconds, windowSeconds);
    const key = `${seconds} ${atMs}`;
    const kept = this.#kept.get(key);
    if (kept?.version === this.#version) return await kept.traffic;
    const asOfMs = atMs === 0 ? this.#options.clock.nowMs() : atMs;
    const traffic = this.#counted(seconds, { firstMs: asOfMs, stepMs: 0, points: 1 }, allFamilies).then(
      ([counted = []]): MeasuredTraffic => ({
        edges: combineTraffic(counted),
        windowSeconds: seconds,
        asOfMs,
        oldestMs: undefined,
      }),
    );
    this.#kept.delete(key);
    if (this.#kept.size >= maxKeptMeasurements) this.#kept.delete(this.#kept.keys().next().value ?? "");
    this.#kept.set(key, { version: this.#version, traffic });
    // Use the last measurement. `source` reports the failure.
    return await traffic.catch(
      async () =>
        (await kept?.traffic.catch(() => undefined)) ?? {
          edges: [],
          windowSeconds: seconds,
          asOfMs,
          oldestMs: undefined,
        },
    );
  }

  /** Sends one query for each metric, over the whole range. */
  async steps<Value>(
    { firstMs, stepMs, points, windowMs, of }: TrafficSteps,
    valueOf: (counted: readonly CountedTraffic[]) => Value,
  ): Promise<readonly Value[]> {
    const counted = await this.#counted(
      Math.max(leastWindowSeconds, Math.round(windowMs / 1000)),
      { firstMs, stepMs: Math.max(1, Math.round(stepMs)), points },
      familiesOf[of],
    );
    return counted.map(valueOf);
  }

  async processes({
    subjects,
    of,
    firstMs,
    stepMs,
    points,
    windowMs,
  }: ProcessSteps): Promise<readonly (number | null)[]> {
    const seconds = Math.max(leastWindowSeconds, Math.round(windowMs / 1000));
    const query = processQuery(subjects, of, seconds);
    if (query === undefined) return Array.from({ length: points }, () => null);
    const [sum] = await this.#inTurn(
      async () => await this.#query(query, { firstMs, stepMs: Math.max(1, Math.round(stepMs)), points }),
    );
    return Array.from({ length: points }, (_, index) => sum?.values[index] ?? null);
  }

  async #counted(seconds: number, points: Points, families: readonly Family[]): Promise<CountedTraffic[][]> {
    const sums = Array.from({ length: points.points }, () => new PointSums());
    const queries = families.flatMap((family) => queriesOf(family, seconds).map((query) => ({ family, query })));
    const known = new Map<string, TrafficLabels>();
    await Promise.all(
      queries.map(async ({ family, query }) => {
        for (const {
          labels: { le, ...labels },
          values,
        } of await this.#inTurn(async () => await this.#query(query, points))) {
          const key = requestNames.map((name) => labels[name] ?? "").join("\n");
          let read = known.get(key);
          if (read === undefined) known.set(key, (read = trafficLabels(labels)));
          const upToMs = le === "+Inf" ? Infinity : Number(le);
          for (const [index, value] of values.entries())
            if (value !== undefined) sums[index]?.add(family, key, read, upToMs, value);
        }
      }),
    );
    return sums.map((sum) => sum.counted());
  }

  async #inTurn<Answer>(ask: () => Promise<Answer>): Promise<Answer> {
    if (this.#running >= maxConcurrentQueries) {
      if (this.#waiting.length >= maxWaitingQueries)
        throw transientError("busy", `${maxWaitingQueries} queries wait for Prometheus already`, {
          hint: "try again in a moment",
        });
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    } else this.#running += 1;
    try {
      return await ask();
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#running -= 1;
      else next();
    }
  }

  async #query(query: string, { firstMs, stepMs, points }: Points): Promise<readonly Sample[]> {
    const { url, clock } = this.#options;
    const lastMs = firstMs + (points - 1) * stepMs;
    const [path, time] =
      points === 1
        ? ["query", { time: String(firstMs / 1000) }]
        : ["query_range", { start: String(firstMs / 1000), end: String(lastMs / 1000), step: String(stepMs / 1000) }];
    try {
      const response = await fetch(`${withoutEnd(url, "/")}/api/v1/${path}`, {
        method: "POST",
        body: new URLSearchParams({ query, ...time }),
        signal: AbortSignal.timeout(timeoutMs),
      });
      const answer = (await response.json()) as {
        readonly status?: string;
        readonly error?: string;
        readonly data?: { readonly result?: readonly PrometheusSeries[] };
      };
      if (answer.status !== "success") throw new Error(answer.error ?? `status ${response.status}`);
      this.#answeredMs = clock.nowMs();
      this.#problem = undefined;
      return (answer.data?.result ?? []).map(({ metric, value, values }) => ({
        labels: metric,
        values: valuesAt(values ?? (value === undefined ? [] : [value]), firstMs, stepMs, points),
      }));
    } catch (cause) {
      const reason = cause instanceof Error && cause.cause !== undefined ? messageOf(cause.cause) : messageOf(cause);
      this.#problem = `Prometheus at ${url} does not answer: ${reason}`;
      throw transientError("prometheus-unreachable", this.#problem, { cause });
    }
  }
}

interface PrometheusSeries {
  readonly metric: Readonly<Record<string, string>>;
  readonly value?: PrometheusValue;
  readonly values?: readonly PrometheusValue[];
}

type PrometheusValue = readonly [seconds: number, value: string];

function valuesAt(
  samples: readonly PrometheusValue[],
  firstMs: number,
  stepMs: number,
  points: number,
): (number | undefined)[] {
  const values = Array.from({ length: points }, (): number | undefined => undefined);
  for (const [seconds, text] of samples) {
    const value = Number(text);
    const index = stepMs === 0 ? 0 : Math.round((seconds * 1000 - firstMs) / stepMs);
    if (Number.isFinite(value) && index >= 0 && index < points) values[index] = value;
  }
  return values;
}
