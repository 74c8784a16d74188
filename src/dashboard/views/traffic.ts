import { withoutControls } from "../../base/index.ts";
import { addDurations, noDurations, type DurationCounts } from "./duration-counts.ts";

/** One end of traffic. A value is `unknown` if no proxy knows it. */
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

/**
 * One combination of labels in proxies' counters. There is one object for each combination, and combinations are
 * compared by their keys.
 */
export interface TrafficLabels {
  /** Which proxy counts: `source`, `destination` or `waypoint`. */
  readonly reporter: string;
  readonly source: WorkloadEnd;
  readonly destination: WorkloadEnd;
  readonly service: ServiceEnd;
  readonly protocol: string;
  /** `200`, `503 UF`, or `200 grpc 14` for a failed gRPC call. `0` if there was no response. Empty for TCP. */
  readonly response: string;
  readonly outcome: "success" | "clientError" | "failure";
  readonly security: "mutual_tls" | "none" | "unknown";
  /** Whether a ztunnel has counted it. A ztunnel counts only connections, also those that carry requests. */
  readonly ofConnections: boolean;
  /** Identifies both ends and the protocol. */
  readonly pairKey: string;
  /** Identifies both ends, the protocol and the service. */
  readonly edgeKey: string;
}

/** The traffic with one combination of labels in the measured time. Rates are per second. */
export interface CountedTraffic {
  readonly labels: TrafficLabels;
  readonly requestRate: number;
  /** The counts may have any scale, because only their ratios matter. */
  readonly durations: DurationCounts | undefined;
  /** TCP bytes per second, in both directions together. */
  readonly byteRate: number;
  readonly openedRate: number;
}

/** The traffic from one workload to another, through one service. */
export interface TrafficEdge {
  readonly source: WorkloadEnd;
  readonly service: ServiceEnd;
  readonly destination: WorkloadEnd;
  readonly protocol: string;
  /** The rate of each response. Empty for TCP. */
  readonly responses: ReadonlyMap<string, number>;
  readonly requestRate: number;
  /** The rate of 5xx responses, of gRPC statuses that blame the server, and of requests without a response. */
  readonly failureRate: number;
  readonly clientErrorRate: number;
  readonly durations: DurationCounts;
  /** How much the destination's proxy has counted with and without mutual TLS. Both are 0 if it has counted nothing. */
  readonly securedRate: number;
  readonly unsecuredRate: number;
  readonly byteRate: number;
  readonly openedRate: number;
}

const unknown = "unknown";
/** gRPC statuses that blame the server: unknown, deadline exceeded, unimplemented, internal, unavailable, data loss. */
const blamesServer = new Set(["2", "4", "12", "13", "14", "15"]);

/** The labels that distinguish connections. Others, such as `destination_canonical_service`, follow from these. */
export const connectionLabels = [
  "reporter",
  "source_workload",
  "source_workload_namespace",
  "source_app",
  "source_version",
  "destination_workload",
  "destination_workload_namespace",
  "destination_app",
  "destination_version",
  "destination_service",
  "destination_service_name",
  "destination_service_namespace",
  "request_protocol",
  "connection_security_policy",
] as const;

/** The further labels that series of requests have. */
export const responseLabels = ["response_code", "grpc_response_status", "response_flags"] as const;

/** Reads the labels of an `istio_*` series. `app` is that of the pod that reports it. */
export function trafficLabels(raw: Readonly<Record<string, string>>): TrafficLabels {
  const of = (name: string): string => {
    const value = raw[name];
    return value === undefined || value === "" ? unknown : withoutControls(value);
  };
  const endOf = (end: "source" | "destination"): WorkloadEnd => ({
    namespace: of(`${end}_workload_namespace`),
    workload: of(`${end}_workload`),
    app: of(`${end}_app`),
    version: of(`${end}_version`),
  });
  const source = endOf("source");
  const destination = endOf("destination");
  const service = {
    namespace: of("destination_service_namespace"),
    name: of("destination_service_name"),
    host: of("destination_service"),
  };
  const protocol = raw["request_protocol"] ?? "tcp";
  const pairKey = [source.namespace, source.workload, destination.namespace, destination.workload, protocol].join("\n");
  const security = raw["connection_security_policy"];
  return {
    reporter: of("reporter"),
    source,
    destination,
    service,
    protocol,
    ...responseOf(raw, protocol),
    ofConnections: raw["app"] === "ztunnel",
    security: security === "mutual_tls" || security === "none" ? security : "unknown",
    pairKey,
    edgeKey: [pairKey, service.namespace, service.name].join("\n"),
  };
}

