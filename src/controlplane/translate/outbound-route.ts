import type { MessageInitShape } from "@bufbuild/protobuf";
import type { ConsistentHash, Destination } from "../../api/istio/index.ts";
import type { RouteConfiguration, VirtualHostSchema } from "../../wire/envoy/index.ts";
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
import { routeConfiguration } from "./route-configuration.ts";
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

interface Candidate {
  readonly name: string;
  readonly service: ServiceModel | undefined;
  readonly host: string;
  readonly routes: readonly RouteInit[];
}

/** What HTTPRoutes say of a service goes before what VirtualServices do; the others lead to themselves. */
function virtualHosts(resolved: ResolvedPort): readonly VirtualHostInit[] {
  const { port } = resolved.port;
  const candidate = (service: ServiceModel, routes: readonly RouteInit[]): Candidate => ({ name: `${service.hostname}:${port}`, service, host: service.hostname, routes });
  const routed = resolved.services.filter(({ service, port: own }) => service.resolution !== "alias" && speaksHttp(own));
  const attached = routed.flatMap(({ service }) => {
    const routes = resolved.httpRoutesOf(service, port);
    return routes.length === 0 ? [] : candidate(service, serviceRoutes(service, port, routes, resolved.mesh));
  });
  const taken = new Set(attached.map(({ host }) => host));
  const said = virtualServiceCandidates(routed.filter(({ service }) => !taken.has(service.hostname)), resolved);
  for (const { host } of said) taken.add(host);
  const rest = routed.filter(({ service }) => !taken.has(service.hostname)).map((entry) => candidate(entry.service, [defaultRoute(entry, resolved)]));
  return withoutDuplicates([...attached, ...said, ...rest], resolved).sort((left, right) => compareText(left.name ?? "", right.name ?? ""));
}

/** Hosts of VirtualServices: those of services that no HTTPRoute speaks of, and (for plain HTTP) those that no registry knows. */
function virtualServiceCandidates(routed: readonly ResolvedService[], resolved: ResolvedPort): readonly Candidate[] {
  const { port, namespace, labels } = resolved.port;
  const byHost = new Map(resolved.services.map((entry) => [entry.service.hostname, entry]));
  const isKnown = (host: string): boolean => byHost.has(host) || (isWildcard(host) && [...byHost.keys()].some((name) => hostCovers(host, name)));
  const chosenBy = Map.groupBy(routed, chooser(resolved.virtualServices));
  return resolved.virtualServices.flatMap((model) => {
    const routes = virtualServiceRoutes(model, {
      client: { namespace, labels, gateway: meshGateway },
      port,
      isTls: false,
      defaultRetries: resolved.mesh.defaultHttpRetryPolicy,
      // A destination without a port means that of the request, also where its service has another one alone.
      serviceOf: (host) => {
        const found = byHost.get(host);
        return found === undefined ? undefined : { ports: [found.port], aliasOf: found.service.aliasOf };
      },
      hashOf: resolved.hashOf,
    });
    const services = chosenBy.get(model) ?? [];
    if (routes.length === 0 || (services.length === 0 && port !== httpPort)) return [];
    const others = model.hosts.filter((host) => !isKnown(host));
    return [...others.map((host) => ({ host, service: undefined })), ...services.map(({ service }) => ({ host: service.hostname, service }))].map((found) => ({ ...found, name: `${found.host}:${port}`, routes }));
  });
}

function speaksHttp({ protocol }: ServicePortModel): boolean {
  return protocol !== "tcp" && protocol !== "tls";
}

/** The VirtualService for a service: the first that names its host, else the first of those with the most specific wildcard. */
function chooser(models: readonly VirtualServiceModel[]): (entry: ResolvedService) => VirtualServiceModel | undefined {
  const first = new Map<string, VirtualServiceModel>();
  for (const model of models) for (const host of model.hosts) if (!first.has(host)) first.set(host, model);
  const wildcards = [...first.keys()].filter(isWildcard);
  return ({ service: { hostname } }) => first.get(hostname) ?? first.get(mostSpecificHost(wildcards, hostname) ?? "");
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
