import { istioAnnotations, istioLabels, meshWaypointAnnotations } from "../../../api/istio/index.ts";
import { gatewayCanaryAnnotations } from "../../../api/serin/index.ts";
import type { Collection, CollectionGraph, CollectionIndex, CollectionReader } from "../../../kube/index.ts";
import { hbonePort } from "../../../wire/hbone/index.ts";
import { factsKey, type GatewayFacts, type PodFacts } from "../facts.ts";
import { gatewayAccountName, gatewayServiceName } from "../gateway-names.ts";
import { eastWestClassName, isWaypointClass, meshClassName } from "../gateway-class.ts";
import type { MeshInputs } from "../mesh-inputs.ts";
import { weightOf } from "./waypoint-weight.ts";

/**
 * Pods that serve as one waypoint. A Gateway of class `istio-mesh` without an account has one waypoint for each account
 * of its namespace.
 */
export interface Waypoint {
  /** The key: `namespace/gateway`, and `namespace/gateway/account` for class `istio-mesh`. */
  readonly key: string;
  readonly namespace: string;
  readonly gateway: string;
  readonly className: string;
  readonly name: string;
  readonly account: string;
  readonly takes: WaypointTraffic;
  /** How ztunnels forward connections to the waypoint's pods. Undefined means by HBONE. */
  readonly binding: InboundBinding | undefined;
  readonly port: number;
  /**
   * Whether traffic is sent to the waypoint. That starts with the first ready pod and never ends, so that no traffic
   * bypasses the waypoint later.
   */
  readonly published: boolean;
  readonly ready: boolean;
  /**
   * The percentage of new connections that the pods of the Gateway's canary revision get. Undefined means that all pods
   * have the same weight.
   */
  readonly canaryWeight: number | undefined;
  /** Whether the waypoint tells servers the client's identity, in the header `x-forwarded-client-cert`. */
  readonly forwardsClientIdentity: boolean;
}

export type WaypointTraffic = "service" | "workload" | "all" | "none";

export interface InboundBinding {
  readonly protocol: "NONE" | "PROXY";
  /** The port. 0 keeps the connection's own one. */
  readonly port: number;
}

export interface Waypoints {
  /** The waypoints by {@link Waypoint.key}. */
  readonly all: Collection<Waypoint>;
  /**
   * Gateways of other classes, by `namespace/gateway`: gateways behind a ztunnel, and those of other vendors. Services
   * may name them as their waypoint. This control plane sends them no waypoint configuration.
   */
  readonly gateways: Collection<Waypoint>;
  /** The waypoints of class `istio-mesh`, by `namespace/account`. */
  readonly byAccount: CollectionIndex<Waypoint>;
  readonly byNamespace: CollectionIndex<Waypoint>;
}

export function deriveWaypoints(graph: CollectionGraph, inputs: MeshInputs): Waypoints {
  const all = graph.derive("waypoints", inputs.gateways, (gateway, reader): Iterable<readonly [string, Waypoint]> => {
    if (!isWaypointClass(gateway.spec.gatewayClassName)) return [];
    const found =
      gateway.spec.gatewayClassName === meshClassName
        ? accountWaypoints(gateway, inputs, reader)
        : [namedWaypoint(gateway, { name: gateway.name, account: gateway.name }, inputs, reader)];
    return found.map((waypoint) => [waypoint.key, waypoint] as const);
  });
  const gateways = graph.derive("gateways-as-waypoints", inputs.gateways, (gateway, reader) => {
    const { gatewayClassName } = gateway.spec;
    if (isWaypointClass(gatewayClassName) || gatewayClassName === eastWestClassName) return [];
    // The Services of other vendors' gateways have the Gateway's own name.
    const name = [gatewayServiceName(gateway), gateway.name].find(
      (service) => reader.get(inputs.services, `${gateway.namespace}/${service}`) !== undefined,
    );
    if (name === undefined) return [];
    const waypoint = namedWaypoint(gateway, { name, account: gatewayAccountName(gateway) }, inputs, reader);
    return [[waypoint.key, waypoint]];
  });
  const ofAccounts = (waypoint: Waypoint): boolean => waypoint.className === meshClassName;
  return {
    all,
    gateways,
    byAccount: all.index("account", (waypoint) =>
      ofAccounts(waypoint) ? [`${waypoint.namespace}/${waypoint.account}`] : [],
    ),
    byNamespace: all.index("mesh-namespace", (waypoint) => (ofAccounts(waypoint) ? [waypoint.namespace] : [])),
  };
}

/** The key of the waypoint, or of the gateway between networks, to which a pod belongs by its labels. */
export function waypointKeyOf({
  namespace,
  labels,
  serviceAccount,
}: Pick<PodFacts, "namespace" | "labels" | "serviceAccount">): string | undefined {
  const gateway = labels[istioLabels.gatewayName];
  const className = labels[istioLabels.gatewayClassName];
  if (
    gateway === undefined ||
    className === undefined ||
    (!isWaypointClass(className) && className !== eastWestClassName)
  )
    return undefined;
  return className === meshClassName ? `${namespace}/${gateway}/${serviceAccount}` : `${namespace}/${gateway}`;
}