function responseOf(
  raw: Readonly<Record<string, string>>,
  protocol: string,
): Pick<TrafficLabels, "response" | "outcome"> {
  const code = raw["response_code"];
  if (code === undefined || protocol === "tcp") return { response: "", outcome: "success" };
  const flags = raw["response_flags"] ?? "-";
  const status = raw["grpc_response_status"] ?? "";
  const failedCall = protocol === "grpc" && status !== "" && status !== "0";
  const response = `${code}${flags === "-" || flags === "" ? "" : ` ${flags}`}${failedCall ? ` grpc ${status}` : ""}`;
  const number = Number(code);
  if (number === 0 || number >= 500 || (failedCall && blamesServer.has(status)))
    return { response, outcome: "failure" };
  return { response, outcome: number >= 400 || failedCall ? "clientError" : "success" };
}

interface Sum {
  readonly labels: TrafficLabels;
  readonly responses: Map<string, number>;
  requestRate: number;
  failureRate: number;
  clientErrorRate: number;
  durations: DurationCounts;
  byteRate: number;
  openedRate: number;
  secured: number;
  unsecured: number;
}

/**
 * Combines what the proxies at both ends have counted. Both count the same requests. The client's counts are used,
 * because they include the service. The server's counts add how the requests were secured, and are used alone if the
 * client has no proxy.
 */
export function combineTraffic(counted: readonly CountedTraffic[]): TrafficEdge[] {
  const clients = new Map<string, Sum>();
  const servers = new Map<string, Sum>();
  for (const traffic of counted) {
    // As a client does, a waypoint counts the requests that it sends on.
    const side = traffic.labels.reporter === "destination" ? servers : clients;
    let sum = side.get(traffic.labels.edgeKey);
    if (sum === undefined) side.set(traffic.labels.edgeKey, (sum = emptySum(traffic.labels)));
    add(sum, traffic);
  }
  const serversOf = Map.groupBy(servers.values(), ({ labels }) => labels.pairKey);
  const reportedByClients = new Set([...clients.values()].map(({ labels }) => labels.pairKey));
  const alone = [...servers.values()].filter(({ labels }) => !reportedByClients.has(labels.pairKey));
  const edges = [...clients.values(), ...alone].map((sum) => ({
    edge: edgeOf(sum, serversOf.get(sum.labels.pairKey) ?? []),
    ofConnections: sum.labels.ofConnections,
  }));
  return withoutCarriers(edges).sort((a, b) => (nameOf(a) < nameOf(b) ? -1 : 1));
}

interface CountedEdge {
  readonly edge: TrafficEdge;
  readonly ofConnections: boolean;
}

/**
 * Removes connections that carry requests. If proxies have counted requests between two workloads, the connections that
 * a ztunnel has counted between them are the same traffic. The requests get the bytes and the security of these
 * connections.
 */
function withoutCarriers(all: readonly CountedEdge[]): TrafficEdge[] {
  const endsOf = ({ source, destination }: TrafficEdge): string =>
    `${source.namespace}/${source.workload} ${destination.namespace}/${destination.workload}`;
  const requests = Map.groupBy(
    all.filter(({ edge }) => edge.requestRate > 0),
    ({ edge }) => endsOf(edge),
  );
  const carriers = Map.groupBy(
    all.filter(({ edge, ofConnections }) => ofConnections && edge.requestRate === 0 && requests.has(endsOf(edge))),
    ({ edge }) => endsOf(edge),
  );
  return all.flatMap(({ edge, ofConnections }) => {
    const carrying = carriers.get(endsOf(edge));
    if (carrying === undefined) return [edge];
    if (ofConnections && edge.requestRate === 0) return [];
    const whole = (requests.get(endsOf(edge)) ?? []).reduce((sum, { edge: { requestRate } }) => sum + requestRate, 0);
    const share = shareOf(edge.requestRate, whole);
    const sumOf = (field: "byteRate" | "openedRate" | "securedRate" | "unsecuredRate"): number =>
      carrying.reduce((sum, carrier) => sum + carrier.edge[field], 0) * share;
    const isJudged = edge.securedRate + edge.unsecuredRate > 0;
    return [
      {
        ...edge,
        byteRate: edge.byteRate + sumOf("byteRate"),
        openedRate: edge.openedRate + sumOf("openedRate"),
        ...(isJudged ? {} : { securedRate: sumOf("securedRate"), unsecuredRate: sumOf("unsecuredRate") }),
      },
    ];
  });
}

