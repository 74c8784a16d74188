import { BoundedCache } from "../../base/index.ts";
import { parseIdentity } from "../../dataplane/index.ts";
import type { WorkloadLabels } from "../terms/workload-labels.ts";
import { defaultReportingMs, type StatsRules } from "../record/stats-rules.ts";
import type { Counter, Histogram, MetricFamily, MetricsRegistry } from "../../telemetry/index.ts";
import type { ConnectionInfo } from "../terms/connection-info.ts";
import { allFlags } from "../terms/response-flags.ts";
import type { ExchangeRecord } from "../record/exchange-record.ts";
import type { TcpFlow } from "../tcp/tcp-flow.ts";
import type { Cluster, Endpoint } from "../upstream/cluster.ts";
import {
  commonNames,
  commonValues,
  namesHost,
  peerNames,
  requestNames,
  type OwnLabels,
  type Reporter,
} from "./istio-labels.ts";
import { noCapture, type CaptureIndex } from "../record/capture-index.ts";
import type { BucketsOf } from "./histogram-buckets.ts";

const fineNames = [
  "reporter",
  "destination_workload",
  "destination_workload_namespace",
  "destination_service_name",
  "destination_service_namespace",
];
const fineIndexes = fineNames.map((name) => requestNames.indexOf(name));

/** Envoy's buckets for sizes and durations. Istio's histograms have these unless the annotation sets others. */
const bounds = [
  0.5, 1, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 30_000, 60_000, 300_000, 600_000, 1_800_000,
  3_600_000,
];
/**
 * The bounds of finer buckets, each a quarter above the one before, by which two versions can be compared. Envoy's
 * buckets cannot distinguish 2 ms from 4 ms.
 */
const fineBoundsMs = Array.from({ length: 50 }, (_, third) => Number((0.5 * 2 ** (third / 3)).toPrecision(4)));

/** The series of one kind of request. A field is undefined if its metric is not counted. */
interface RequestHandles {
  readonly generation: number;
  readonly requests: Counter | undefined;
  readonly duration: Histogram | undefined;
  readonly fineDuration: Histogram;
  readonly requestBytes: Histogram | undefined;
  readonly responseBytes: Histogram | undefined;
  /** The message counters, which only gRPC requests have. */
  readonly requestMessages: Counter | undefined;
  readonly responseMessages: Counter | undefined;
}

/** The series of one kind of connection. A field is undefined if its metric is not counted. */
interface TcpHandles {
  readonly generation: number;
  readonly opened: Counter | undefined;
  readonly closed: Counter | undefined;
  readonly sent: Counter | undefined;
  readonly received: Counter | undefined;
}

interface CountedFlow {
  handles: TcpHandles;
  readonly make: () => TcpHandles;
  sent: number;
  received: number;
}

interface CountedStream {
  sinceMs: number;
  requestMessages: number;
  responseMessages: number;
}

/**
 * The series of the last request of a connection. The next request is usually of the same kind, so its series need not
 * be looked up.
 */
interface LastCounted {
  readonly rules: StatsRules;
  readonly peer: WorkloadLabels | undefined;
  readonly cluster: Cluster | undefined;
  readonly endpoint: Endpoint | undefined;
  readonly outcome: number;
  readonly handles: RequestHandles;
}

/**
 * The two namespaces that a series is attributed to: that of the service and that of the client's certificate.
 *
 * Whoever serves a request chooses its status, and whoever sends it chooses most labels about the client. At a
 * gateway, a waypoint or a server, neither must be able to use up the series of others. Only these two labels are
 * proven.
 */
function ownersOfSeries(labelNames: readonly string[]): (values: readonly string[]) => string {
  const service = labelNames.indexOf("destination_service_namespace");
  const principal = labelNames.indexOf("source_principal");
  return (values) => `${values[service] ?? ""} ${parseIdentity(values[principal] ?? "")?.namespace ?? ""}`;
}

const maxKept = 10_000;

