import { create, type MessageInitShape } from "@bufbuild/protobuf";
import type { ConsistentHash, Destination } from "../../api/istio/index.ts";
import { RouteConfigurationSchema, type RouteConfiguration, type VirtualHostSchema } from "../../wire/envoy/index.ts";
import { compareText, type MeshSettings } from "../model/facts.ts";
import { hostCovers, isWildcard, mostSpecificHost } from "../model/service-hostname.ts";
import type { RouteModel } from "../model/gateway-model.ts";
import type { ServiceModel, ServicePortModel } from "../model/service-model.ts";
import { meshGateway, type VirtualServiceModel } from "../model/virtual-service-model.ts";
import { blackHoleName, passthroughName } from "./cluster.ts";
import { durationOfMs } from "./envoy-any.ts";
import { subsetClusterName } from "./outbound-cluster.ts";
import { serviceRoutes } from "./gateway-route.ts";
import { serviceDomains } from "./outbound-domain.ts";
import type { OutboundPort } from "./outbound-port.ts";
import { hashPolicyOf, retryPolicy } from "./virtual-service-action.ts";
import { destinationCluster, virtualServiceRoutes, type RouteInit } from "./virtual-service-route.ts";

type VirtualHostInit = Exclude<MessageInitShape<typeof VirtualHostSchema>, { $typeName: string }>;

/** A port of a scope with everything that its keys lead to. */
export interface ResolvedPort {
  readonly port: OutboundPort;
  readonly mesh: MeshSettings;
  readonly services: readonly ResolvedService[];
  readonly virtualServices: readonly VirtualServiceModel[];
  /** Of any destination, in this scope. */
  readonly serviceOf: (host: string) => ServiceModel | undefined;
  readonly hashOf: (destination: Destination, port: number) => ConsistentHash | undefined;
  /** HTTPRoutes that are attached to a service for clients of this scope. */
  readonly httpRoutesOf: (service: ServiceModel, port: number) => readonly RouteModel[];
  /** Names of ExternalName Services that lead to a host. */
  readonly aliasesOf: (host: string) => readonly string[];
}

export interface ResolvedService {
  readonly service: ServiceModel;
  readonly port: ServicePortModel;
}

const maxDirectResponseBodyBytes = 1_048_576;
const httpPort = 80;
const badGateway = 502;

/** The routes of a port, and those of its services that are told apart by address (by `host:port`) as their protocol is not known. */
export function outboundRoutes(resolved: ResolvedPort): readonly RouteConfiguration[] {
  const hosts = virtualHosts(resolved);
  const { port } = resolved.port;
  const detected = resolved.services.filter(({ port: own }) => own.protocol === "unknown" && resolved.port.bind === undefined);
  const sniffed = detected.filter(({ service }) => hasAddress(service) || service.resolution === "passthrough");
  const ofServices = sniffed.flatMap(({ service }) => {
    const name = `${service.hostname}:${port}`;
    const host = hosts.find((candidate) => candidate.name === name);
    return host === undefined ? [] : routeConfiguration(name, [{ ...host, domains: ["*"] }]);
  });
  const shared = resolved.services.some((entry) => speaksHttp(entry.port) && (!detected.includes(entry) || !hasAddress(entry.service)));
  return [...(shared ? [routeConfiguration(String(port), [...hosts, catchAll(resolved)])] : []), ...ofServices];
}

/** One that a listener of its own can be bound to. */
function hasAddress(service: ServiceModel): boolean {
  return service.addresses.some((address) => !address.includes("/"));
}

function routeConfiguration(name: string, hosts: readonly VirtualHostInit[]): RouteConfiguration {
  return create(RouteConfigurationSchema, { name, virtualHosts: [...hosts], validateClusters: false, maxDirectResponseBodySizeBytes: maxDirectResponseBodyBytes, ignorePortInHostMatching: true });
}

interface Candidate {
  readonly name: string;
  readonly service: ServiceModel | undefined;
  readonly host: string;
  readonly routes: readonly RouteInit[];
}

