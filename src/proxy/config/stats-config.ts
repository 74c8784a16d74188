import type { IstioStatsConfig } from "../../wire/envoy/index.ts";
import { compileRecordExpression, type RecordExpression } from "../observe/record-expression.ts";
import { durationOr, unsupported, type ConfigNotes } from "./config-check.ts";

/** What is counted, and by which labels, where it is not the standard. */
export interface StatsRules {
  /** By the metric's name after `istio_`; others are standard. */
  readonly metrics: ReadonlyMap<string, MetricRule>;
  /** Some label is told by an expression. */
  readonly hasExpressions: boolean;
  /** What goes to no known service is told by the host that was asked for. */
  readonly hostFallback: boolean;
  /** Between two reports of a connection's bytes; absent: as usual. */
  readonly reportingMs?: number | undefined;
  /** Fields that expressions ask for, in lower case. */
  readonly requestCapture: readonly string[];
  readonly responseCapture: readonly string[];
}

export interface MetricRule {
  /** It is not counted at all. */
  readonly drop: boolean;
  readonly removed: ReadonlySet<string>;
  /** Labels that are added, or have another value than the standard one. */
  readonly added: readonly { readonly label: string; readonly value: RecordExpression }[];
}

export const standardStats: StatsRules = { metrics: new Map(), hasExpressions: false, hostFallback: false, requestCapture: [], responseCapture: [] };
const clientStats: StatsRules = { ...standardStats, hostFallback: true };

/** Compiles Istio's stats filter. A later entry of one metric adds to an earlier one. */
export function compileStats(message: IstioStatsConfig, where: string, notes: ConfigNotes): StatsRules {
  for (const { name } of message.definitions) notes.tell(`istio.stats: the metric ${name} is not counted, as its definition is the user's own`);
  const reportingMs = message.tcpReportingDuration === undefined ? undefined : durationOr(message.tcpReportingDuration, 0);
  const plain = message.disableHostHeaderFallback ? standardStats : clientStats;
  if (message.metrics.length === 0) return reportingMs === undefined ? plain : { ...plain, reportingMs };
  const metrics = new Map<string, MetricRule>();
  for (const { name, drop, dimensions, tagsToRemove } of message.metrics) {
    const before = metrics.get(name);
    const added = Object.entries(dimensions).map(([label, text]) => ({ label, value: compileRecordExpression(text, (problem) => unsupported(where, `the dimension ${label} of ${name} (${problem})`)) }));
    metrics.set(name, { drop: drop || before?.drop === true, removed: new Set([...(before?.removed ?? []), ...tagsToRemove]), added: [...(before?.added ?? []), ...added] });
  }
  const expressions = [...metrics.values()].flatMap((rule) => rule.added.map(({ value }) => value));
  return { metrics, hasExpressions: expressions.length > 0, hostFallback: plain.hostFallback, reportingMs, requestCapture: expressions.flatMap((value) => value.requestCapture), responseCapture: expressions.flatMap((value) => value.responseCapture) };
}
