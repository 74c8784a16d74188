import { meshGateway, type HttpMatch } from "../../../api/istio/index.ts";
import { compareText, factsKey, type AppProtocol, type MeshSettings } from "../../model/facts.ts";
import type { RouteModel } from "../../model/gateway/gateway-model.ts";
import { memos } from "../../model/memos.ts";
import { hostCovers, isWildcard, mostSpecificHost } from "../../model/service/service-hostname.ts";
import { serviceKey, type ServiceModel } from "../../model/service/service-model.ts";
import type { VirtualServiceShape } from "../../model/routing/virtual-service-shape.ts";
import { serviceDomains } from "./outbound-domain.ts";
import type { HostClient, HostPlan, HostSource, RouteTable, ServiceReference } from "./outbound-host.ts";
import type { OutboundPort } from "./outbound-port.ts";
import { dynamicDnsName, forwardsUnknownHosts } from "./dynamic-dns.ts";
import { unknownRouteName, unknownTrafficCluster, type ResolvedService } from "./outbound-route.ts";
import { concernsClient } from "../routing/virtual-service-match.ts";

/**
 * A port of a scope with its keys resolved. It contains everything that decides which hosts exist, and nothing that
 * only changes their routes.
 */
export interface PlannedPort {
  readonly port: OutboundPort;
  readonly mesh: MeshSettings;
  readonly services: readonly ResolvedService[];
  readonly virtualServices: readonly VirtualServiceShape[];
  readonly serviceOf: (host: string) => ServiceModel | undefined;
  /** The HTTPRoutes that are attached to a service, for clients of this scope. Undefined if no service has any. */
  readonly httpRoutesOf: ((service: ServiceModel, port: number) => readonly RouteModel[]) | undefined;
  /** The hosts to which ExternalName Services point. */
  readonly aliased: readonly string[];
  /** The ExternalName Services that point to a host. */
  readonly aliasesOf: (host: string) => readonly string[];
  /** The host to which an ExternalName Service points, whatever its ports. Undefined for other hosts. */
  readonly targetOf: (alias: string) => string | undefined;
  /** Hosts, or patterns of hosts, with consistent hashing. Their routes differ by client. */
  readonly hashing: readonly string[];
  /** See {@link CommonHosts.routed}. Absent if it was not computed before. */
  readonly routed?: string;
}

/** The port on which VirtualServices also apply to hosts that no registry knows. */
const httpPort = 80;

/**
 * The route configurations of a port. A service with an undeclared protocol gets its own one (named `host:port`) if its
 * address is unique.
 */
export function planTables(planned: PlannedPort): readonly RouteTable[] {
  const hosts = planHosts(planned);
  const { port, scope } = planned.port;
  // An egress listener's own protocol takes precedence, so its traffic needs no detection.
  const protocolOf = ({ port: own }: ResolvedService): AppProtocol => planned.port.protocol ?? own.protocol;
  const detected = new Set(
    planned.services.filter((entry) => protocolOf(entry) === "unknown" && planned.port.bind === undefined),
  );
  const ofServices = [...detected].flatMap(({ service }): RouteTable[] => {
    if (!hasAddress(service) && service.resolution !== "passthrough") return [];
    const name = `${service.hostname}:${port}`;
    const host = hosts.find((candidate) => candidate.name === name);
    return host === undefined
      ? []
      : [{ scope, name, hosts: [{ ...host, table: name, key: `${name} * ${host.key}`, domains: ["*"] }] }];
  });
  const shared = planned.services.some(
    (entry) => isHttp(protocolOf(entry)) && (!detected.has(entry) || !hasAddress(entry.service)),
  );
  return [...(shared ? [{ scope, name: String(port), hosts: [...hosts, unknownHost(planned)] }] : []), ...ofServices];
}

/** Whether a listener can be bound to an address of the service. */
function hasAddress(service: ServiceModel): boolean {
  return service.addresses.some((address) => !address.includes("/"));
}

/** Whether a listener for the protocol has routes. Undeclared protocols are detected. */
function isHttp(protocol: AppProtocol): boolean {
  return protocol !== "tcp" && protocol !== "tls";
}

function speaksHttp({ port: { protocol } }: ResolvedService): boolean {
  return isHttp(protocol);
}