export class IstioMetrics {
  readonly #own: OwnLabels;
  readonly #registry: MetricsRegistry;
  readonly #requests: MetricFamily<Counter>;
  readonly #duration: MetricFamily<Histogram>;
  readonly #fineDuration: MetricFamily<Histogram>;
  readonly #requestBytes: MetricFamily<Histogram>;
  readonly #responseBytes: MetricFamily<Histogram>;
  readonly #requestMessages: MetricFamily<Counter>;
  readonly #responseMessages: MetricFamily<Counter>;
  readonly #opened: MetricFamily<Counter>;
  readonly #closed: MetricFamily<Counter>;
  readonly #sent: MetricFamily<Counter>;
  readonly #received: MetricFamily<Counter>;
  readonly #kept = new BoundedCache<string, RequestHandles>(maxKept);
  readonly #last = new WeakMap<ConnectionInfo, LastCounted>();
  readonly #tcp = new WeakMap<TcpFlow, CountedFlow>();
  /** The counts of each open gRPC stream. An entry is removed when its stream ends. */
  readonly #streams = new WeakMap<ExchangeRecord, CountedStream>();
  /** A number for each set of rules, which stands for the set in keys. */
  readonly #ruleIds = new WeakMap<StatsRules, number>();
  #rules = 0;

  constructor(registry: MetricsRegistry, own: OwnLabels, bucketsOf: BucketsOf = () => undefined) {
    this.#own = own;
    this.#registry = registry;
    const counter = (name: string, help: string, names: readonly string[]): MetricFamily<Counter> =>
      registry.counter(name, help, names).rotate(ownersOfSeries);
    const histogram = (name: string, help: string): MetricFamily<Histogram> =>
      registry.histogram(name, help, requestNames, bucketsOf(name) ?? bounds).rotate(ownersOfSeries);
    this.#requests = counter("istio_requests_total", "Requests, by source, destination and response.", requestNames);
    this.#duration = histogram("istio_request_duration_milliseconds", "Duration of requests.");
    this.#fineDuration = registry
      .histogram(
        "serin_request_duration_milliseconds",
        "Duration of requests by destination, in buckets a quarter apart.",
        fineNames,
        fineBoundsMs,
      )
      .rotate(ownersOfSeries);
    this.#requestBytes = histogram("istio_request_bytes", "Sizes of request bodies.");
    this.#responseBytes = histogram("istio_response_bytes", "Sizes of response bodies.");
    this.#requestMessages = counter("istio_request_messages_total", "Messages of gRPC requests.", peerNames);
    this.#responseMessages = counter("istio_response_messages_total", "Messages of gRPC responses.", peerNames);
    this.#opened = counter("istio_tcp_connections_opened_total", "TCP connections that were opened.", commonNames);
    this.#closed = counter("istio_tcp_connections_closed_total", "TCP connections that have ended.", commonNames);
    this.#sent = counter("istio_tcp_sent_bytes_total", "Bytes sent to clients over TCP.", commonNames);
    this.#received = counter("istio_tcp_received_bytes_total", "Bytes received from clients over TCP.", commonNames);
  }

  observe(record: ExchangeRecord, reporter: Reporter, rules: StatsRules, capture: CaptureIndex): void {
    const handles = this.#handles(record, reporter, rules, capture);
    handles.requests?.increment();
    handles.duration?.observe(record.durationMs);
    handles.fineDuration.observe(record.durationMs);
    handles.requestBytes?.observe(record.receivedBytes);
    handles.responseBytes?.observe(record.sentBytes);
    if (!record.isGrpc) return;
    const counted = this.#streams.get(record);
    handles.requestMessages?.add(record.requestMessages - (counted?.requestMessages ?? 0));
    handles.responseMessages?.add(record.responseMessages - (counted?.responseMessages ?? 0));
    this.forget(record);
  }

  /**
   * Counts the messages of an open gRPC stream, once in each report interval. Must be called about every second. On the
   * client's side, counting begins with the server's first response, as in upstream, because the server is not known
   * before that.
   */
  streams(record: ExchangeRecord, reporter: Reporter, rules: StatsRules, capture: CaptureIndex, nowMs: number): void {
    const counted = this.#streams.get(record);
    if (counted === undefined) {
      this.#streams.set(record, { sinceMs: nowMs, requestMessages: 0, responseMessages: 0 });
      return;
    }
    const { requestMessages, responseMessages } = record;
    const moved = requestMessages > counted.requestMessages || responseMessages > counted.responseMessages;
    const isDue = nowMs - counted.sinceMs >= (rules.reportingMs ?? defaultReportingMs);
    if (!moved || !isDue || (record.status === 0 && reporter !== "destination")) return;
    // Look up only the message counters: the handles of whole requests would create series for outcomes that have not
    // occurred.
    const values = this.#valuesOf(record, reporter, rules.hostFallback && namesHost(record)).slice(0, peerNames.length);
    const source = { rules, record, capture };
    this.#handleBy(source, this.#requestMessages, peerNames, values)?.add(requestMessages - counted.requestMessages);
    this.#handleBy(source, this.#responseMessages, peerNames, values)?.add(responseMessages - counted.responseMessages);
    this.#streams.set(record, { sinceMs: nowMs, requestMessages, responseMessages });
  }

