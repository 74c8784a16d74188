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

interface Counts {
  readonly labels: Readonly<Record<string, string>>;
  readonly responses: Map<string, number>;
  rate: number;
  byteRate: number;
  secured: number;
  unsecured: number;
  p50Ms: number | undefined;
  p95Ms: number | undefined;
}

const pairLabels = ["source_workload_namespace", "source_workload", "destination_workload_namespace", "destination_workload", "request_protocol"];
const serviceLabels = ["destination_service_namespace", "destination_service_name"];

/**
 * The proxies at both ends count the same requests. The client's says by which service they went, so its counts are taken;
 * the server's proxy knows how they were secured, and counts alone where the client has none.
 */
export function combineTraffic({ requests, p50, p95, tcp }: MeasuredTraffic): TrafficEdge[] {
  const clients = new Map<string, Counts>();
  const servers = new Map<string, Counts>();
  const countsOf = ({ labels }: MeasuredSample): Counts => {
    // A waypoint counts what it sends on, as a client does.
    const side = labels["reporter"] === "destination" ? servers : clients;
    const key = keyOf(labels, [...pairLabels, ...serviceLabels]);
    let counts = side.get(key);
    if (counts === undefined) side.set(key, (counts = emptyCounts(labels)));
    return counts;
  };
  for (const sample of requests) {
    const counts = countsOf(sample);
    const code = sample.labels["response_code"] ?? "0";
    counts.responses.set(code, (counts.responses.get(code) ?? 0) + sample.value);
    counts.rate += sample.value;
    addSecurity(counts, sample);
  }
  for (const sample of tcp) {
    const counts = countsOf(sample);
    counts.byteRate += sample.value;
    addSecurity(counts, sample);
  }
  for (const sample of p50) countsOf(sample).p50Ms = finite(sample.value);
  for (const sample of p95) countsOf(sample).p95Ms = finite(sample.value);
  const serversOf = Map.groupBy(servers.values(), ({ labels }) => keyOf(labels, pairLabels));
  const counted = new Set([...clients.values()].map(({ labels }) => keyOf(labels, pairLabels)));
  const alone = [...servers.values()].filter(({ labels }) => !counted.has(keyOf(labels, pairLabels)));
  return [...clients.values(), ...alone].map((counts) => edgeOf(counts, serversOf.get(keyOf(counts.labels, pairLabels)) ?? [])).toSorted(byName);
}

function keyOf(labels: Readonly<Record<string, string>>, names: readonly string[]): string {
  return names.map((name) => labels[name] ?? "").join("\n");
}

function emptyCounts(labels: Readonly<Record<string, string>>): Counts {
  return { labels, responses: new Map(), rate: 0, byteRate: 0, secured: 0, unsecured: 0, p50Ms: undefined, p95Ms: undefined };
}

function addSecurity(counts: Counts, { labels, value }: MeasuredSample): void {
  if (labels["connection_security_policy"] === "mutual_tls") counts.secured += value;
  else if (labels["connection_security_policy"] === "none") counts.unsecured += value;
}

function finite(value: number): number | undefined {
  return Number.isFinite(value) ? value : undefined;
}

function edgeOf(counts: Counts, servers: readonly Counts[]): TrafficEdge {
  const { labels } = counts;
  const rateOf = (isCounted: (code: number) => boolean): number => [...counts.responses].reduce((sum, [code, rate]) => (isCounted(Number(code)) ? sum + rate : sum), 0);
  const judges = servers.some(({ secured, unsecured }) => secured + unsecured > 0) ? servers : [counts];
  const secured = judges.reduce((sum, judge) => sum + judge.secured, 0);
  const seen = judges.reduce((sum, judge) => sum + judge.secured + judge.unsecured, 0);
  return {
    source: endOf(labels, "source"),
    service: { namespace: labels["destination_service_namespace"] ?? "unknown", name: labels["destination_service_name"] ?? "unknown", host: labels["destination_service"] ?? "unknown" },
    // A workload knows its own version best.
    destination: endOf(servers[0]?.labels ?? labels, "destination"),
    protocol: labels["request_protocol"] ?? "tcp",
    responses: counts.responses,
    requestRate: counts.rate,
    failureRate: rateOf((code) => code === 0 || code >= 500),
    clientErrorRate: rateOf((code) => code >= 400 && code < 500),
    p50Ms: counts.p50Ms,
    p95Ms: counts.p95Ms,
    mutualTlsShare: seen > 0 ? secured / seen : undefined,
    byteRate: counts.byteRate,
  };
}

function endOf(labels: Readonly<Record<string, string>>, end: "source" | "destination"): WorkloadEnd {
  const of = (name: string): string => labels[`${end}_${name}`] ?? "unknown";
  return { namespace: of("workload_namespace"), workload: of("workload"), app: of("app"), version: of("version") };
}

function nameOf({ source, service, destination, protocol }: TrafficEdge): string {
  return [source.namespace, source.workload, service.namespace, service.name, destination.workload, protocol].join("\n");
}

function byName(a: TrafficEdge, b: TrafficEdge): number {
  return nameOf(a) < nameOf(b) ? -1 : 1;
}
