import type { Counter, Histogram, MetricFamily, MetricsRegistry } from "../../telemetry/index.ts";
import type { ExchangeRecord } from "../http/exchange-record.ts";
import { flagLetters } from "../http/response-flags.ts";
import { unknownWorkload, type WorkloadLabels } from "../upstream/endpoint.ts";

/** This proxy itself, as the source of what it sends on. */
export interface SourceLabels extends WorkloadLabels {
  readonly principal: string;
  readonly app: string;
  readonly version: string;
}

const labelNames = [
  "reporter", "source_workload", "source_workload_namespace", "source_principal", "source_app", "source_version", "source_canonical_service",
  "source_canonical_revision", "source_cluster", "destination_workload", "destination_workload_namespace", "destination_principal", "destination_app",
  "destination_version", "destination_service", "destination_service_name", "destination_service_namespace", "destination_canonical_service",
  "destination_canonical_revision", "destination_cluster", "request_protocol", "response_code", "grpc_response_status", "response_flags",
  "connection_security_policy",
];

const durationBoundsMs = [0.5, 1, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 30_000, 60_000, 300_000, 600_000, 1_800_000, 3_600_000];
const sizeBounds = [1, 8, 64, 512, 4096, 32_768, 262_144, 2_097_152, 16_777_216, 134_217_728, 1_073_741_824];

interface Handles {
  readonly requests: Counter;
  readonly duration: Histogram;
  readonly requestBytes: Histogram;
  readonly responseBytes: Histogram;
}

/** Istio's standard metrics, as the reporter `source`. */
export class IstioMetrics {
  readonly #source: SourceLabels;
  readonly #requests: MetricFamily<Counter>;
  readonly #duration: MetricFamily<Histogram>;
  readonly #requestBytes: MetricFamily<Histogram>;
  readonly #responseBytes: MetricFamily<Histogram>;
  /** For requests that reached no endpoint. */
  readonly #unserved = new Map<string, Handles>();

  constructor(registry: MetricsRegistry, source: SourceLabels) {
    this.#source = source;
    this.#requests = registry.counter("istio_requests_total", "Requests, by source, destination and answer.", labelNames);
    this.#duration = registry.histogram("istio_request_duration_milliseconds", "Duration of requests.", labelNames, durationBoundsMs);
    this.#requestBytes = registry.histogram("istio_request_bytes", "Sizes of request bodies.", labelNames, sizeBounds);
    this.#responseBytes = registry.histogram("istio_response_bytes", "Sizes of response bodies.", labelNames, sizeBounds);
  }

  observe(record: ExchangeRecord): void {
    const handles = this.#handles(record);
    handles.requests.increment();
    handles.duration.observe(record.durationMs);
    handles.requestBytes.observe(record.receivedBytes);
    handles.responseBytes.observe(record.sentBytes);
  }

  #handles(record: ExchangeRecord): Handles {
    const { endpoint } = record;
    if (endpoint !== undefined && record.grpcStatus === "") {
      const key = record.status * 32 + record.flag;
      const known = endpoint.statistics.get(key);
      if (known !== undefined) return known as Handles;
      const made = this.#make(record);
      endpoint.statistics.set(key, made);
      return made;
    }
    const key = `${record.cluster?.name ?? ""} ${endpoint?.name ?? ""} ${record.status} ${record.flag} ${record.grpcStatus}`;
    let handles = this.#unserved.get(key);
    if (handles === undefined) {
      handles = this.#make(record);
      if (this.#unserved.size < maxUnserved) this.#unserved.set(key, handles);
    }
    return handles;
  }

  #make(record: ExchangeRecord): Handles {
    const { endpoint, cluster } = record;
    const source = this.#source;
    const destination = endpoint?.config.workload ?? unknownWorkload;
    const service = cluster?.config.service;
    const secured = endpoint !== undefined && endpoint.config.transport.kind !== "plain";
    const values = [
      "source", source.workload, source.namespace, secured ? source.principal : "unknown", source.app, source.version, source.canonicalName,
      source.canonicalRevision, source.cluster, destination.workload, destination.namespace, "unknown", destination.canonicalName,
      destination.canonicalRevision, service?.host ?? "unknown", service?.name ?? "unknown", service?.namespace ?? "unknown", destination.canonicalName,
      destination.canonicalRevision, destination.cluster, record.grpcStatus === "" ? "http" : "grpc", String(record.status), record.grpcStatus,
      flagLetters(record.flag), "unknown",
    ];
    return {
      requests: this.#requests.labels(...values),
      duration: this.#duration.labels(...values),
      requestBytes: this.#requestBytes.labels(...values),
      responseBytes: this.#responseBytes.labels(...values),
    };
  }
}

/** Combinations without an endpoint of which the handles are kept. */
const maxUnserved = 2000;
