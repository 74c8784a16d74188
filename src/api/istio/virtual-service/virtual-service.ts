import { firstNames, isAddress } from "../../../base/index.ts";
import { defineKind } from "../../kind.ts";
import type { KubernetesObject } from "../../meta.ts";
import type { Parsed } from "../../parsed.ts";
import type { Reader } from "../../reader.ts";
import { checkEach, checkGatewayNames, checkLabels, readExportTo, subnetFault } from "../checks.ts";
import { copiedLength, maxCopiedLength, maxExpandedRoutes } from "../proxy-limits.ts";
import { checkWeights, readWeight, requireDestination, type RouteDestination } from "./destination.ts";
import { firstOverlaps, isDnsLabel, isWithinOneOf, wildcardDomainFault } from "../domain-names.ts";
import { openObject, readPortNumber, readText, refuseDryRun, refuseUnknown } from "../fields.ts";
import { networkingGroup, networkingVersions } from "../networking-group.ts";
import { readHttpRoute, type VirtualServiceHttpRoute } from "./virtual-service-http.ts";
import { warnOfUnreachable } from "./virtual-service-reachability.ts";

/** networking.istio.io VirtualService: the routes of requests to its hosts. The first route that matches applies. */
export interface VirtualService extends KubernetesObject {
  spec: VirtualServiceSpec;
}

export interface VirtualServiceSpec {
  /** Names, wildcards (`*.example.com`) or addresses. Empty in a delegate only. */
  readonly hosts: readonly string[];
  /** `name`, `namespace/name` or `mesh` (all sidecars). An empty list means `mesh`. */
  readonly gateways: readonly string[];
  readonly http: readonly VirtualServiceHttpRoute[];
  readonly tls: readonly VirtualServiceTlsRoute[];
  readonly tcp: readonly VirtualServiceTcpRoute[];
  /** The namespaces that see it. `.` means its own namespace, and `*` all. An empty list means the mesh's default. */
  readonly exportTo: readonly string[];
}

export interface VirtualServiceTlsRoute {
  readonly match: readonly TlsMatch[];
  readonly route: readonly RouteDestination[];
}

export interface VirtualServiceTcpRoute {
  /** Empty matches all connections. */
  readonly match: readonly L4Match[];
  readonly route: readonly RouteDestination[];
}

/** A connection must meet all parts that are set. */
export interface L4Match {
  /** Addresses or CIDRs of the destination. */
  readonly destinationSubnets: readonly string[];
  readonly port?: number | undefined;
  readonly sourceLabels: Readonly<Record<string, string>>;
  /** Overrides the gateways of the VirtualService. Empty means that those apply. */
  readonly gateways: readonly string[];
  readonly sourceNamespace?: string | undefined;
}

export interface TlsMatch extends L4Match {
  readonly sniHosts: readonly string[];
}

/** The reserved gateway name that stands for all sidecars. */
export const meshGateway = "mesh";
const maxNamedHosts = 5;

export function parseVirtualService(raw: unknown): Parsed<VirtualService> {
  const opened = openObject(raw);
  const { object, spec: reader, namespace } = opened;
  refuseDryRun(opened);
  const hosts = reader.strings("hosts");
  const gateways = reader.strings("gateways");
  const onGatewaysOnly = gateways.length > 0 && !gateways.includes(meshGateway);
  const context = { isDelegate: hosts.length === 0, onGatewaysOnly };
  const spec: VirtualServiceSpec = {
    hosts,
    gateways,
    http: reader.objects("http").map((entry) => readHttpRoute(entry, context)),
    tls: reader.objects("tls").map((entry) => readTlsRoute(entry, hosts, onGatewaysOnly)),
    tcp: reader.objects("tcp").map(readTcpRoute),
    exportTo: readExportTo(reader, { namespace }),
  };
  checkGatewayNames(reader, "gateways", gateways);
  checkParts(reader, spec);
  checkHosts(reader, spec, onGatewaysOnly);
  checkExpansion(reader, spec);
  checkCopies(reader, spec);
  warnOfUnreachable(reader, spec);
  refuseUnknown(reader);
  return object.finish(() => ({ ...(raw as VirtualService), spec }));
}

function checkParts(reader: Reader, spec: VirtualServiceSpec): void {
  if (spec.http.length + spec.tls.length + spec.tcp.length === 0)
    reader.error("must have at least one route in http, tls or tcp");
  if (spec.hosts.length > 0) return;
  const others = (["gateways", "tls", "tcp"] as const).filter((field) => spec[field].length > 0);
  for (const field of others)
    reader.error(
      "must not be set without hosts: a delegate has http routes only; set hosts if this is not a delegate",
      field,
    );
}

function checkExpansion(reader: Reader, { hosts, http }: VirtualServiceSpec): void {
  const routes = http.reduce((sum, { match }) => sum + Math.max(1, match.length), 0);
  const total = hosts.length * routes;
  if (total <= maxExpandedRoutes) return;
  reader.error(
    `${hosts.length} hosts with ${routes} HTTP matches each are ${total} routes of every proxy, and at most ${maxExpandedRoutes} are allowed; use a wildcard host, or fewer matches`,
    "hosts",
  );
}

/**
 * Checks the length of the routes in a proxy. Each match of a route repeats the route's destinations, headers and
 * origins.
 */
