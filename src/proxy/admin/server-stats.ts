import type { MetricsRegistry } from "../../telemetry/index.ts";
import { familyOptions, type StatisticRow } from "./cluster-stats.ts";
import type { IncludedStats } from "./included-stats.ts";

export interface ServerStatsSources {
  readonly startedMs: number;
  readonly nowMs: () => number;
  readonly isConnected: () => boolean;
  readonly state: () => ServerState;
  readonly included: IncludedStats;
}

export type ServerState = "LIVE" | "DRAINING" | "INITIALIZING";

const stateNumbers: Readonly<Record<ServerState, number>> = { LIVE: 0, DRAINING: 1, INITIALIZING: 3 };

/**
 * The statistics that only the whole process has, not each worker: its age, its state, and its connection to the
 * control plane.
 */
export class ServerStats {
  readonly #sources: ServerStatsSources;

  constructor(sources: ServerStatsSources) {
    this.#sources = sources;
  }

  statistics(): StatisticRow[] {
    const { startedMs, nowMs, isConnected, state, included } = this.#sources;
    const connected = isConnected() ? 1 : 0;
    const gauge = (name: string, value: number): StatisticRow => ({
      name,
      metric: `envoy_${name.replaceAll(".", "_")}`,
      labels: {},
      type: "gauge",
      value,
    });
    const rows = [
      gauge("server.uptime", Math.floor((nowMs() - startedMs) / 1000)),
      gauge("server.state", stateNumbers[state()]),
      gauge("control_plane.connected_state", connected),
      {
        ...gauge("cluster.xds-grpc.upstream_cx_active", connected),
        metric: "envoy_cluster_upstream_cx_active",
        labels: { cluster_name: "xds-grpc" },
      },
    ];
    return rows.filter(({ name }) => included.includes(name));
  }

  expose(registry: MetricsRegistry): void {
    registry.onCollect(() => {
      for (const { metric, value, labels } of this.statistics())
        registry
          .gauge(metric, metric, Object.keys(labels), familyOptions(labels))
          .labels(...Object.values(labels))
          .set(value);
    });
  }
}
