import type { CollectionReader } from "../../../kube/index.ts";
import type { PolicySubject } from "../../model/authorization-selection.ts";
import type { MeshSettings } from "../../model/facts.ts";
import type { MeshInputs } from "../../model/mesh-inputs.ts";
import { ProviderClusters } from "../../model/provider-cluster.ts";
import { TelemetrySelection } from "../../model/telemetry-selection.ts";
import { meshAccessLogs, type AccessLogInit } from "./access-log.ts";
import type { FilterInit } from "../filter-init.ts";
import { istioStats, type StatsRole } from "../istio-filters.ts";
import type { ProviderSource, TelemetrySide } from "./telemetry-provider.ts";
import { accessLogsOf } from "./telemetry-access-log.ts";
import { metricsOf, withoutStandardLabels } from "./telemetry-metrics.ts";
import { tracingOf, type RequestTracing } from "./telemetry-tracing.ts";

export interface ProxyTelemetry {
  readonly accessLogs: readonly AccessLogInit[];
  /** The stats filters for HTTP and TCP, one for each metrics provider. Empty if metrics are off. */
  readonly stats: (role: StatsRole) => readonly FilterInit[];
  /** How requests are traced. Absent if they are not. */
  readonly tracing?: RequestTracing | undefined;
}

/**
 * Metrics, tracing and logging of proxies. The Telemetry objects of the mesh, the namespace and the workload override
 * the mesh config.
 */
export class TelemetryPolicies {
  readonly #selection: TelemetrySelection;
  readonly #clusters: ProviderClusters;

  constructor(inputs: MeshInputs) {
    this.#selection = new TelemetrySelection(inputs.telemetries);
    this.#clusters = new ProviderClusters(inputs);
  }

  telemetryFor(
    subject: PolicySubject,
    side: TelemetrySide,
    mesh: MeshSettings,
    reader: CollectionReader,
  ): ProxyTelemetry {
    const objects = this.#selection.levelsOf(subject, mesh.rootNamespace, reader);
    const levels = objects.map(({ spec }) => spec);
    const mode = side === "inbound" || side === "waypoint" ? "SERVER" : "CLIENT";
    const source: ProviderSource = { mesh, clusterOf: (service) => this.#clusters.of(service, mesh, reader) };
    const isOwn = (namespace: string): boolean => namespace === subject.namespace || namespace === mesh.rootNamespace;
    const metrics = metricsOf(
      objects.map(({ namespace, spec }) => (isOwn(namespace) ? spec : withoutStandardLabels(spec))),
      mode,
      mesh,
    );
    return {
      accessLogs: accessLogsOf(levels, mode, source),
      stats: (role) => metrics.map((choice) => istioStats(role, choice)),
      tracing: tracingOf(levels, { subject, side, mode }, source),
    };
  }
}

export function meshTelemetry(mesh: MeshSettings): ProxyTelemetry {
  return { accessLogs: meshAccessLogs(mesh), stats: (role) => [istioStats(role)] };
}
