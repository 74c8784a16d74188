import { messageOf, transientError, type Clock } from "../../base/index.ts";
import type { SourceState } from "../../api/dashboard/index.ts";
import { combineTraffic, trafficLabels, type CountedTraffic, type MeasuredTraffic, type TrafficLabels } from "../views/index.ts";
import type { TrafficSource } from "./traffic-source.ts";

export interface PrometheusTrafficOptions {
  readonly url: string;
  readonly clock: Clock;
  readonly onCounted: () => void;
}

/** A Prometheus scrapes more rarely than it may be asked. */
const askIntervalMs = 5000;
const timeoutMs = 20_000;
/** A window that holds fewer scrapes than two has no rate: most scrape each 15 s. */
const leastWindowSeconds = 60;
const maxKeptMeasurements = 16;

/** `app` is that of the pod that counts: what tells a ztunnel's counts from a proxy's. */
const names = [
  "app", "reporter", "source_workload", "source_workload_namespace", "source_app", "source_version", "destination_workload", "destination_workload_namespace", "destination_app", "destination_version",
  "destination_service", "destination_service_name", "destination_service_namespace", "request_protocol", "connection_security_policy",
];
const requestNames = [...names, "response_code", "grpc_response_status", "response_flags"];

interface Sample {
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/** Traffic as an existing Prometheus has it. */
export class PrometheusTraffic implements TrafficSource {
  readonly #options: PrometheusTrafficOptions;
  readonly #kept = new Map<string, { readonly version: number; readonly traffic: Promise<MeasuredTraffic> }>();
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
    return { name: "prometheus", ok: this.#problem === undefined, ...asOf, ...(this.#problem === undefined ? {} : { problem: this.#problem }) };
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
    const traffic = this.#counted(seconds, asOfMs).then((counted): MeasuredTraffic => ({ edges: combineTraffic(counted), windowSeconds: seconds, asOfMs, oldestMs: undefined }));
    this.#kept.delete(key);
    if (this.#kept.size >= maxKeptMeasurements) this.#kept.delete(this.#kept.keys().next().value ?? "");
    this.#kept.set(key, { version: this.#version, traffic });
    // Who looks is shown what there is, with what is wrong: see `source`.
    return await traffic.catch(async () => (await kept?.traffic.catch(() => undefined)) ?? { edges: [], windowSeconds: seconds, asOfMs, oldestMs: undefined });
  }

  async steps(steps: readonly { readonly fromMs: number; readonly toMs: number }[]): Promise<readonly (readonly CountedTraffic[])[]> {
    return await Promise.all(steps.map(async ({ fromMs, toMs }) => await this.#counted(Math.max(leastWindowSeconds, Math.round((toMs - fromMs) / 1000)), toMs)));
  }

  process(): number | null {
    return null;
  }

  async #counted(seconds: number, atMs: number): Promise<CountedTraffic[]> {
    const [by, byRequest] = [names.join(","), requestNames.join(",")];
    const window = `[${seconds}s]`;
    const [requests, buckets, sent, received, opened] = await Promise.all([
      this.#query(`sum by (${byRequest}) (rate(istio_requests_total${window}))`, atMs),
      this.#query(`sum by (${byRequest},le) (rate(istio_request_duration_milliseconds_bucket${window}))`, atMs),
      this.#query(`sum by (${by}) (rate(istio_tcp_sent_bytes_total${window}))`, atMs),
      this.#query(`sum by (${by}) (rate(istio_tcp_received_bytes_total${window}))`, atMs),
      this.#query(`sum by (${by}) (rate(istio_tcp_connections_opened_total${window}))`, atMs),
    ]);
    const sums = new Map<string, { labels: TrafficLabels; requestRate: number; byteRate: number; openedRate: number; buckets: [number, number][] }>();
    const sumOf = ({ labels: { le: _bound, ...labels } }: Sample): NonNullable<ReturnType<typeof sums.get>> => {
      const key = requestNames.map((name) => labels[name] ?? "").join("\n");
      let sum = sums.get(key);
      if (sum === undefined) sums.set(key, (sum = { labels: trafficLabels(labels), requestRate: 0, byteRate: 0, openedRate: 0, buckets: [] }));
      return sum;
    };
    for (const sample of requests) sumOf(sample).requestRate += sample.value;
    for (const sample of [...sent, ...received]) sumOf(sample).byteRate += sample.value;
    for (const sample of opened) sumOf(sample).openedRate += sample.value;
    for (const sample of buckets) sumOf(sample).buckets.push([sample.labels["le"] === "+Inf" ? Infinity : Number(sample.labels["le"]), sample.value]);
    return [...sums.values()].map(({ labels, requestRate, byteRate, openedRate, buckets: cumulative }) => {
      const sorted = cumulative.sort(([a], [b]) => a - b);
      const counts = sorted.map(([, value], index) => Math.max(0, value - (sorted[index - 1]?.[1] ?? 0)));
      const boundsMs = sorted.map(([bound]) => bound).filter((bound) => bound !== Infinity);
      return { labels, requestRate, byteRate, openedRate, durations: sorted.length === 0 ? undefined : { boundsMs, counts: counts.length > boundsMs.length ? counts : [...counts, 0] } };
    });
  }

  async #query(query: string, atMs: number): Promise<readonly Sample[]> {
    const { url, clock } = this.#options;
    try {
      const response = await fetch(`${url.replace(/\/+$/, "")}/api/v1/query`, { method: "POST", body: new URLSearchParams({ query, time: String(atMs / 1000) }), signal: AbortSignal.timeout(timeoutMs) });
      const answer = (await response.json()) as { readonly status?: string; readonly error?: string; readonly data?: { readonly result?: readonly { readonly metric: Record<string, string>; readonly value: readonly [number, string] }[] } };
      if (answer.status !== "success") throw new Error(answer.error ?? `status ${response.status}`);
      this.#answeredMs = clock.nowMs();
      this.#problem = undefined;
      return (answer.data?.result ?? []).map(({ metric, value }) => ({ labels: metric, value: Number(value[1]) })).filter(({ value }) => Number.isFinite(value));
    } catch (cause) {
      const reason = cause instanceof Error && cause.cause !== undefined ? messageOf(cause.cause) : messageOf(cause);
      this.#problem = `Prometheus at ${url} does not answer: ${reason}`;
      throw transientError("prometheus-unreachable", this.#problem, { cause });
    }
  }
}
