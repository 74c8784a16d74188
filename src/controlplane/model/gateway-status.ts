import type { GatewayAddress, ListenerStatus, RouteParentStatus } from "../../api/gateway/index.ts";
import type { Condition } from "../../api/index.ts";
import type { Collection, CollectionGraph } from "../../kube/index.ts";
import { factsKey, hostnameOf, meshKey, type ConfigFacts, type GatewayFacts, type MeshSettings, type ServiceFacts } from "./facts.ts";
import { certificateVerdict } from "./gateway-certificates.ts";
import { gatewayControllerName, isIngressClass, isWaypointClass, waypointClassName } from "./gateway-class.ts";
import type { RouteModel } from "./gateway-model.ts";
import { judgeListeners, type ListenerVerdict, type Verdict } from "./listener-validation.ts";
import type { MeshInputs } from "./mesh-inputs.ts";
import { owningRevision } from "./ownership.ts";
import type { Waypoint, Waypoints } from "./waypoint.ts";

/** A condition without the time, which only its writer knows. */
export type WantedCondition = Omit<Condition, "lastTransitionTime">;

export interface WantedGatewayStatus {
  readonly namespace: string;
  readonly name: string;
  readonly addresses: readonly GatewayAddress[];
  readonly conditions: readonly WantedCondition[];
  readonly listeners: readonly (Omit<ListenerStatus, "conditions"> & { readonly conditions: readonly WantedCondition[] })[];
}

export interface WantedRouteStatus {
  readonly kind: RouteKindName;
  readonly namespace: string;
  readonly name: string;
  /** All Gateways of ours that are parents, also those of other revisions, whose entries are not ours to write. */
  readonly parents: readonly { readonly owned: boolean; readonly status: Omit<RouteParentStatus, "conditions"> & { readonly conditions: readonly WantedCondition[] } }[];
}

export type RouteKindName = "HTTPRoute" | "GRPCRoute" | "TLSRoute" | "TCPRoute";

/** A route of any kind, judged. */
export interface JudgedRoute extends Pick<RouteModel, "parents" | "unresolved"> {
  readonly route: Pick<ConfigFacts<unknown>, "namespace" | "name" | "labels" | "generation">;
}

/** The Service that a Gateway's proxies are behind. */
export function gatewayServiceName(gateway: { readonly name: string; readonly spec: { readonly gatewayClassName: string } }): string {
  return gateway.spec.gatewayClassName === waypointClassName ? gateway.name : `${gateway.name}-${gateway.spec.gatewayClassName}`;
}

/** The status of each Gateway that the revision owns. */
export function deriveGatewayStatuses(graph: CollectionGraph, inputs: MeshInputs, routes: readonly Collection<JudgedRoute>[], waypoints: Waypoints, revision: string): Collection<WantedGatewayStatus> {
  const accepting = (model: JudgedRoute): ReadonlySet<string> => new Set(model.parents.filter((parent) => parent.refused === undefined).map((parent) => parent.gateway));
  const byGateway = routes.map((collection) => collection.index("gateway", accepting));
  const waypointsOf = waypoints.all.index("gateway", (waypoint) => [`${waypoint.namespace}/${waypoint.gateway}`]);
  return graph.derive("gateway-statuses", inputs.gateways, (gateway, reader) => {
    const mesh = reader.get(inputs.mesh, meshKey);
    const isWaypoint = isWaypointClass(gateway.spec.gatewayClassName);
    if (mesh === undefined || (!isWaypoint && !isIngressClass(gateway.spec.gatewayClassName, inputs, reader))) return [];
    if (owningRevision(gateway, inputs, reader) !== revision) return [];
    const service = reader.get(inputs.services, `${gateway.namespace}/${gatewayServiceName(gateway)}`);
    const attached = byGateway.flatMap((index) => reader.lookup(index, factsKey(gateway)));
    const verdicts = judgeListeners(gateway, (listener) => certificateVerdict(gateway, listener, inputs, reader));
    const programmed = isWaypoint ? waypointVerdict(gateway, reader.lookup(waypointsOf, factsKey(gateway)), service, mesh) : programmedVerdict(gateway, service, mesh);
    return [[factsKey(gateway), gatewayStatus(gateway, verdicts, { service, programmed }, attached, mesh)]];
  });
}

function gatewayStatus(gateway: GatewayFacts, verdicts: readonly ListenerVerdict[], { service, programmed }: { readonly service: ServiceFacts | undefined; readonly programmed: ProgrammedVerdict }, routes: readonly JudgedRoute[], mesh: MeshSettings): WantedGatewayStatus {
  const broken = verdicts.filter((verdict) => !verdict.attaches);
  const condition = conditionMaker(gateway.generation);
  const unusable = broken.length === verdicts.length;
  const accepted = broken.length > 0 ? { reason: "ListenersNotValid", message: `listeners ${broken.map(({ listener }) => listener.name).join(", ")} are not valid` } : undefined;
  return {
    namespace: gateway.namespace,
    name: gateway.name,
    addresses: addressesOf(service, mesh),
    conditions: [
      { ...condition("Accepted", unusable ? accepted : undefined, "Accepted", "Resource accepted"), ...(accepted !== undefined && !unusable ? accepted : {}) },
      condition("Programmed", programmed.fault, "Programmed", programmed.text),
      condition("ResolvedRefs", undefined, "ResolvedRefs", "All references resolved"),
    ],
    listeners: verdicts.map((verdict) => listenerStatus(gateway, verdict, routes)),
  };
}

