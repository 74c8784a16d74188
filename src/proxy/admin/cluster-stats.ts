import type { Statistic } from "../serving.ts";
import type { Budget } from "../upstream/circuit-breaker.ts";
import type { Cluster, Endpoint } from "../upstream/cluster.ts";
import type { PoolCounters } from "../upstream/connection-pool.ts";
import type { IncludedStats } from "./included-stats.ts";

export interface StatisticRow extends Statistic {
  readonly labels: Readonly<Record<string, string>>;
  /** Whether Prometheus' format leaves the statistic out, because it never changes. */
  readonly textOnly?: boolean;
}

/**
 * The maximum number of label sets of one metric of clusters, which has one or a few for each cluster. These metrics
 * have their own limit: they would otherwise take up the limit of the metrics of requests.
 */
const maxClusterSeries = 10_000;

/** The options of a metric with these labels. A metric of clusters gets the limit {@link maxClusterSeries}. */
export function familyOptions(labels: StatisticRow["labels"]): { readonly ownMaxSeries?: number } {
  return labels["cluster_name"] === undefined ? {} : { ownMaxSeries: maxClusterSeries };
}

/**
 * The gauges of a cluster's circuit breaker by Envoy's names. The first of each pair says whether a limit is reached,
 * the second how much of the limit is left.
 */
const breakerGauges = [
  ["cx_open", "remaining_cx"],
  ["cx_pool_open", undefined],
  ["rq_open", "remaining_rq"],
  ["rq_pending_open", "remaining_pending"],
  ["rq_retry_open", "remaining_retries"],
] as const;

/** Metrics of a cluster that have the same value in every worker, so that they must not be summed. */
export const sharedClusterMetrics: readonly string[] = [
  "envoy_cluster_membership_healthy",
  "envoy_cluster_membership_total",
  "envoy_cluster_outlier_detection_ejections_active",
  ...breakerGauges.flatMap((names) =>
    names.flatMap((name) => (name === undefined ? [] : [`envoy_cluster_circuit_breakers_default_${name}`])),
  ),
];

/** The statistics of clusters under Envoy's names. Statistics that the proxy does not measure are missing. */
export class ClusterStats {
  readonly #included: Pick<IncludedStats, "of">;
  /**
   * The included statistics of each cluster. A cluster's names never change, so they are compared with the inclusion
   * rules only once.
   */
  readonly #known = new WeakMap<Cluster, readonly ClusterStat[]>();

  constructor(included: Pick<IncludedStats, "of">) {
    this.#included = included;
  }

  rows(cluster: Cluster): StatisticRow[] {
    const scope = `cluster.${cluster.statName}.`;
    let stats = this.#known.get(cluster);
    if (stats === undefined) {
      stats = this.#included.of(scope, clusterStats);
      this.#known.set(cluster, stats.length === 0 ? none : stats);
    }
    if (stats.length === 0) return [];
    // Istio's proxies end the name of a cluster with this character, and leave it out of the label.
    const labels = { cluster_name: cluster.statName.replace(/;$/, "") };
    const reading = new Reading(cluster);
    const rows: StatisticRow[] = [];
    for (const { stat, type, read, responses, textOnly } of stats) {
      const value = read(reading);
      if (value === undefined) continue;
      rows.push({
        name: `${scope}${stat}`,
        metric: `envoy_cluster_${responses === undefined ? stat.replaceAll(".", "_") : "upstream_rq"}`,
        labels: responses === undefined ? labels : { ...labels, response_code_class: responses },
        type,
        value,
        ...(textOnly === undefined ? {} : { textOnly }),
      });
    }
    return rows;
  }
}

/** The list that all clusters without statistics share, to save memory. */
const none: readonly ClusterStat[] = [];

/** A cluster while its statistics are read. A value that several statistics need is computed once. */
class Reading {
  readonly cluster: Cluster;
  #endpoints: readonly Endpoint[] | undefined;
  #connections: PoolCounters | undefined;

  constructor(cluster: Cluster) {
    this.cluster = cluster;
  }

