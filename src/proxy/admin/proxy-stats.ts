import type { Counter, MetricsRegistry } from "../../telemetry/index.ts";
import type { FilterStatistics } from "../terms/filter-statistics.ts";
import type { ListenerSet } from "../listener-set.ts";
import type { AppliedConfig } from "../applied-config.ts";
import type { Statistic } from "../serving.ts";

/**
 * Metrics with the same value in every worker: those of the configuration, and of ejected endpoints. They must not be
 * summed.
 */
export const sharedMetrics: ReadonlySet<string> = new Set([
  "envoy_cluster_manager_active_clusters",
  "envoy_cluster_manager_cds_update_rejected",
  "envoy_cluster_manager_cds_update_success",
  "envoy_cluster_membership_healthy",
  "envoy_cluster_membership_total",
  "envoy_cluster_outlier_detection_ejections_active",
  "envoy_listener_manager_total_listeners_active",
  "envoy_server_live",
  "serin_proxy_listeners",
]);

interface Row extends Statistic {
  readonly labels: Readonly<Record<string, string>>;
}

/** The statistics that tools read. They are computed when requested. */
export class ProxyStats {
  readonly #config: AppliedConfig;
  readonly #listeners: ListenerSet;
  readonly #filters: FilterStatistics;

  constructor(config: AppliedConfig, listeners: ListenerSet, filters: FilterStatistics) {
    this.#config = config;
    this.#listeners = listeners;
    this.#filters = filters;
  }

  /** Envoy's text form is `name: value`, a line each. */
  statistics(): Statistic[] {
    return this.#rows();
  }

  /** Adds the statistics to a registry under Envoy's Prometheus names. */
  expose(registry: MetricsRegistry): void {
    const connections = registry.gauge("serin_proxy_connections", "Open client connections, and tunnels in them.", [
      "state",
    ]);
    const reached = registry
      .gauge("serin_proxy_listeners", "Listeners with an address that clients can reach.")
      .labels();
    registry.onCollect(() => {
      // Internal listeners have no address.
      reached.set([...this.#listeners.listeners()].filter(({ addresses }) => addresses.length > 0).length);
      const { connections: all, drainingConnections: draining } = this.#listeners;
      connections.labels("active").set(all - draining);
      connections.labels("draining").set(draining);
      for (const row of this.#rows()) {
        const names = Object.keys(row.labels);
        const values = Object.values(row.labels);
        if (row.type === "gauge")
          registry
            .gauge(row.metric, row.metric, names)
            .labels(...values)
            .set(row.value);
        else raise(registry.counter(row.metric, row.metric, names).labels(...values), row.value);
      }
    });
  }

  #rows(): Row[] {
    return [
      ...this.#clusterRows(),
      ...this.#listenerRows(),
      ...this.#managerRows(),
      ...[...this.#filters.entries()].map(([name, { value }]) => filterRow(name, value)),
    ];
  }

  #clusterRows(): Row[] {
    const rows: Row[] = [];
    for (const cluster of this.#config.allClusters()) {
      const endpoints = [...cluster.endpoints()];
      const sum = (read: (endpoint: (typeof endpoints)[number]) => number): number =>
        endpoints.reduce((total, endpoint) => total + read(endpoint), 0);
      const add = (stat: string, type: Row["type"], value: number): void => {
        rows.push({
          name: `cluster.${cluster.name}.${stat}`,
          metric: `envoy_cluster_${stat}`,
          labels: { cluster_name: cluster.name },
          type,
          value,
        });
      };
      add("membership_total", "gauge", endpoints.length);
      add("membership_healthy", "gauge", endpoints.filter((endpoint) => endpoint.usable).length);
      const outliers = cluster.outlierCounters;
      if (outliers !== undefined) {
        add(
          "outlier_detection_ejections_active",
          "gauge",
          endpoints.filter((endpoint) => endpoint.outliers.ejectedAtMs !== undefined).length,
        );
        add("outlier_detection_ejections_enforced_total", "counter", outliers.ejections);
        add("outlier_detection_ejections_overflow", "counter", outliers.overflows);
      }
      add("upstream_rq_total", "counter", cluster.counters.requests);
      add("upstream_rq_active", "gauge", cluster.activeRequests);
      add("upstream_rq_retry", "counter", cluster.counters.retries);
      add("upstream_rq_pending_overflow", "counter", cluster.counters.overflow);
      add("upstream_rq_retry_overflow", "counter", cluster.breaker.retries.overflows);
      add("upstream_cx_overflow", "counter", cluster.breaker.connections.overflows);
      add("upstream_cx_none_healthy", "counter", cluster.counters.noHealthyEndpoint);
      add(
        "upstream_cx_active",
        "gauge",
        sum((endpoint) => endpoint.openConnections),
      );
      add(
        "upstream_cx_total",
        "counter",
        sum((endpoint) => endpoint.counters.connectionsOpened),
      );
      add(
        "upstream_cx_connect_fail",
        "counter",
        sum((endpoint) => endpoint.counters.connectFailures),
      );
    }
    return rows;
  }

  #listenerRows(): Row[] {
    const rows: Row[] = [];
    const http = new Map<string, { active: number; total: number; requests: number }>();
    const tcp = new Map<string, { active: number; total: number }>();
    for (const listener of this.#listeners.listeners()) {
      for (const { spec, connections, accepted, requests } of listener.chains()) {
        if (spec.serves.kind === "http") {
          const prefix = spec.serves.http.connection.statPrefix.replace(/;$/, "");
          const sums = http.get(prefix) ?? { active: 0, total: 0, requests: 0 };
          http.set(prefix, {
            active: sums.active + connections,
            total: sums.total + accepted,
            requests: sums.requests + requests,
          });
        } else if (spec.serves.kind === "tcp") {
          const sums = tcp.get(spec.serves.tcp.statPrefix) ?? { active: 0, total: 0 };
          tcp.set(spec.serves.tcp.statPrefix, { active: sums.active + connections, total: sums.total + accepted });
        }
      }
    }
    for (const [prefix, sums] of http) {
      const add = (stat: string, type: Row["type"], value: number): void => {
        rows.push({
          name: `http.${prefix}.${stat}`,
          metric: `envoy_http_${stat}`,
          labels: { envoy_http_conn_manager_prefix: prefix },
          type,
          value,
        });
      };
      add("downstream_cx_active", "gauge", sums.active);
      add("downstream_cx_total", "counter", sums.total);
      add("downstream_rq_total", "counter", sums.requests);
    }
    for (const [prefix, sums] of tcp) {
      rows.push({
        name: `tcp.${prefix}.downstream_cx_total`,
        metric: "envoy_tcp_downstream_cx_total",
        labels: { envoy_tcp_prefix: prefix },
        type: "counter",
        value: sums.total,
      });
      rows.push({
        name: `tcp.${prefix}.downstream_cx_active`,
        metric: "envoy_tcp_downstream_cx_active",
        labels: { envoy_tcp_prefix: prefix },
        type: "gauge",
        value: sums.active,
      });
    }
    return rows;
  }

