import { messageOf } from "../../../base/index.ts";
import type { IstioStatsConfig } from "../../../wire/envoy/index.ts";
import { compileRecordExpression } from "../../record/record-expression.ts";
import { standardStats, type MetricRule, type StatsRules } from "../../record/stats-rules.ts";
import { durationOr, type ConfigNotes } from "../config-check.ts";

const clientStats: StatsRules = { ...standardStats, hostFallback: true };

const metricNames = [
  "requests_total",
  "request_duration_milliseconds",
  "request_bytes",
  "response_bytes",
  "request_messages_total",
  "response_messages_total",
  "tcp_connections_opened_total",
  "tcp_connections_closed_total",
  "tcp_sent_bytes_total",
  "tcp_received_bytes_total",
] as const;

/** The metrics to which an entry applies: all if it names none. Reports settings that have no effect here. */
function metricsOf({ name, match }: IstioStatsConfig["metrics"][number], notes: ConfigNotes): readonly string[] {
  if (match !== "") {
    // Ignore the whole override: without its condition, it would wrongly apply to all requests.
    notes.tell(
      `istio.stats: the override of ${name === "" ? "all metrics" : name} is not applied, because match is not supported: ${match}`,
    );
    return [];
  }
  if (name === "") return metricNames;
  if (!metricNames.some((known) => known === name))
    notes.tell(`istio.stats: the override of ${name} has no effect here: expected one of ${metricNames.join(", ")}`);
  return [name];
}

/**
 * Compiles a label that an expression computes. As in Envoy, an invalid expression only removes its own label and does
 * not cause a NACK, because a waypoint's listener serves other namespaces too. Also as in Envoy, characters that a
 * label's name may not contain are replaced. Otherwise they would make all metrics of the proxy unreadable.
 */
function dimensionOf(label: string, text: string, metric: string, notes: ConfigNotes): MetricRule["added"] {
  try {
    if (label === "") throw new Error("it has no name");
    const value = compileRecordExpression(text, (problem) => new Error(problem));
    return [{ label: label.replaceAll(/\W|^(?=\d)/g, "_"), value }];
  } catch (error) {
    notes.tell(
      `istio.stats: the label ${label} of ${metric === "" ? "all metrics" : metric} is left out: ${messageOf(error)}`,
    );
    return [];
  }
}

/** Compiles Istio's stats filter. If several entries name the same metric, a later one adds to the earlier ones. */
export function compileStats(message: IstioStatsConfig, notes: ConfigNotes): StatsRules {
  for (const { name } of message.definitions)
    notes.tell(`istio.stats: the metric ${name} is not counted: custom metric definitions are not supported`);
  if (!["", "istio", "istio_"].includes(message.statPrefix))
    notes.tell(`istio.stats: statPrefix ${message.statPrefix} has no effect here: all metric names begin with istio_`);
  const reportingMs =
    message.tcpReportingDuration === undefined ? undefined : durationOr(message.tcpReportingDuration, 0);
  const plain = message.disableHostHeaderFallback ? standardStats : clientStats;
  if (message.metrics.length === 0) return reportingMs === undefined ? plain : { ...plain, reportingMs };
  const metrics = new Map<string, MetricRule>();
  for (const metric of message.metrics) {
    const { name, drop, dimensions, tagsToRemove } = metric;
    const added = Object.entries(dimensions).flatMap(([label, text]) => dimensionOf(label, text, name, notes));
    for (const metricName of metricsOf(metric, notes)) {
      const before = metrics.get(metricName);
      metrics.set(metricName, {
        drop: drop || before?.drop === true,
        removed: new Set([...(before?.removed ?? []), ...tagsToRemove]),
        added: [...(before?.added ?? []), ...added],
      });
    }
  }
  const expressions = [...metrics.values()].flatMap((rule) => rule.added.map(({ value }) => value));
  return {
    metrics,
    hasExpressions: expressions.length > 0,
    hostFallback: plain.hostFallback,
    reportingMs,
    requestCapture: expressions.flatMap((value) => value.requestCapture),
    responseCapture: expressions.flatMap((value) => value.responseCapture),
  };
}
