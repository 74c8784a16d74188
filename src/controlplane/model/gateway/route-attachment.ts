import { gatewayGroup, type Listener, type ParentReference } from "../../../api/gateway/index.ts";
import { narrowerHost } from "../../../api/istio/index.ts";
import type { CollectionReader } from "../../../kube/index.ts";
import { allowsNamespace } from "../allowed-namespaces.ts";
import { isNone, wantedWaypoint } from "../ambient/waypoint-bindings.ts";
import { factsKey, type GatewayFacts } from "../facts.ts";
import { gatewayControllerName, isEastWestClass, isIngressClass, meshControllerName } from "../gateway-class.ts";
import { allowsSet, parentOfSet } from "./gateway-listeners.ts";
import { judgeListeners, type ListenerVerdict } from "./listener-validation.ts";
import type { Verdict } from "../verdict.ts";
import type { MeshInputs } from "../mesh-inputs.ts";
import { oldestOfHost } from "../service/service-entry-host.ts";

export interface ParentAttachment {
  readonly parentRef: ParentReference;
  /**
   * The Gateway as `namespace/name`, even if the parent is a ListenerSet. Empty if the parent is a Service or a
   * ServiceEntry.
   */
  readonly gateway: string;
  /**
   * The Service to whose clients the route applies. If it has no port, the route applies to all ports of the Service.
   */
  readonly service?: ServiceParent;
  /** Why the route is refused. Undefined if it is accepted. */
  readonly refused: Verdict;
  /** The listeners that serve the route, by {@link OwnedListener.id}, with the hostnames that both have in common. */
  readonly listeners: readonly { readonly name: string; readonly hostnames: readonly string[] }[];
}

export interface ServiceParent {
  readonly registry: "Kubernetes" | "External";
  readonly key: string;
  readonly port: number | undefined;
}

/** A route without hostnames, or of a kind that has none, applies to all hosts of a listener. */
export interface AttachableRoute {
  readonly namespace: string;
  readonly spec: { readonly parentRefs: readonly ParentReference[]; readonly hostnames?: readonly string[] };
}

/**
 * The attachments of a route to our Gateways and their ListenerSets, to Services, and to ServiceEntries. Other parents
 * belong to other controllers.
 */
export function attachmentsOf(
  route: AttachableRoute,
  kind: string,
  inputs: MeshInputs,
  reader: CollectionReader,
): readonly ParentAttachment[] {
  // A route may name many listeners of a Gateway, so the Gateway's verdicts are computed once.
  const judged = new Map<GatewayFacts, readonly ListenerVerdict[]>();
  const listenersOf = (gateway: GatewayFacts): readonly ListenerVerdict[] => {
    const known = judged.get(gateway) ?? judgeListeners(gateway, inputs, reader);
    judged.set(gateway, known);
    return known;
  };
  return route.spec.parentRefs.flatMap((parentRef) => {
    const meshParent = meshParentOf(route, parentRef);
    if (meshParent !== undefined)
      return kind === "UDPRoute" || isServedElsewhere(meshParent, inputs, reader)
        ? []
        : attachToService(parentRef, meshParent, inputs, reader);
    const found = gatewayOf(route, parentRef, inputs, reader);
    return found === undefined
      ? []
      : attach({ route, kind, parentRef }, { ...found, listeners: listenersOf(found.gateway) }, { inputs, reader });
  });
}

function meshParentOf(
  route: AttachableRoute,
  { kind, group, namespace = route.namespace, name, port }: ParentReference,
): ServiceParent | undefined {
  const key = `${namespace}/${name}`;
  if (kind === "Service" && (group === "" || group === "core")) return { registry: "Kubernetes", key, port };
  return kind === "ServiceEntry" && group === "networking.istio.io" ? { registry: "External", key, port } : undefined;
}

/**
 * Whether the waypoint that the parent's or its namespace's labels name belongs to another controller. That controller
 * then reports about the route, whose features only it may know.
 */
function isServedElsewhere({ registry, key }: ServiceParent, inputs: MeshInputs, reader: CollectionReader): boolean {
  const parent = registry === "Kubernetes" ? reader.get(inputs.services, key) : reader.get(inputs.serviceEntries, key);
  if (parent === undefined) return false;
  const wanted = wantedWaypoint(parent, inputs, reader);
  if (wanted === undefined || isNone(wanted)) return false;
  const waypoint = reader.get(inputs.gateways, `${wanted.namespace}/${wanted.name}`);
  const controller = reader.get(inputs.gatewayClasses, waypoint?.spec.gatewayClassName ?? "")?.controllerName;
  return controller !== undefined && controller !== meshControllerName && controller !== gatewayControllerName;
}

function attachToService(
  parentRef: ParentReference,
  service: ServiceParent,
  inputs: MeshInputs,
  reader: CollectionReader,
): ParentAttachment {
  const base = { parentRef, gateway: "", service, listeners: [] };
  const refuse = (message: string): ParentAttachment => ({ ...base, refused: { reason: "NoMatchingParent", message } });
  const isService = service.registry === "Kubernetes";
  const ports = isService
    ? reader.get(inputs.services, service.key)?.ports.map(({ port }) => port)
    : reader.get(inputs.serviceEntries, service.key)?.spec.ports.map(({ number }) => number);
  if (ports === undefined)
    return refuse(`parent ${isService ? "service" : "service entry"}: "${service.key}" not found`);
  if (parentRef.port !== undefined && !ports.includes(parentRef.port))
    return refuse(`port ${parentRef.port} not found`);
  const counting = isService ? undefined : countingInstead(service.key, inputs, reader);
  if (counting !== undefined) return refuse(`the hosts of "${service.key}" belong to the older "${counting}": name it`);
  return { ...base, refused: undefined };
}

