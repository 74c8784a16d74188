import { BoundedCache, transientError, type Random } from "../../base/index.ts";
import { ipFamilyOf, type SocketAddress } from "../../net/index.ts";
import { formatAuthority } from "../../wire/hbone/index.ts";
import type { Endpoint, Endpoints, MeshState } from "../state/mesh-state.ts";
import { hasFamilyOf, workloadIdentity, type GatewayAddress, type Service, type Workload } from "../state/model.ts";

/** The next hop of an outbound connection. */
export interface Route {
  readonly protocol: "HBONE" | "TCP";
  /** The next hop's TCP address: the HBONE port of a workload or waypoint, or the destination itself. */
  readonly address: string;
  readonly port: number;
  readonly authority?: string;
  readonly workload?: Workload;
  /** The requested service, even if it is behind a waypoint. */
  readonly service?: Service | undefined;
  readonly waypoint?: true;
  /** The SPIFFE ids of which the next hop must have one. */
  readonly expectedIdentities: readonly string[];
  /** Set if the service or the waypoint has another endpoint that this connection has not tried yet. */
  readonly hasOthers?: true;
  /**
   * Set if the destination is in another network. The network's gateway ends the outer tunnel and forwards the inner
   * one.
   */
  readonly within?: InnerTunnel;
}

export interface InnerTunnel {
  /** The uid of the endpoint that represents the service's endpoints in that network. */
  readonly endpointUid: string;
  /** The SPIFFE ids of which the endpoint must have one. Empty means any identity of the mesh. */
  readonly expectedIdentities: readonly string[];
}

export interface RouteOptions {
  readonly state: MeshState;
  readonly source: Workload;
  readonly destination: SocketAddress;
  readonly random: Random;
  readonly hbonePort: number;
  /** The uids of workloads to which this connection could not connect. */
  readonly tried?: ReadonlySet<string>;
}

/**
 * Decides the next hop. It is the first of these that exists: the workload with the address (or its waypoint), the
 * service's waypoint, an endpoint of the service, the address itself. Throws a transient error in upstream's words if
 * there is no next hop.
 */
export function route(options: RouteOptions): Route {
  const { state, source, destination } = options;
  const workload = state.workloadByAddress(source.network, destination.address);
  if (workload === undefined) {
    const service = state.serviceByVip(source.network, destination.address, source.namespace);
    return service === undefined ? straightOn(destination) : serviceRoute(options, service);
  }
  const endpointOf = serviceAtEndpoint(options, workload);
  return endpointOf === undefined ? workloadRoute(options, workload) : serviceRoute(options, endpointOf, workload);
}

/**
 * Returns the service whose virtual IP is also the address of one of its endpoints, as in a ServiceEntry. The service
 * maps the port and may have a waypoint, but the client has chosen the endpoint.
 *
 * Three kinds of services are ignored here: one with a range of addresses, one without load balancing, and one that
 * claims the address of a workload that is not its endpoint.
 */
function serviceAtEndpoint({ state, source, destination }: RouteOptions, workload: Workload): Service | undefined {
  const service = state.serviceByExactVip(source.network, destination.address, source.namespace);
  if (service?.ports.has(destination.port) !== true || service.loadBalancer?.mode === "Passthrough") return undefined;
  return state.endpoints(service).has(workload.uid) ? service : undefined;
}

/** Whether the next hop has only a name, which {@link resolvedRoute} resolves. */
export function isNamed({ workload, address }: Route): boolean {
  return workload !== undefined && address === workload.hostname && workload.workloadIps.length === 0;
}

/**
 * Returns the route with an address in place of the endpoint's host name. Throws a transient error if the name has no
 * address.
 */
export async function resolvedRoute(
  found: Route,
  requestedAddress: string,
  addressesOf: (host: string) => Promise<readonly string[]>,
): Promise<Route> {
  const { workload } = found;
  if (workload === undefined || !isNamed(found)) return found;
  const addresses = await addressesOf(workload.hostname);
  const address = addresses.find((candidate) => ipFamilyOf(candidate) === ipFamilyOf(requestedAddress)) ?? addresses[0];
  if (address === undefined)
    throw transientError(
      "destination-unknown",
      `no valid routing destination for workload: ${workload.name}: ${workload.hostname} has no known address`,
    );
  const own = `${workload.hostname}:`;
  const authority =
    found.authority?.startsWith(own) === true
      ? formatAuthority(address, Number(found.authority.slice(own.length)))
      : found.authority;
  return { ...found, address, ...(authority === undefined ? {} : { authority }) };
}

