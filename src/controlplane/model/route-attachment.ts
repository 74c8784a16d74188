import { matchesLabelSelector } from "../../api/index.ts";
import { gatewayGroup, type Listener, type ParentReference } from "../../api/gateway/index.ts";
import type { CollectionReader } from "../../kube/index.ts";
import { factsKey, type GatewayFacts } from "./facts.ts";
import { isIngressClass } from "./gateway-class.ts";
import { intersectHostnames } from "./hostname.ts";
import { judgeListeners, type Verdict } from "./listener-validation.ts";
import type { MeshInputs } from "./mesh-inputs.ts";

/** How a route stands to one of its parents. */
export interface ParentAttachment {
  readonly parentRef: ParentReference;
  /** `namespace/name` of the Gateway; empty when the parent is a Service. */
  readonly gateway: string;
  /** Whose clients' requests the route is for; of all of its ports when none is named. */
  readonly service?: { readonly key: string; readonly port: number | undefined };
  /** Undefined: the route is accepted. */
  readonly refused: Verdict;
  /** The listeners that serve the route, with the hostnames that both have. */
  readonly listeners: readonly { readonly name: string; readonly hostnames: readonly string[] }[];
}

/** A route of any kind; without hostnames (or with none that it could have) it is for all of a listener. */
export interface AttachableRoute {
  readonly namespace: string;
  readonly spec: { readonly parentRefs: readonly ParentReference[]; readonly hostnames?: readonly string[] };
}

/** Attachments to Gateways that are ours, and of HTTP to Services; other parents are other controllers' matter. */
export function attachmentsOf(route: AttachableRoute, kind: string, inputs: MeshInputs, reader: CollectionReader): readonly ParentAttachment[] {
  return route.spec.parentRefs.flatMap((parentRef) => {
    if (parentRef.kind === "Service" && (parentRef.group === "" || parentRef.group === "core")) return kind === "HTTPRoute" || kind === "GRPCRoute" ? attachToService(route, parentRef, inputs, reader) : [];
    if (parentRef.group !== gatewayGroup || parentRef.kind !== "Gateway") return [];
    const gateway = reader.get(inputs.gateways, `${parentRef.namespace ?? route.namespace}/${parentRef.name}`);
    if (gateway === undefined || !isIngressClass(gateway.spec.gatewayClassName, inputs, reader)) return [];
    return attach(route, kind, parentRef, gateway, inputs, reader);
  });
}

function attachToService(route: AttachableRoute, parentRef: ParentReference, inputs: MeshInputs, reader: CollectionReader): ParentAttachment {
  const key = `${parentRef.namespace ?? route.namespace}/${parentRef.name}`;
  const base = { parentRef, gateway: "", service: { key, port: parentRef.port }, listeners: [] };
  const service = reader.get(inputs.services, key);
  if (service === undefined) return { ...base, refused: { reason: "NoMatchingParent", message: `parent service: "${key}" not found` } };
  if (parentRef.port !== undefined && !service.ports.some(({ port }) => port === parentRef.port)) return { ...base, refused: { reason: "NoMatchingParent", message: describeMissing(parentRef) } };
  return { ...base, refused: undefined };
}

function attach(route: AttachableRoute, kind: string, parentRef: ParentReference, gateway: GatewayFacts, inputs: MeshInputs, reader: CollectionReader): ParentAttachment {
  const base = { parentRef, gateway: factsKey(gateway) };
  const named = judgeListeners(gateway).filter(
    ({ listener }) => (parentRef.sectionName === undefined || parentRef.sectionName === listener.name) && (parentRef.port === undefined || parentRef.port === listener.port),
  );
  const refuse = (reason: string, message: string): ParentAttachment => ({ ...base, refused: { reason, message }, listeners: [] });
  if (named.length === 0) return refuse("NoMatchingParent", describeMissing(parentRef));
  const allowed = named.filter(({ listener, supportedKinds }) => supportedKinds.some((supported) => supported.kind === kind) && allowsNamespace(listener, route, gateway, inputs, reader));
  if (allowed.length === 0) return refuse("NotAllowedByListeners", `hostnames matched, but namespace "${route.namespace}" is not allowed by the listener`);
  const listeners = allowed
    .filter((verdict) => verdict.attaches)
    .map(({ listener }) => ({ name: listener.name, hostnames: hostnamesOf(route, listener) }))
    .filter(({ hostnames }) => hostnames.length > 0);
  if (listeners.length === 0) return refuse("NoMatchingListenerHostname", "no hostname of the route matches one of the listener");
  return { ...base, refused: undefined, listeners };
}

function describeMissing(parentRef: ParentReference): string {
  if (parentRef.sectionName !== undefined) return `sectionName "${parentRef.sectionName}" not found`;
  return `port ${parentRef.port ?? 0} not found`;
}

export function allowsNamespace(listener: Listener, route: Pick<AttachableRoute, "namespace">, gateway: Pick<GatewayFacts, "namespace">, inputs: MeshInputs, reader: CollectionReader): boolean {
  const { from, selector } = listener.allowedRoutes.namespaces;
  switch (from) {
    case "All":
      return true;
    case "Same":
      return route.namespace === gateway.namespace;
    case "Selector": {
      const labels = { ...reader.get(inputs.namespaces, route.namespace)?.labels, "kubernetes.io/metadata.name": route.namespace };
      return matchesLabelSelector(selector, labels);
    }
    default:
      return false;
  }
}

function hostnamesOf(route: AttachableRoute, listener: Listener): readonly string[] {
  const { hostnames = [] } = route.spec;
  const own = hostnames.length === 0 ? ["*"] : hostnames;
  return own.flatMap((hostname) => intersectHostnames(hostname, listener.hostname ?? "*") ?? []);
}
