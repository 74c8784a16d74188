import type { MetricsRegistry } from "../telemetry/index.ts";

/**
 * The metrics on port 15014. They have the names of upstream's metrics (see "Observability" in the documentation of
 * Istio's CNI agent).
 */
export class CniMetrics {
  readonly #events;
  readonly #installs;
  readonly #requests;
  readonly #ready;

  /** `ztunnels` returns the number of connected ztunnels at each scrape. */
  constructor(registry: MetricsRegistry, ztunnels: () => number) {
    this.#events = registry.counter(
      "nodeagent_reconcile_events_total",
      "The total number of node agent reconcile events.",
      ["type"],
    );
    this.#installs = registry.counter("istio_cni_installs_total", "Total number of CNI plugins installed.", ["result"]);
    this.#requests = registry.counter(
      "istio_cni_plugin_requests_total",
      "The total number of CNI plugin requests handled by the node agent.",
      ["response_code"],
    );
    this.#ready = registry
      .gauge("istio_cni_install_ready", "Whether the CNI plugin installation is ready or not.")
      .labels();
    const connected = registry.gauge("ztunnel_connected", "Number of connections to ztunnel.").labels();
    registry.onCollect(() => connected.set(ztunnels()));
  }

  podEvent(type: "add" | "update" | "delete"): void {
    this.#events.labels(type).increment();
  }

  /** Counts an ADD of the container runtime. The label is the HTTP status with which upstream's agent would answer. */
  async pluginRequest(handled: Promise<void>): Promise<void> {
    try {
      await handled;
      this.#requests.labels("200").increment();
    } catch (error) {
      this.#requests.labels("500").increment();
      throw error;
    }
  }

  installed(): void {
    this.#installs.labels("SUCCESS").increment();
    this.#ready.set(1);
  }

  installFailed(): void {
    this.#installs.labels("COPY_CNI_CONFIG_FAILURE").increment();
    this.#ready.set(0);
  }
}
