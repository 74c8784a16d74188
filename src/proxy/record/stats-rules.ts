import type { RecordExpression } from "./record-expression.ts";

/** How the configured metrics and labels differ from the standard ones. */
export interface StatsRules {
  /** The rules of metrics, by the metric's name without `istio_`. A metric without a rule is standard. */
  readonly metrics: ReadonlyMap<string, MetricRule>;
  readonly hasExpressions: boolean;
  /** Whether the labels of traffic to an unknown service contain the requested host. */
  readonly hostFallback: boolean;
  /** The time between two reports of a connection's bytes, in milliseconds. Absent means {@link defaultReportingMs}. */
  readonly reportingMs?: number | undefined;
  /** Headers that expressions read, in lower case. */
  readonly requestCapture: readonly string[];
  readonly responseCapture: readonly string[];
}

export interface MetricRule {
  readonly drop: boolean;
  readonly removed: ReadonlySet<string>;
  /** Labels that are added to the metric, or whose standard value is replaced. */
  readonly added: readonly { readonly label: string; readonly value: RecordExpression }[];
}

/** Upstream's time between two reports of a connection's bytes or a stream's messages, in milliseconds. */
export const defaultReportingMs = 5000;

export const standardStats: StatsRules = {
  metrics: new Map(),
  hasExpressions: false,
  hostFallback: false,
  requestCapture: [],
  responseCapture: [],
};
