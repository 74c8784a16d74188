import type { Clock, Logger } from "../../base/index.ts";
import { hboneCutOffs, type HboneCutOff } from "../../dataplane/tunnels/index.ts";
import type { SocketAddress } from "../../net/index.ts";
import type { Counter, MetricFamily, MetricsRegistry } from "../../telemetry/index.ts";
import { formatAuthority } from "../../wire/hbone/index.ts";
import { workloadIdentity, type Workload } from "../state/model.ts";
import {
  ConnectionKinds,
  type ConnectionEnds,
  type ConnectionKind,
  type KindCounters,
  type Reporter,
} from "./connection-kinds.ts";

export interface ConnectionDetails extends ConnectionEnds {
  readonly sourceAddress: SocketAddress;
  readonly destinationAddress: SocketAddress;
  /** The address that the application connected to. Outbound only. */
  readonly originalDestination?: SocketAddress;
  readonly toWaypoint?: boolean | undefined;
  readonly hboneTarget?: string | undefined;
}

/** The value of `response_flags`: why a connection failed, or `-` if it did not fail. */
export type ResponseFlag =
  | "-"
  | "DENY"
  | "CONNECT"
  | "TLS_FAILURE"
  | "H2_HANDSHAKE_FAILURE"
  | "NETWORK_POLICY"
  | "IDENTITY_ERROR";

export interface EndedConnection {
  readonly details: ConnectionDetails;
  /** Unix time in milliseconds. */
  readonly startedMs: number;
  readonly durationMs: number;
  /** Bytes from the client to the server. */
  readonly forwardBytes: number;
  /** Bytes from the server to the client. */
  readonly backwardBytes: number;
  readonly flag: ResponseFlag;
}

const labelNames = [
  "reporter",
  ...[
    "workload",
    "canonical_service",
    "canonical_revision",
    "workload_namespace",
    "principal",
    "app",
    "version",
    "cluster",
  ].map((name) => `source_${name}`),
  ...["service", "service_namespace", "service_name"].map((name) => `destination_${name}`),
  ...[
    "workload",
    "canonical_service",
    "canonical_revision",
    "workload_namespace",
    "principal",
    "app",
    "version",
    "cluster",
  ].map((name) => `destination_${name}`),
  "request_protocol",
  "response_flags",
  "connection_security_policy",
  "source_region",
  "source_zone",
  "destination_region",
  "destination_zone",
];

/**
 * Attributes a series of metrics to the namespaces of its two ends. A user who can change a pod's labels chooses its
 * workload's name and revision. Such a user must not use up the series of other namespaces on the node.
 */
function ownersOfSeries(names: readonly string[]): (values: readonly string[]) => string {
  const [source, destination] = ["source", "destination"].map((end) => names.indexOf(`${end}_workload_namespace`));
  return (values) => `${values[source ?? -1] ?? ""} ${values[destination ?? -1] ?? ""}`;
}

/** Istio's TCP metrics and ztunnel's access log. */
export class ConnectionTelemetry {
  readonly #registry: MetricsRegistry;
  readonly #log: Logger;
  readonly #clock: Clock;
  readonly #writeLine: ((ended: EndedConnection) => void) | undefined;
  readonly #opened: MetricFamily<Counter>;
  readonly #closed: MetricFamily<Counter>;
  readonly #failed: MetricFamily<Counter>;
  readonly #received: MetricFamily<Counter>;
  readonly #sent: MetricFamily<Counter>;
  readonly #countCutOff: (reason: HboneCutOff) => void;
  readonly #kinds = new ConnectionKinds((ends) => this.#kindOf(ends));

