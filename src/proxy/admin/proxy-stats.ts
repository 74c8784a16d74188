import { getHeapStatistics } from "node:v8";
import type { Counter, Gauge, MetricFamily, MetricsRegistry } from "../../telemetry/index.ts";
import type { FilterStatistics } from "../terms/filter-statistics.ts";
import type { ListenerSet } from "../listener-set.ts";
import type { AppliedConfig } from "../applied-config.ts";
import type { ActiveListener } from "../listener/listener.ts";
import type { Statistic } from "../serving.ts";
import type { FirstExpiry } from "./first-expiry.ts";
import { typeUrls } from "../../wire/xds/index.ts";
import { ClusterStats, familyOptions, sharedClusterMetrics, type StatisticRow } from "./cluster-stats.ts";
import type { IncludedStats } from "./included-stats.ts";

/**
 * Metrics that have the same value in every worker, such as those about the configuration. They must not be summed over
 * workers.
 */
export const sharedMetrics: ReadonlySet<string> = new Set([
  "envoy_cluster_manager_active_clusters",
  "envoy_cluster_manager_cds_update_rejected",
  "envoy_cluster_manager_cds_update_success",
  "envoy_listener_manager_lds_update_rejected",
  "envoy_listener_manager_lds_update_success",
  ...sharedClusterMetrics,
  "envoy_listener_manager_total_listeners_active",
  "envoy_server_days_until_first_cert_expiring",
  "envoy_server_live",
  "serin_proxy_listeners",
]);

type Row = StatisticRow;

/** A series that the last rendering contained, so that the next rendering can remove it. */
interface Exposed {
  readonly family: MetricFamily<Counter> | MetricFamily<Gauge>;
  readonly values: readonly string[];
}

export interface ProxyStatsSources {
  readonly config: AppliedConfig;
  readonly listeners: ListenerSet;
  readonly filters: FilterStatistics;
  readonly expiry: Pick<FirstExpiry, "days">;
  readonly included: IncludedStats;
}

/** The statistics that tools read. They are computed when a tool asks. */
export class ProxyStats {
  readonly #config: AppliedConfig;
  readonly #listeners: ListenerSet;
  readonly #filters: FilterStatistics;
  readonly #expiry: Pick<FirstExpiry, "days">;
  readonly #included: IncludedStats;
  readonly #clusters: ClusterStats;
  #exposed = new Map<string, Exposed>();
  readonly #families = new Map<string, MetricFamily<Counter> | MetricFamily<Gauge>>();

  constructor(sources: ProxyStatsSources) {
    this.#config = sources.config;
    this.#listeners = sources.listeners;
    this.#filters = sources.filters;
    this.#expiry = sources.expiry;
    this.#included = sources.included;
    this.#clusters = new ClusterStats(sources.included);
  }

  /** The statistics of Envoy's text form, which has one line `name: value` for each. */
  statistics(): Statistic[] {
    return this.#rows();
  }

  expose(registry: MetricsRegistry): void {
    const connections = registry.gauge("serin_proxy_connections", "Open client connections, and tunnels in them.", [
      "state",
    ]);
    const reached = registry
      .gauge("serin_proxy_listeners", "Listeners with an address that clients can reach.")
      .labels();
    registry.onCollect(() => {
      // Leave out internal listeners, which have no address.
      reached.set([...this.#listeners.listeners()].filter(({ addresses }) => addresses.length > 0).length);
      const { connections: all, drainingConnections: draining } = this.#listeners;
      connections.labels("active").set(all - draining);
      connections.labels("draining").set(draining);
      this.#exposeRows(registry);
    });
  }

  /** Sets the series of all rows, and removes those that no row has any more, such as those of removed clusters. */
  #exposeRows(registry: MetricsRegistry): void {
    const exposed = new Map<string, Exposed>();
    for (const row of this.#rows()) {
      if (row.textOnly === true) continue;
      const values = Object.values(row.labels);
      const { metric, type, value } = row;
      const family = this.#familyOf(row, registry);
      if (type === "gauge") (family as MetricFamily<Gauge>).labels(...values).set(value);
      else raise(family as MetricFamily<Counter>, values, value);
      exposed.set(values.length === 0 ? metric : `${metric}\u0000${values.join("\u0000")}`, { family, values });
    }
    for (const [key, { family, values }] of this.#exposed) if (!exposed.has(key)) family.remove(...values);
    this.#exposed = exposed;
  }

  /** Finds or creates the metric of a row. All rows of a metric have the same type and labels. */
  #familyOf({ metric, type, labels }: Row, registry: MetricsRegistry): MetricFamily<Counter> | MetricFamily<Gauge> {
    const known = this.#families.get(metric);
    if (known !== undefined) return known;
    const family = registry[type](metric, metric, Object.keys(labels), familyOptions(labels));
    this.#families.set(metric, family);
    return family;
  }

  #rows(): Row[] {
    return [
      ...this.#config.allClusters().flatMap((cluster) => this.#clusters.rows(cluster)),
      ...this.#listenerRows(),
      ...this.#managerRows(),
      ...this.#filterRows(),
    ];
  }

