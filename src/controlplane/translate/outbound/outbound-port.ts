import { hostsOverlap, isWildcard, proxyLimits, unixPrefix } from "../../../api/istio/index.ts";
import { istioPortProtocol } from "../../model/service/service-entry-model.ts";
import type { AppProtocol } from "../../model/facts.ts";
import type { Collection, CollectionGraph, CollectionReader } from "../../../kube/index.ts";
import { memos } from "../../model/memos.ts";
import {
  registeredService,
  serviceInCluster,
  withAutomaticAddresses,
  type ServiceModel,
  type ServiceRegistry,
} from "../../model/service/service-model.ts";
import type { EgressScope, OutboundScope, ScopedService } from "../../model/outbound-scope.ts";
import type { VirtualServices } from "../../model/routing/virtual-service-model.ts";

/** The inputs of one port of one scope. It is small, so that most changes leave most ports unchanged. */
export interface OutboundPort extends Pick<
  OutboundScope,
  "scope" | "namespace" | "labels" | "clusterId" | "dnsCapture" | "proxyConfig" | "unknownTraffic" | "egressProxy"
> {
  readonly port: number;
  /** The protocol of an egress listener with its own port. It takes precedence over the services' protocols. */
  readonly protocol: AppProtocol | undefined;
  readonly bind: string | undefined;
  /** Whether applications connect to the listener directly. Otherwise connections are redirected to it. */
  readonly bindsToPort: boolean;
  /** The services with this port, oldest first. */
  readonly services: readonly PortService[];
  /** The addresses of all of the port's services. Set if `services` are only some of them. */
  readonly claims?: readonly AddressClaim[];
  /** The key of a list of services that ports share across scopes. Undefined means that the port has its own list. */
  readonly shared: string | undefined;
  /** The keys of VirtualServices that may apply to the port, in order of precedence. */
  readonly virtualServices: readonly string[];
  /**
   * The keys of VirtualServices that do not apply to the port, because one proxy would have too many routes of them.
   */
  readonly withheld: readonly string[];
}

/** The port on which VirtualServices also apply to hosts that no registry knows. */
const httpPort = 80;
const loopback = "127.0.0.1";

/** The outbound ports by `<scope>|<port>`. */
export function deriveOutboundPorts(
  graph: CollectionGraph,
  scopes: Collection<OutboundScope>,
  virtualServices: VirtualServices,
): Collection<OutboundPort> {
  return graph.derive("scope-ports", scopes, (scope, reader) => {
    if (scope.kind !== "sidecar") return [];
    const ports = new Map<number, OutboundPort>();
    const own = scope.egress.filter(({ port }) => port !== undefined && port.number > 0);
    for (const egress of own)
      for (const port of portsOf(scope, egress, virtualServices, reader)) ports.set(port.port, port);
    for (const egress of scope.egress.filter(({ port }) => port === undefined)) {
      for (const port of portsOf(scope, egress, virtualServices, reader))
        if (!ports.has(port.port)) ports.set(port.port, port);
    }
    return [...ports.values()].map((port) => [`${scope.scope}|${port.port}`, port] as const);
  });
}

function portsOf(
  scope: OutboundScope,
  egress: EgressScope,
  virtualServices: VirtualServices,
  reader: CollectionReader,
): readonly OutboundPort[] {
  if (egress.bind?.startsWith(unixPrefix) === true) return [];
  const byPort = servicesByPort.of(egress.services, egress.port === undefined ? "" : String(egress.port.number), () =>
    servicesOfPorts(egress),
  );
  const candidates = egress.virtualServices.map((key): Candidate => {
    const { hosts = [], units = 0 } = reader.get(virtualServices.shapes.all, key) ?? {};
    return { key, hosts, units, isLarge: mayBeLarge(units, hosts, byPort), total: 0 };
  });
  const bindsToPort = egress.captureMode === "NONE";
  const { unknownTraffic, egressProxy, namespace, labels, clusterId, dnsCapture, proxyConfig } = scope;
  const shared = (port: number): string | undefined =>
    egress.reach === undefined || egress.bind !== undefined || bindsToPort
      ? undefined
      : [egress.reach, port, clusterId ?? "", dnsCapture ? "dns" : ""].join("|");
  return [...byPort].map(([port, services]) => ({
    scope: scope.scope,
    namespace,
    labels,
    clusterId,
    dnsCapture,
    proxyConfig,
    unknownTraffic,
    egressProxy,
    port,
    protocol: egress.port === undefined ? undefined : istioPortProtocol(egress.port),
    bind: egress.bind ?? (bindsToPort ? loopback : undefined),
    bindsToPort,
    services,
    shared: egress.port === undefined ? shared(port) : undefined,
    ...concerning(candidates, services, port),
  }));
}