  /**
   * `writeLine` gets each ended connection and writes its line in another format. With `writeLine`, `log` gets only the
   * connections that failed.
   */
  constructor(registry: MetricsRegistry, log: Logger, clock: Clock, writeLine?: (ended: EndedConnection) => void) {
    this.#registry = registry;
    this.#writeLine = writeLine;
    this.#log = log.scoped("access");
    this.#clock = clock;
    this.#countCutOff = hboneCutOffs(registry);
    const counter = (name: string, help: string): MetricFamily<Counter> =>
      registry.counter(name, help, labelNames).rotate(ownersOfSeries);
    this.#opened = counter("istio_tcp_connections_opened_total", "The total number of TCP connections opened.");
    this.#closed = counter("istio_tcp_connections_closed_total", "The total number of TCP connections closed.");
    this.#failed = counter(
      "istio_tcp_connections_failed_total",
      "The total number of TCP connections that failed to establish.",
    );
    this.#received = counter("istio_tcp_received_bytes_total", "Bytes received during requests of TCP connections.");
    this.#sent = counter("istio_tcp_sent_bytes_total", "Bytes sent during responses of TCP connections.");
  }

  open(details: ConnectionDetails): ConnectionRecord {
    const kind = this.#kinds.of(details);
    this.#renew(kind);
    kind.opened.increment();
    return new ConnectionRecord(details, kind, this.#clock.steadyMs(), this.#finish, this.#renew);
  }

  readonly #finish = (record: ConnectionRecord, error: string | undefined, flag: ResponseFlag): void => {
    const { details } = record;
    this.#renew(record.kind);
    if (flag === "-") (record.kind.closed ??= this.#closed.labels(...labelValues(details, "-"))).increment();
    else {
      const labels = labelValues(details, flag);
      this.#closed.labels(...labels).increment();
      this.#failed.labels(...labels).increment();
    }
    const durationMs = this.#clock.steadyMs() - record.startedAtMs;
    if (this.#writeLine !== undefined) {
      const { forwardBytes, backwardBytes } = record;
      const startedMs = this.#clock.nowMs() - durationMs;
      this.#writeLine({ details, startedMs, durationMs, forwardBytes, backwardBytes, flag });
      if (error === undefined) return;
    }
    const line = `connection complete\t${logFields(record, durationMs)}`;
    if (error === undefined) this.#log.info(line);
    else this.#log.error(`${line} error=${JSON.stringify(error)}`);
  };

  #kindOf(ends: ConnectionEnds): ConnectionKind {
    return {
      ends,
      ...this.#countersOf(ends),
      sourceFields: sourceFields(ends),
      destinationFields: destinationFields(ends),
    };
  }

  #countersOf(ends: ConnectionEnds): KindCounters {
    const { generation } = this.#registry;
    const labels = labelValues(ends, "-");
    return {
      generation,
      opened: this.#opened.labels(...labels),
      closed: undefined,
      received: this.#received.labels(...labels),
      sent: this.#sent.labels(...labels),
    };
  }

  /** Requests the counters again if the registry has dropped series. A connection may live longer than its series. */
  readonly #renew = (kind: ConnectionKind): void => {
    if (kind.generation !== this.#registry.generation) Object.assign(kind, this.#countersOf(kind.ends));
  };

  /** Counts an HBONE connection that this ztunnel closed because the peer flooded it. */
  cutOff(source: SocketAddress, destination: SocketAddress, reason: HboneCutOff): void {
    this.#countCutOff(reason);
    this.denied("destination", source, destination, `hbone connection was cut off: ${reason}`);
  }

  /** Logs a failed connection by its addresses, without its workloads. */
  denied(reporter: Reporter, source: SocketAddress, destination: SocketAddress, error: string): void {
    const fields = [
      `src.addr=${formatAuthority(source.address, source.port)}`,
      `dst.addr=${formatAuthority(destination.address, destination.port)}`,
      `direction="${reporter === "source" ? "outbound" : "inbound"}"`,
      `error=${JSON.stringify(error)}`,
    ];
    this.#log.warn(`connection failed\t${fields.join(" ")}`);
  }
}

/** Counts one connection and writes one access log line when it ends. */
export class ConnectionRecord {
  readonly details: ConnectionDetails;
  readonly kind: ConnectionKind;
  readonly startedAtMs: number;
  forwardBytes = 0;
  backwardBytes = 0;
  readonly #finish: (record: ConnectionRecord, error: string | undefined, flag: ResponseFlag) => void;
  readonly #renew: (kind: ConnectionKind) => void;
  #finished = false;