function straightOn(destination: SocketAddress): Route {
  return { protocol: "TCP", address: destination.address, port: destination.port, expectedIdentities: [] };
}

/** `dialled` is the endpoint whose own address the client connected to, if any. */
function serviceRoute(options: RouteOptions, service: Service, dialled?: Workload): Route {
  const { destination } = options;
  const waypoints = waypointsInOrder(service, options.random);
  // A waypoint's own traffic must not go through a waypoint again, whichever of several waypoints sent it.
  if (waypoints.length > 0 && !waypoints.some((address) => comesFrom(options, address)))
    return anyWaypointRoute(options, waypoints, service);
  if (dialled !== undefined) return dialledRoute(options, service, dialled);
  if (service.loadBalancer?.mode === "Passthrough") return straightOn(destination);
  const picked = pickEndpoint(options, service, destination.port, "standard");
  const port = picked === undefined ? undefined : targetPort(service, picked.endpoint, destination.port);
  if (picked === undefined || port === undefined) throw noEndpoint(destination);
  const { endpoint, others } = picked;
  if (endpoint.workload.network !== options.source.network)
    return { ...throughGateway(options, endpoint.workload, service, service), ...others };
  return { ...direct(options, endpoint.workload, port, service), ...others };
}

function dialledRoute(options: RouteOptions, service: Service, dialled: Workload): Route {
  const { state, destination, tried } = options;
  if (tried?.has(dialled.uid) === true) throw noEndpoint(destination);
  const endpoint = state.endpoints(service).get(dialled.uid);
  const port = endpoint === undefined ? undefined : targetPort(service, endpoint, destination.port);
  return direct(options, dialled, port ?? destination.port, service);
}

function noEndpoint({ address, port }: SocketAddress): Error {
  return transientError("no-endpoint", `no healthy upstream: ${formatAuthority(address, port)}`);
}

function workloadRoute(options: RouteOptions, workload: Workload): Route {
  const { waypoint } = workload;
  // A waypoint's traffic to its workload must not return to the waypoint.
  if (waypoint !== undefined && !comesFrom(options, waypoint)) return waypointRoute(options, waypoint, undefined);
  return direct(options, workload, options.destination.port, undefined);
}

function direct(options: RouteOptions, workload: Workload, port: number, service: Service | undefined): Route {
  const address = pickAddress(workload, options.destination.address, service);
  if (workload.protocol === "TCP") return { protocol: "TCP", address, port, expectedIdentities: [], workload, service };
  const identity = workloadIdentity(workload);
  return {
    protocol: "HBONE",
    address,
    port: options.hbonePort,
    authority: formatAuthority(address, port),
    expectedIdentities: service === undefined ? [identity] : [identity, ...service.subjectAltNames],
    workload,
    service,
  };
}

/**
 * Returns the service's waypoints in the order in which to try them. If the waypoints have weights, the first one is
 * chosen at random by weight.
 */
function waypointsInOrder({ waypoint, weightedWaypoints }: Service, random: Random): readonly GatewayAddress[] {
  const chosen = weighted(weightedWaypoints, (choice) => choice.weight, random);
  if (chosen === undefined) return waypoint === undefined ? [] : [waypoint];
  return [chosen, ...weightedWaypoints.filter((choice) => choice !== chosen)].map(({ destination }) => destination);
}

/**
 * Returns a route to the first waypoint that has an untried endpoint. Each waypoint applies the service's whole
 * configuration.
 */
function anyWaypointRoute(
  options: RouteOptions,
  [first, ...others]: readonly GatewayAddress[],
  service: Service,
): Route {
  if (first === undefined) throw transientError("destination-unknown", "unknown waypoint: no address is left to try");
  if (others.length === 0) return waypointRoute(options, first, service);
  try {
    return waypointRoute(options, first, service);
  } catch {
    return anyWaypointRoute(options, others, service);
  }
}