  #managerRows(): Row[] {
    const row = (name: string, type: Row["type"], value: number): Row => ({
      name,
      metric: `envoy_${name.replaceAll(".", "_")}`,
      labels: {},
      type,
      value,
    });
    return [
      row("listener_manager.total_listeners_active", "gauge", [...this.#listeners.listeners()].length),
      row("cluster_manager.active_clusters", "gauge", this.#config.allClusters().length),
      row("server.live", "gauge", 1),
      row("cluster_manager.cds.update_success", "counter", this.#config.updatesAccepted),
      row("cluster_manager.cds.update_rejected", "counter", this.#config.updatesRejected),
    ];
  }
}

const rbacResult = /^(.*rbac)\.(?:istio_dry_run_(allow|deny)_)?(shadow_)?(allowed|denied)$/;

/** A filter's counter. Results of access rules are labels of one metric, as Istio's documents show it. */
function filterRow(name: string, value: number): Row {
  const result = rbacResult.exec(name);
  const [, base = name, dryRun, shadow, outcome = ""] = result ?? [];
  const labels: Row["labels"] =
    result === null
      ? {}
      : {
          authz_enforce_result: shadow === undefined ? outcome : "",
          authz_dry_run_action: dryRun ?? "",
          authz_dry_run_result: shadow === undefined ? "" : outcome,
        };
  return { name, metric: `envoy_${base.replaceAll(/[^A-Za-z0-9_]/g, "_")}`, labels, type: "counter", value };
}

/** Raises a counter to a total that is counted elsewhere. If that total was reset, adds its new value. */
function raise(counter: Counter, total: number): void {
  if (total > counter.value) counter.add(total - counter.value);
}
