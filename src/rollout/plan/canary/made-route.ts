import type { Tree } from "../../../base/index.ts";
import type { UntypedObject } from "../../../api/index.ts";
import type { ObjectReference, RouteKind } from "../../../api/serin/index.ts";
import { describeReference, type SettleCondition, type Write } from "../../decide/index.ts";
import { referenceTo } from "../references.ts";
import { field } from "./deployment-writes.ts";
import { gatewayRules } from "./gateway-route.ts";
import { noTraffic, type Pairing, type Traffic } from "./traffic.ts";
import { virtualServiceRoutes } from "./virtual-service-route.ts";

export type OwnerReference = NonNullable<UntypedObject["metadata"]["ownerReferences"]>[number];

/** A route that the engine creates if the user has none. A new one sends all requests to the stable version. */
export interface MadeRoute {
  readonly body: UntypedObject;
  readonly object: ObjectReference;
  writes(traffic: Traffic): readonly Write[];
}

export interface MadeRouteSpec {
  readonly kind: RouteKind;
  readonly name: string;
  readonly namespace: string;
  readonly service: string;
  /** The port whose traffic moves. Absent means all ports. */
  readonly port?: number;
  readonly ports: readonly Tree[];
  readonly gateways: readonly string[];
  readonly hosts: readonly string[];
  /** The stable backend on a port, in the form of the route's kind. */
  readonly stable: (port: number | undefined) => Tree;
  /** The stable backend on a port that the steps do not move, if it differs from `stable`. */
  readonly other?: (port: number | undefined) => Tree;
  readonly pairing: Pairing;
  readonly owner?: OwnerReference;
}

export function madeRoutes(spec: MadeRouteSpec): MadeRoute[] {
  return spec.kind === "VirtualService"
    ? [madeVirtualService(spec)]
    : portsOf(spec).map((port) => madeHttpRoute(spec, port, portsOf(spec).length > 1));
}

export function creation(routes: readonly MadeRoute[]): {
  readonly writes: readonly Write[];
  readonly settle: readonly SettleCondition[];
} {
  return {
    writes: routes.map(({ object, body }): Write => ({ type: "create", object, body })),
    settle: routes.map(({ object }) => ({ type: "acknowledged", object })),
  };
}

export function shiftOf(
  routes: readonly MadeRoute[],
  traffic: Traffic,
): { readonly writes: readonly Write[]; readonly settle: readonly SettleCondition[] } {
  return {
    writes: routes.flatMap((route) => route.writes(traffic)),
    settle: routes.map(({ object }) => ({ type: "acknowledged", object })),
  };
}

function portsOf({ port, ports, gateways }: MadeRouteSpec): readonly (number | undefined)[] {
  if (port !== undefined) return [port];
  const ofRequests = ports.filter((candidate) => !isPlainTcp(candidate));
  // A gateway can begin TLS to ports that carry TLS, so it can divide their requests too.
  const moved = ofRequests.length === 0 && gateways.length > 0 ? ports.filter(carriesTls) : ofRequests;
  const http = moved.map((candidate) => candidate["port"] as number);
  // A backend of an HTTPRoute needs a port.
  return http.length > 1 ? http : [http[0]];
}

function madeVirtualService(spec: MadeRouteSpec): MadeRoute {
  const { name, namespace, service, port, ports, gateways, hosts, stable, other = stable, pairing, owner } = spec;
  // Route the other ports to stable, because a VirtualService replaces all default routes of its host.
  const rest = port === undefined || ports.length < 2 ? [] : [{ name: "other-ports", route: [other(undefined)] }];
  const match = rest.length === 0 ? {} : { match: [{ port }] };
  const moved = [{ name: "canary", ...match, route: [stable(undefined)] }];
  const tcp = ports
    .filter((candidate) => isPlainTcp(candidate))
    .map(({ port: number }) => ({ match: [{ port: number }], route: [other(number as number)] }));
  const routesFor = (list: readonly Tree[], protocol: "http" | "tcp", traffic: Traffic): Tree[] =>
    virtualServiceRoutes(list, protocol, () => pairing, traffic, `VirtualService ${namespace}/${name}`);
  const httpFor = (traffic: Traffic): Tree[] => [
    ...routesFor(moved, "http", traffic),
    ...routesFor(rest, "http", otherTraffic(traffic)),
  ];
  const tcpFor = (traffic: Traffic): Tree[] => routesFor(tcp, "tcp", otherTraffic(traffic));
  const body: UntypedObject = {
    apiVersion: "networking.istio.io/v1",
    kind: "VirtualService",
    metadata: metadataOf(name, namespace, owner),
    spec: {
      hosts: [`${service}.${namespace}.svc.cluster.local`, ...hosts],
      ...(gateways.length === 0 ? {} : { gateways: ["mesh", ...gateways] }),
      http: httpFor(noTraffic),
      ...(tcp.length === 0 ? {} : { tcp: tcpFor(noTraffic) }),
    },
  };
  const object = referenceTo(body);
  return {
    body,
    object,
    writes: (traffic) => [
      madeList({ object, owner }, "/spec/http", httpFor, traffic),
      ...(tcp.length === 0 || traffic.otherPorts === undefined
        ? []
        : [madeList({ object, owner }, "/spec/tcp", tcpFor, traffic)]),
    ],
  };
}

