import type { MeasuredSample, QueryPrometheus } from "../web/index.ts";

/** One end of traffic; `unknown` is what no proxy could name. */
export interface WorkloadEnd {
  readonly namespace: string;
  readonly workload: string;
  readonly app: string;
  readonly version: string;
}

export interface ServiceEnd {
  readonly namespace: string;
  readonly name: string;
  readonly host: string;
}

/** What goes from one workload by a service to a workload, in the measured time. Rates are per second. */
export interface TrafficEdge {
  readonly source: WorkloadEnd;
  readonly service: ServiceEnd;
  readonly destination: WorkloadEnd;
  readonly protocol: string;
  /** Requests by response code; empty for TCP. */
  readonly responses: ReadonlyMap<string, number>;
  readonly requestRate: number;
  /** Of 5xx, and of requests without an answer. */
  readonly failureRate: number;
  readonly clientErrorRate: number;
  readonly p50Ms: number | undefined;
  readonly p95Ms: number | undefined;
  /** From 0 to 1; undefined where no proxy at the destination has counted. */
  readonly mutualTlsShare: number | undefined;
  /** Both ways. */
  readonly byteRate: number;
}

const endLabels = ["workload_namespace", "workload", "app", "version"];
const edgeLabels = [...endLabels.map((name) => `source_${name}`), ...endLabels.map((name) => `destination_${name}`), "destination_service_namespace", "destination_service_name", "destination_service", "request_protocol"];

/** Measures all traffic of the mesh over the last `durationSeconds`. */
export async function measureTraffic(query: QueryPrometheus, durationSeconds: number): Promise<TrafficEdge[]> {
  const by = edgeLabels.join(", ");
  const window = `[${durationSeconds}s]`;
  const quantileOf = (rank: number): string => `histogram_quantile(${rank}, sum by (${by}, reporter, le) (rate(istio_request_duration_milliseconds_bucket${window})))`;
  const bytes = `sum by (${by}, reporter, connection_security_policy) (rate(istio_tcp_sent_bytes_total${window})) + sum by (${by}, reporter, connection_security_policy) (rate(istio_tcp_received_bytes_total${window}))`;
  const [requests, p50, p95, tcp] = await Promise.all([
    query(`sum by (${by}, reporter, response_code, connection_security_policy) (rate(istio_requests_total${window}))`),
    query(quantileOf(0.5)),
    query(quantileOf(0.95)),
    query(bytes),
  ]);
  return combineTraffic({ requests, p50, p95, tcp });
}

export interface MeasuredTraffic {
  readonly requests: readonly MeasuredSample[];
  readonly p50: readonly MeasuredSample[];
  readonly p95: readonly MeasuredSample[];
  readonly tcp: readonly MeasuredSample[];
}

type Side = "client" | "server";

interface SideCounts {
  readonly responses: Map<string, number>;
  rate: number;
  byteRate: number;
  secured: number;
  unsecured: number;
  p50Ms: number | undefined;
  p95Ms: number | undefined;
}

interface Gathered {
  readonly labels: Readonly<Record<string, string>>;
  readonly client: SideCounts;
  readonly server: SideCounts;
}

/** Both proxies of an edge count the same requests: the client's count is taken, and the server's where there is none. */
export function combineTraffic({ requests, p50, p95, tcp }: MeasuredTraffic): TrafficEdge[] {
  const edges = new Map<string, Gathered>();
  const sideOf = ({ labels }: MeasuredSample): SideCounts => {
    const key = edgeLabels.map((name) => labels[name] ?? "").join("\n");
    let edge = edges.get(key);
    if (edge === undefined) edges.set(key, (edge = { labels, client: emptyCounts(), server: emptyCounts() }));
    // A waypoint counts what it sends on, as a client does.
    const side: Side = labels["reporter"] === "destination" ? "server" : "client";
    return edge[side];
  };
  for (const sample of requests) {
    const side = sideOf(sample);
    const code = sample.labels["response_code"] ?? "0";
    side.responses.set(code, (side.responses.get(code) ?? 0) + sample.value);
    side.rate += sample.value;
    addSecurity(side, sample);
  }
  for (const sample of tcp) {
    const side = sideOf(sample);
    side.byteRate += sample.value;
    addSecurity(side, sample);
  }
  for (const sample of p50) sideOf(sample).p50Ms = finite(sample.value);
  for (const sample of p95) sideOf(sample).p95Ms = finite(sample.value);
  return [...edges.values()].map(edgeOf).toSorted(byName);
}

function emptyCounts(): SideCounts {
  return { responses: new Map(), rate: 0, byteRate: 0, secured: 0, unsecured: 0, p50Ms: undefined, p95Ms: undefined };
}

function addSecurity(side: SideCounts, { labels, value }: MeasuredSample): void {
  if (labels["connection_security_policy"] === "mutual_tls") side.secured += value;
  else if (labels["connection_security_policy"] === "none") side.unsecured += value;
}

function finite(value: number): number | undefined {
  return Number.isFinite(value) ? value : undefined;
}

function edgeOf({ labels, client, server }: Gathered): TrafficEdge {
  const counted = client.responses.size > 0 || client.byteRate > 0 ? client : server;
  const rateOf = (isCounted: (code: number) => boolean): number => [...counted.responses].reduce((sum, [code, rate]) => (isCounted(Number(code)) ? sum + rate : sum), 0);
  const judged = server.secured + server.unsecured > 0 ? server : client;
  const seen = judged.secured + judged.unsecured;
  return {
    source: endOf(labels, "source"),
    service: { namespace: labels["destination_service_namespace"] ?? "unknown", name: labels["destination_service_name"] ?? "unknown", host: labels["destination_service"] ?? "unknown" },
    destination: endOf(labels, "destination"),
    protocol: labels["request_protocol"] ?? "tcp",
    responses: counted.responses,
    requestRate: counted.rate,
    failureRate: rateOf((code) => code === 0 || code >= 500),
    clientErrorRate: rateOf((code) => code >= 400 && code < 500),
    p50Ms: counted.p50Ms ?? server.p50Ms,
    p95Ms: counted.p95Ms ?? server.p95Ms,
    mutualTlsShare: seen > 0 ? judged.secured / seen : undefined,
    byteRate: counted.byteRate,
  };
}

function endOf(labels: Readonly<Record<string, string>>, end: "source" | "destination"): WorkloadEnd {
  const of = (name: string): string => labels[`${end}_${name}`] ?? "unknown";
  return { namespace: of("workload_namespace"), workload: of("workload"), app: of("app"), version: of("version") };
}

function nameOf({ source, service, destination, protocol }: TrafficEdge): string {
  return [source.namespace, source.workload, service.namespace, service.name, destination.workload, destination.version, protocol].join("\n");
}

function byName(a: TrafficEdge, b: TrafficEdge): number {
  return nameOf(a) < nameOf(b) ? -1 : 1;
}
