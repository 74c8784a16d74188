import type { ServerResponse } from "node:http";
import { ownField, type Clock } from "../../base/index.ts";
import {
  addProcessMetrics,
  MetricsRegistry,
  renderPrometheus,
  type Counter,
  type Gauge,
  type Histogram,
  type MetricFamily,
} from "../../telemetry/index.ts";
import { wantsDryRun } from "./options.ts";
import type { ResourceRequest } from "./request-info.ts";

/** The upper bounds of the duration buckets, in seconds. */
const durationBounds = [
  0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1, 1.25, 1.5, 2, 3, 4, 5, 6, 8, 10, 15, 20, 30, 45, 60,
];
const labelsOfRequest = ["verb", "group", "version", "resource", "subresource", "scope", "component"] as const;
const component = "apiserver";

/**
 * The names of the verbs in kube-apiserver's metrics. HTTP/2 clients may invent methods. All other verbs count as
 * {@link otherVerb}.
 */
const verbNames: Readonly<Record<string, string>> = {
  get: "GET",
  list: "LIST",
  watch: "WATCH",
  create: "POST",
  update: "PUT",
  patch: "PATCH",
  delete: "DELETE",
  deletecollection: "DELETECOLLECTION",
};
const otherVerb = "OTHER";

/** Counts requests for resources, under the metric names of kube-apiserver. */
export class RequestMetrics {
  readonly #registry: MetricsRegistry;
  readonly #requests: MetricFamily<Counter>;
  readonly #durations: MetricFamily<Histogram>;
  readonly #inFlight: MetricFamily<Gauge>;
  readonly #clock: Pick<Clock, "steadyMs">;

  constructor(clock: Pick<Clock, "steadyMs">) {
    this.#clock = clock;
    this.#registry = new MetricsRegistry({ clock });
    this.#requests = this.#registry.counter("apiserver_request_total", "Requests for resources by verb and answer.", [
      ...labelsOfRequest,
      "dry_run",
      "code",
    ]);
    this.#durations = this.#registry.histogram(
      "apiserver_request_duration_seconds",
      "Time to answer requests for resources, without watches.",
      labelsOfRequest,
      durationBounds,
    );
    this.#inFlight = this.#registry.gauge(
      "apiserver_current_inflight_requests",
      "Requests that are being answered, without watches.",
      ["request_kind"],
    );
    addProcessMetrics(this.#registry, process);
  }

  /**
   * Counts the request when its answer ends. Call this only for resources that exist, because clients can invent other
   * paths.
   */
  follow(info: ResourceRequest, query: URLSearchParams, response: ServerResponse): void {
    const startedMs = this.#clock.steadyMs();
    const isWatch = info.verb === "watch";
    const kind = this.#inFlight.labels(isReading(info.verb) ? "readOnly" : "mutating");
    if (!isWatch) kind.add(1);
    response.once("close", () => {
      if (!isWatch) kind.add(-1);
      const labels = labelsOf(info);
      this.#requests.labels(...labels, wantsDryRun(query) ? "All" : "", String(response.statusCode)).increment();
      if (!isWatch) this.#durations.labels(...labels).observe((this.#clock.steadyMs() - startedMs) / 1000);
    });
  }

  text(): string {
    return renderPrometheus(this.#registry);
  }
}

function isReading(verb: string): boolean {
  return verb === "get" || verb === "list";
}

function labelsOf(info: ResourceRequest): readonly string[] {
  const { verb, group, version, resource, subresource, name, namespace } = info;
  const scope = name !== "" || verb === "create" ? "resource" : namespace === "" ? "cluster" : "namespace";
  return [ownField(verbNames, verb) ?? otherVerb, group, version, resource, subresource, scope, component];
}
