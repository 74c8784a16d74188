import { parseIdentity } from "../../dataplane/index.ts";
import type { Counter, Histogram, MetricFamily, MetricsRegistry } from "../../telemetry/index.ts";
import { standardStats, type StatsRules } from "../config/stats-config.ts";
import type { ConnectionInfo } from "../connection-info.ts";
import type { ExchangeRecord } from "../http/exchange-record.ts";
import { flagLetters, type ResponseFlag } from "../http/response-flags.ts";
import type { TcpFlow } from "../tcp/tcp-proxy.ts";
import type { Cluster, Endpoint } from "../upstream/cluster.ts";
import { unknownWorkload, type WorkloadLabels } from "../upstream/endpoint.ts";
import type { CaptureIndex } from "./log-format.ts";

/** This proxy itself, at the end where it stands. */
export interface OwnLabels extends WorkloadLabels {
  readonly principal: string;
  readonly app: string;
  readonly version: string;
}

/** Where this proxy stands: by the client, by the server, or between the two. */
export type Reporter = "source" | "destination" | "waypoint";

const endNames = ["workload", "workload_namespace", "principal", "app", "version", "canonical_service", "canonical_revision", "cluster"];
const commonNames = [
  "reporter", ...endNames.map((name) => `source_${name}`), ...endNames.map((name) => `destination_${name}`), "destination_service", "destination_service_name",
  "destination_service_namespace", "request_protocol", "response_flags", "connection_security_policy",
];
const fineNames = ["reporter", "destination_workload", "destination_workload_namespace", "destination_service_name", "destination_service_namespace"];
const requestNames = [...commonNames, "response_code", "grpc_response_status"];

const durationBoundsMs = [0.5, 1, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 30_000, 60_000, 300_000, 600_000, 1_800_000, 3_600_000];
/** Istio's buckets cannot tell 2 ms from 4: these, a quarter apart, can. For who compares two versions. */
const fineBoundsMs = Array.from({ length: 50 }, (_, third) => Number((0.5 * 2 ** (third / 3)).toPrecision(4)));
const sizeBounds = [1, 8, 64, 512, 4096, 32_768, 262_144, 2_097_152, 16_777_216, 134_217_728, 1_073_741_824];

interface RequestHandles {
  readonly requests: Counter;
  readonly duration: Histogram;
  readonly fineDuration: Histogram;
  readonly requestBytes: Histogram;
  readonly responseBytes: Histogram;
}

/** Those that are counted. */
interface TcpHandles {
  readonly opened: Counter | undefined;
  readonly closed: Counter | undefined;
  readonly sent: Counter | undefined;
  readonly received: Counter | undefined;
}

/** What the labels of a request or connection are made of, besides its outcome. */
interface Ends {
  readonly reporter: Reporter;
  readonly connection: ConnectionInfo;
  /** Who the proxies at both ends say that they speak for. */
  readonly clientPeer: WorkloadLabels | undefined;
  readonly serverPeer: WorkloadLabels | undefined;
  readonly cluster: Cluster | undefined;
  readonly endpoint: Endpoint | undefined;
}

/** Combinations of which the handles are kept. */
const maxKept = 10_000;

/** Istio's standard metrics. */
export class IstioMetrics {
  readonly #own: OwnLabels;
  readonly #registry: MetricsRegistry;
  readonly #requests: MetricFamily<Counter>;
  readonly #duration: MetricFamily<Histogram>;
  readonly #fineDuration: MetricFamily<Histogram>;
  readonly #requestBytes: MetricFamily<Histogram>;
  readonly #responseBytes: MetricFamily<Histogram>;
  readonly #opened: MetricFamily<Counter>;
  readonly #closed: MetricFamily<Counter>;
  readonly #sent: MetricFamily<Counter>;
  readonly #received: MetricFamily<Counter>;
  readonly #kept = new Map<string, RequestHandles>();
  readonly #tcp = new WeakMap<TcpFlow, { readonly handles: TcpHandles; sent: number; received: number }>();