  #filterRows(): Row[] {
    const rows: Row[] = [];
    for (const [name, { value }] of this.#filters.entries())
      if (this.#included.includes(name)) rows.push(filterRow(name, value));
    return rows;
  }

  #rowsOf(
    scope: string,
    kind: string,
    labels: Row["labels"],
    stats: readonly (readonly [stat: string, type: Row["type"], value: number])[],
  ): Row[] {
    return stats
      .filter(([stat]) => this.#included.includes(`${scope}${stat}`))
      .map(([stat, type, value]) => ({
        name: `${scope}${stat}`,
        metric: `envoy_${kind}${stat.replaceAll(".", "_")}`,
        labels,
        type,
        value,
      }));
  }

  #listenerRows(): Row[] {
    const rows: Row[] = [];
    const http = new Map<string, HttpSums>();
    const tcp = new Map<string, TcpSums>();
    for (const listener of this.#listeners.listeners()) {
      rows.push(...this.#addressRows(listener));
      for (const { spec, connections, accepted, requests } of listener.chains()) {
        if (spec.serves.kind === "http") {
          const prefix = spec.serves.http.connection.statPrefix;
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
    return [...rows, ...this.#httpRows(http), ...this.#tcpRows(tcp)];
  }

  /** The rows of a listener, by its address. An internal listener has no address and therefore no rows. */
  #addressRows({ spec, connections, counters }: ActiveListener): Row[] {
    const [first] = spec.addresses;
    if (first === undefined) return [];
    const address = `${first.address.includes(":") ? `[${first.address.replaceAll(":", "_")}]` : first.address}_${first.port}`;
    return this.#rowsOf(`listener.${address}.`, "listener_", { listener_address: address }, [
      ["downstream_cx_active", "gauge", connections],
      ["downstream_cx_total", "counter", counters.accepted],
      ["no_filter_chain_match", "counter", counters.noFilterChain],
    ]);
  }

  #httpRows(managers: ReadonlyMap<string, HttpSums>): Row[] {
    return [...managers].flatMap(([prefix, { active, total, requests }]) =>
      this.#rowsOf(`http.${prefix}.`, "http_", { http_conn_manager_prefix: prefix.replace(/;$/, "") }, [
        ["downstream_cx_active", "gauge", active],
        ["downstream_cx_total", "counter", total],
        ["downstream_rq_total", "counter", requests],
      ]),
    );
  }

  #tcpRows(proxies: ReadonlyMap<string, TcpSums>): Row[] {
    return [...proxies].flatMap(([prefix, { active, total }]) =>
      this.#rowsOf(`tcp.${prefix}.`, "tcp_", { tcp_prefix: prefix }, [
        ["downstream_cx_total", "counter", total],
        ["downstream_cx_active", "gauge", active],
      ]),
    );
  }

  #managerRows(): Row[] {
    // Each thread has its own heap, so these are the values of this thread.
    const heap = getHeapStatistics();
    const days = this.#expiry.days();
    const cds = this.#config.updatesOf(typeUrls.cluster);
    const lds = this.#config.updatesOf(typeUrls.listener);
    return this.#rowsOf("", "", {}, [
      ["listener_manager.total_listeners_active", "gauge", [...this.#listeners.listeners()].length],
      ["cluster_manager.active_clusters", "gauge", this.#config.allClusters().length],
      ["server.live", "gauge", 1],
      ["server.concurrency", "gauge", 1],
      ["server.total_connections", "gauge", this.#listeners.connections],
      ["server.memory_allocated", "gauge", heap.used_heap_size],
      ["server.memory_heap_size", "gauge", heap.total_heap_size],
      ...(days === undefined ? [] : [["server.days_until_first_cert_expiring", "gauge", days] as const]),
      ["cluster_manager.cds.update_success", "counter", cds.accepted],
      ["cluster_manager.cds.update_rejected", "counter", cds.rejected],
      ["listener_manager.lds.update_success", "counter", lds.accepted],
      ["listener_manager.lds.update_rejected", "counter", lds.rejected],
    ]);
  }
}

interface TcpSums {
  readonly active: number;
  readonly total: number;
}

interface HttpSums extends TcpSums {
  readonly requests: number;
}

const rbacResult = /^(.*rbac)\.(?:istio_dry_run_(allow|deny)_)?(shadow_)?(allowed|denied)$/;

/**
 * The row of a filter's counter. The results of access rules become labels of one metric, as in Istio's documentation.
 */
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

/**
 * Raises a counter to a total that is counted elsewhere. If that total has started again from 0, the series starts
 * again too.
 */
function raise(family: MetricFamily<Counter>, values: readonly string[], total: number): void {
  let counter = family.labels(...values);
  if (total < counter.value) {
    family.remove(...values);
    counter = family.labels(...values);
  }
  // Beyond the registry's limit, several series share one counter, whose value may already be higher than this total.
  if (total > counter.value) counter.add(total - counter.value);
}
