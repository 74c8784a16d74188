import type { DnsObserver } from "../../dataplane/dns/index.ts";
import type { Counter, Histogram, MetricFamily, MetricsRegistry } from "../../telemetry/index.ts";
import type { Workload } from "../state/model.ts";

const labelNames = ["request_query_type", "request_protocol", "source_canonical_service", "source_canonical_revision"];
const boundsSeconds = [0.0005, 0.001, 0.01, 0.1, 1, 5];
/** The query types that programs use. Clients may invent other types, so all other types share one label value. */
const commonTypes = new Set([
  "a",
  "aaaa",
  "any",
  "caa",
  "cname",
  "https",
  "mx",
  "naptr",
  "ns",
  "ptr",
  "soa",
  "srv",
  "svcb",
  "txt",
]);

/** Queries of pods, under upstream's names. */
export class DnsMetrics {
  readonly #requests: MetricFamily<Counter>;
  readonly #forwarded: MetricFamily<Counter>;
  readonly #failures: MetricFamily<Counter>;
  readonly #duration: MetricFamily<Histogram>;

  constructor(registry: MetricsRegistry) {
    this.#requests = registry.counter("istio_dns_requests_total", "Total number of DNS requests.", labelNames);
    this.#forwarded = registry.counter(
      "istio_dns_upstream_requests_total",
      "Total number of DNS requests forwarded to upstream.",
      labelNames,
    );
    this.#failures = registry.counter(
      "istio_dns_upstream_failures_total",
      "Total number of DNS requests that failed to forward upstream.",
      labelNames,
    );
    this.#duration = registry.histogram(
      "istio_dns_upstream_request_duration_seconds",
      "Total time in seconds Istio takes to get DNS response from upstream.",
      labelNames,
      boundsSeconds,
    );
  }

  of(source: Workload | undefined, transport: "udp" | "tcp"): DnsObserver {
    const valuesOf = (type: string): string[] => [
      typeLabel(type),
      transport,
      source?.canonicalName ?? "unknown",
      source?.canonicalRevision ?? "unknown",
    ];
    return {
      requested: (type) => this.#requests.labels(...valuesOf(type)).increment(),
      forwarded: (type, seconds, failed) => {
        const values = valuesOf(type);
        this.#forwarded.labels(...values).increment();
        if (failed) this.#failures.labels(...values).increment();
        else this.#duration.labels(...values).observe(seconds);
      },
    };
  }
}

function typeLabel(type: string): string {
  const lower = type.toLowerCase();
  return commonTypes.has(lower) ? lower : "unknown";
}