function waypointRoute(options: RouteOptions, gateway: GatewayAddress, service: Service | undefined): Route {
  const { state, source, destination } = options;
  const name = "address" in gateway.destination ? gateway.destination.address : gateway.destination.hostname;
  const found = state.gateway(gateway, source.namespace);
  let workload = found?.workload;
  let port = gateway.hboneMtlsPort;
  let others: Pick<Route, "hasOthers"> = {};
  if (found?.service !== undefined) {
    const picked = pickEndpoint(options, found.service, gateway.hboneMtlsPort, "waypoint");
    workload = picked?.endpoint.workload;
    port =
      (picked === undefined ? undefined : targetPort(found.service, picked.endpoint, gateway.hboneMtlsPort)) ??
      gateway.hboneMtlsPort;
    others = picked?.others ?? {};
  }
  if (workload === undefined)
    throw transientError("destination-unknown", `unknown waypoint: waypoint ${name} not found`);
  if (workload.network !== source.network) return throughGateway(options, workload, service, found?.service);
  return {
    ...others,
    protocol: "HBONE",
    address: pickAddress(workload, destination.address, found?.service),
    port,
    // The waypoint learns the requested destination from the authority.
    authority: formatAuthority(destination.address, destination.port),
    workload,
    waypoint: true,
    ...(service === undefined ? {} : { service }),
    expectedIdentities: [workloadIdentity(workload), ...(found?.service?.subjectAltNames ?? [])],
  };
}

/** Whether the connection comes from this gateway, or from an endpoint of the gateway's service. */
function comesFrom(options: RouteOptions, gateway: GatewayAddress): boolean {
  const { state, source } = options;
  const found = state.gateway(gateway, source.namespace);
  if (found?.workload?.uid === source.uid) return true;
  return found?.service !== undefined && state.endpoints(found.service).has(source.uid);
}

/**
 * Returns the route through a network gateway. Only requests for services can cross networks. Their tunnels name the
 * service, because an address has no meaning in another network. `endpointOf` is the service to which the workload
 * belongs: the requested service, or the service of its waypoint.
 */
function throughGateway(
  { state, source, destination }: RouteOptions,
  workload: Workload,
  service: Service | undefined,
  endpointOf: Service | undefined,
): Route {
  const { networkGateway } = workload;
  if (networkGateway === undefined || service === undefined) {
    throw transientError(
      "destination-unknown",
      `no valid routing destination for workload: ${workload.name} is on network "${workload.network}"${service === undefined ? ", which is reachable through services only" : ", which has no gateway"}`,
    );
  }
  const gateway = state.gateway(networkGateway, source.namespace)?.workload;
  if (gateway === undefined) {
    const name =
      "address" in networkGateway.destination
        ? networkGateway.destination.address
        : networkGateway.destination.hostname;
    throw transientError("destination-unknown", `the gateway ${name} of network "${workload.network}" is not known`);
  }
  return {
    protocol: "HBONE",
    address: pickAddress(gateway, destination.address, undefined),
    port: networkGateway.hboneMtlsPort,
    authority: `${service.hostname}:${destination.port}`,
    expectedIdentities: [workloadIdentity(gateway)],
    workload: gateway,
    service,
    within: { endpointUid: workload.uid, expectedIdentities: endpointOf?.subjectAltNames ?? [] },
  };
}

function targetPort(service: Service, endpoint: Endpoint, servicePort: number): number | undefined {
  const own = endpoint.ports.get(servicePort);
  if (own !== undefined && own > 0) return own;
  const common = service.ports.get(servicePort);
  if (common !== undefined && common > 0) return common;
  return endpoint.workload.applicationTunnel?.port === undefined ? undefined : servicePort;
}

interface PickedEndpoint {
  readonly endpoint: Endpoint;
  readonly others: Pick<Route, "hasOthers">;
}

function pickEndpoint(
  options: RouteOptions,
  service: Service,
  port: number,
  mode: "standard" | "waypoint",
): PickedEndpoint | undefined {
  const { state, source, tried, random } = options;
  if (mode === "standard" && !service.ports.has(port)) return undefined;
  let { usable, counting } = usableEndpoints(state.endpoints(service), service, port, mode);
  if (tried !== undefined) {
    const isUntried = ({ workload }: Endpoint): boolean => !tried.has(workload.uid);
    [usable, counting] = [usable.filter(isUntried), counting.filter(isUntried)];
  }
  const chosen = weighted(preferred(counting, source, service), (endpoint) => endpoint.workload.capacity, random);
  const endpoint =
    chosen ?? (counting.length > 0 ? undefined : weighted(preferred(usable, source, service), () => 1, random));
  return endpoint === undefined ? undefined : { endpoint, others: usable.length > 1 ? { hasOthers: true } : {} };
}

/** The endpoints of a service that can serve one of its ports. */
interface UsableEndpoints {
  readonly usable: readonly Endpoint[];
  /** The endpoints that have a capacity. An endpoint without capacity gets a connection only if no endpoint has one. */
  readonly counting: readonly Endpoint[];
}