function listenerStatus(gateway: GatewayFacts, verdict: ListenerVerdict, routes: readonly JudgedRoute[]): WantedGatewayStatus["listeners"][number] {
  const condition = conditionMaker(gateway.generation);
  const key = factsKey(gateway);
  const attached = routes.filter((model) => model.parents.some((parent) => parent.gateway === key && parent.listeners.some(({ name }) => name === verdict.listener.name)));
  const programmed = verdict.serves ? undefined : { reason: "Invalid", message: "the listener is not served, see its other conditions" };
  const conflict = condition("Conflicted", verdict.conflicted, "NoConflicts", "No errors found");
  return {
    name: verdict.listener.name,
    attachedRoutes: attached.length,
    supportedKinds: [...verdict.supportedKinds],
    conditions: [
      condition("Accepted", verdict.accepted ?? verdict.conflicted, "Accepted", "No errors found"),
      // This one says a fault by True.
      { ...conflict, status: verdict.conflicted === undefined ? "False" : "True" },
      condition("Programmed", programmed, "Programmed", "No errors found"),
      condition("ResolvedRefs", verdict.resolvedRefs, "ResolvedRefs", "No errors found"),
    ],
  };
}

function addressesOf(service: ServiceFacts | undefined, mesh: MeshSettings): readonly GatewayAddress[] {
  if (service === undefined) return [];
  if (service.type === "LoadBalancer") return service.balancerAddresses.map((value) => ({ type: "IPAddress", value }));
  return [...service.clusterAddresses.map((value) => ({ type: "IPAddress", value })), { type: "Hostname", value: hostnameOf(service, mesh.domain) }];
}

interface ProgrammedVerdict {
  readonly fault: Verdict;
  /** What is said without a fault. */
  readonly text: string;
}

/** A waypoint serves from when its first pod is ready on: before that nobody is sent to it. */
function waypointVerdict(gateway: GatewayFacts, waypoints: readonly Waypoint[], service: ServiceFacts | undefined, mesh: MeshSettings): ProgrammedVerdict {
  const hasService = gateway.spec.gatewayClassName === waypointClassName;
  if (hasService && service === undefined) return programmedVerdict(gateway, service, mesh);
  const waiting = waypoints.filter((waypoint) => !waypoint.published).map(({ name }) => name);
  const text = hasService ? `service(s) ${serviceText(gateway, mesh)}` : `deployment(s) ${waypoints.map(({ name }) => name).join(", ")}`;
  return { fault: waiting.length === 0 ? undefined : { reason: "Pending", message: `waiting for a pod to be ready of ${waiting.join(", ")}` }, text: `Resource programmed, assigned to ${text}` };
}

function programmedVerdict(gateway: GatewayFacts, service: ServiceFacts | undefined, mesh: MeshSettings): ProgrammedVerdict {
  return { fault: serviceFault(gateway, service, mesh), text: `Resource programmed, assigned to service(s) ${serviceText(gateway, mesh)}` };
}

function serviceFault(gateway: GatewayFacts, service: ServiceFacts | undefined, mesh: MeshSettings): Verdict {
  const host = hostnameOf({ namespace: gateway.namespace, name: gatewayServiceName(gateway) }, mesh.domain);
  if (service === undefined) return { reason: "Invalid", message: `Failed to assign to any requested addresses: hostname "${host}" not found` };
  if (addressesOf(service, mesh).length > 0) return undefined;
  return {
    reason: "AddressNotAssigned",
    message: `Assigned to service(s) ${serviceText(gateway, mesh)}, but failed to assign to all requested addresses: address pending for hostname "${host}"`,
  };
}

function serviceText(gateway: GatewayFacts, mesh: MeshSettings): string {
  const host = hostnameOf({ namespace: gateway.namespace, name: gatewayServiceName(gateway) }, mesh.domain);
  const ports = [...new Set(gateway.spec.listeners.map((listener) => listener.port))].sort((left, right) => left - right);
  return ports.map((port) => `${host}:${port}`).join(", ");
}

/** The status of each route that has a Gateway of ours or a Service as a parent. */
export function deriveRouteStatuses(graph: CollectionGraph, inputs: MeshInputs, kind: RouteKindName, routes: Collection<JudgedRoute>, revision: string): Collection<WantedRouteStatus> {
  return graph.derive(`route-statuses-${kind}`, routes, (model, reader, key) => {
    const { route } = model;
    const condition = conditionMaker(route.generation);
    const parents = model.parents.map((parent) => {
      const owner = parent.service === undefined ? reader.get(inputs.gateways, parent.gateway) : route;
      const conditions = [
        condition("Accepted", parent.refused, "Accepted", "Route was valid"),
        condition("ResolvedRefs", model.unresolved, "ResolvedRefs", "All references resolved"),
      ];
      const owned = owner !== undefined && owningRevision(owner, inputs, reader) === revision;
      return { owned, status: { parentRef: withoutUndefined(parent.parentRef), controllerName: gatewayControllerName, conditions } };
    });
    return parents.some((parent) => parent.owned) ? [[key, { kind, namespace: route.namespace, name: route.name, parents }]] : [];
  });
}

function conditionMaker(generation: number): (type: string, fault: Verdict, goodReason: string, goodMessage: string) => WantedCondition {
  return (type, fault, goodReason, goodMessage) => ({
    type,
    status: fault === undefined ? "True" : "False",
    reason: fault?.reason ?? goodReason,
    message: fault?.message ?? goodMessage,
    observedGeneration: generation,
  });
}

function withoutUndefined<Value extends object>(value: Value): Value {
  return Object.fromEntries(Object.entries(value).filter(([, entry]) => entry !== undefined)) as Value;
}