/** The origin of a host's routes. */
interface Origin {
  readonly source: HostSource;
  /** Distinguishes this origin from other origins of the same host. */
  readonly key: string;
  /** Set if the origin depends on the client: returns the origin for another client. */
  readonly forClient?: (client: HostClient) => Origin;
}

interface Candidate extends Origin {
  readonly service: ServiceModel | undefined;
  readonly host: string;
}

/**
 * HTTPRoutes of a service take precedence over VirtualServices. A service with neither gets a plain route to itself.
 */
function planHosts(planned: PlannedPort): readonly HostPlan[] {
  return plansFromCommon(planned) ?? chooseHosts(planned).accepted.map(({ plan }) => plan);
}

/** A host of a route configuration, and the candidate that it was chosen from. */
interface AcceptedHost {
  readonly candidate: Candidate;
  /** The domains that the candidate requested. */
  readonly wanted: readonly string[];
  readonly plan: HostPlan;
}

interface ChosenHosts {
  /** Sorted by host name. */
  readonly accepted: readonly AcceptedHost[];
  /** The hostnames of known services, and the domains in use. */
  readonly taken: { readonly hosts: ReadonlySet<string>; readonly domains: ReadonlySet<string> };
  /** Whether candidates were dropped because other candidates have all of their domains. */
  readonly isCrowded: boolean;
}

function chooseHosts(planned: PlannedPort): ChosenHosts {
  const { port, namespace, labels } = planned.port;
  const spoken = planned.services.filter(speaksHttp);
  // Without routes of its own, an alias is a further name of the service that it leads to.
  const routed = spoken.filter(({ service }) => service.resolution !== "alias");
  const attached = spoken.flatMap(({ service }): Candidate[] => {
    const routes = planned.httpRoutesOf?.(service, port) ?? [];
    if (routes.length === 0) return [];
    const backends = routes.flatMap(({ mesh }) => mesh.backends.flat());
    const hashes = backends.some((backend) => !("fault" in backend) && mayHash(planned, backend.host));
    const client = { namespace, labels: hashes ? labels : {} };
    return [
      {
        service,
        host: service.hostname,
        source: { from: "http-routes", service: referenceOf(service), port, client },
        key: `routes ${hashes ? clientKey(client) : namespace} ${ownerText(service)}`,
      },
    ];
  });
  const taken = new Set(attached.map(({ host }) => host));
  const ofVirtualServices = virtualServiceCandidates(
    taken.size === 0 ? spoken : spoken.filter(({ service }) => !taken.has(service.hostname)),
    planned,
  );
  for (const { host } of ofVirtualServices) taken.add(host);
  return withoutDuplicates(
    [
      ...attached,
      ...ofVirtualServices,
      ...routed.filter(({ service }) => !taken.has(service.hostname)).map((entry) => ownCandidate(entry, planned)),
    ],
    planned,
  );
}

function referenceOf(service: ServiceModel): ServiceReference {
  return { registry: service.registry, key: serviceKey(service) };
}

/** Services in different namespaces or registries may have the same hostname. */
function ownerText({ registry, namespace, variant = "" }: ServiceModel): string {
  return `${registry} ${namespace} ${variant}`;
}

function ownCandidate({ service, port }: ResolvedService, planned: PlannedPort): Candidate {
  if (mayHash(planned, service.hostname)) {
    const forClient = (client: HostClient): Origin => ({
      source: { from: "service", service: referenceOf(service), port: port.port, client },
      key: `${clientKey(client)} ${ownerText(service)}`,
      forClient,
    });
    return { service, host: service.hostname, ...forClient(clientOf(planned.port)) };
  }
  return ownCandidates.of(service, String(port.port), () => ({
    service,
    host: service.hostname,
    source: { from: "service", service: referenceOf(service), port: port.port, client: undefined },
    key: ownerText(service),
  }));
}

function mayHash({ hashing }: PlannedPort, host: string): boolean {
  return hashing.some((covering) => hostCovers(covering, host));
}

function clientOf({ namespace, labels }: OutboundPort): HostClient {
  return { namespace, labels };
}

function clientKey({ namespace, labels }: HostClient): string {
  return `${namespace} ${JSON.stringify(labels)}`;
}

/**
 * Hosts of VirtualServices: those of services without an HTTPRoute, and, for plain HTTP, those that no registry knows.
 */