  constructor(registry: MetricsRegistry, own: OwnLabels) {
    this.#own = own;
    this.#registry = registry;
    this.#requests = registry.counter("istio_requests_total", "Requests, by source, destination and answer.", requestNames);
    this.#duration = registry.histogram("istio_request_duration_milliseconds", "Duration of requests.", requestNames, durationBoundsMs);
    this.#fineDuration = registry.histogram("serin_request_duration_milliseconds", "Duration of requests by destination, in buckets a quarter apart.", fineNames, fineBoundsMs);
    this.#requestBytes = registry.histogram("istio_request_bytes", "Sizes of request bodies.", requestNames, sizeBounds);
    this.#responseBytes = registry.histogram("istio_response_bytes", "Sizes of response bodies.", requestNames, sizeBounds);
    this.#opened = registry.counter("istio_tcp_connections_opened_total", "TCP connections that were opened.", commonNames);
    this.#closed = registry.counter("istio_tcp_connections_closed_total", "TCP connections that have ended.", commonNames);
    this.#sent = registry.counter("istio_tcp_sent_bytes_total", "Bytes sent to clients over TCP.", commonNames);
    this.#received = registry.counter("istio_tcp_received_bytes_total", "Bytes received from clients over TCP.", commonNames);
  }

  /** Rules that are the standard cost nothing. */
  observe(record: ExchangeRecord, reporter: Reporter = "source", rules: StatsRules = standardStats, capture: CaptureIndex = noCapture): void {
    if (rules.metrics.size > 0) {
      this.#observeBy(rules, record, reporter, capture);
      return;
    }
    const handles = this.#handles(record, reporter);
    handles.requests.increment();
    handles.duration.observe(record.durationMs);
    handles.fineDuration.observe(record.durationMs);
    handles.requestBytes.observe(record.receivedBytes);
    handles.responseBytes.observe(record.sentBytes);
  }

  opened(flow: TcpFlow, reporter: Reporter, rules: StatsRules, record: ExchangeRecord): void {
    const { connection, cluster, endpoint, flag } = flow;
    const values = this.#commonValues({ reporter, connection, clientPeer: undefined, serverPeer: flow.upstreamPeer, cluster, endpoint }, "tcp", flag);
    const handleOf = (family: MetricFamily<Counter>): Counter | undefined => this.#handleBy(rules, family, values, record, noCapture);
    const handles: TcpHandles = { opened: handleOf(this.#opened), closed: handleOf(this.#closed), sent: handleOf(this.#sent), received: handleOf(this.#received) };
    handles.opened?.increment();
    this.#tcp.set(flow, { handles, sent: 0, received: 0 });
  }

  moved(flow: TcpFlow): void {
    const counted = this.#tcp.get(flow);
    if (counted === undefined) return;
    counted.handles.sent?.add(flow.sentBytes - counted.sent);
    counted.handles.received?.add(flow.receivedBytes - counted.received);
    counted.sent = flow.sentBytes;
    counted.received = flow.receivedBytes;
  }

  closed(flow: TcpFlow): void {
    this.#tcp.get(flow)?.handles.closed?.increment();
    this.#tcp.delete(flow);
  }

  #observeBy(rules: StatsRules, record: ExchangeRecord, reporter: Reporter, capture: CaptureIndex): void {
    const values = this.#requestValues(record, reporter);
    this.#handleBy(rules, this.#requests, values, record, capture)?.increment();
    this.#handleBy(rules, this.#duration, values, record, capture)?.observe(record.durationMs);
    this.#handleBy(rules, this.#requestBytes, values, record, capture)?.observe(record.receivedBytes);
    this.#handleBy(rules, this.#responseBytes, values, record, capture)?.observe(record.sentBytes);
    this.#fineOf(values).observe(record.durationMs);
  }

  /** The series of a metric as the rules have it; undefined where it is not counted, or has more lists of labels than are kept. */
  #handleBy<Handle extends Counter | Histogram>(rules: StatsRules, family: MetricFamily<Handle>, values: readonly string[], record: ExchangeRecord, capture: CaptureIndex): Handle | undefined {
    const rule = rules.metrics.get(family.name.replace(/^istio_/, ""));
    if (rule === undefined) return family.labels(...values);
    if (rule.drop) return undefined;
    const labels = new Map(family.labelNames.map((name, index) => [name, values[index] ?? "unknown"]));
    for (const name of rule.removed) labels.delete(name);
    for (const { label, value } of rule.added) labels.set(label, textOf(value.evaluate(record, capture)));
    return this.#registry.variant(family, [...labels.keys()])?.labels(...labels.values());
  }