  constructor(
    details: ConnectionDetails,
    kind: ConnectionKind,
    startedAtMs: number,
    finish: (record: ConnectionRecord, error: string | undefined, flag: ResponseFlag) => void,
    renew: (kind: ConnectionKind) => void,
  ) {
    this.details = details;
    this.kind = kind;
    this.startedAtMs = startedAtMs;
    this.#finish = finish;
    this.#renew = renew;
  }

  readonly onForward = (bytes: number): void => {
    this.forwardBytes += bytes;
    this.#renew(this.kind);
    this.kind.received.add(bytes);
  };

  readonly onBackward = (bytes: number): void => {
    this.backwardBytes += bytes;
    this.#renew(this.kind);
    this.kind.sent.add(bytes);
  };

  /** Counts and logs the end once. Further calls have no effect. */
  finish(error?: string, flag: ResponseFlag = error === undefined ? "-" : "CONNECT"): void {
    if (this.#finished) return;
    this.#finished = true;
    this.#finish(this, error, flag);
  }
}

const unknown = "unknown";

function orUnknown(value: string | undefined): string {
  return value === undefined || value === "" ? unknown : value;
}

function labelValues(details: ConnectionEnds, flag: ResponseFlag): string[] {
  const { source, destination, service } = details;
  return [
    details.reporter,
    ...workloadLabels(source, details.sourceIdentity),
    orUnknown(service?.hostname),
    orUnknown(service?.namespace),
    orUnknown(service?.name),
    ...workloadLabels(destination, destination === undefined ? undefined : workloadIdentity(destination)),
    "tcp",
    flag,
    details.mutualTls ? "mutual_tls" : unknown,
    orUnknown(source?.locality.region),
    orUnknown(source?.locality.zone),
    orUnknown(destination?.locality.region),
    orUnknown(destination?.locality.zone),
  ];
}

function workloadLabels(workload: Workload | undefined, identity: string | undefined): string[] {
  return [
    orUnknown(workload?.workloadName),
    orUnknown(workload?.canonicalName),
    orUnknown(workload?.canonicalRevision),
    orUnknown(workload?.namespace),
    orUnknown(identity),
    orUnknown(workload?.canonicalName),
    orUnknown(workload?.canonicalRevision),
    orUnknown(workload?.clusterId),
  ];
}

/** Formats the fields as `key="value"`, with strings as in Rust's debug form. Addresses and numbers have no quotes. */
function logFields({ details, kind, forwardBytes, backwardBytes }: ConnectionRecord, durationMs: number): string {
  const { sourceAddress, destinationAddress, hboneTarget, reporter } = details;
  const isOutbound = reporter === "source";
  const target = hboneTarget === undefined || hboneTarget === "" ? "" : ` dst.hbone_addr=${hboneTarget}`;
  const sentBytes = isOutbound ? forwardBytes : backwardBytes;
  const receivedBytes = isOutbound ? backwardBytes : forwardBytes;
  return (
    `src.addr=${formatAuthority(sourceAddress.address, sourceAddress.port)}${kind.sourceFields}` +
    ` dst.addr=${formatAuthority(destinationAddress.address, destinationAddress.port)}${target}${kind.destinationFields}` +
    ` bytes_sent=${sentBytes} bytes_recv=${receivedBytes} duration="${Math.floor(durationMs)}ms"`
  );
}

function sourceFields({ source, sourceIdentity, mutualTls }: ConnectionEnds): string {
  return [
    quoted("src.workload", source?.name),
    quoted("src.namespace", source?.namespace),
    quoted("src.identity", mutualTls ? sourceIdentity : undefined),
    quoted("src.cluster", source?.clusterId),
  ].join("");
}

function destinationFields({ destination, service, mutualTls, reporter }: ConnectionEnds): string {
  return [
    quoted("dst.service", service?.hostname),
    quoted("dst.workload", destination?.name),
    quoted("dst.namespace", destination?.namespace),
    quoted("dst.identity", mutualTls && destination !== undefined ? workloadIdentity(destination) : undefined),
    quoted("dst.cluster", destination?.clusterId),
    quoted("direction", reporter === "source" ? "outbound" : "inbound"),
  ].join("");
}

function quoted(key: string, value: string | undefined): string {
  return value === undefined || value === "" ? "" : ` ${key}=${JSON.stringify(value)}`;
}