/**
 * The older ServiceEntry that proxies use instead of this one. Undefined if they use this one for at least one of its
 * hosts.
 */
function countingInstead(key: string, inputs: MeshInputs, reader: CollectionReader): string | undefined {
  const entry = reader.get(inputs.serviceEntries, key);
  const counting = entry?.spec.hosts.map((host) => oldestOfHost(entry, host, inputs, reader) ?? entry) ?? [];
  const keys = counting.map(factsKey);
  return keys.includes(key) ? undefined : keys[0];
}

interface GatewayParent {
  readonly gateway: GatewayFacts;
  /** The parent ListenerSet as `namespace/name`. Undefined if the parent is the Gateway itself. */
  readonly set: string | undefined;
}

/**
 * The Gateway that is the parent, or to which the parent ListenerSet belongs. Undefined if it is not ours or does not
 * allow the ListenerSet.
 */
function gatewayOf(
  route: AttachableRoute,
  parentRef: ParentReference,
  inputs: MeshInputs,
  reader: CollectionReader,
): GatewayParent | undefined {
  if (parentRef.group !== gatewayGroup || (parentRef.kind !== "Gateway" && parentRef.kind !== "ListenerSet"))
    return undefined;
  const key = `${parentRef.namespace ?? route.namespace}/${parentRef.name}`;
  const set = parentRef.kind === "ListenerSet" ? reader.get(inputs.listenerSets, key) : undefined;
  if (parentRef.kind === "ListenerSet" && set === undefined) return undefined;
  const gateway = reader.get(inputs.gateways, set === undefined ? key : (parentOfSet(set) ?? ""));
  if (gateway === undefined) return undefined;
  const { gatewayClassName } = gateway.spec;
  if (!isIngressClass(gatewayClassName, inputs, reader) && !isEastWestClass(gatewayClassName, inputs, reader))
    return undefined;
  if (set !== undefined && !allowsSet(gateway, set, inputs, reader)) return undefined;
  return { gateway, set: set === undefined ? undefined : key };
}

/**
 * Reasons for refusal, from the closest to an attachment to the farthest. If listeners refuse a route for different
 * reasons, the first of these is reported.
 */
const refusalOrder = ["NotAllowedByListeners", "NoMatchingListenerHostname", "NoMatchingParent"];

interface AttachmentRequest {
  readonly route: AttachableRoute;
  readonly kind: string;
  readonly parentRef: ParentReference;
}

function attach(
  request: AttachmentRequest,
  { gateway, set, listeners: verdicts }: GatewayParent & { readonly listeners: readonly ListenerVerdict[] },
  { inputs, reader }: { readonly inputs: MeshInputs; readonly reader: CollectionReader },
): ParentAttachment {
  const { route, parentRef } = request;
  const base = { parentRef, gateway: factsKey(gateway) };
  const own = verdicts.filter(
    ({ owner, conflicted }) =>
      conflicted === undefined &&
      (set === undefined ? owner.kind === "Gateway" : owner.kind === "ListenerSet" && factsKey(owner) === set),
  );
  const judged = own.map((verdict) => ({ verdict, refused: refusalOf(request, verdict, inputs, reader) }));
  const listeners = judged
    .filter(({ verdict, refused }) => verdict.attaches && refused === undefined)
    .map(({ verdict }) => ({ name: verdict.id, hostnames: hostnamesOf(route, verdict.listener) }));
  if (listeners.length > 0) return { ...base, refused: undefined, listeners };
  const refusals = judged
    .flatMap(({ refused }) => refused ?? [])
    .sort((left, right) => refusalOrder.indexOf(left.reason) - refusalOrder.indexOf(right.reason));
  const refused =
    refusals[0] ??
    (judged.length > 0
      ? { reason: "NotAllowedByListeners", message: "the listener is not valid" }
      : { reason: "NoMatchingParent", message: "no listener of the parent can be used" });
  return { ...base, refused, listeners: [] };
}

function refusalOf(
  { route, kind, parentRef }: AttachmentRequest,
  { listener, owner, supportedKinds }: ListenerVerdict,
  inputs: MeshInputs,
  reader: CollectionReader,
): Verdict {
  const { sectionName, port } = parentRef;
  if (port !== undefined && port !== listener.port)
    return { reason: "NoMatchingParent", message: `port ${port} not found` };
  if (sectionName !== undefined && sectionName !== "" && sectionName !== listener.name)
    return { reason: "NoMatchingParent", message: `sectionName "${sectionName}" not found` };
  if (hostnamesOf(route, listener).length === 0)
    return {
      reason: "NoMatchingListenerHostname",
      message: `no hostname of the route matches "${listener.hostname ?? "*"}" of the listener`,
    };
  if (!allowsNamespace(listener, route, owner, inputs, reader)) {
    return {
      reason: "NotAllowedByListeners",
      message: `hostnames matched, but namespace "${route.namespace}" is not allowed by the listener`,
    };
  }
  return supportedKinds.some((supported) => supported.kind === kind)
    ? undefined
    : { reason: "NotAllowedByListeners", message: `kind ${kind} is not allowed by the listener` };
}

/**
 * The hostnames that the route and the listener have in common, without duplicates: two wildcards of the route may
 * cover the listener's hostname.
 */
function hostnamesOf(route: AttachableRoute, listener: Listener): readonly string[] {
  const { hostnames = [] } = route.spec;
  const own = hostnames.length === 0 ? ["*"] : hostnames;
  return [...new Set(own.flatMap((hostname) => narrowerHost(hostname, listener.hostname ?? "*") ?? []))];
}