interface KnownEndpoints {
  readonly service: Service;
  readonly version: number;
  readonly byPort: Readonly<Record<"standard" | "waypoint", Map<number, UsableEndpoints>>>;
}

/**
 * Caches the usable endpoints of each service by port, until the service or one of its endpoints changes. A service may
 * have thousands of endpoints, and connections to it are far more frequent than changes.
 */
const known = new WeakMap<Endpoints, KnownEndpoints>();
/** The maximum number of ports of one service in the cache. */
const maxKnownPorts = 64;

function usableEndpoints(
  endpoints: Endpoints,
  service: Service,
  port: number,
  mode: "standard" | "waypoint",
): UsableEndpoints {
  let current = known.get(endpoints);
  if (current?.service !== service || current.version !== endpoints.version) {
    const byPort = { standard: portCache(), waypoint: portCache() };
    known.set(endpoints, (current = { service, version: endpoints.version, byPort }));
  }
  const byPort = current.byPort[mode];
  let found = byPort.get(port);
  if (found === undefined) {
    const usable = [...endpoints.values()].filter((endpoint) => isUsable(endpoint, service, port, mode));
    byPort.set(port, (found = { usable, counting: usable.filter(({ workload }) => workload.capacity > 0) }));
  }
  return found;
}

function portCache(): Map<number, UsableEndpoints> {
  return new BoundedCache(maxKnownPorts);
}

function isUsable(endpoint: Endpoint, service: Service, port: number, mode: "standard" | "waypoint"): boolean {
  const { workload } = endpoint;
  if (service.loadBalancer?.healthPolicy !== "AllowAll" && workload.status === "Unhealthy") return false;
  if (workload.workloadIps.length === 0 && workload.hostname === "" && workload.networkGateway === undefined)
    return false;
  if (mode === "waypoint") return service.ports.has(port) || workload.applicationTunnel !== undefined;
  return targetPort(service, endpoint, port) !== undefined;
}

/**
 * Returns the endpoints that match the most routing preferences. Preferences are counted from the first one up to the
 * first mismatch. In strict mode, all preferences must match.
 */
function preferred(endpoints: readonly Endpoint[], source: Workload, service: Service): readonly Endpoint[] {
  const balancer = service.loadBalancer;
  if (balancer === undefined || balancer.mode === "Standard" || balancer.mode === "Passthrough") return endpoints;
  const { routingPreferences } = balancer;
  const ranks = endpoints.map((endpoint) => {
    const miss = routingPreferences.findIndex((scope) => !sameScope(scope, source, endpoint.workload));
    return miss === -1 ? routingPreferences.length : miss;
  });
  const best = balancer.mode === "Strict" ? routingPreferences.length : Math.max(0, ...ranks);
  return endpoints.filter((_, index) => ranks[index] === best);
}

function sameScope(scope: string, source: Workload, other: Workload): boolean {
  switch (scope) {
    case "Region":
      return source.locality.region === other.locality.region;
    case "Zone":
      return source.locality.zone === other.locality.zone;
    case "Subzone":
      return source.locality.subzone === other.locality.subzone;
    case "Node":
      return source.node === other.node;
    case "Cluster":
      return source.clusterId === other.clusterId;
    default:
      return source.network === other.network;
  }
}

/** Returns the requested address if it belongs to the workload, otherwise one of the same family if there is one. */
function pickAddress(workload: Workload, requestedAddress: string, service: Service | undefined): string {
  if (workload.workloadIps.includes(requestedAddress)) return requestedAddress;
  // {@link resolvedRoute} resolves the name later.
  if (workload.workloadIps.length === 0 && workload.hostname !== "") return workload.hostname;
  const fits = workload.workloadIps.filter((ip) => service === undefined || hasFamilyOf(service, ip));
  const address =
    fits.find((ip) => ipFamilyOf(ip) === ipFamilyOf(requestedAddress)) ?? fits[0] ?? workload.workloadIps[0];
  if (address === undefined)
    throw transientError("destination-unknown", `no valid routing destination for workload: ${workload.name}`);
  return address;
}

function weighted<Item>(items: readonly Item[], weight: (item: Item) => number, random: Random): Item | undefined {
  let total = 0;
  for (const item of items) total += weight(item);
  let at = random() * total;
  for (const item of items) {
    at -= weight(item);
    if (at < 0) return item;
  }
  return undefined;
}
