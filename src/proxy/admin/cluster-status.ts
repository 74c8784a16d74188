import { localClusterName } from "../../wire/xds/index.ts";
import type { BreakerThresholds } from "../upstream/circuit-breaker.ts";
import type { Cluster, Endpoint } from "../upstream/cluster.ts";
import type { ClusterStatus, EndpointStatus } from "../serving.ts";
import type { StaticCluster } from "./static-resources.ts";

export function clusterStatuses(clusters: readonly Cluster[]): ClusterStatus[] {
  return clusters.map((cluster) => ({
    name: cluster.name,
    statName: cluster.statName,
    thresholds: {
      default: thresholdsOf(cluster.config),
      high: cluster.config.highPriority ?? thresholdsOf(cluster.config),
    },
    endpoints: [...cluster.endpoints()].map(endpointStatus),
  }));
}

function thresholdsOf({
  maxConnections,
  maxPendingRequests,
  maxRequests,
  maxRetries,
}: BreakerThresholds): BreakerThresholds {
  return { maxConnections, maxPendingRequests, maxRequests, maxRetries };
}

function endpointStatus(endpoint: Endpoint): EndpointStatus {
  const { config, counters, pool, name, activeRequests, outliers } = endpoint;
  return {
    name,
    address: addressJson(endpoint),
    hostname: config.hostname,
    weight: config.weight,
    priority: config.priority,
    healthy: config.healthy,
    ejected: outliers.ejectedAtMs !== undefined,
    counts: {
      cx_active: pool.openConnections + endpoint.activeConnections,
      cx_connect_fail: counters.connectFailures,
      cx_total: counters.connectionsOpened,
      rq_active: activeRequests,
      rq_error: counters.errors,
      rq_success: counters.successes,
      rq_total: counters.requests,
    },
  };
}

const textPrefixes = (cluster: string, host: string): string => `${cluster}::${host}::`;

/** The answer to `/clusters`: a text with one line for each value. */
export function clustersText(fixed: readonly StaticCluster[], clusters: readonly ClusterStatus[]): string {
  const lines = fixed.flatMap(({ name, hostname, address }) => {
    const host =
      "pipe" in address ? address.pipe.path : `${address.socket_address.address}:${address.socket_address.port_value}`;
    return [
      `${name}::added_via_api::false`,
      `${textPrefixes(name, host)}hostname::${hostname}`,
      `${textPrefixes(name, host)}health_flags::healthy`,
    ];
  });
  for (const cluster of clusters) {
    const { name } = cluster;
    lines.push(
      `${name}::observability_name::${cluster.statName}`,
      ...thresholdLines(cluster, "default"),
      ...thresholdLines(cluster, "high"),
      `${name}::added_via_api::${String(name !== localClusterName)}`,
      ...cluster.endpoints.flatMap((endpoint) => endpointLines(name, endpoint)),
    );
  }
  return `${lines.join("\n")}\n`;
}

function thresholdLines({ name, thresholds }: ClusterStatus, priority: "default" | "high"): string[] {
  const { maxConnections, maxPendingRequests, maxRequests, maxRetries } = thresholds[priority];
  const line = (limit: string, value: number): string => `${name}::${priority}_priority::${limit}::${shown(value)}`;
  return [
    line("max_connections", maxConnections),
    line("max_pending_requests", maxPendingRequests),
    line("max_requests", maxRequests),
    line("max_retries", maxRetries),
  ];
}

function thresholdJson(thresholds: BreakerThresholds, priority: "DEFAULT" | "HIGH"): unknown {
  return {
    // As in Envoy's JSON, a field with its default is left out.
    ...(priority === "DEFAULT" ? {} : { priority }),
    max_connections: shown(thresholds.maxConnections),
    max_pending_requests: shown(thresholds.maxPendingRequests),
    max_requests: shown(thresholds.maxRequests),
    max_retries: shown(thresholds.maxRetries),
  };
}

const unlimited = 4_294_967_295;

function shown(limit: number): number {
  return Math.min(limit, unlimited);
}

function endpointLines(cluster: string, endpoint: EndpointStatus): string[] {
  const line = (figure: string, value: number | string): string =>
    `${textPrefixes(cluster, endpoint.name)}${figure}::${value}`;
  return [
    ...Object.entries(endpoint.counts).map(([figure, value]) => line(figure, value as number)),
    line("hostname", endpoint.hostname ?? ""),
    line("health_flags", healthFlags(endpoint)),
    line("weight", endpoint.weight),
    line("priority", endpoint.priority),
  ];
}

/** The health of an endpoint in Envoy's terms, from what the control plane says and from outlier detection. */
function healthFlags({ healthy, ejected }: EndpointStatus): string {
  const flags = `${healthy ? "" : "/failed_eds_health"}${ejected ? "/failed_outlier_check" : ""}`;
  return flags === "" ? "healthy" : flags;
}

export function clustersJson(fixed: readonly StaticCluster[], clusters: readonly ClusterStatus[]): unknown {
  return {
    cluster_statuses: [
      ...fixed.map(({ name, hostname, address }) => ({
        name,
        host_statuses: [
          {
            address,
            stats: [],
            health_status: { eds_health_status: "HEALTHY" },
            weight: 1,
            ...(hostname === "" ? {} : { hostname }),
          },
        ],
        observability_name: name,
      })),
      ...clusters.map((cluster) => ({
        name: cluster.name,
        ...(cluster.name === localClusterName ? {} : { added_via_api: true }),
        host_statuses: cluster.endpoints.map(endpointJson),
        circuit_breakers: {
          thresholds: [
            thresholdJson(cluster.thresholds.default, "DEFAULT"),
            thresholdJson(cluster.thresholds.high, "HIGH"),
          ],
        },
        observability_name: cluster.statName,
        ...(cluster.name.startsWith("outbound") || cluster.name === localClusterName
          ? { eds_service_name: cluster.name }
          : {}),
      })),
    ],
  };
}

function endpointJson({ address, hostname, weight, priority, healthy, ejected, counts }: EndpointStatus): unknown {
  return {
    address,
    stats: Object.entries(counts).map(([name, value]) => ({
      name,
      ...(name.endsWith("_active") ? { type: "GAUGE" } : {}),
      value: String(value),
    })),
    health_status: {
      eds_health_status: healthy ? "HEALTHY" : "UNHEALTHY",
      ...(ejected ? { failed_outlier_check: true } : {}),
    },
    weight,
    ...(priority === 0 ? {} : { priority }),
    ...(hostname === undefined ? {} : { hostname }),
  };
}

function addressJson({ config }: Endpoint): unknown {
  const { transport } = config;
  if (transport.kind === "hbone")
    return { envoy_internal_address: { server_listener_name: "connect_originate", endpoint_id: transport.authority } };
  if (transport.kind === "internal") return { envoy_internal_address: { server_listener_name: transport.listener } };
  return { socket_address: { address: config.address, port_value: config.port } };
}
