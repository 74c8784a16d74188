import type { HttpMatch } from "../../api/istio/index.ts";
import { compareText, factsKey, type MeshSettings } from "../model/facts.ts";
import type { RouteModel } from "../model/gateway-model.ts";
import { Remembered } from "../model/remembered.ts";
import { hostCovers, isWildcard, mostSpecificHost } from "../model/service-hostname.ts";
import type { ServiceModel } from "../model/service-model.ts";
import { meshGateway } from "../model/virtual-service-model.ts";
import type { VirtualServiceShape } from "../model/virtual-service-shape.ts";
import { serviceDomains } from "./outbound-domain.ts";
import type { HostClient, HostPlan, HostSource, RouteTable, ServiceReference } from "./outbound-host.ts";
import type { OutboundPort } from "./outbound-port.ts";
import { unknownTrafficCluster, type ResolvedService } from "./outbound-route.ts";
import { concernsClient } from "./virtual-service-match.ts";

/** A port of a scope with what its keys lead to: all that decides which hosts there are, and nothing that only their routes say. */
export interface PlannedPort {
  readonly port: OutboundPort;
  readonly mesh: MeshSettings;
  readonly services: readonly ResolvedService[];
  readonly virtualServices: readonly VirtualServiceShape[];
  readonly serviceOf: (host: string) => ServiceModel | undefined;
  /** HTTPRoutes that are attached to a service for clients of this scope. */
  readonly httpRoutesOf: (service: ServiceModel, port: number) => readonly RouteModel[];
  /** Names of ExternalName Services that lead to a host. */
  readonly aliasesOf: (host: string) => readonly string[];
  /** Whether some rule hashes requests to the host: then routes differ by client. */
  readonly mayHash: (host: string) => boolean;
}

/** Plain HTTP: here a VirtualService counts also for hosts that no registry knows. */
const httpPort = 80;

/** The routes of a port, and those of its services that are told apart by address (by `host:port`) as their protocol is not known. */
export function planTables(planned: PlannedPort): readonly RouteTable[] {
  const hosts = planHosts(planned);
  const { port, scope } = planned.port;
  const detected = new Set(planned.services.filter(({ port: own }) => own.protocol === "unknown" && planned.port.bind === undefined));
  const ofServices = [...detected].flatMap(({ service }): RouteTable[] => {
    if (!hasAddress(service) && service.resolution !== "passthrough") return [];
    const name = `${service.hostname}:${port}`;
    const host = hosts.find((candidate) => candidate.name === name);
    return host === undefined ? [] : [{ scope, name, hosts: [{ ...host, table: name, key: `${name} * ${host.key}`, domains: ["*"] }] }];
  });
  const shared = planned.services.some((entry) => speaksHttp(entry) && (!detected.has(entry) || !hasAddress(entry.service)));
  return [...(shared ? [{ scope, name: String(port), hosts: [...hosts, unknownHost(planned)] }] : []), ...ofServices];
}

/** One that a listener of its own can be bound to. */
function hasAddress(service: ServiceModel): boolean {
  return service.addresses.some((address) => !address.includes("/"));
}

function speaksHttp({ port: { protocol } }: ResolvedService): boolean {
  return protocol !== "tcp" && protocol !== "tls";
}

interface Candidate {
  readonly service: ServiceModel | undefined;
  readonly host: string;
  readonly source: HostSource;
  /** What tells the source from others of the same host. */
  readonly key: string;
}

/** What HTTPRoutes say of a service goes before what VirtualServices do; the others lead to themselves. */
function planHosts(planned: PlannedPort): readonly HostPlan[] {
  const { port, namespace, labels } = planned.port;
  const routed = planned.services.filter((entry) => entry.service.resolution !== "alias" && speaksHttp(entry));
  const attached = routed.flatMap(({ service }): Candidate[] => {
    if (planned.httpRoutesOf(service, port).length === 0) return [];
    const client = { namespace, labels };
    return [{ service, host: service.hostname, source: { from: "http-routes", service: referenceOf(service), port, client }, key: `routes ${namespace} ${serviceKey(service)}` }];
  });
  const taken = new Set(attached.map(({ host }) => host));
  const said = virtualServiceCandidates(taken.size === 0 ? routed : routed.filter(({ service }) => !taken.has(service.hostname)), planned);
  for (const { host } of said) taken.add(host);
  const hosts = withoutDuplicates([...attached, ...said, ...routed.filter(({ service }) => !taken.has(service.hostname)).map((entry) => ownCandidate(entry, planned))], planned);
  return hosts.sort((left, right) => compareText(left.name, right.name));
}

function referenceOf(service: ServiceModel): ServiceReference {
  return { registry: service.registry, key: `${service.namespace}/${service.hostname}` };
}

/** A host of one name may be of another service elsewhere. */
function serviceKey({ registry, namespace }: ServiceModel): string {
  return `${registry} ${namespace}`;
}

function ownCandidate({ service, port }: ResolvedService, planned: PlannedPort): Candidate {
  const client = planned.mayHash(service.hostname) ? clientOf(planned.port) : undefined;
  if (client !== undefined) return { service, host: service.hostname, source: { from: "service", service: referenceOf(service), port: port.port, client }, key: `${clientKey(client)} ${serviceKey(service)}` };
  return ownCandidates.of(service, String(port.port), () => ({ service, host: service.hostname, source: { from: "service", service: referenceOf(service), port: port.port, client }, key: serviceKey(service) }));
}

function clientOf({ namespace, labels }: OutboundPort): HostClient {
  return { namespace, labels };
}

function clientKey({ namespace, labels }: HostClient): string {
  return `${namespace} ${JSON.stringify(labels)}`;
}

