import { gatewayApiKinds } from "../../api/gateway/index.ts";
import { istioKinds } from "../../api/istio/index.ts";
import type { MetricsRegistry } from "../../telemetry/index.ts";
import type { ValidationReport } from "./review-messages.ts";

export interface ValidationMetrics {
  judged(report: ValidationReport): void;
  failed(): void;
}

const kinds = [...istioKinds, ...gatewayApiKinds];
/**
 * The labels of all unknown kinds. Clients of the port may invent kinds, with which they could otherwise use up the
 * metric's label sets.
 */
const unknownKind = ["", "", "unknown"] as const;

export function createValidationMetrics(metrics: MetricsRegistry): ValidationMetrics {
  const labels = ["group", "version", "resource"];
  const passed = metrics.counter("galley_validation_passed", "Objects that are valid.", labels);
  const refused = metrics.counter("galley_validation_failed", "Objects that were refused.", [...labels, "reason"]);
  const failed = metrics
    .counter("galley_validation_http_error", "Requests that could not be read or answered.")
    .labels();
  return {
    judged: ({ request, allowed }) => {
      const kind = labelsOfKind(request);
      if (allowed) passed.labels(...kind).increment();
      else refused.labels(...kind, "invalid_resource").increment();
    },
    failed: () => failed.increment(),
  };
}

/** Group, version and resource of the reviewed kind. */
function labelsOfKind({ kind, resource }: ValidationReport["request"]): readonly [string, string, string] {
  const known = kinds.find((candidate) => candidate.kind === kind?.kind && candidate.group === kind.group);
  const version = known?.versions.find((candidate) => candidate === kind?.version);
  if (known === undefined || version === undefined) return unknownKind;
  return [known.group, version, resource?.resource === known.plural ? known.plural : known.kind.toLowerCase()];
}
