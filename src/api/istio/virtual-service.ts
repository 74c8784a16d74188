import { defineKind } from "../kind.ts";
import type { KubernetesObject } from "../meta.ts";
import type { Parsed } from "../parsed.ts";
import { Reader } from "../reader.ts";
import { requireDestination, type RouteDestination } from "./destination.ts";
import { readPortNumber, readSpec, readText, refuseUnknown, warnOfUnknown } from "./fields.ts";
import { readHttpRoute, type VirtualServiceHttpRoute } from "./virtual-service-http.ts";

export const networkingGroup = "networking.istio.io";
export const networkingVersions = ["v1", "v1beta1", "v1alpha3"] as const;

/** networking.istio.io VirtualService: where requests to its hosts go. The first route of a list that matches is taken. */
export interface VirtualService extends KubernetesObject {
  spec: VirtualServiceSpec;
}

export interface VirtualServiceSpec {
  /** Names, wildcards (`*.example.com`) or addresses; empty only in a delegate. */
  readonly hosts: readonly string[];
  /** `name`, `namespace/name` or `mesh` (all sidecars). Empty as written means `mesh`. */
  readonly gateways: readonly string[];
  readonly http: readonly VirtualServiceHttpRoute[];
  readonly tls: readonly VirtualServiceTlsRoute[];
  readonly tcp: readonly VirtualServiceTcpRoute[];
  /** Namespaces that see it, `.` its own, `*` all; empty: the mesh's default. */
  readonly exportTo: readonly string[];
}

export interface VirtualServiceTlsRoute {
  readonly match: readonly TlsMatch[];
  readonly route: readonly RouteDestination[];
}

export interface VirtualServiceTcpRoute {
  /** Empty matches all. */
  readonly match: readonly L4Match[];
  readonly route: readonly RouteDestination[];
}

/** All parts that are there must hold. */
export interface L4Match {
  /** CIDRs or addresses of the destination. */
  readonly destinationSubnets: readonly string[];
  readonly port?: number | undefined;
  readonly sourceLabels: Readonly<Record<string, string>>;
  /** Overrides those of the VirtualService; empty: those. */
  readonly gateways: readonly string[];
  readonly sourceNamespace?: string | undefined;
}

export interface TlsMatch extends L4Match {
  readonly sniHosts: readonly string[];
}

export function parseVirtualService(raw: unknown): Parsed<VirtualService> {
  const object = new Reader(raw);
  const reader = readSpec(object);
  const spec: VirtualServiceSpec = {
    hosts: reader.strings("hosts"),
    gateways: reader.strings("gateways"),
    http: reader.list("http").map(readHttpRoute),
    tls: reader.list("tls").map(readTlsRoute),
    tcp: reader.list("tcp").map(readTcpRoute),
    exportTo: reader.strings("exportTo"),
  };
  refuseUnknown(reader);
  return object.finish(() => ({ ...(raw as VirtualService), spec }));
}

function readTlsRoute(reader: Reader): VirtualServiceTlsRoute {
  const route = { match: reader.list("match").map(readTlsMatch), route: reader.list("route").map(readRouteDestination) };
  refuseUnknown(reader);
  return route;
}

function readTcpRoute(reader: Reader): VirtualServiceTcpRoute {
  const match = reader.list("match").map((entry) => {
    const found = readL4Match(entry);
    if (readText(entry, "sourceSubnet") !== undefined) entry.error("is not supported; use sourceLabels or sourceNamespace", "sourceSubnet");
    refuseUnknown(entry);
    return found;
  });
  const route = { match, route: reader.list("route").map(readRouteDestination) };
  refuseUnknown(reader);
  return route;
}

function readTlsMatch(reader: Reader): TlsMatch {
  const match = { sniHosts: reader.strings("sniHosts"), ...readL4Match(reader) };
  refuseUnknown(reader);
  return match;
}

function readL4Match(reader: Reader): L4Match {
  return {
    destinationSubnets: reader.strings("destinationSubnets"),
    port: readPortNumber(reader, "port"),
    sourceLabels: reader.stringMap("sourceLabels"),
    gateways: reader.strings("gateways"),
    sourceNamespace: readText(reader, "sourceNamespace"),
  };
}

function readRouteDestination(reader: Reader): RouteDestination {
  const destination = { destination: requireDestination(reader), weight: reader.integer("weight", 0) ?? 0 };
  warnOfUnknown(reader);
  return destination;
}

export const virtualServiceKind = defineKind<VirtualService>({
  group: networkingGroup,
  versions: networkingVersions,
  kind: "VirtualService",
  plural: "virtualservices",
  namespaced: true,
  parse: parseVirtualService,
});