function virtualServiceCandidates(routed: readonly ResolvedService[], planned: PlannedPort): readonly Candidate[] {
  if (planned.virtualServices.length === 0) return [];
  const { port } = planned.port;
  const byHost = new Map(planned.services.map((entry) => [entry.service.hostname, entry.service]));
  const wildcards = new Map<string, boolean>();
  const isKnown = (host: string): boolean => {
    if (byHost.has(host)) return true;
    if (!isWildcard(host)) return false;
    const known = wildcards.get(host) ?? [...byHost.keys()].some((name) => hostCovers(host, name));
    wildcards.set(host, known);
    return known;
  };
  const masked: boolean[] = [];
  const isRouted = (index: number): boolean => {
    const shape = planned.virtualServices[index];
    if (planned.routed !== undefined) return planned.routed[index] === "1";
    return (masked[index] ??= shape !== undefined && hasRoutes(shape, planned.port));
  };
  const chosenBy = Map.groupBy(routed, chooser(planned.virtualServices, isRouted));
  return planned.virtualServices.flatMap((shape, index) => {
    const services = chosenBy.get(shape) ?? [];
    if ((services.length === 0 && port !== httpPort) || !isRouted(index)) return [];
    const planSource = virtualServiceSource(shape, byHost, planned);
    const others = shape.hosts.filter((host) => !isKnown(host));
    return [
      ...others.map((host) => ({ host, service: undefined, ...planSource })),
      ...services.map(({ service }) => ({ host: service.hostname, service, ...planSource })),
    ];
  });
}

function virtualServiceSource(
  shape: VirtualServiceShape,
  byHost: ReadonlyMap<string, ServiceModel>,
  planned: PlannedPort,
): Origin {
  const wanted = shape.http.flatMap((route) => route.destinations.map(({ host }) => host));
  const found = new Map(
    wanted.flatMap((host): [string, string][] => {
      const target = byHost.get(host)?.aliasOf ?? planned.targetOf(host);
      return target === undefined ? [] : [[host, target]];
    }),
  );
  const isPlain = wanted.every((host) => found.get(host) === "");
  const differs =
    shape.http.some(({ match }) =>
      match.some(
        ({ sourceLabels, sourceNamespace }) => sourceNamespace !== undefined || Object.keys(sourceLabels).length > 0,
      ),
    ) || wanted.some((host) => mayHash(planned, host));
  const virtualService = factsKey(shape);
  const { port } = planned.port;
  const origin = (client: HostClient | undefined): Origin => ({
    source: { from: "virtual-service", virtualService, port, client, destinations: isPlain ? undefined : found },
    key: `virtual-service ${virtualService} ${client === undefined ? "" : clientKey(client)} ${isPlain ? "" : JSON.stringify([...found])}`,
    ...(client === undefined ? {} : { forClient: origin }),
  });
  return origin(differs ? clientOf(planned.port) : undefined);
}

/** Whether any of its routes applies to this client and port. */
function hasRoutes(shape: VirtualServiceShape, { port, namespace, labels }: OutboundPort): boolean {
  const client = { namespace, labels, gateway: meshGateway };
  const concerns = (match: HttpMatch): boolean =>
    (match.port === undefined || match.port === port) && concernsClient(match, client);
  return shape.http.some(({ match }) => match.length === 0 || match.some(concerns));
}

/**
 * Returns a function that finds the VirtualService of a service: the first one with its host that has routes for the
 * client and port, or else the first one with its host, or else the first one with the most specific wildcard. As in
 * upstream, a VirtualService without routes for the client and port hides only wildcards.
 */
function chooser(
  shapes: readonly VirtualServiceShape[],
  isRouted: (index: number) => boolean,
): (entry: ResolvedService) => VirtualServiceShape | undefined {
  const first = new Map<string, number>();
  for (const [index, shape] of shapes.entries())
    for (const host of shape.hosts) {
      const known = first.get(host);
      if (known === undefined || (!isWildcard(host) && !isRouted(known) && isRouted(index))) first.set(host, index);
    }
  const wildcards = [...first.keys()].filter(isWildcard);
  return ({ service: { hostname } }) => {
    const index =
      first.get(hostname) ??
      (wildcards.length === 0 ? undefined : first.get(mostSpecificHost(wildcards, hostname) ?? ""));
    return index === undefined ? undefined : shapes[index];
  };
}

