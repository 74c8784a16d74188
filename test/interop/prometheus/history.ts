import { seededRandom } from "../../../src/base/index.ts";

export interface HistorySample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  /** Unix time. */
  readonly timeMs: number;
  readonly value: number;
}

const stepMs = 15_000;
const bounds = [1, 5, 10, 25, 50, 100, 250, 500, 1000];
const workloads = ["gateway", "productpage", "reviews-v1", "reviews-v2", "ratings"];

interface Edge {
  readonly source: string;
  readonly destination: string;
  readonly service: string;
  readonly rate: number;
  readonly meanMs: number;
}

const edges: readonly Edge[] = [
  { source: "gateway", destination: "productpage", service: "productpage", rate: 40, meanMs: 30 },
  { source: "productpage", destination: "reviews-v1", service: "reviews", rate: 30, meanMs: 12 },
  { source: "productpage", destination: "reviews-v2", service: "reviews", rate: 10, meanMs: 45 },
  { source: "reviews-v2", destination: "ratings", service: "ratings", rate: 9, meanMs: 3 },
];

/**
 * Samples of Istio's proxies over some minutes until `endMs`. In this time, rates change, failures begin, a proxy
 * restarts, and a workload disappears.
 */
export function meshHistory(endMs: number, minutes: number): HistorySample[] {
  const random = seededRandom(11);
  const samples: HistorySample[] = [];
  const counters = new Map<string, number>();
  const steps = Math.floor((minutes * 60_000) / stepMs);
  const startMs = endMs - steps * stepMs;
  const put = (name: string, labels: Readonly<Record<string, string>>, timeMs: number, value: number): void =>
    void samples.push({ name, labels, timeMs, value });
  const grow = (name: string, labels: Readonly<Record<string, string>>, timeMs: number, by: number): void => {
    const key = `${name} ${JSON.stringify(labels)}`;
    counters.set(key, (counters.get(key) ?? 0) + by);
    put(name, labels, timeMs, counters.get(key) ?? 0);
  };
  for (let step = 0; step <= steps; step += 1) {
    const timeMs = startMs + step * stepMs;
    const share = step / steps;
    // The proxies of productpage restart, so their counters begin at 0.
    if (step === Math.floor(steps / 2))
      for (const key of counters.keys()) if (key.includes('"source_workload":"productpage"')) counters.set(key, 0);
    for (const workload of workloads)
      put(
        "istio_build",
        { component: "proxy", tag: share > 0.6 && workload === "reviews-v2" ? "1.31.1" : "1.31.0", pod: workload },
        timeMs,
        1,
      );
    for (const edge of edges) {
      if (edge.destination === "ratings" && share > 0.9) continue;
      for (const reporter of ["source", "destination"]) {
        const labels = {
          reporter,
          source_workload: edge.source,
          source_workload_namespace: "shop",
          source_canonical_service: edge.source,
          source_canonical_revision: "v1",
          source_cluster: "Kubernetes",
          destination_workload: edge.destination,
          destination_workload_namespace: "shop",
          destination_service: `${edge.service}.shop.svc.cluster.local`,
          destination_service_name: edge.service,
          destination_service_namespace: "shop",
          destination_canonical_service: edge.service,
          destination_canonical_revision: "v1",
          destination_cluster: "Kubernetes",
          request_protocol: "http",
          connection_security_policy: reporter === "source" ? "unknown" : "mutual_tls",
          response_flags: "-",
          grpc_response_status: "",
        };
        const requests = Math.round(edge.rate * (stepMs / 1000) * (0.8 + random() * 0.4));
        const failed = share > 0.5 && edge.destination === "reviews-v2" ? Math.round(requests * 0.08) : 0;
        grow("istio_requests_total", { ...labels, response_code: "200" }, timeMs, requests - failed);
        // Each counter begins at 1. If a series began with a higher value within a range, Prometheus 2 and 3 would give
        // different answers, and this store answers as 3 does.
        const failures = { ...labels, response_code: "503", response_flags: "UF" };
        if (failed > 0)
          grow(
            "istio_requests_total",
            failures,
            timeMs,
            counters.has(`istio_requests_total ${JSON.stringify(failures)}`) ? failed : 1,
          );
        const timed = { ...labels, response_code: "200" };
        for (const bound of [...bounds, Infinity])
          grow(
            "istio_request_duration_milliseconds_bucket",
            { ...timed, le: bound === Infinity ? "+Inf" : String(bound) },
            timeMs,
            Math.round(requests * (1 - Math.exp(-bound / edge.meanMs))),
          );
        grow("istio_request_duration_milliseconds_count", timed, timeMs, requests);
        grow("istio_request_duration_milliseconds_sum", timed, timeMs, requests * edge.meanMs);
        for (const bound of [...bounds, Infinity])
          grow(
            "istio_request_bytes_bucket",
            { ...timed, le: bound === Infinity ? "+Inf" : String(bound) },
            timeMs,
            Math.round(requests * (1 - Math.exp(-bound / 100))),
          );
        const { response_flags: _flags, grpc_response_status: _status, ...ends } = labels;
        grow("istio_request_messages_total", ends, timeMs, requests);
        grow(
          "istio_tcp_sent_bytes_total",
          { ...ends, request_protocol: "tcp", response_flags: "-" },
          timeMs,
          requests * 1000,
        );
        grow(
          "istio_tcp_received_bytes_total",
          { ...ends, request_protocol: "tcp", response_flags: "-" },
          timeMs,
          requests * 300,
        );
      }
    }
  }
  return samples;
}

const escaped = (value: string): string =>
  value.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n");

/** A sample as a line of Prometheus' text format, with the time in ms. OpenMetrics has it in seconds. */
export function lineOf({ name, labels, timeMs, value }: HistorySample, unit: "ms" | "s"): string {
  const pairs = Object.entries(labels)
    .map(([key, text]) => `${key}="${escaped(text)}"`)
    .join(",");
  return `${name}{${pairs}} ${value} ${unit === "ms" ? timeMs : timeMs / 1000}`;
}