  get endpoints(): readonly Endpoint[] {
    return (this.#endpoints ??= [...this.cluster.endpoints()]);
  }

  get connections(): PoolCounters {
    return (this.#connections ??= this.cluster.connectionTotals());
  }
}

interface ClusterStat {
  readonly stat: string;
  readonly type: Statistic["type"];
  readonly read: (reading: Reading) => number | undefined;
  /** The class of the responses that the statistic counts, which is a label of one metric. */
  readonly responses?: string;
  readonly textOnly?: true;
}

const gauge = (stat: string, read: ClusterStat["read"]): ClusterStat => ({ stat, type: "gauge", read });
const counter = (stat: string, read: ClusterStat["read"]): ClusterStat => ({ stat, type: "counter", read });

const clusterStats: readonly ClusterStat[] = [
  gauge("membership_total", ({ endpoints }) => endpoints.length),
  gauge("membership_healthy", ({ endpoints }) => endpoints.filter((endpoint) => endpoint.usable).length),
  gauge("outlier_detection_ejections_active", ({ cluster, endpoints }) =>
    cluster.outlierCounters === undefined
      ? undefined
      : endpoints.filter((endpoint) => endpoint.outliers.ejectedAtMs !== undefined).length,
  ),
  counter("outlier_detection_ejections_enforced_total", ({ cluster }) => cluster.outlierCounters?.ejections),
  counter("outlier_detection_ejections_overflow", ({ cluster }) => cluster.outlierCounters?.overflows),
  gauge("upstream_cx_active", ({ endpoints }) =>
    endpoints.reduce((total, endpoint) => total + endpoint.openConnections + endpoint.activeConnections, 0),
  ),
  counter("upstream_rq_total", ({ cluster }) => cluster.counters.requests),
  gauge("upstream_rq_active", ({ cluster }) => cluster.activeRequests),
  counter("upstream_rq_retry", ({ cluster }) => cluster.counters.retries),
  counter("upstream_rq_retry_overflow", ({ cluster }) => cluster.breaker.retries.overflows),
  counter("upstream_rq_timeout", ({ cluster }) => cluster.counters.timeouts),
  counter("upstream_rq_per_try_timeout", ({ cluster }) => cluster.counters.tryTimeouts),
  gauge("upstream_rq_pending_active", ({ cluster }) => cluster.breaker.pending.active),
  counter("upstream_rq_pending_total", ({ cluster }) => cluster.breaker.pending.taken),
  counter("upstream_rq_pending_overflow", ({ cluster }) => cluster.counters.overflow),
  counter("upstream_rq_pending_failure_eject", ({ cluster }) => cluster.counters.waitFailures),
  ...[1, 2, 3, 4, 5].map((digit): ClusterStat => {
    const read = ({ cluster }: Reading): number | undefined => {
      const count = cluster.counters.responses[digit];
      return count === 0 ? undefined : count;
    };
    return { ...counter(`upstream_rq_${digit}xx`, read), responses: `${digit}xx` };
  }),
  counter("upstream_cx_overflow", ({ cluster }) => cluster.breaker.connections.overflows),
  counter("upstream_cx_none_healthy", ({ cluster }) => cluster.counters.noHealthyEndpoint),
  counter("upstream_cx_total", ({ connections }) => connections.connectionsOpened),
  counter("upstream_cx_connect_fail", ({ connections }) => connections.connectFailures),
  counter("upstream_cx_connect_timeout", ({ connections }) => connections.connectTimeouts),
  ...breakerGauges.flatMap(([open, left]) => [
    gauge(`circuit_breakers.default.${open}`, ({ cluster }) =>
      budgetsOf(cluster, open).some(({ exhausted }) => exhausted) ? 1 : 0,
    ),
    // The proxy gives no request high priority, so these gauges are always 0.
    { ...gauge(`circuit_breakers.high.${open}`, () => 0), textOnly: true as const },
    ...(left === undefined
      ? []
      : [
          gauge(`circuit_breakers.default.${left}`, ({ cluster }) =>
            cluster.config.tracksRemaining === true
              ? Math.min(...budgetsOf(cluster, open).map(({ remaining }) => remaining))
              : undefined,
          ),
        ]),
  ]),
];

function budgetsOf({ breaker }: Cluster, open: (typeof breakerGauges)[number][0]): readonly Budget[] {
  switch (open) {
    case "cx_open":
      // Envoy has one limit for connections, so its gauge covers both limits of this proxy: the one for connections
      // that carry requests, and the one for relayed TCP connections.
      return [breaker.connections, breaker.relayed];
    case "cx_pool_open":
      return [];
    case "rq_open":
      return [breaker.requests];
    case "rq_pending_open":
      return [breaker.pending];
    case "rq_retry_open":
      return [breaker.retries];
  }
}