/**
 * The services of a list, by their ports. Scopes that reach the same services share the list and therefore the result.
 */
const servicesByPort = memos.keyed<readonly ScopedService[], ReadonlyMap<number, readonly PortService[]>>(
  "services-by-port",
);
const portServices = memos.memo<ScopedService, PortService>("port-services");
const hostnames = memos.memo<
  readonly PortService[],
  { readonly names: ReadonlySet<string>; readonly wildcards: readonly string[] }
>("hostnames-of-ports");

export type PortService = Omit<ScopedService, "ports">;

function servicesOfPorts(egress: EgressScope): ReadonlyMap<number, readonly PortService[]> {
  const byPort = new Map<number, PortService[]>();
  for (const scoped of egress.services) {
    const { ports, ...service } = scoped;
    const portService = portServices.of(scoped, () => service);
    for (const port of egress.port === undefined ? ports : [egress.port.number]) {
      const known = byPort.get(port);
      if (known === undefined) byPort.set(port, [portService]);
      else known.push(portService);
    }
  }
  return byPort;
}

interface Candidate {
  readonly key: string;
  readonly hosts: readonly string[];
  /** The size of the VirtualService's routes for one host at one port. */
  readonly units: number;
  /** Whether the routes for all hosts and ports may exceed the maximum, so that they must be counted. */
  readonly isLarge: boolean;
  /** The units of the ports that were counted so far. */
  total: number;
}

/**
 * Whether a VirtualService may have too many routes. They are repeated for each port of each service that its hosts
 * cover, so a wildcard multiplies them.
 */
function mayBeLarge(
  units: number,
  hosts: readonly string[],
  byPort: ReadonlyMap<number, readonly PortService[]>,
): boolean {
  if (!hosts.some(isWildcard)) return units * hosts.length * byPort.size > proxyLimits.routes;
  let services = 0;
  for (const ofPort of byPort.values()) services += ofPort.length;
  return units * (services + hosts.length) > proxyLimits.routes;
}

function concerning(
  candidates: readonly Candidate[],
  services: readonly PortService[],
  port: number,
): Pick<OutboundPort, "virtualServices" | "withheld"> {
  const { names, wildcards } = hostnames.of(services, () => {
    const all = new Set(services.map(({ hostname }) => hostname));
    return { names: all, wildcards: [...all].filter(isWildcard) };
  });
  const concerns = (host: string): boolean =>
    names.has(host) ||
    wildcards.some((name) => hostsOverlap(name, host)) ||
    (isWildcard(host) && [...names].some((name) => hostsOverlap(host, name)));
  const found = port === httpPort ? candidates : candidates.filter(({ hosts }) => hosts.some(concerns));
  const withheld = found.filter((candidate) => candidate.isLarge && isBeyond(candidate, names, port));
  const keysOf = (list: readonly Candidate[]): readonly string[] => list.map(({ key }) => key);
  return {
    virtualServices: keysOf(withheld.length === 0 ? found : found.filter((candidate) => !withheld.includes(candidate))),
    withheld: withheld.length === 0 ? none : keysOf(withheld),
  };
}

const none: readonly string[] = [];

/** Whether the routes at one more port would be too many. If not, they are counted. */
function isBeyond(candidate: Candidate, names: ReadonlySet<string>, port: number): boolean {
  const { hosts, units } = candidate;
  let covered = 0;
  for (const host of hosts)
    if (isWildcard(host)) for (const name of names) covered += Number(hostsOverlap(host, name));
    else covered += Number(names.has(host) || port === httpPort);
  if (candidate.total + units * covered > proxyLimits.routes) return true;
  candidate.total += units * covered;
  return false;
}

export interface ListenerServices {
  /** Services that may share an address, so that their listeners must be built together. */
  readonly rest: readonly PortService[];
  /** Services with an address that no other service has on this port. */
  readonly apart: readonly { readonly address: string; readonly entry: PortService }[];
  /**
   * The addresses of all services. Set if `rest` contains a service that listens on the addresses of its endpoints:
   * users who may write an EndpointSlice, a WorkloadEntry or a ServiceEntry choose those, and could otherwise capture
   * the other services' clients.
   */
  readonly claims: readonly AddressClaim[];
}

/**
 * The addresses of a service that is not headless, with the facts that decide which service keeps an address. It has no
 * other fields, because a change of any field rebuilds the listeners of headless Services.
 */
export interface AddressClaim extends Pick<ServiceModel, "addresses" | "namespace" | "name" | "createdAt"> {
  /**
   * Whether the API server or a controller assigned the addresses. The owner of a ServiceImport may choose its
   * addresses.
   */
  readonly isAssigned: boolean;
  readonly isImported: boolean;
}

