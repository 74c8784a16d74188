import type { RecordExpression } from "./record-expression.ts";

/** The metrics and labels that differ from the standard ones. */
export interface StatsRules {
  /** The rules by the metric's name after `istio_`. Other metrics are standard. */
  readonly metrics: ReadonlyMap<string, MetricRule>;
  /** Whether an expression sets one of the labels. */
  readonly hasExpressions: boolean;
  /** Whether traffic to an unknown service is labelled with the requested host. */
  readonly hostFallback: boolean;
  /** Time between two reports of a connection's bytes. Absent means {@link defaultReportingMs}. */
  readonly reportingMs?: number | undefined;
  /** Headers that expressions read, in lower case. */
  readonly requestCapture: readonly string[];
  readonly responseCapture: readonly string[];
}

export interface MetricRule {
  /** Whether the metric is not counted at all. */
  readonly drop: boolean;
  readonly removed: ReadonlySet<string>;
  /** Labels that are added, or have another value than the standard one. */
  readonly added: readonly { readonly label: string; readonly value: RecordExpression }[];
}

/** Upstream's interval between two reports of a connection's bytes, or of a stream's messages. */
export const defaultReportingMs = 5000;

export const standardStats: StatsRules = {
  metrics: new Map(),
  hasExpressions: false,
  hostFallback: false,
  requestCapture: [],
  responseCapture: [],
};
