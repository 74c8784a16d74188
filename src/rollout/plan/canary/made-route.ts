import type { UntypedObject } from "../../../api/index.ts";
import type { ObjectReference, RouteKind } from "../../../api/serin/index.ts";
import { describeReference, type SettleCondition, type Write } from "../../decide/index.ts";
import { referenceTo } from "../references.ts";
import { gatewayRules } from "./gateway-route.ts";
import { noTraffic, type Fields, type Pairing, type Traffic } from "./traffic.ts";
import { virtualServiceRoutes } from "./virtual-service-route.ts";

export type OwnerReference = NonNullable<UntypedObject["metadata"]["ownerReferences"]>[number];

/** A route that the engine creates if the user has none. At first it sends all requests to the stable version. */
export interface MadeRoute {
  readonly body: UntypedObject;
  readonly object: ObjectReference;
  write(traffic: Traffic): Write;
}

export interface MadeRouteSpec {
  readonly kind: RouteKind;
  readonly name: string;
  readonly namespace: string;
  /** The Service whose name clients use. */
  readonly service: string;
  /** The port whose traffic moves. Absent: all ports. */
  readonly port?: number;
  readonly ports: readonly Fields[];
  readonly gateways: readonly string[];
  readonly hosts: readonly string[];
  /** The stable backend on a port, in the form of the route's kind. */
  readonly stable: (port: number | undefined) => Fields;
  readonly pairing: Pairing;
  readonly owner?: OwnerReference;
}

export function madeRoutes(spec: MadeRouteSpec): MadeRoute[] {
  return spec.kind === "VirtualService"
    ? [madeVirtualService(spec)]
    : portsOf(spec).map((port) => madeHttpRoute(spec, port, portsOf(spec).length > 1));
}

/** Creates the routes, and waits until every proxy has acknowledged them. */
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
    writes: routes.map((route) => route.write(traffic)),
    settle: routes.map(({ object }) => ({ type: "acknowledged", object })),
  };
}

function portsOf({ port, ports }: MadeRouteSpec): readonly (number | undefined)[] {
  if (port !== undefined) return [port];
  const http = ports.filter((candidate) => !isPlainTcp(candidate)).map((candidate) => candidate["port"] as number);
  return http.length > 1 ? http : [http[0]];
}

function madeVirtualService(spec: MadeRouteSpec): MadeRoute {
  const { name, namespace, service, port, ports, gateways, hosts, stable, pairing, owner } = spec;
  // Route the other ports to stable, because a VirtualService replaces all default routes of its host.
  const rest = port === undefined || ports.length < 2 ? [] : [{ name: "other-ports", route: [stable(undefined)] }];
  const match = rest.length === 0 ? {} : { match: [{ port }] };
  const list = [{ name: "canary", ...match, route: [stable(undefined)] }, ...rest];
  const tcp = ports
    .filter((candidate) => isPlainTcp(candidate))
    .map(({ port: number }) => ({ match: [{ port: number }], route: [stable(number as number)] }));
  const listFor = (traffic: Traffic): Fields[] =>
    virtualServiceRoutes(
      list,
      "http",
      (index) => (index === 0 ? pairing : undefined),
      traffic,
      `VirtualService ${namespace}/${name}`,
    );
  const body: UntypedObject = {
    apiVersion: "networking.istio.io/v1",
    kind: "VirtualService",
    metadata: metadataOf(name, namespace, owner),
    spec: {
      hosts: [`${service}.${namespace}.svc.cluster.local`, ...hosts],
      ...(gateways.length === 0 ? {} : { gateways: ["mesh", ...gateways] }),
      http: listFor(noTraffic),
      ...(tcp.length === 0 ? {} : { tcp }),
    },
  };
  const object = referenceTo(body);
  return {
    body,
    object,
    write: (traffic) => ({ type: "field", object, pointer: "/spec/http", value: listFor(traffic) }),
  };
}

function madeHttpRoute(spec: MadeRouteSpec, port: number | undefined, several: boolean): MadeRoute {
  const { namespace, service, gateways, hosts, stable, pairing, owner } = spec;
  const name = several ? `${spec.name}-${port ?? 0}` : spec.name;
  const list = [{ backendRefs: [stable(port)] }];
  const listFor = (traffic: Traffic): Fields[] =>
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
    write: (traffic) => ({ type: "field", object, pointer: "/spec/rules", value: listFor(traffic) }),
  };
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

const plainProtocols = ["tcp", "tls", "mongo", "mysql", "redis", "udp"];

/** Whether a port carries no HTTP requests, by its `appProtocol` or the prefix of its name. */
export function isPlainTcp({ name, appProtocol, protocol }: Fields): boolean {
  if (protocol === "UDP" || protocol === "SCTP") return true;
  const protocolName =
    typeof appProtocol === "string" ? appProtocol : typeof name === "string" ? (name.split("-")[0] ?? "") : "";
  return plainProtocols.includes(protocolName.toLowerCase());
}

export function describeMade(routes: readonly MadeRoute[]): string {
  return routes.map(({ object }) => describeReference(object)).join(", ");
}