/** The first candidate for a name or domain gets it. A short name never hides another service's full name. */
function withoutDuplicates(candidates: readonly Candidate[], planned: PlannedPort): ChosenHosts {
  const names = new Set<string>();
  const domains = new Set<string>();
  const known = new Set(candidates.flatMap(({ service }) => service?.hostname ?? []));
  const accepted: AcceptedHost[] = [];
  let isCrowded = false;
  for (const candidate of candidates) {
    const { host, service } = candidate;
    if (names.has(host)) continue;
    names.add(host);
    const wanted = service === undefined ? [host] : domainsOf(service, planned);
    const isFree = (domain: string): boolean => !domains.has(domain) && (domain === host || !known.has(domain));
    const own = wanted.every(isFree) ? wanted : wanted.filter(isFree);
    for (const domain of own) domains.add(domain);
    if (own.length > 0) accepted.push({ candidate, wanted, plan: hostPlan(candidate, own, planned.port.port) });
    else isCrowded = true;
  }
  accepted.sort((left, right) => compareText(left.plan.name, right.plan.name));
  return { accepted, taken: { hosts: known, domains }, isCrowded };
}

function domainsOf(service: ServiceModel, { aliasesOf, port, mesh }: PlannedPort): readonly string[] {
  const aliases = aliasesOf(service.hostname);
  if (aliases.length > 0) return serviceDomains(service, aliases, port.namespace, mesh.domain);
  // Clients of all other namespaces use the same names.
  return spelledDomains.of(
    service,
    `${isOwnHost(service.hostname, port.namespace, mesh) ? port.namespace : ""} ${mesh.domain}`,
    () => serviceDomains(service, aliases, port.namespace, mesh.domain),
  );
}

function hostPlan(candidate: Candidate, domains: readonly string[], port: number): HostPlan {
  const { host, source } = candidate;
  const table = String(port);
  return plans.of(domains, `${table} ${candidate.key}`, () => ({
    key: `${table}/${host} ${candidate.key} ${domains.join()}`,
    table,
    host,
    name: `${host}:${port}`,
    domains,
    source,
  }));
}

/** Whether clients of the namespace may omit the namespace in the name. */
function isOwnHost(host: string, namespace: string, { domain }: MeshSettings): boolean {
  return parentOf(host) === `${namespace}.svc.${domain}`;
}

function parentOf(host: string): string {
  return host.slice(host.indexOf(".") + 1);
}

/** The hosts of a list of services, as seen by a client in a namespace that owns none of them. */
interface CommonHosts {
  readonly mesh: MeshSettings;
  readonly shapes: readonly VirtualServiceShape[];
  readonly hashing: readonly string[];
  /** One digit for each VirtualService: 1 if it has routes for the client, otherwise 0. */
  readonly routed: string;
  readonly chosen: ChosenHosts;
  readonly plans: readonly HostPlan[];
  /**
   * Indexes of hosts that differ by client: those with short names, by their parent domain, and those whose origin
   * depends on the client.
   */
  readonly byParent: ReadonlyMap<string, readonly number[]>;
  readonly ofClients: readonly number[];
  readonly byHost: ReadonlyMap<string, number>;
}

/**
 * The maximum number of cached variants for one list of services. Clients can differ in the VirtualServices that apply
 * to them, but most do not.
 */
const maxCommon = 16;
const commonHosts = memos.memo<readonly ResolvedService[], CommonHosts[]>("common-hosts");
const nobody = { namespace: "", labels: {} };

/**
 * The common hosts with this client's differences applied. Undefined if the two may conflict, which requires a full
 * computation.
 */
