import type { Cluster, Endpoint } from "../upstream/cluster.ts";
import type { StaticCluster } from "./static-resources.ts";

const textPrefixes = (cluster: string, host: string): string => `${cluster}::${host}::`;

/** `/clusters` as text: a line for each figure. */
export function clustersText(fixed: readonly StaticCluster[], clusters: readonly Cluster[]): string {
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
    const { name, config } = cluster;
    lines.push(
      `${name}::default_priority::max_connections::${shown(config.limits.maxConnections)}`,
      `${name}::default_priority::max_pending_requests::${shown(config.limits.maxPendingRequests)}`,
      `${name}::default_priority::max_requests::${shown(config.maxRequests)}`,
      `${name}::added_via_api::true`,
      ...[...cluster.endpoints()].flatMap((endpoint) => endpointLines(name, endpoint)),
    );
  }
  return `${lines.join("\n")}\n`;
}

const unlimited = 4_294_967_295;

function shown(limit: number): number {
  return Math.min(limit, unlimited);
}

function endpointLines(cluster: string, endpoint: Endpoint): string[] {
  const { config, counters, pool, name } = endpoint;
  const line = (figure: string, value: number | string): string => `${textPrefixes(cluster, name)}${figure}::${value}`;
  return [
    line("cx_active", pool.openConnections + endpoint.activeConnections),
    line("cx_connect_fail", counters.connectFailures),
    line("cx_total", counters.connectionsOpened),
    line("rq_active", endpoint.activeRequests),
    line("rq_error", counters.errors),
    line("rq_success", counters.successes),
    line("rq_total", counters.requests),
    line("hostname", config.hostname ?? ""),
    line("health_flags", healthFlags(endpoint)),
    line("weight", config.weight),
    line("priority", config.priority),
  ];
}

/** As Envoy names them: what the control plane said, and what the endpoint's answers said. */
function healthFlags({ config, outliers }: Endpoint): string {
  const flags = `${config.healthy ? "" : "/failed_eds_health"}${outliers.ejectedAtMs === undefined ? "" : "/failed_outlier_check"}`;
  return flags === "" ? "healthy" : flags;
}

/** `/clusters?format=json`. */
export function clustersJson(fixed: readonly StaticCluster[], clusters: readonly Cluster[]): unknown {
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
        added_via_api: true,
        host_statuses: [...cluster.endpoints()].map(endpointJson),
        observability_name: cluster.name,
        ...(cluster.name.startsWith("outbound") ? { eds_service_name: cluster.name } : {}),
      })),
    ],
  };
}

function endpointJson(endpoint: Endpoint): unknown {
  const { config, counters, pool, activeRequests } = endpoint;
  const gauge = (name: string, value: number): unknown => ({ name, type: "GAUGE", value: String(value) });
  const counter = (name: string, value: number): unknown => ({ name, value: String(value) });
  return {
    address: addressJson(endpoint),
    stats: [
      gauge("cx_active", pool.openConnections + endpoint.activeConnections),
      counter("cx_connect_fail", counters.connectFailures),
      counter("cx_total", counters.connectionsOpened),
      gauge("rq_active", activeRequests),
      counter("rq_error", counters.errors),
      counter("rq_success", counters.successes),
      counter("rq_total", counters.requests),
    ],
    health_status: {
      eds_health_status: config.healthy ? "HEALTHY" : "UNHEALTHY",
      ...(endpoint.outliers.ejectedAtMs === undefined ? {} : { failed_outlier_check: true }),
    },
    weight: config.weight,
    ...(config.priority === 0 ? {} : { priority: config.priority }),
    ...(config.hostname === undefined ? {} : { hostname: config.hostname }),
  };
}

function addressJson({ config }: Endpoint): unknown {
  const { transport } = config;
  if (transport.kind === "hbone")
    return { envoy_internal_address: { server_listener_name: "connect_originate", endpoint_id: transport.authority } };
  if (transport.kind === "internal") return { envoy_internal_address: { server_listener_name: transport.listener } };
  return { socket_address: { address: config.address, port_value: config.port } };
}