function otherTraffic({ otherPorts }: Traffic): Traffic {
  return { ...noTraffic, weight: otherPorts === "canary" ? 100 : 0 };
}

function madeHttpRoute(spec: MadeRouteSpec, port: number | undefined, several: boolean): MadeRoute {
  const { namespace, service, gateways, hosts, stable, pairing, owner } = spec;
  const name = several ? `${spec.name}-${port ?? 0}` : spec.name;
  const list = [{ backendRefs: [stable(port)] }];
  const listFor = (traffic: Traffic): Tree[] =>
    gatewayRules(list, () => pairing, traffic, `HTTPRoute ${namespace}/${name}`);
  const parents = gateways.map((gateway) => {
    const [first = "", second] = gateway.split("/");
    return second === undefined ? { name: first } : { name: second, namespace: first };
  });
  const body: UntypedObject = {
    apiVersion: "gateway.networking.k8s.io/v1",
    kind: "HTTPRoute",
    metadata: metadataOf(name, namespace, owner),
    spec: {
      parentRefs: [{ group: "", kind: "Service", name: service, ...(port === undefined ? {} : { port }) }, ...parents],
      ...(hosts.length === 0 ? {} : { hostnames: hosts }),
      rules: listFor(noTraffic),
    },
  };
  const object = referenceTo(body);
  return {
    body,
    object,
    writes: (traffic) => [madeList({ object, owner }, "/spec/rules", listFor, traffic)],
  };
}

/**
 * A write of a list that the engine has made with {@link noTraffic}. A route with an owner belongs to a Deployment's
 * Canary. Its write does not wait for ready pods, because the steps of that Canary start pods themselves, and a
 * Deployment without pods may be rolled out too.
 */
function madeList(
  { object, owner }: { readonly object: ObjectReference; readonly owner: OwnerReference | undefined },
  pointer: string,
  listFor: (traffic: Traffic) => Tree[],
  traffic: Traffic,
): Write {
  const keeps = {
    base: listFor(noTraffic),
    isMade: true,
    ...(owner === undefined ? { awaitsPods: true as const } : {}),
  };
  return { ...field(object, pointer, listFor(traffic)), keeps };
}

export function metadataOf(
  name: string,
  namespace: string,
  owner: OwnerReference | undefined,
): UntypedObject["metadata"] {
  return {
    name,
    namespace,
    labels: { "app.kubernetes.io/managed-by": "serin-rollout" },
    ...(owner === undefined ? {} : { ownerReferences: [owner] }),
  };
}

const plainProtocols = ["tcp", "tls", "mongo", "mysql", "redis", "udp", "sctp"];

/** Whether a port carries no HTTP requests, by its `appProtocol` or the prefix of its name. */
export function isPlainTcp(port: Tree): boolean {
  return plainProtocols.includes(protocolOf(port));
}

/**
 * Whether proxies read requests on a port. They do not on an HTTPS port: the client encrypts its traffic, so proxies
 * see only connections.
 */
export function carriesHttp(port: Tree): boolean {
  return !isPlainTcp(port) && protocolOf(port) !== "https";
}

/** Whether the connections of a port are encrypted. A gateway that begins TLS to the port can route its requests. */
export function carriesTls(port: Tree): boolean {
  return ["https", "tls"].includes(protocolOf(port));
}

/**
 * The protocol that a Service's port names, in lower case: its `appProtocol`, or the prefix of its name, which need not
 * be a protocol. Empty if the port has neither.
 */
export function protocolOf({ name, appProtocol, protocol }: Tree): string {
  if (protocol === "UDP" || protocol === "SCTP") return protocol.toLowerCase();
  if (typeof appProtocol === "string") return appProtocol.toLowerCase();
  return typeof name === "string" ? (name.split("-")[0] ?? "").toLowerCase() : "";
}

export function describeMade(routes: readonly MadeRoute[]): string {
  return routes.map(({ object }) => describeReference(object)).join(", ");
}
