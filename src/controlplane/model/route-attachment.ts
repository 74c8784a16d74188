import { matchesLabelSelector } from "../../api/index.ts";
import { gatewayGroup, type Listener, type ParentReference } from "../../api/gateway/index.ts";
import type { CollectionReader } from "../../kube/index.ts";
import { factsKey, type GatewayFacts, type HttpRouteFacts } from "./facts.ts";
import { isIngressClass } from "./gateway-class.ts";
import { intersectHostnames } from "./hostname.ts";
import { judgeListeners, type Verdict } from "./listener-validation.ts";
import type { MeshInputs } from "./mesh-inputs.ts";

/** How a route stands to one of its parents. */
export interface ParentAttachment {
  readonly parentRef: ParentReference;
  /** `namespace/name` of the Gateway. */
  readonly gateway: string;
  /** Undefined: the route is accepted. */
  readonly refused: Verdict;
  /** The listeners that serve the route, with the hostnames that both have. */
  readonly listeners: readonly { readonly name: string; readonly hostnames: readonly string[] }[];
}

/** Attachments to Gateways that are ours; other parents are other controllers' matter. */
export function attachmentsOf(route: HttpRouteFacts, inputs: MeshInputs, reader: CollectionReader): readonly ParentAttachment[] {
  return route.spec.parentRefs.flatMap((parentRef) => {
    if (parentRef.group !== gatewayGroup || parentRef.kind !== "Gateway") return [];
    const gateway = reader.get(inputs.gateways, `${parentRef.namespace ?? route.namespace}/${parentRef.name}`);
    if (gateway === undefined || !isIngressClass(gateway.spec.gatewayClassName, inputs, reader)) return [];
    return attach(route, parentRef, gateway, inputs, reader);
  });
}

function attach(route: HttpRouteFacts, parentRef: ParentReference, gateway: GatewayFacts, inputs: MeshInputs, reader: CollectionReader): ParentAttachment {
  const base = { parentRef, gateway: factsKey(gateway) };
  const named = judgeListeners(gateway).filter(
    ({ listener }) => (parentRef.sectionName === undefined || parentRef.sectionName === listener.name) && (parentRef.port === undefined || parentRef.port === listener.port),
  );
  const refuse = (reason: string, message: string): ParentAttachment => ({ ...base, refused: { reason, message }, listeners: [] });
  if (named.length === 0) return refuse("NoMatchingParent", describeMissing(parentRef));
  const allowed = named.filter(({ listener, supportedKinds }) => supportedKinds.some((kind) => kind.kind === "HTTPRoute") && allowsNamespace(listener, route, gateway, inputs, reader));
  if (allowed.length === 0) return refuse("NotAllowedByListeners", `hostnames matched, but namespace "${route.namespace}" is not allowed by the listener`);
  const listeners = allowed
    .filter((verdict) => verdict.serves)
    .map(({ listener }) => ({ name: listener.name, hostnames: hostnamesOf(route, listener) }))
    .filter(({ hostnames }) => hostnames.length > 0);
  if (listeners.length === 0) return refuse("NoMatchingListenerHostname", "no hostname of the route matches one of the listener");
  return { ...base, refused: undefined, listeners };
}

function describeMissing(parentRef: ParentReference): string {
  if (parentRef.sectionName !== undefined) return `sectionName "${parentRef.sectionName}" not found`;
  return `port ${parentRef.port ?? 0} not found`;
}

function allowsNamespace(listener: Listener, route: HttpRouteFacts, gateway: GatewayFacts, inputs: MeshInputs, reader: CollectionReader): boolean {
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

function hostnamesOf(route: HttpRouteFacts, listener: Listener): readonly string[] {
  const own = route.spec.hostnames.length === 0 ? ["*"] : route.spec.hostnames;
  return own.flatMap((hostname) => intersectHostnames(hostname, listener.hostname ?? "*") ?? []);
}
