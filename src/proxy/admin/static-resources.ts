import { discoversItself, localClusterConfig } from "../config/clusters/local-cluster.ts";
import type { ProxySettings } from "../proxy-settings.ts";

/** A cluster that upstream's bootstrap contains and that tools look up by name. */
export interface StaticCluster {
  readonly name: string;
  readonly hostname: string;
  readonly address:
    | { readonly socket_address: { readonly address: string; readonly port_value: number } }
    | { readonly pipe: { readonly path: string } };
}

/**
 * The static clusters, except the cluster of the proxy's own workload. That cluster has endpoints and is listed with
 * the others.
 */
export function staticClusters(settings: ProxySettings): StaticCluster[] {
  const loopback = (port: number): StaticCluster["address"] => ({
    socket_address: { address: "127.0.0.1", port_value: port },
  });
  return [
    { name: "prometheus_stats", hostname: "", address: loopback(settings.ports.admin) },
    { name: "agent", hostname: "", address: loopback(settings.ports.stats) },
    { name: "sds-grpc", hostname: "", address: { pipe: { path: "./var/run/secrets/workload-spiffe-uds/socket" } } },
    { name: "xds-grpc", hostname: discoveryHost(settings), address: { pipe: { path: "./etc/istio/proxy/XDS" } } },
  ];
}

function discoveryHost({ xdsUrl }: ProxySettings): string {
  return new URL(xdsUrl).hostname;
}

interface StaticListener {
  readonly name: string;
  readonly port: number;
}

export function staticListeners({ ports }: ProxySettings): StaticListener[] {
  return [
    { name: "prometheus", port: ports.envoyStats },
    { name: "agent", port: ports.readiness },
    ...(ports.secureStats === 0 ? [] : [{ name: "secure_prometheus", port: ports.secureStats }]),
    ...(ports.secureMergedStats === 0 ? [] : [{ name: "secure_agent", port: ports.secureMergedStats }]),
  ];
}

const clusterType = "type.googleapis.com/envoy.config.cluster.v3.Cluster";

/** The static clusters in the form in which an Envoy bootstrap has them. */
export function staticClusterConfigs(settings: ProxySettings): Record<string, unknown>[] {
  const fixed = staticClusters(settings).map(({ name, hostname, address }) => ({
    "@type": clusterType,
    name,
    type: "STATIC",
    connect_timeout: "1s",
    load_assignment: {
      cluster_name: name,
      endpoints: [{ lb_endpoints: [{ endpoint: { address, ...(hostname === "" ? {} : { hostname }) } }] }],
    },
  }));
  return discoversItself(settings) ? [...fixed, { "@type": clusterType, ...localClusterConfig }] : fixed;
}

export function staticListenerConfigs(settings: ProxySettings): Record<string, unknown>[] {
  return staticListeners(settings).map(({ name, port }) => ({
    "@type": "type.googleapis.com/envoy.config.listener.v3.Listener",
    name,
    address: { socket_address: { address: "0.0.0.0", port_value: port } },
  }));
}
