import type { MetricsRegistry } from "../../telemetry/index.ts";
import type { ValidationReport } from "./review-messages.ts";

/** The metrics of the validation webhook, with upstream's names. */
export interface ValidationMetrics {
  judged(report: ValidationReport): void;
  failed(): void;
}

export function createValidationMetrics(metrics: MetricsRegistry): ValidationMetrics {
  const labels = ["group", "version", "resource"];
  const passed = metrics.counter("galley_validation_passed", "Objects that are valid.", labels);
  const refused = metrics.counter("galley_validation_failed", "Objects that were refused.", [...labels, "reason"]);
  const failed = metrics
    .counter("galley_validation_http_error", "Requests that could not be read or answered.")
    .labels();
  return {
    judged: ({ request, allowed }) => {
      const { group = "", version = "" } = request.kind ?? {};
      const resource = request.resource?.resource ?? (request.kind?.kind ?? "").toLowerCase();
      if (allowed) passed.labels(group, version, resource).increment();
      else refused.labels(group, version, resource, "invalid_resource").increment();
    },
    failed: () => failed.increment(),
  };
}
