import type { Statistic } from "../serving.ts";
import type { Budget } from "../upstream/circuit-breaker.ts";
import type { Cluster } from "../upstream/cluster.ts";

/** A statistic with the labels of its metric. */
export interface StatisticRow extends Statistic {
  readonly labels: Readonly<Record<string, string>>;
  /** Whether Prometheus' format leaves it out, because it never changes. */
  readonly textOnly?: boolean;
}

/**
 * The maximum number of label sets of one metric of clusters: as many as clusters, or a few times as many. They have a
 * limit of their own, because some twenty metrics of each cluster would take the place of the metrics of requests.
 */
const maxClusterSeries = 10_000;

/** The options of a metric with these labels. Those of clusters have {@link maxClusterSeries}. */
export function familyOptions(labels: StatisticRow["labels"]): { readonly ownMaxSeries?: number } {
  return labels["cluster_name"] === undefined ? {} : { ownMaxSeries: maxClusterSeries };
}

/** The gauges of a cluster's circuit breaker by Envoy's names: whether a limit is reached, and what is left of it. */
const breakerGauges = [
  ["cx_open", "remaining_cx"],
  ["cx_pool_open", undefined],
  ["rq_open", "remaining_rq"],
  ["rq_pending_open", "remaining_pending"],
  ["rq_retry_open", "remaining_retries"],
] as const;

/** Metrics of a cluster with the same value in every worker. */
export const sharedClusterMetrics: readonly string[] = [
  "envoy_cluster_membership_healthy",
  "envoy_cluster_membership_total",
  "envoy_cluster_outlier_detection_ejections_active",
  ...breakerGauges.flatMap((names) =>
    names.flatMap((name) => (name === undefined ? [] : [`envoy_cluster_circuit_breakers_default_${name}`])),
  ),
];

/** The statistics of a cluster under Envoy's names. */
export function clusterRows(cluster: Cluster): StatisticRow[] {
  const rows: StatisticRow[] = [];
  const { statName, counters, breaker } = cluster;
  // Istio's proxies end the name of a cluster with this character, and leave it out of the label.
  const labels = { cluster_name: statName.replace(/;$/, "") };
  const add = (stat: string, type: Statistic["type"], value: number, more?: Partial<StatisticRow>): void => {
    const metric = `envoy_cluster_${stat.replaceAll(".", "_")}`;
    rows.push({ name: `cluster.${statName}.${stat}`, metric, labels, type, value, ...more });
  };
  addEndpointRows(cluster, add);
  add("upstream_rq_total", "counter", counters.requests);
  add("upstream_rq_active", "gauge", cluster.activeRequests);
  add("upstream_rq_retry", "counter", counters.retries);
  add("upstream_rq_retry_overflow", "counter", breaker.retries.overflows);
  add("upstream_rq_timeout", "counter", counters.timeouts);
  add("upstream_rq_per_try_timeout", "counter", counters.tryTimeouts);
  add("upstream_rq_pending_active", "gauge", breaker.pending.active);
  add("upstream_rq_pending_total", "counter", breaker.pending.taken);
  add("upstream_rq_pending_overflow", "counter", counters.overflow);
  add("upstream_rq_pending_failure_eject", "counter", counters.waitFailures);
  for (const [digit, count] of counters.responses.entries()) {
    if (count === 0) continue;
    const metric = "envoy_cluster_upstream_rq";
    add(`upstream_rq_${digit}xx`, "counter", count, {
      metric,
      labels: { ...labels, response_code_class: `${digit}xx` },
    });
  }
  const connections = cluster.connectionTotals();
  add("upstream_cx_overflow", "counter", breaker.connections.overflows);
  add("upstream_cx_none_healthy", "counter", counters.noHealthyEndpoint);
  add("upstream_cx_total", "counter", connections.connectionsOpened);
  add("upstream_cx_connect_fail", "counter", connections.connectFailures);
  add("upstream_cx_connect_timeout", "counter", connections.connectTimeouts);
  addBreakerRows(cluster, add);
  return rows;
}

type Add = (stat: string, type: Statistic["type"], value: number, more?: Partial<StatisticRow>) => void;

function addEndpointRows(cluster: Cluster, add: Add): void {
  const endpoints = [...cluster.endpoints()];
  add("membership_total", "gauge", endpoints.length);
  add("membership_healthy", "gauge", endpoints.filter((endpoint) => endpoint.usable).length);
  const outliers = cluster.outlierCounters;
  if (outliers !== undefined) {
    const ejected = endpoints.filter((endpoint) => endpoint.outliers.ejectedAtMs !== undefined).length;
    add("outlier_detection_ejections_active", "gauge", ejected);
    add("outlier_detection_ejections_enforced_total", "counter", outliers.ejections);
    add("outlier_detection_ejections_overflow", "counter", outliers.overflows);
  }
  const open = endpoints.reduce((total, endpoint) => total + endpoint.openConnections + endpoint.activeConnections, 0);
  add("upstream_cx_active", "gauge", open);
}

function addBreakerRows({ breaker, config }: Cluster, add: Add): void {
  const budgets: Readonly<Record<(typeof breakerGauges)[number][0], readonly Budget[]>> = {
    // TCP connections and connections for requests have separate limits here, and one in Envoy.
    cx_open: [breaker.connections, breaker.relayed],
    cx_pool_open: [],
    rq_open: [breaker.requests],
    rq_pending_open: [breaker.pending],
    rq_retry_open: [breaker.retries],
  };
  for (const [open, left] of breakerGauges) {
    const of = budgets[open];
    add(`circuit_breakers.default.${open}`, "gauge", of.some(({ exhausted }) => exhausted) ? 1 : 0);
    // No request has high priority.
    add(`circuit_breakers.high.${open}`, "gauge", 0, { textOnly: true });
    if (left === undefined || config.tracksRemaining !== true) continue;
    add(`circuit_breakers.default.${left}`, "gauge", Math.min(...of.map(({ remaining }) => remaining)));
  }
}
