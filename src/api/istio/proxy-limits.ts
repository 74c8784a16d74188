// Limits for products: a proxy has, for example, each route of an object once for each host. Validation refuses an
// object whose own lists multiply beyond a limit, but it sees only one object at a time. If several objects together
// exceed a limit, a proxy gets only a part, and the analysis and the objects' statuses report the rest.

/**
 * The maximum length of everything that an object repeats in one proxy: the length of each part as JSON, times the
 * number of clusters or routes that contain the part. Without it, a megabyte in each of thousands of routes would fill
 * the control plane's memory.
 */
export const maxCopiedLength = 67_108_864;

/** The length of a value as JSON, without the fields in `others`, which are not repeated. */
export function copiedLength(value: unknown, ...others: readonly string[]): number {
  if (typeof value !== "object" || value === null) return 0;
  const own = Object.entries(value).filter(([field]) => !others.includes(field));
  return own.reduce((sum, [field, inner]) => sum + field.length + (JSON.stringify(inner)?.length ?? 0), 0);
}

/**
 * The maximum of the number of routes times the number of hosts. Each proxy gets every route once for every host, so a
 * small object could otherwise make gigabytes of routes, and block the control plane while it builds them.
 */
export const maxExpandedRoutes = 100_000;

/**
 * The limits for products of several objects. Only tests change them, because a test would take minutes to reach the
 * real ones.
 */
export const proxyLimits = {
  /**
   * The maximum number of routes that one VirtualService has in one sidecar, at all hosts and ports together, in units
   * of {@link routeUnits}. In a gateway, the limit is for all VirtualServices of one namespace, at all hosts and
   * servers together. It is twice the maximum for a single server, because many Gateways have one server for HTTP and
   * one for HTTPS.
   */
  routes: 2 * maxExpandedRoutes,
  /**
   * The maximum number of ports of a Service that proxies get. A proxy has a cluster for each port, and often a
   * listener and a route.
   */
  servicePorts: 4_096,
  /**
   * The maximum number of clusters that the subsets of a rule make for one service, in each proxy that sees the
   * service. A cluster costs the control plane about half a millisecond and 10 kB, and without a limit a small object
   * could define millions.
   */
  subsetClusters: 4_096,
  /**
   * The maximum number of endpoints in all clusters of a service together. Each cluster has all endpoints, and a
   * service has a cluster for each port (a ServiceEntry for each host and port).
   */
  clusterEndpoints: 262_144,
};

/** The length as JSON that counts as one route. A longer route counts as several. */
const unitLength = Math.floor(maxCopiedLength / maxExpandedRoutes);

/** The number of routes of one host at one port, where a long route counts as several. */
export function routeUnits(
  spec: Readonly<Record<"http" | "tls" | "tcp", readonly { readonly match: readonly unknown[] }[]>>,
): number {
  let units = 0;
  for (const field of ["http", "tls", "tcp"] as const)
    for (const route of spec[field])
      units += Math.max(1, route.match.length) * Math.max(1, Math.ceil(copiedLength(route, "match") / unitLength));
  return units;
}

/**
 * The maximum number of subsets that a rule for a wildcard has at each service, because the wildcard may match
 * thousands of services.
 */
export const maxWildcardSubsets = 32;

export function endpointShare(clusters: number): number {
  return Math.floor(proxyLimits.clusterEndpoints / Math.max(1, clusters));
}

/** The maximum number of subsets of a rule for this host that get clusters, at a service with this number of ports. */
export function subsetShare(host: string, ports: number): number {
  const most = Math.floor(proxyLimits.subsetClusters / Math.max(ports, 1));
  return host.startsWith("*") ? Math.min(most, maxWildcardSubsets) : most;
}

export interface LimitFault {
  readonly path: string;
  readonly message: string;
}

export function subsetLimitFault(
  { host, ports, share }: { readonly host: string; readonly ports: number; readonly share: number },
  lost: readonly string[],
): LimitFault {
  const what = `${lost.length} subsets, from "${lost[0] ?? ""}" on, have no effect`;
  const message = host.startsWith("*")
    ? `${what}: a rule for a wildcard such as ${host} may have ${maxWildcardSubsets} subsets; remove subsets, or name hosts`
    : `${what}: each subset is a cluster for each of the ${ports} ports of ${host}, and all subsets may have ${proxyLimits.subsetClusters} clusters in a proxy, so ${share} subsets count; remove subsets or ports`;
  return { path: "spec.subsets", message };
}

export function routeLimitFault(
  units: number,
  { kind, count, first }: { readonly kind: "servers" | "ports"; readonly count: number; readonly first: string },
): LimitFault {
  const place = kind === "servers" ? "servers of its Gateways" : "ports of its hosts";
  const whose = kind === "servers" ? "all VirtualServices of a namespace" : "one VirtualService";
  const message = `the ${units} routes have no effect at ${count} ${place}, from ${first} on: each server and port has all of them for each host, and a proxy may have ${proxyLimits.routes} routes of ${whose}; use fewer routes, hosts or ${kind}`;
  return { path: "spec", message };
}

export function workloadLimitFault(
  { clusters, workloads }: { readonly clusters: number; readonly workloads: number },
  path: string,
): LimitFault {
  const most = endpointShare(clusters);
  const message = `${workloads - most} of ${workloads} workloads have no effect: each is an endpoint of ${clusters} clusters, one for each host and port, and all clusters may have ${proxyLimits.clusterEndpoints} endpoints in a proxy; use fewer ports, hosts or workloads`;
  return { path, message };
}