  #handles(record: ExchangeRecord, reporter: Reporter): RequestHandles {
    const { endpoint } = record;
    // What leaves this proxy's own workload differs by endpoint and outcome alone: found without building a key.
    if (reporter === "source" && endpoint !== undefined && !record.isGrpc) {
      const key = record.status * 64 + record.flag;
      const known = endpoint.statistics.get(key);
      if (known !== undefined) return known as RequestHandles;
      const made = this.#make(record, reporter);
      endpoint.statistics.set(key, made);
      return made;
    }
    const peer = record.downstreamPeer ?? record.connection.peer;
    const key = [
      reporter, record.cluster?.name, endpoint?.name, record.status, record.flag, record.grpcStatus, peer?.workload, peer?.namespace, peer?.canonicalRevision,
      record.connection.tls?.peerIdentity,
    ].join("|");
    let handles = this.#kept.get(key);
    if (handles === undefined) {
      handles = this.#make(record, reporter);
      if (this.#kept.size >= maxKept) this.#kept.clear();
      this.#kept.set(key, handles);
    }
    return handles;
  }

  #requestValues(record: ExchangeRecord, reporter: Reporter): readonly string[] {
    const { cluster, endpoint, connection, downstreamPeer: clientPeer, upstreamPeer: serverPeer } = record;
    const common = this.#commonValues({ reporter, connection, clientPeer, serverPeer, cluster, endpoint }, record.isGrpc ? "grpc" : "http", record.flag);
    return [...common, String(record.status), record.grpcStatus];
  }

  #fineOf(values: readonly string[]): Histogram {
    return this.#fineDuration.labels(...fineNames.map((name) => values[requestNames.indexOf(name)] ?? "unknown"));
  }

  #make(record: ExchangeRecord, reporter: Reporter): RequestHandles {
    const values = this.#requestValues(record, reporter);
    return {
      requests: this.#requests.labels(...values),
      duration: this.#duration.labels(...values),
      fineDuration: this.#fineOf(values),
      requestBytes: this.#requestBytes.labels(...values),
      responseBytes: this.#responseBytes.labels(...values),
    };
  }

  #commonValues(ends: Ends, protocol: string, flag: ResponseFlag): string[] {
    const { reporter, cluster, endpoint, connection } = ends;
    const service = cluster?.config.service;
    return [
      reporter, ...this.#sourceValues(ends), ...this.#destinationValues(ends), service?.host ?? "unknown", service?.name ?? "unknown",
      service?.namespace ?? (reporter === "destination" ? this.#own.namespace : (endpoint?.config.workload.namespace ?? "unknown")), protocol, flagLetters(flag),
      reporter === "source" ? "unknown" : isMutual(connection) ? "mutual_tls" : "none",
    ];
  }

  #sourceValues({ reporter, connection, clientPeer, endpoint }: Ends): string[] {
    const own = this.#own;
    if (reporter === "source") {
      const secured = endpoint !== undefined && endpoint.config.transport.kind !== "plain";
      return [own.workload, own.namespace, secured ? own.principal : "unknown", own.app, own.version, own.canonicalName, own.canonicalRevision, own.cluster];
    }
    const identity = connection.tls?.peerIdentity ?? "";
    const peer = clientPeer ?? connection.peer ?? workloadOfIdentity(identity);
    return peerValues(peer, identity === "" ? "unknown" : identity);
  }

  #destinationValues({ reporter, connection, endpoint, serverPeer }: Ends): string[] {
    const own = this.#own;
    if (reporter !== "destination") {
      const known = endpoint?.config.workload ?? unknownWorkload;
      return peerValues(known.workload === unknownWorkload.workload ? (serverPeer ?? known) : known, (endpoint?.peerIdentity ?? "") || "unknown");
    }
    const identity = connection.tls?.localIdentity ?? "";
    return [own.workload, own.namespace, identity === "" ? "unknown" : identity, own.app, own.version, own.canonicalName, own.canonicalRevision, own.cluster];
  }
}

const noCapture: CaptureIndex = { request: new Map(), response: new Map() };

/** As Istio shows what an expression gave. */
function textOf(value: unknown): string {
  if (typeof value === "string") return value === "" ? "unknown" : value;
  return typeof value === "bigint" || typeof value === "number" || typeof value === "boolean" ? String(value) : "unknown";
}

function peerValues(peer: WorkloadLabels, principal: string): string[] {
  return [peer.workload, peer.namespace, principal, peer.canonicalName, peer.canonicalRevision, peer.canonicalName, peer.canonicalRevision, peer.cluster];
}

function isMutual({ tls }: ConnectionInfo): boolean {
  return tls?.verified === true && tls.peerIdentity !== "" && tls.localIdentity !== "";
}

/** A peer that says nothing of itself has still proved its namespace. */
function workloadOfIdentity(text: string): WorkloadLabels {
  const identity = parseIdentity(text);
  return identity === undefined ? unknownWorkload : { ...unknownWorkload, namespace: identity.namespace };
}