function virtualHosts(resolved: ResolvedPort): readonly VirtualHostInit[] {
  const { port } = resolved.port;
  const routed = resolved.services.filter(({ service, port: own }) => service.resolution !== "alias" && speaksHttp(own));
  const taken = new Set<string>();
  const candidates: Candidate[] = routed.flatMap(({ service }) => {
    const attached = resolved.httpRoutesOf(service, port);
    if (attached.length === 0) return [];
    taken.add(service.hostname);
    return { name: `${service.hostname}:${port}`, service, host: service.hostname, routes: serviceRoutes(service, port, attached) };
  });
  for (const model of resolved.virtualServices) {
    const routes = virtualServiceRoutes(model, {
      client: { namespace: resolved.port.namespace, labels: resolved.port.labels, gateway: meshGateway },
      port,
      isTls: false,
      defaultRetries: resolved.mesh.defaultHttpRetryPolicy,
      // A destination without a port means that of the request, also where its service has another one alone.
      serviceOf: (host) => aliased(resolved, host),
      hashOf: resolved.hashOf,
    });
    if (routes.length === 0) continue;
    const services = routed.filter(({ service }) => !candidates.some((known) => known.service === service) && choose(service.hostname, resolved.virtualServices) === model);
    if (services.length === 0 && port !== httpPort) continue;
    const others = model.hosts.filter((host) => !resolved.services.some(({ service }) => service.hostname === host || (isWildcard(host) && hostCovers(host, service.hostname))));
    candidates.push(...others.map((host) => ({ name: `${host}:${port}`, service: undefined, host, routes })));
    candidates.push(...services.map(({ service }) => ({ name: `${service.hostname}:${port}`, service, host: service.hostname, routes })));
    for (const { service } of services) taken.add(service.hostname);
  }
  const rest = routed.filter(({ service }) => !taken.has(service.hostname));
  candidates.push(...rest.map((entry) => ({ name: `${entry.service.hostname}:${port}`, service: entry.service, host: entry.service.hostname, routes: [defaultRoute(entry, resolved)] })));
  return withoutDuplicates(candidates, resolved).sort((left, right) => compareText(left.name ?? "", right.name ?? ""));
}

function aliased({ services }: ResolvedPort, host: string): Pick<ServiceModel, "ports" | "aliasOf"> | undefined {
  const found = services.find(({ service }) => service.hostname === host);
  return found === undefined ? undefined : { ports: [found.port], aliasOf: found.service.aliasOf };
}

function speaksHttp({ protocol }: ServicePortModel): boolean {
  return protocol !== "tcp" && protocol !== "tls";
}

/** The VirtualService for a host: the first that names it, else the first of those with the most specific wildcard. */
function choose(host: string, models: readonly VirtualServiceModel[]): VirtualServiceModel | undefined {
  const best = mostSpecificHost(models.flatMap((model) => model.hosts), host);
  return best === undefined ? undefined : models.find((model) => model.hosts.includes(best));
}

/** The first of equal names counts, and the first that has a domain; a short name never hides another service's whole name. */
function withoutDuplicates(candidates: readonly Candidate[], resolved: ResolvedPort): VirtualHostInit[] {
  const names = new Set<string>();
  const domains = new Set<string>();
  const known = new Set(candidates.flatMap(({ service }) => service?.hostname ?? []));
  return candidates.flatMap(({ name, service, host, routes }) => {
    if (names.has(name)) return [];
    names.add(name);
    const wanted = service === undefined ? [host] : serviceDomains(service, resolved.aliasesOf(service.hostname), resolved.port.namespace, resolved.mesh.domain);
    const own = wanted.filter((domain) => !domains.has(domain) && (domain === host || !known.has(domain)));
    for (const domain of own) domains.add(domain);
    return own.length === 0 ? [] : { name, domains: own, includeRequestAttemptCount: true, routes: [...routes] };
  });
}

function defaultRoute({ service, port }: ResolvedService, resolved: ResolvedPort): RouteInit {
  const hash = resolved.hashOf({ host: service.hostname }, port.port);
  const retries = retryPolicy(resolved.mesh.defaultHttpRetryPolicy, false);
  return {
    name: "default",
    match: { pathSpecifier: { case: "prefix", value: "/" } },
    decorator: { operation: `${service.hostname}:${port.port}/*` },
    action: {
      case: "route",
      value: {
        clusterSpecifier: { case: "cluster", value: subsetClusterName(port.port, undefined, service.hostname) },
        timeout: durationOfMs(0),
        maxGrpcTimeout: durationOfMs(0),
        ...(retries === undefined ? {} : { retryPolicy: retries }),
        hashPolicy: hash === undefined ? [] : [hashPolicyOf(hash.hashKey)],
      },
    },
  };
}

/** Hosts that nobody knows: on to where the application wanted, or refused. */
function catchAll({ port, serviceOf }: ResolvedPort): VirtualHostInit {
  const match = { pathSpecifier: { case: "prefix" as const, value: "/" } };
  const host = { domains: ["*"], includeRequestAttemptCount: true };
  if (port.registryOnly && port.egressProxy === undefined) {
    return { ...host, name: "block_all", routes: [{ name: "block_all", match, action: { case: "directResponse", value: { status: badGateway } } }] };
  }
  const cluster = unknownTrafficCluster(port, serviceOf);
  const value = { clusterSpecifier: { case: "cluster" as const, value: cluster }, timeout: durationOfMs(0), maxGrpcTimeout: durationOfMs(0) };
  return { ...host, name: "allow_any", routes: [{ name: "allow_any", match, action: { case: "route", value } }] };
}

/** Where traffic to unknown destinations goes. */
export function unknownTrafficCluster({ registryOnly, egressProxy, port }: Pick<OutboundPort, "registryOnly" | "egressProxy"> & { readonly port?: number }, serviceOf: (host: string) => ServiceModel | undefined): string {
  if (egressProxy !== undefined) return destinationCluster(egressProxy, port ?? 0, serviceOf(egressProxy.host));
  return registryOnly ? blackHoleName : passthroughName;
}