/**
 * Divides the services of a port by listener. A plain TCP service with its own address has a separate listener, so that
 * its changes rebuild only that one. All HTTP services share one listener, so the first of them stands for the others,
 * unless `all` are needed.
 */
export function listenerServices(
  number: number,
  services: readonly PortService[],
  serviceOf: (entry: PortService) => ServiceModel | undefined,
  all: boolean,
): ListenerServices {
  const entries = services.map((entry) => {
    const service = serviceOf(entry);
    return { entry, service, address: soleAddress(service, number) };
  });
  const taken = new Map<string, number>();
  for (const address of entries.flatMap(({ service }) => service?.addresses ?? []))
    taken.set(address, (taken.get(address) ?? 0) + 1);
  const rest: PortService[] = [];
  const apart: { readonly address: string; readonly entry: PortService }[] = [];
  let hasHttp = false;
  for (const { entry, service, address } of entries) {
    if (address !== undefined && taken.get(address) === 1) apart.push({ address, entry });
    else if (all || service === undefined || !ordinary.has(service.resolution) || !speaksOnlyHttp(service, number))
      rest.push(entry);
    else if (!hasHttp && service.resolution !== "alias") {
      hasHttp = true;
      rest.push(entry);
    }
  }
  const listensOnEndpoints = entries.some(
    ({ service }) => service?.resolution === "passthrough" && !speaksOnlyHttp(service, number),
  );
  return { rest, apart, claims: listensOnEndpoints ? addressClaims(entries.map(({ service }) => service)) : [] };
}

export function addressClaims(services: readonly (ServiceModel | undefined)[]): readonly AddressClaim[] {
  return services.flatMap((service): AddressClaim[] => {
    if (service === undefined || service.addresses.length === 0) return [];
    const isAssigned =
      service.registry === "Kubernetes" ||
      service.addresses.every((address) => service.automaticAddresses?.includes(address) === true);
    const { addresses, namespace, name, createdAt } = service;
    return [{ addresses, namespace, name, createdAt, isAssigned, isImported: service.clusterSet === true }];
  });
}

/** Resolutions of services on which the listener does not depend. */
const ordinary: ReadonlySet<string> = new Set<ServiceModel["resolution"]>([
  "endpoints",
  "passthrough",
  "dns",
  "dns-round-robin",
  "alias",
]);

export function listenerParts(
  port: OutboundPort,
  { rest, apart, claims }: ListenerServices,
): readonly (readonly [string, OutboundPort])[] {
  const whole = `${port.scope}|${port.port}`;
  return [
    [whole, { ...port, services: rest, ...(claims.length === 0 ? {} : { claims }) }],
    ...apart.map(({ address, entry }) => [`${whole}|${address}`, { ...port, services: [entry] }] as const),
  ];
}

function speaksOnlyHttp(service: ServiceModel, number: number): boolean {
  const protocol = service.ports.find((candidate) => candidate.port === number)?.protocol;
  return protocol !== undefined && protocol !== "tcp" && protocol !== "tls" && protocol !== "unknown";
}

/**
 * The address of a service that no other service has. Undefined if it listens on several addresses, or on one that
 * other services may have.
 */
function soleAddress(service: ServiceModel | undefined, port: number): string | undefined {
  const [address, ...others] = service?.addresses ?? [];
  const protocol = service?.ports.find((candidate) => candidate.port === port)?.protocol;
  const isPlain = protocol === "tcp" || protocol === "tls" || protocol === "unknown";
  return others.length === 0 && address !== undefined && !address.includes("/") && isPlain ? address : undefined;
}

export function portService(
  port: Pick<OutboundPort, "port" | "clusterId" | "dnsCapture">,
  entry: OutboundPort["services"][number],
  registry: ServiceRegistry,
  reader: CollectionReader,
): ServiceModel | undefined {
  const registered = registeredService(entry, registry, reader);
  if (registered === undefined) return undefined;
  const service = withPortAddresses(serviceInCluster(registered, port.clusterId), port.port);
  return port.dnsCapture ? withAutomaticAddresses(service) : service;
}

function withPortAddresses(service: ServiceModel, port: number): ServiceModel {
  const own = service.addressesOfPorts?.get(port);
  if (own === undefined) return service;
  return addressedServices.of(service, String(port), () => {
    const { lostAddresses: _ofOtherPorts, ...rest } = service;
    return { ...rest, ...own };
  });
}

/**
 * Services with the addresses of one of their ports. Each port has one object, because results are cached by the
 * service's object.
 */
const addressedServices = memos.keyed<ServiceModel, ServiceModel>("addressed-services");