  /** Forgets a stream that has ended, without counting the rest. */
  forget(record: ExchangeRecord): void {
    this.#streams.delete(record);
  }

  opened(flow: TcpFlow, reporter: Reporter, rules: StatsRules, record: ExchangeRecord): void {
    const make = (): TcpHandles => {
      const { connection, cluster, endpoint, flag } = flow;
      const values = commonValues(
        this.#own,
        {
          reporter,
          connection,
          clientPeer: undefined,
          serverPeer: flow.upstreamPeer,
          cluster,
          endpoint,
          routeName: "",
          host: undefined,
        },
        "tcp",
        flag,
      );
      const handleOf = (family: MetricFamily<Counter>): Counter | undefined =>
        this.#handleBy({ rules, record, capture: noCapture }, family, commonNames, values);
      return {
        generation: this.#registry.generation,
        opened: handleOf(this.#opened),
        closed: handleOf(this.#closed),
        sent: handleOf(this.#sent),
        received: handleOf(this.#received),
      };
    };
    const handles = make();
    handles.opened?.increment();
    this.#tcp.set(flow, { handles, make, sent: 0, received: 0 });
  }

  moved(flow: TcpFlow): void {
    const counted = this.#tcp.get(flow);
    if (counted === undefined) return;
    const { sent, received } = this.#tcpHandles(counted);
    sent?.add(flow.sentBytes - counted.sent);
    received?.add(flow.receivedBytes - counted.received);
    counted.sent = flow.sentBytes;
    counted.received = flow.receivedBytes;
  }

  closed(flow: TcpFlow): void {
    const counted = this.#tcp.get(flow);
    if (counted !== undefined) this.#tcpHandles(counted).closed?.increment();
    this.#tcp.delete(flow);
  }

  /** Returns a connection's series. A connection may outlive them, so they are looked up again if some were dropped. */
  #tcpHandles(counted: CountedFlow): TcpHandles {
    if (counted.handles.generation !== this.#registry.generation) counted.handles = counted.make();
    return counted.handles;
  }

  #handles(record: ExchangeRecord, reporter: Reporter, rules: StatsRules, capture: CaptureIndex): RequestHandles {
    const { endpoint } = record;
    const outcome = outcomeOf(record);
    const { generation } = this.#registry;
    // Find the series without building a key: traffic from this proxy's own workload to a service differs only by
    // endpoint and outcome.
    const isByEndpoint = reporter === "source" && endpoint !== undefined && rules.metrics.size === 0;
    if (isByEndpoint) {
      const known = endpoint.statistics.get(outcome) as RequestHandles | undefined;
      if (known?.generation === generation) return known;
    }
    const namesIt = namesHost(record);
    const hasHost = rules.hostFallback && namesIt;
    if (outcome < 0 || hasHost || rules.hasExpressions) return this.#byKey(record, reporter, rules, capture, hasHost);
    if (isByEndpoint && !namesIt) {
      const made = this.#make(record, reporter, rules, capture, false);
      endpoint.statistics.set(outcome, made);
      return made;
    }
    const { connection, cluster } = record;
    const peer = record.downstreamPeer ?? connection.peer;
    const last = this.#last.get(connection);
    if (
      last !== undefined &&
      last.rules === rules &&
      last.peer === peer &&
      last.cluster === cluster &&
      last.endpoint === endpoint &&
      last.outcome === outcome &&
      last.handles.generation === generation
    )
      return last.handles;
    const handles = this.#byKey(record, reporter, rules, capture, false);
    this.#last.set(connection, { rules, peer, cluster, endpoint, outcome, handles });
    return handles;
  }

  #byKey(
    record: ExchangeRecord,
    reporter: Reporter,
    rules: StatsRules,
    capture: CaptureIndex,
    hasHost: boolean,
  ): RequestHandles {
    const peer = record.downstreamPeer ?? record.connection.peer;
    const key = [
      this.#ruleId(rules),
      reporter,
      record.cluster?.name,
      record.endpoint?.name,
      record.status,
      record.flag,
      record.isGrpc,
      record.grpcStatus,
      peer?.workload,
      peer?.namespace,
      peer?.canonicalName,
      peer?.canonicalRevision,
      peer?.cluster,
      record.connection.tls?.peerIdentity,
      record.endpoint?.peerIdentity,
      record.upstreamPeer?.workload,
      record.upstreamPeer?.namespace,
      record.routeName,
      hasHost ? record.authority : "",
      ...addedValues(rules, record, capture),
    ].join("|");
    let handles = this.#kept.get(key);
    if (handles?.generation !== this.#registry.generation) {
      handles = this.#make(record, reporter, rules, capture, hasHost);
      this.#kept.set(key, handles);
    }
    return handles;
  }

  #ruleId(rules: StatsRules): number {
    let id = this.#ruleIds.get(rules);
    if (id === undefined) this.#ruleIds.set(rules, (id = this.#rules += 1));
    return id;
  }

  #make(
    record: ExchangeRecord,
    reporter: Reporter,
    rules: StatsRules,
    capture: CaptureIndex,
    hasHost: boolean,
  ): RequestHandles {
    const { isGrpc } = record;
    const values = [...this.#valuesOf(record, reporter, hasHost), String(record.status), record.grpcStatus];
    const source = { rules, record, capture };
    const handleOf = <Handle extends Counter | Histogram>(family: MetricFamily<Handle>): Handle | undefined =>
      this.#handleBy(source, family, requestNames, values);
    const messagesOf = (family: MetricFamily<Counter>): Counter | undefined =>
      isGrpc ? this.#handleBy(source, family, peerNames, values.slice(0, peerNames.length)) : undefined;
    return {
      generation: this.#registry.generation,
      requests: handleOf(this.#requests),
      duration: handleOf(this.#duration),
      fineDuration: this.#fineDuration.labels(...fineIndexes.map((index) => values[index] ?? "unknown")),
      requestBytes: handleOf(this.#requestBytes),
      responseBytes: handleOf(this.#responseBytes),
      requestMessages: messagesOf(this.#requestMessages),
      responseMessages: messagesOf(this.#responseMessages),
    };
  }

  #valuesOf(record: ExchangeRecord, reporter: Reporter, hasHost: boolean): string[] {
    const {
      cluster,
      endpoint,
      connection,
      downstreamPeer: clientPeer,
      upstreamPeer: serverPeer,
      routeName,
      isGrpc,
    } = record;
    const ends = {
      reporter,
      connection,
      clientPeer,
      serverPeer,
      cluster,
      endpoint,
      routeName,
      host: hasHost && record.authority !== "" ? record.authority : undefined,
    };
    return commonValues(this.#own, ends, isGrpc ? "grpc" : "http", record.flag);
  }

  /**
   * Finds the series of a metric under the rules. Undefined if the rules drop the metric, or if there are too many
   * label combinations.
   */
  #handleBy<Handle extends Counter | Histogram>(
    { rules, record, capture }: Counted,
    family: MetricFamily<Handle>,
    names: readonly string[],
    values: readonly string[],
  ): Handle | undefined {
    const rule = rules.metrics.get(family.name.replace(/^istio_/, ""));
    if (rule === undefined) return family.labels(...values);
    if (rule.drop) return undefined;
    const labels = new Map(names.map((name, index) => [name, values[index] ?? "unknown"]));
    for (const name of rule.removed) labels.delete(name);
    for (const { label, value } of rule.added) labels.set(label, textOf(value.evaluate(record, capture)));
    return this.#registry.variant(family, [...labels.keys()])?.labels(...labels.values());
  }
}

interface Counted {
  readonly rules: StatsRules;
  readonly record: ExchangeRecord;
  readonly capture: CaptureIndex;
}

const grpcOutcomes = 18;
const maxGrpcStatus = 16;

/** Combines status, flag and gRPC status in one number, for keys. -1 if the gRPC status is invalid. */
function outcomeOf({ status, flag, isGrpc, grpcStatus }: ExchangeRecord): number {
  const http = (status * allFlags + flag) * grpcOutcomes;
  if (!isGrpc) return grpcStatus === "" ? http : -1;
  const code = grpcStatus === "" ? -1 : Number(grpcStatus);
  return Number.isInteger(code) && code >= 0 && code <= maxGrpcStatus ? http + 1 + code : -1;
}

function addedValues(rules: StatsRules, record: ExchangeRecord, capture: CaptureIndex): string[] {
  if (!rules.hasExpressions) return [];
  return [...rules.metrics.values()].flatMap(({ added }) =>
    added.map(({ value }) => textOf(value.evaluate(record, capture))),
  );
}

/** The text that Istio writes for the result of an expression. */
function textOf(value: unknown): string {
  if (typeof value === "string") return value === "" ? "unknown" : value;
  return typeof value === "bigint" || typeof value === "number" || typeof value === "boolean"
    ? String(value)
    : "unknown";
}