function plansFromCommon(planned: PlannedPort): readonly HostPlan[] | undefined {
  if (planned.httpRoutesOf !== undefined) return undefined;
  const { mesh, port } = planned;
  const { chosen, plans, byParent, ofClients, byHost } = commonOf(planned);
  if (chosen.isCrowded || routesToAlias(planned, byHost)) return undefined;
  const places = new Set([
    ...ofClients,
    ...(byParent.get(`${port.namespace}.svc.${mesh.domain}`) ?? []),
    ...planned.aliased.flatMap((host) => byHost.get(host) ?? []),
  ]);
  const hosts = [...plans];
  const added = new Set<string>();
  for (const place of places) {
    const host = chosen.accepted[place];
    if (host === undefined) continue;
    const { candidate, wanted, plan } = host;
    const domains = candidate.service === undefined ? wanted : domainsOf(candidate.service, planned);
    const common = new Set(wanted);
    for (const domain of domains) {
      if (common.has(domain)) continue;
      if (added.has(domain) || chosen.taken.domains.has(domain) || chosen.taken.hosts.has(domain)) return undefined;
      added.add(domain);
    }
    if (domains.length - wanted.length !== domains.filter((domain) => !common.has(domain)).length) return undefined;
    const given = new Set(plan.domains);
    const own =
      plan.domains === wanted ? domains : domains.filter((domain) => given.has(domain) || !common.has(domain));
    const client = clientOf(port);
    hosts[place] = hostPlan(
      candidate.forClient === undefined ? candidate : { ...candidate, ...candidate.forClient(client) },
      own,
      port.port,
    );
  }
  return hosts;
}

/**
 * Whether a VirtualService sends requests to an ExternalName Service without this port, which common hosts do not know.
 */
function routesToAlias(planned: PlannedPort, byHost: CommonHosts["byHost"]): boolean {
  if (planned.aliased.length === 0) return false;
  return planned.virtualServices.some(({ http }) =>
    http.some(({ destinations }) =>
      destinations.some(({ host }) => !byHost.has(host) && planned.targetOf(host) !== undefined),
    ),
  );
}

function commonOf(planned: PlannedPort): CommonHosts {
  const { services, virtualServices: shapes, hashing, mesh } = planned;
  const routed = shapes.map((shape) => (hasRoutes(shape, planned.port) ? "1" : "0")).join("");
  const known = commonHosts.of(services, () => []);
  const found = known.find(
    (common) =>
      common.mesh === mesh &&
      common.routed === routed &&
      sameItems(common.shapes, shapes) &&
      sameItems(common.hashing, hashing),
  );
  if (found !== undefined) return found;
  const chosen = chooseHosts({
    ...planned,
    port: { ...planned.port, ...nobody },
    routed,
    aliased: [],
    aliasesOf: () => [],
    targetOf: () => undefined,
  });
  const parents = Map.groupBy(chosen.accepted.keys(), (place) =>
    parentOf(chosen.accepted[place]?.candidate.host ?? ""),
  );
  const common: CommonHosts = {
    mesh,
    shapes,
    hashing,
    routed,
    chosen,
    plans: chosen.accepted.map(({ plan }) => plan),
    byParent: parents,
    ofClients: [...chosen.accepted.keys()].filter((place) => chosen.accepted[place]?.candidate.forClient !== undefined),
    byHost: new Map(chosen.accepted.map(({ candidate }, place) => [candidate.host, place])),
  };
  if (known.length >= maxCommon) known.shift();
  known.push(common);
  return common;
}

function sameItems(left: readonly unknown[], right: readonly unknown[]): boolean {
  return left.length === right.length && left.every((item, index) => item === right[index]);
}

/** Requests to unknown hosts: forwarded to their original destination or to the host's address, or rejected. */
function unknownHost({ port, mesh, serviceOf }: PlannedPort): HostPlan {
  const cluster = unknownHostCluster(port, serviceOf);
  const table = String(port.port);
  const key = `${table}/* ${cluster ?? ""}`;
  return unknownHosts.of(mesh, key, () => ({
    key,
    table,
    host: "*",
    name: unknownRouteName(cluster),
    domains: ["*"],
    source: { from: "unknown", cluster },
  }));
}

function unknownHostCluster(port: PlannedPort["port"], serviceOf: PlannedPort["serviceOf"]): string | undefined {
  if (port.unknownTraffic === "REGISTRY_ONLY" && port.egressProxy === undefined) return undefined;
  return forwardsUnknownHosts(port) ? dynamicDnsName : unknownTrafficCluster(port, serviceOf);
}

const ownCandidates = memos.keyed<ServiceModel, Candidate>("host-candidates");
const spelledDomains = memos.keyed<ServiceModel, readonly string[]>("domains-of-services");
const unknownHosts = memos.keyed<MeshSettings, HostPlan>("unknown-host-plans");
/** Keyed by the list of domains, which is unique for each host. */
const plans = memos.keyed<readonly string[], HostPlan>("host-plans");
