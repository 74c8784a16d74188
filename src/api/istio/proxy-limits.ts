// Limits for what multiplies in a proxy's configuration. Validation refuses an object whose own lists multiply to too
// much. It sees only one object at a time. If several objects multiply to too much, a proxy gets a part, and the
// analysis and the objects' statuses report the rest.

/**
 * The maximum length of everything that an object repeats in one proxy: the length of each part as JSON, times the
 * number of clusters or routes that contain the part. A megabyte in each of thousands of routes would fill the control
 * plane's memory.
 */
export const maxCopiedLength = 67_108_864;

/** The length of a value as JSON, without the fields that are not repeated. */
export function copiedLength(value: unknown, ...others: readonly string[]): number {
  if (typeof value !== "object" || value === null) return 0;
  const own = Object.entries(value).filter(([field]) => !others.includes(field));
  return own.reduce((sum, [field, inner]) => sum + field.length + (JSON.stringify(inner)?.length ?? 0), 0);
}

/**
 * The maximum of the number of routes times the number of hosts, because each proxy gets every route once for every
 * host. Otherwise, a small object could become gigabytes of routes, and block the control plane while it builds them.
 */
export const maxExpandedRoutes = 100_000;

/**
 * The limits for products of several objects. Only tests change them, because a test would take minutes to reach them.
 */
export const proxyLimits = {
  /**
   * The maximum number of routes, in units, that one VirtualService has in one sidecar, at all hosts and ports
   * together. In a gateway, the limit is for all VirtualServices of one namespace, at all hosts and servers together.
   * It is twice the maximum for a single server, because many Gateways have one server for HTTP and one for HTTPS.
   */
  routes: 2 * maxExpandedRoutes,
  /**
   * The maximum number of ports of a Service. Each proxy has a cluster for each port, and often a listener and a route.
   * Proxies do not get further ports.
   */
  servicePorts: 4_096,
  /**
   * The maximum number of clusters that the subsets of a rule make for one service, in each proxy that sees the
   * service. A cluster costs the control plane about half a millisecond and 10 kB, and a small object could define
   * millions.
   */
  subsetClusters: 4_096,
  /**
   * The maximum number of endpoints in all clusters of a service, because each cluster has all endpoints: a
   * ServiceEntry has a cluster for each host and port, and a Service has one for each port.
   */
  clusterEndpoints: 262_144,
};

/** The length of one unit. The size of a route is its length in units, rounded up. */
const unitLength = Math.floor(maxCopiedLength / maxExpandedRoutes);

/** The size of the routes of one host at one port, in units. A route without much content is one unit. */
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

/** How many endpoints each of a service's clusters may have. */
export function endpointShare(clusters: number): number {
  return Math.floor(proxyLimits.clusterEndpoints / Math.max(1, clusters));
}

/** How many subsets of a rule for the host get clusters at a service with this number of ports. */
export function subsetShare(host: string, ports: number): number {
  const most = Math.floor(proxyLimits.subsetClusters / Math.max(ports, 1));
  return host.startsWith("*") ? Math.min(most, maxWildcardSubsets) : most;
}

/** What a limit leaves out of an object. */
export interface LimitFault {
  /** The path of the field that is too large. */
  readonly path: string;
  readonly message: string;
}

/** Says which subsets of a DestinationRule have no clusters. */
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

/** Says where a VirtualService has no routes. `first` is the first place without routes. */
export function routeLimitFault(
  units: number,
  { kind, count, first }: { readonly kind: "servers" | "ports"; readonly count: number; readonly first: string },
): LimitFault {
  const place = kind === "servers" ? "servers of its Gateways" : "ports of its hosts";
  const whose = kind === "servers" ? "all VirtualServices of a namespace" : "one VirtualService";
  const message = `the ${units} routes have no effect at ${count} ${place}, from ${first} on: each server and port has all of them for each host, and a proxy may have ${proxyLimits.routes} routes of ${whose}; use fewer routes, hosts or ${kind}`;
  return { path: "spec", message };
}

/** Says how many workloads of a service proxies do not get. */
export function workloadLimitFault(
  { clusters, workloads }: { readonly clusters: number; readonly workloads: number },
  path: string,
): LimitFault {
  const most = endpointShare(clusters);
  const message = `${workloads - most} of ${workloads} workloads have no effect: each is an endpoint of ${clusters} clusters, one for each host and port, and all clusters may have ${proxyLimits.clusterEndpoints} endpoints in a proxy; use fewer ports, hosts or workloads`;
  return { path, message };
}
