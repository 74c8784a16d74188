import { containedErrors } from "../base/index.ts";
import type { MetricsRegistry } from "./metrics-registry.ts";

/** Exposes how many errors this thread has contained, see `containErrors`. Each of them is a bug of Serin. */
export function addContainmentMetrics(registry: MetricsRegistry): void {
  const errors = registry
    .counter("serin_contained_errors_total", "Errors in Serin that ended one connection instead of the process.")
    .labels();
  registry.onCollect(() => errors.add(containedErrors() - errors.value));
}
