import type { MessageInitShape } from "@bufbuild/protobuf";
import { ownField } from "../../../base/index.ts";
import type { IstioMetric, MetricsOverride, Telemetry, TelemetryMetrics } from "../../../api/istio/index.ts";
import type { IstioMetricConfigSchema } from "../../../wire/envoy/index.ts";
import { compareText, type MeshSettings } from "../../model/facts.ts";
import type { StatsChoice } from "../istio-filters.ts";
import { namesOf, providerOf } from "./telemetry-provider.ts";

type Level = Pick<Telemetry["spec"], "metrics">;
type Mode = "CLIENT" | "SERVER";

/** The metrics' names in Prometheus, without the prefix `istio_`. */
const metricNames: Readonly<Record<Exclude<IstioMetric, "ALL_METRICS">, string>> = {
  REQUEST_COUNT: "requests_total",
  REQUEST_DURATION: "request_duration_milliseconds",
  REQUEST_SIZE: "request_bytes",
  RESPONSE_SIZE: "response_bytes",
  TCP_OPENED_CONNECTIONS: "tcp_connections_opened_total",
  TCP_CLOSED_CONNECTIONS: "tcp_connections_closed_total",
  TCP_SENT_BYTES: "tcp_sent_bytes_total",
  TCP_RECEIVED_BYTES: "tcp_received_bytes_total",
  GRPC_REQUEST_MESSAGES: "request_messages_total",
  GRPC_RESPONSE_MESSAGES: "response_messages_total",
};
const standardMetrics = Object.keys(metricNames).sort(compareText);

const ends = "workload workload_namespace principal app version canonical_service canonical_revision cluster".split(
  " ",
);
/** Labels that each proxy sets itself. */
const standardLabels: ReadonlySet<string> = new Set([
  "reporter",
  ...ends.flatMap((name) => [`source_${name}`, `destination_${name}`]),
  "destination_service",
  "destination_service_name",
  "destination_service_namespace",
  "request_protocol",
  "response_code",
  "grpc_response_status",
  "response_flags",
  "connection_security_policy",
]);

/**
 * The Telemetry without values for standard labels. A waypoint follows the Telemetry of its services' namespaces, and
 * none of them may change how the waypoint labels requests to the services of others.
 */
export function withoutStandardLabels({ metrics }: Level): Level {
  // Compare the names as proxies write them: a proxy replaces characters that a label's name may not have.
  const isStandard = (tag: string): boolean => standardLabels.has(tag.replaceAll(/\W/g, "_"));
  return {
    metrics: metrics.map((entry) => ({
      ...entry,
      overrides: entry.overrides.map((override) => ({
        ...override,
        tagOverrides: Object.fromEntries(
          Object.entries(override.tagOverrides).filter(
            ([tag, { operation }]) => operation === "REMOVE" || !isStandard(tag),
          ),
        ),
      })),
    })),
  };
}

interface Change {
  disabled: boolean | undefined;
  readonly tags: Map<string, MetricsOverride["tagOverrides"][string]>;
}

interface ProviderChanges {
  allDisabled: boolean;
  reportingIntervalMs: number | undefined;
  /** The changes by the metric's name in Telemetry. Custom metrics have their own name. */
  readonly metrics: Map<string, Change>;
}

/** The metrics of one side of requests: one choice for each provider, sorted by name. Empty if metrics are off. */
export function metricsOf(
  levels: readonly Level[],
  mode: Mode,
  mesh: Pick<MeshSettings, "defaultMetricsProviders" | "extensionProviders">,
): readonly StatsChoice[] {
  const entries = levels.flatMap(({ metrics }) => metrics);
  return [...merged(entries, mode, mesh.defaultMetricsProviders)]
    .sort(([left], [right]) => compareText(left, right))
    .filter(([name, changes]) => !changes.allDisabled && providerOf(name, mesh)?.kind === "prometheus")
    .map(([, { metrics, reportingIntervalMs }]) => ({
      metrics: [...metrics]
        .sort(([left], [right]) => compareText(left, right))
        .map(([name, change]) => metricConfig(name, change)),
      reportingIntervalMs,
    }));
}

/**
 * The providers of the narrowest entry that names any. A wider entry's settings for them apply unless a narrower one
 * replaces them.
 */
function merged(
  entries: readonly TelemetryMetrics[],
  mode: Mode,
  defaults: readonly string[],
): ReadonlyMap<string, ProviderChanges> {
  const blank = (): ProviderChanges => ({ allDisabled: false, reportingIntervalMs: undefined, metrics: new Map() });
  if (entries.length === 0) return new Map(defaults.map((name) => [name, blank()]));
  const inScope = new Set(
    entries.reduce((names, { providers }) => (providers.length > 0 ? namesOf(providers) : names), defaults),
  );
  const found = new Map<string, ProviderChanges>();
  let inherited = defaults;
  for (const entry of entries) {
    if (entry.providers.length > 0) inherited = namesOf(entry.providers);
    for (const name of inherited) {
      if (!inScope.has(name)) continue;
      const changes = found.get(name) ?? blank();
      found.set(name, changes);
      if (entry.reportingIntervalMs !== undefined) changes.reportingIntervalMs = entry.reportingIntervalMs;
      for (const override of entry.overrides)
        if (override.match.mode === "CLIENT_AND_SERVER" || override.match.mode === mode) apply(override, changes);
    }
  }
  return found;
}

function apply({ match: { metric }, disabled, tagOverrides }: MetricsOverride, changes: ProviderChanges): void {
  const ofAll = metric.kind === "metric" && metric.metric === "ALL_METRICS";
  if (ofAll && disabled === true) {
    changes.allDisabled = true;
    return;
  }
  changes.allDisabled = false;
  for (const name of ofAll ? standardMetrics : [metric.kind === "metric" ? metric.metric : metric.name]) {
    const change = changes.metrics.get(name) ?? { disabled: undefined, tags: new Map() };
    changes.metrics.set(name, change);
    if (disabled !== undefined) change.disabled = disabled;
    for (const [tag, override] of Object.entries(tagOverrides)) change.tags.set(tag, override);
  }
}

function metricConfig(name: string, { disabled, tags }: Change): MessageInitShape<typeof IstioMetricConfigSchema> {
  const sorted = [...tags].sort(([left], [right]) => compareText(left, right));
  return {
    name: ownField<string>(metricNames, name) ?? name,
    drop: disabled ?? false,
    dimensions: Object.fromEntries(
      sorted.flatMap(([tag, { operation, value }]) => (operation === "UPSERT" ? [[tag, value]] : [])),
    ),
    tagsToRemove: sorted.flatMap(([tag, { operation }]) => (operation === "REMOVE" ? [tag] : [])),
  };
}