/** Hosts of VirtualServices: those of services that no HTTPRoute speaks of, and (for plain HTTP) those that no registry knows. */
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
  const chosenBy = Map.groupBy(routed, chooser(planned.virtualServices));
  return planned.virtualServices.flatMap((shape) => {
    const services = chosenBy.get(shape) ?? [];
    if ((services.length === 0 && port !== httpPort) || !hasRoutes(shape, planned.port)) return [];
    const said = virtualServiceSource(shape, byHost, planned);
    const others = shape.hosts.filter((host) => !isKnown(host));
    return [...others.map((host) => ({ host, service: undefined, ...said })), ...services.map(({ service }) => ({ host: service.hostname, service, ...said }))];
  });
}

function virtualServiceSource(shape: VirtualServiceShape, byHost: ReadonlyMap<string, ServiceModel>, planned: PlannedPort): Pick<Candidate, "source" | "key"> {
  const wanted = shape.http.flatMap((route) => route.destinations.map(({ host }) => host));
  const found = new Map(wanted.flatMap((host): [string, string][] => (byHost.has(host) ? [[host, byHost.get(host)?.aliasOf ?? ""]] : [])));
  const isPlain = wanted.every((host) => found.get(host) === "");
  const differs = shape.http.some(({ match }) => match.some(({ sourceLabels, sourceNamespace }) => sourceNamespace !== undefined || Object.keys(sourceLabels).length > 0)) || wanted.some(planned.mayHash);
  const client = differs ? clientOf(planned.port) : undefined;
  const virtualService = factsKey(shape);
  return {
    source: { from: "virtual-service", virtualService, port: planned.port.port, client, destinations: isPlain ? undefined : found },
    key: `virtual-service ${virtualService} ${client === undefined ? "" : clientKey(client)} ${isPlain ? "" : JSON.stringify([...found])}`,
  };
}

/** Whether any route of it is for this client and port. */
function hasRoutes(shape: VirtualServiceShape, { port, namespace, labels }: OutboundPort): boolean {
  const client = { namespace, labels, gateway: meshGateway };
  const concerns = (match: HttpMatch): boolean => (match.port === undefined || match.port === port) && concernsClient(match, client);
  return shape.http.some(({ match }) => match.length === 0 || match.some(concerns));
}

/** The VirtualService for a service: the first that names its host, else the first of those with the most specific wildcard. */
function chooser(shapes: readonly VirtualServiceShape[]): (entry: ResolvedService) => VirtualServiceShape | undefined {
  const first = new Map<string, VirtualServiceShape>();
  for (const shape of shapes) for (const host of shape.hosts) if (!first.has(host)) first.set(host, shape);
  const wildcards = [...first.keys()].filter(isWildcard);
  return ({ service: { hostname } }) => first.get(hostname) ?? (wildcards.length === 0 ? undefined : first.get(mostSpecificHost(wildcards, hostname) ?? ""));
}

/** The first of equal names counts, and the first that has a domain; a short name never hides another service's whole name. */
function withoutDuplicates(candidates: readonly Candidate[], planned: PlannedPort): HostPlan[] {
  const names = new Set<string>();
  const domains = new Set<string>();
  const known = new Set(candidates.flatMap(({ service }) => service?.hostname ?? []));
  const hosts: HostPlan[] = [];
  for (const candidate of candidates) {
    const { host, service } = candidate;
    if (names.has(host)) continue;
    names.add(host);
    const wanted = service === undefined ? [host] : domainsOf(service, planned);
    const isFree = (domain: string): boolean => !domains.has(domain) && (domain === host || !known.has(domain));
    const own = wanted.every(isFree) ? wanted : wanted.filter(isFree);
    for (const domain of own) domains.add(domain);
    if (own.length > 0) hosts.push(hostPlan(candidate, own, planned.port.port));
  }
  return hosts;
}

function domainsOf(service: ServiceModel, { aliasesOf, port, mesh }: PlannedPort): readonly string[] {
  const aliases = aliasesOf(service.hostname);
  if (aliases.length > 0) return serviceDomains(service, aliases, port.namespace, mesh.domain);
  // Clients of other namespaces all spell it alike.
  const isOwn = service.namespace === port.namespace || service.registry !== "Kubernetes";
  return spelledDomains.of(service, `${isOwn ? port.namespace : ""} ${mesh.domain}`, () => serviceDomains(service, aliases, port.namespace, mesh.domain));
}

function hostPlan(candidate: Candidate, domains: readonly string[], port: number): HostPlan {
  const { host, source } = candidate;
  const table = String(port);
  return plans.of(domains, `${table} ${candidate.key}`, () => ({ key: `${table}/${host} ${candidate.key} ${domains.join()}`, table, host, name: `${host}:${port}`, domains, source }));
}

/** Hosts that nobody knows: on to where the application wanted, or refused. */
function unknownHost({ port, mesh, serviceOf }: PlannedPort): HostPlan {
  const isRefused = port.registryOnly && port.egressProxy === undefined;
  const cluster = isRefused ? undefined : unknownTrafficCluster(port, serviceOf);
  const table = String(port.port);
  const name = isRefused ? "block_all" : "allow_any";
  const key = `${table}/* ${cluster ?? ""}`;
  return unknownHosts.of(mesh, key, () => ({ key, table, host: "*", name, domains: ["*"], source: { from: "unknown", cluster } }));
}

const ownCandidates = new Remembered<ServiceModel, Candidate>();
const spelledDomains = new Remembered<ServiceModel, readonly string[]>();
const unknownHosts = new Remembered<MeshSettings, HostPlan>();
/** By the list of domains, which says the host. */
const plans = new Remembered<readonly string[], HostPlan>();
