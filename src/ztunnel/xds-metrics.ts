import type { XdsUpdate } from "../dataplane/index.ts";
import type { Counter, MetricFamily, MetricsRegistry } from "../telemetry/index.ts";

/** Metrics of the stream to the control plane, under upstream's names. */
export class XdsMetrics {
  readonly #messages: MetricFamily<Counter>;
  readonly #bytes: MetricFamily<Counter>;
  readonly #terminations: MetricFamily<Counter>;

  constructor(registry: MetricsRegistry) {
    this.#messages = registry.counter("istio_xds_message_total", "Total number of messages received.", ["url"]);
    this.#bytes = registry.counter("istio_xds_message_bytes_total", "Total number of bytes received.", ["url"]);
    this.#terminations = registry.counter(
      "istio_xds_connection_terminations_total",
      "The total number of completed connections to xds server.",
      ["reason"],
    );
  }

  received({ typeUrl, resources }: XdsUpdate): void {
    this.#messages.labels(typeUrl).increment();
    this.#bytes.labels(typeUrl).add(resources.reduce((sum, { body }) => sum + body.length, 0));
  }

  /**
   * Counts the end of a stream. `Complete` means that the control plane ended the stream. `Error` means that the stream
   * broke. `ConnectionError` means that no stream could be opened.
   */
  ended(reason: "Complete" | "Error" | "ConnectionError"): void {
    this.#terminations.labels(reason).increment();
  }
}