function emptySum(labels: TrafficLabels): Sum {
  return {
    labels,
    responses: new Map(),
    requestRate: 0,
    failureRate: 0,
    clientErrorRate: 0,
    durations: noDurations,
    byteRate: 0,
    openedRate: 0,
    secured: 0,
    unsecured: 0,
  };
}

function add(sum: Sum, { labels, requestRate, durations, byteRate, openedRate }: CountedTraffic): void {
  if (labels.response !== "")
    sum.responses.set(labels.response, (sum.responses.get(labels.response) ?? 0) + requestRate);
  sum.requestRate += requestRate;
  if (labels.outcome === "failure") sum.failureRate += requestRate;
  if (labels.outcome === "clientError") sum.clientErrorRate += requestRate;
  if (durations !== undefined) sum.durations = addDurations(sum.durations, durations);
  sum.byteRate += byteRate;
  sum.openedRate += openedRate;
  const seen = requestRate + byteRate + openedRate;
  if (labels.security === "mutual_tls") sum.secured += seen;
  if (labels.security === "none") sum.unsecured += seen;
}

function edgeOf(sum: Sum, servers: readonly Sum[]): TrafficEdge {
  const { labels } = sum;
  const judges = servers.some(({ secured, unsecured }) => secured + unsecured > 0) ? servers : [sum];
  return {
    source: labels.source,
    service: labels.service,
    // The server's own proxy knows best which version its workload has.
    destination: servers[0]?.labels.destination ?? labels.destination,
    protocol: labels.protocol,
    responses: sum.responses,
    requestRate: sum.requestRate,
    failureRate: sum.failureRate,
    clientErrorRate: sum.clientErrorRate,
    durations: sum.durations,
    securedRate: judges.reduce((total, { secured }) => total + secured, 0),
    unsecuredRate: judges.reduce((total, { unsecured }) => total + unsecured, 0),
    byteRate: sum.byteRate,
    openedRate: sum.openedRate,
  };
}

function nameOf({ source, service, destination, protocol }: TrafficEdge): string {
  return `${source.namespace}\n${source.workload}\n${service.namespace}\n${service.name}\n${destination.workload}\n${protocol}`;
}

/** The share of mutual TLS from 0 to 1. Undefined if no proxy at the destination has counted anything. */
export function mutualTlsShare({
  securedRate,
  unsecuredRate,
}: Pick<TrafficEdge, "securedRate" | "unsecuredRate">): number | undefined {
  const seen = securedRate + unsecuredRate;
  return seen > 0 ? securedRate / seen : undefined;
}

export type TrafficSum = Omit<TrafficEdge, "source" | "service" | "destination" | "protocol">;

export function sumTraffic(edges: readonly TrafficSum[]): TrafficSum {
  const [only] = edges;
  if (only !== undefined && edges.length === 1) return only;
  const responses = new Map<string, number>();
  const sum = {
    requestRate: 0,
    failureRate: 0,
    clientErrorRate: 0,
    durations: noDurations,
    securedRate: 0,
    unsecuredRate: 0,
    byteRate: 0,
    openedRate: 0,
  };
  for (const edge of edges) {
    for (const [response, rate] of edge.responses) responses.set(response, (responses.get(response) ?? 0) + rate);
    sum.requestRate += edge.requestRate;
    sum.failureRate += edge.failureRate;
    sum.clientErrorRate += edge.clientErrorRate;
    sum.durations = addDurations(sum.durations, edge.durations);
    sum.securedRate += edge.securedRate;
    sum.unsecuredRate += edge.unsecuredRate;
    sum.byteRate += edge.byteRate;
    sum.openedRate += edge.openedRate;
  }
  return { responses, ...sum };
}

export function shareOf(part: number, whole: number): number {
  return whole > 0 ? part / whole : 0;
}

/** The rollout engine's probes run in this namespace. */
const probeNamespace = "serin-probes";

/** Whether the traffic is that of probes, which are no users of the mesh. */
export function isOfProbes({ source, destination }: Pick<TrafficEdge, "source" | "destination">): boolean {
  return source.namespace === probeNamespace || destination.namespace === probeNamespace;
}

export function isNamed(end: WorkloadEnd): boolean {
  return end.workload !== unknown && end.namespace !== unknown;
}
