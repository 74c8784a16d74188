import type { MetricsRegistry } from "../../telemetry/index.ts";

/**
 * Counts connections that a revocation list refused or ended, under upstream's name. The label `reporter` is this
 * process's end of the connection.
 */
export function addRevocationMetrics(registry: MetricsRegistry): (peer: "client" | "server") => void {
  const counter = registry.counter(
    "istio_crl_policy_rejections_total",
    "The total number of connections rejected due to CRL certificate revocation (unstable).",
    ["reporter"],
  );
  return (peer) => counter.labels(peer === "client" ? "destination" : "source").increment();
}