function checkCopies(reader: Reader, spec: VirtualServiceSpec): void {
  const { hosts, gateways, exportTo } = spec;
  let length = 0;
  for (const field of ["http", "tls", "tcp"] as const)
    for (const [index, route] of reader.list(field).entries())
      length += Math.max(1, spec[field][index]?.match.length ?? 0) * copiedLength(route.raw, "match");
  const total = length * Math.max(1, hosts.length);
  if (total > maxCopiedLength)
    reader.error(
      `the routes without their matches, once for each match and host, are ${total} characters of every proxy, and at most ${maxCopiedLength} are allowed; use fewer matches, hosts, destinations, headers or origins`,
    );
  const pairs = gateways.length * exportTo.length;
  if (pairs > maxExpandedRoutes)
    reader.error(
      `${gateways.length} gateways with ${exportTo.length} namespaces each are ${pairs} pairs, and at most ${maxExpandedRoutes} are allowed; export to all namespaces, or name fewer gateways`,
      "exportTo",
    );
}

function checkHosts(reader: Reader, spec: VirtualServiceSpec, onGatewaysOnly: boolean): void {
  const matchesSni = spec.tls.some((route) => route.match.some((match) => match.sniHosts.length > 0));
  checkEach(reader, "hosts", spec.hosts, (host) => {
    if (host === "*" && !onGatewaysOnly)
      return 'must not be "*" for the mesh; name hosts, or set gateways, without mesh';
    return hostFault(host, onGatewaysOnly && matchesSni);
  });
  const overlaps = firstOverlaps(spec.hosts);
  for (const [index, host] of spec.hosts.entries()) {
    const earlier = overlaps[index];
    if (earlier !== undefined) reader.error(`overlaps with "${earlier}", got "${host}"; remove one`, `hosts[${index}]`);
  }
}

function hostFault(host: string, allowGenerated: boolean): string | undefined {
  if (isAddress(host) || (allowGenerated && isGeneratedSni(host))) return undefined;
  return wildcardDomainFault(host);
}

/**
 * Recognizes the server names by which proxies of one network reach services in another network through a gateway, such
 * as `outbound_.80_._.reviews.default.svc.cluster.local`.
 */
function isGeneratedSni(name: string): boolean {
  const [, host = ""] = /^outbound_\.?\d[^_]*_[^_]*_([^_]*)$/.exec(name) ?? [];
  return /[a-zA-Z]/.test(host);
}

function readTlsRoute(reader: Reader, hosts: readonly string[], onGatewaysOnly: boolean): VirtualServiceTlsRoute {
  const route = {
    match: reader.objects("match").map((entry) => readTlsMatch(entry, hosts, onGatewaysOnly)),
    route: readRouteDestinations(reader),
  };
  if (route.match.length === 0) reader.error("must have at least one match with sniHosts", "match");
  refuseUnknown(reader);
  return route;
}

function readTcpRoute(reader: Reader): VirtualServiceTcpRoute {
  const match = reader.objects("match").map((entry) => {
    const found = readL4Match(entry);
    if (readText(entry, "sourceSubnet") !== undefined)
      entry.error("is not supported by proxies; use sourceLabels or sourceNamespace", "sourceSubnet");
    refuseUnknown(entry);
    return found;
  });
  const route = { match, route: readRouteDestinations(reader) };
  refuseUnknown(reader);
  return route;
}

function readTlsMatch(reader: Reader, hosts: readonly string[], onGatewaysOnly: boolean): TlsMatch {
  const match = { sniHosts: reader.strings("sniHosts"), ...readL4Match(reader) };
  if (match.sniHosts.length === 0) reader.error("must have at least one name", "sniHosts");
  for (const [index, name] of match.sniHosts.entries()) {
    const field = `sniHosts[${index}]`;
    const fault = hostFault(name, onGatewaysOnly);
    if (fault !== undefined) reader.error(fault, field);
    else if (isAddress(name))
      reader.warn(`must not be an address, got "${name}"; clients never send an address as server name`, field);
    else if (!isWithinOneOf(name, hosts))
      reader.error(`must be within one of the hosts (${firstNames(hosts, maxNamedHosts)}), got "${name}"`, field);
  }
  refuseUnknown(reader);
  return match;
}

function readL4Match(reader: Reader): L4Match {
  const match: L4Match = {
    destinationSubnets: reader.strings("destinationSubnets"),
    port: reader.integer("port", 0) === 0 ? undefined : readPortNumber(reader, "port"),
    sourceLabels: reader.stringMap("sourceLabels"),
    gateways: reader.strings("gateways"),
    sourceNamespace: readText(reader, "sourceNamespace"),
  };
  checkEach(reader, "destinationSubnets", match.destinationSubnets, subnetFault);
  checkLabels(reader, "sourceLabels", match.sourceLabels);
  checkGatewayNames(reader, "gateways", match.gateways);
  if (match.sourceNamespace !== undefined && !isDnsLabel(match.sourceNamespace))
    reader.error(`must be the name of a namespace, got "${match.sourceNamespace}"`, "sourceNamespace");
  return match;
}

function readRouteDestinations(reader: Reader): readonly RouteDestination[] {
  const destinations = reader.objects("route").map((entry) => {
    const destination = { destination: requireDestination(entry), weight: readWeight(entry) };
    refuseUnknown(entry);
    return destination;
  });
  if (destinations.length === 0) reader.error("must have at least one destination", "route");
  checkWeights(reader, destinations);
  return destinations;
}

export const virtualServiceKind = defineKind<VirtualService>({
  group: networkingGroup,
  versions: networkingVersions,
  kind: "VirtualService",
  plural: "virtualservices",
  namespaced: true,
  parse: parseVirtualService,
});