/** The pods of waypoints, by {@link Waypoint.key}. */
export function waypointPods(inputs: MeshInputs): CollectionIndex<PodFacts> {
  return inputs.pods.index("waypoint", (pod) => [waypointKeyOf(pod)].filter((key) => key !== undefined));
}

function namedWaypoint(
  gateway: GatewayFacts,
  { name, account }: Pick<Waypoint, "name" | "account">,
  inputs: MeshInputs,
  reader: CollectionReader,
): Waypoint {
  const { namespace } = gateway;
  const gatewayClass = reader.get(inputs.gatewayClasses, gateway.spec.gatewayClassName);
  const slices = inputs.slices.index("service", (slice) => [slice.service]);
  const ready = reader
    .lookup(slices, `${namespace}/${name}`)
    .some((slice) => slice.endpoints.some((endpoint) => endpoint.ready));
  return {
    key: factsKey(gateway),
    namespace,
    gateway: gateway.name,
    className: gateway.spec.gatewayClassName,
    name,
    account,
    takes: trafficOf(gateway.labels[istioLabels.waypointFor] ?? gatewayClass?.labels[istioLabels.waypointFor]),
    binding: inboundBinding(
      gateway.annotations[istioAnnotations.waypointInboundBinding] ??
        gatewayClass?.annotations[istioAnnotations.waypointInboundBinding],
    ),
    port: portOf(gateway),
    published: reader.get(inputs.services, `${namespace}/${name}`) !== undefined && (gateway.programmed || ready),
    ready,
    canaryWeight: canaryWeightOf(gateway),
    forwardsClientIdentity: forwardsClientIdentity(gateway),
  };
}

function accountWaypoints(gateway: GatewayFacts, inputs: MeshInputs, reader: CollectionReader): readonly Waypoint[] {
  const { namespace, name } = gateway;
  const named = gateway.annotations[meshWaypointAnnotations.serviceAccount];
  const accounts = inputs.serviceAccounts.index("namespace", (account) => (account.managed ? [] : [account.namespace]));
  const wanted =
    named === undefined || named === "" ? reader.lookup(accounts, namespace).map((account) => account.name) : [named];
  return wanted.map((account) => {
    const key = `${namespace}/${name}/${account}`;
    const ready = reader.lookup(waypointPods(inputs), key).some((pod) => pod.ready);
    return {
      key,
      namespace,
      gateway: name,
      className: meshClassName,
      name: `${account}-waypoint-proxy`,
      account,
      takes: "all",
      binding: undefined,
      port: portOf(gateway),
      // The status of a Gateway with several waypoints says nothing about a single one.
      published: ready || (named !== undefined && gateway.programmed),
      ready,
      canaryWeight: canaryWeightOf(gateway),
      forwardsClientIdentity: forwardsClientIdentity(gateway),
    };
  });
}

function trafficOf(text: string | undefined): WaypointTraffic {
  return text === "workload" || text === "all" || text === "none" ? text : "service";
}

/** Parses `PROTOCOL` or `PROTOCOL/port`. Undefined for other texts. */
function inboundBinding(text: string | undefined): InboundBinding | undefined {
  const [protocol, port = "0", ...rest] = text?.split("/") ?? [];
  if ((protocol !== "NONE" && protocol !== "PROXY") || rest.length > 0) return undefined;
  return { protocol, port: /^\d{1,5}$/.test(port) ? Number(port) : 0 };
}

function canaryWeightOf({ annotations }: GatewayFacts): number | undefined {
  const weight = annotations[gatewayCanaryAnnotations.weight];
  return weight === undefined || annotations[gatewayCanaryAnnotations.revision] === undefined
    ? undefined
    : weightOf(weight);
}

/**
 * Whether the Gateway's annotation asks for the header. Upstream reads the annotation from the waypoint's pod, which
 * has it from the Gateway. Here it takes effect without new pods.
 */
function forwardsClientIdentity({ annotations, spec }: GatewayFacts): boolean {
  const name = istioAnnotations.clientIdentityInXfcc;
  return (spec.infrastructure?.annotations?.[name] ?? annotations[name])?.toLowerCase() === "true";
}

function portOf(gateway: GatewayFacts): number {
  return gateway.spec.listeners.find((listener) => listener.protocol === "HBONE")?.port ?? hbonePort;
}

/** The name by which ztunnels find a waypoint: the hostname of its Service or, if it has none, an invented name. */
export function waypointHostname(waypoint: Pick<Waypoint, "name" | "namespace" | "className">, domain: string): string {
  const { name, namespace } = waypoint;
  return waypoint.className === meshClassName
    ? `${name}.${namespace}.mesh.internal`
    : `${name}.${namespace}.svc.${domain}`;
}
