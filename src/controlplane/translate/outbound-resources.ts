import type { Collection, CollectionGraph, CollectionReader } from "../../kube/index.ts";
import { NameTableSchema } from "../../wire/discovery/index.ts";
import { ClusterSchema, ListenerSchema, type Cluster } from "../../wire/envoy/index.ts";
import { deriveDestinationRules, destinationRuleFor, type DestinationRules } from "../model/destination-rule-model.ts";
import { byAge, meshKey, type MeshSettings } from "../model/facts.ts";
import { deriveRouteModels, type RouteModel, type RouteModels } from "../model/gateway-model.ts";
import { deriveL4RouteModels, type L4RouteModel } from "../model/l4-route-model.ts";
import type { MeshInputs } from "../model/mesh-inputs.ts";
import { deriveNetworkGateways, type NetworkGatewaysModel } from "../model/network-gateways.ts";
import type { EndpointModel } from "../model/service-endpoint-model.ts";
import { deriveServiceEndpoints, getEndpoints, type ServiceEndpoints } from "../model/service-endpoints.ts";
import { deriveServiceRegistry, isVisible, registeredService, serviceInCluster, withAutomaticAddresses, type ServiceModel, type ServiceRegistry } from "../model/service-model.ts";
import { deriveOutboundScopes, destinationService, type OutboundScopes } from "../model/sidecar-scope.ts";
import { deriveVirtualServices, type VirtualServiceModel, type VirtualServices } from "../model/virtual-service-model.ts";
import { deriveWaypoints, type Waypoints } from "../model/waypoint.ts";
import { blackHoleCluster, blackHoleName, connectOriginateCluster, connectOriginateName, passthroughCluster, passthroughName } from "./cluster.ts";
import { deriveOutboundClusters, type OutboundClusters } from "./outbound-clusters.ts";
import { connectOriginateListener } from "./gateway-listener.ts";
import { nameTable } from "./outbound-name-table.ts";
import { outboundListeners, virtualOutboundListener, type ListenerPort } from "./outbound-listener.ts";
import { deriveOutboundPorts, listenerParts, type OutboundPort } from "./outbound-port.ts";
import { l4VirtualService } from "./route-layer4.ts";
import { deriveOutboundRoutes, type OutboundRoutes } from "./outbound-route-tables.ts";
import { type EncodedResource, encodeResource, sameResource, sameScopedResource, type ScopedEncodedResource, scopedEntry } from "./resource.ts";
import { TelemetryPolicies } from "./telemetry-policies.ts";

/** The services, their endpoints and what configuration says of them, for all that translates. */
export interface MeshModel {
  readonly inputs: MeshInputs;
  readonly registry: ServiceRegistry;
  readonly endpoints: ServiceEndpoints;
  readonly virtualServices: VirtualServices;
  readonly destinationRules: DestinationRules;
  readonly scopes: OutboundScopes;
  /** Of Gateway API. */
  readonly routes: RouteModels;
  readonly l4Routes: readonly [tls: Collection<L4RouteModel>, tcp: Collection<L4RouteModel>];
  readonly waypoints: Waypoints;
  readonly networkGateways: NetworkGatewaysModel;
}

export function deriveMeshModel(graph: CollectionGraph, inputs: MeshInputs): MeshModel {
  const routes = deriveRouteModels(graph, inputs);
  const registry = deriveServiceRegistry(graph, inputs);
  const endpoints = deriveServiceEndpoints(graph, inputs);
  const virtualServices = deriveVirtualServices(graph, inputs);
  const destinationRules = deriveDestinationRules(graph, inputs);
  const networkGateways = deriveNetworkGateways(graph, inputs);
  const scopes = deriveOutboundScopes(graph, { inputs, registry, virtualServices, destinationRules, networkGateways });
  return { inputs, registry, networkGateways, endpoints, virtualServices, destinationRules, scopes, routes, l4Routes: deriveL4RouteModels(graph, inputs), waypoints: deriveWaypoints(graph, inputs) };
}

/**
 * The HTTPRoutes and GRPCRoutes that are attached to a Service's port and hold for clients of a namespace: those of that namespace, else
 * those of the Service's own.
 */
export function routesToService(service: ServiceModel, port: number, clientNamespace: string, { routes }: Pick<MeshModel, "routes">, reader: CollectionReader): readonly RouteModel[] {
  return attachedTo(service, port, clientNamespace, routes, reader);
}

/** The TLSRoutes and TCPRoutes, likewise. */
export function l4RoutesToService(service: ServiceModel, port: number, clientNamespace: string, { l4Routes }: Pick<MeshModel, "l4Routes">, reader: CollectionReader): readonly L4RouteModel[] {
  return attachedTo(service, port, clientNamespace, l4Routes, reader).toSorted((left, right) => byAge(left.route, right.route));
}

type Attached = Pick<RouteModel, "parents"> & { readonly route: { readonly namespace: string } };

function attachedTo<Model extends Attached>(service: ServiceModel, port: number, clientNamespace: string, collections: readonly Collection<Model>[], reader: CollectionReader): readonly Model[] {
  const key = parentKey({ registry: service.registry, key: `${service.namespace}/${service.registry === "Kubernetes" ? service.name : service.objectName}` });
  const attaches = ({ parents }: Attached): boolean => parents.some((parent) => parent.refused === undefined && parent.service !== undefined && parentKey(parent.service) === key && (parent.service.port ?? port) === port);
  const services = ({ parents }: Attached): ReadonlySet<string> => new Set(parents.flatMap((parent) => (parent.refused === undefined && parent.service !== undefined ? [parentKey(parent.service)] : [])));
  const attached = collections.flatMap((collection) => reader.lookup(collection.index("service", services), key)).filter(attaches);
  const ofClient = attached.filter(({ route }) => route.namespace === clientNamespace);
  return ofClient.length > 0 ? ofClient : attached.filter(({ route }) => route.namespace === service.namespace);
}

function parentKey({ registry, key }: { readonly registry: ServiceModel["registry"]; readonly key: string }): string {
  return `${registry} ${key}`;
}

/** What sidecars and gateways are served to reach others. */
export interface OutboundResources {
  /** Clusters of no service, by name. */
  readonly fixedClusters: Collection<EncodedResource>;
  readonly clusters: OutboundClusters;
  /** Of sidecars, by scope. */
  readonly listeners: readonly Collection<ScopedEncodedResource>[];
  readonly routes: OutboundRoutes;
  /** Of those that answer DNS. */
  readonly nameTables: Collection<ScopedEncodedResource>;
}

export function deriveOutboundResources(graph: CollectionGraph, model: MeshModel): OutboundResources {
  const telemetry = new TelemetryPolicies(model.inputs);
  const ports = deriveOutboundPorts(graph, model.scopes.scopes, model.virtualServices);
  return {
    fixedClusters: deriveFixedClusters(graph, model.inputs),
    clusters: deriveOutboundClusters(graph, model.scopes.scopes, model),
    listeners: [deriveFixedListeners(graph, model, telemetry), deriveListeners(graph, ports, model, telemetry)],
    routes: deriveOutboundRoutes(graph, ports, model),
    nameTables: deriveNameTables(graph, model),
  };
}

function deriveFixedListeners(graph: CollectionGraph, { inputs, scopes, registry }: MeshModel, telemetry: TelemetryPolicies): Collection<ScopedEncodedResource> {
  return graph.derive(
    "lds-outbound-fixed",
    scopes.scopes,
    (scope, reader) => {
      const mesh = reader.get(inputs.mesh, meshKey);
      if (mesh === undefined || scope.kind !== "sidecar") return [];
      const serviceOf = (host: string) => destinationService(host, scope.namespace, registry, reader);
      const listeners = [virtualOutboundListener({ mesh, port: scope, serviceOf, telemetry: telemetry.telemetryFor({ namespace: scope.namespace, labels: scope.labels }, "outbound", mesh, reader) }), ...(scope.hbone ? [connectOriginateListener()] : [])];
      return listeners.map((listener) => scopedEntry(scope.scope, encodeResource(ListenerSchema, listener.name, listener)));
    },
    sameScopedResource,
  );
}

function deriveListeners(graph: CollectionGraph, ports: Collection<OutboundPort>, model: MeshModel, policies: TelemetryPolicies): Collection<ScopedEncodedResource> {
  const parts = graph.derive("listener-parts", ports, (port, reader) => {
    const virtualServices = port.virtualServices.filter((key) => reader.get(model.virtualServices.layer4, key) !== undefined);
    return listenerParts({ ...port, virtualServices }, (entry) => portService(port, entry, model.registry, reader));
  });
  return graph.derive(
    "lds-outbound",
    parts,
    (port, reader) => {
      const resolved = resolvePort(port, model, model.virtualServices.layer4, reader);
      if (resolved === undefined) return [];
      const telemetry = policies.telemetryFor({ namespace: port.namespace, labels: port.labels }, "outbound", resolved.mesh, reader);
      const l4Routes = resolved.services.flatMap(({ service, port: own }) => l4RoutesToService(service, own.port, port.namespace, model, reader).map((route) => l4VirtualService(route, service, own.port)));
      return outboundListeners({ ...resolved, virtualServices: [...l4Routes, ...resolved.virtualServices], telemetry }).map((listener) => scopedEntry(port.scope, encodeResource(ListenerSchema, listener.name, listener)));
    },
    sameScopedResource,
  );
}

/** The table's resource has no name, as there is one for each proxy. */
function deriveNameTables(graph: CollectionGraph, { scopes, registry, endpoints }: MeshModel): Collection<ScopedEncodedResource> {
  return graph.derive(
    "nds",
    scopes.scopes,
    (scope, reader) => {
      if (!scope.dnsCapture) return [];
      const services = scope.services.flatMap((entry) => registeredService(entry, registry, reader) ?? []).map((service) => withAutomaticAddresses(serviceInCluster(service, scope.clusterId)));
      // Addresses of other networks would be asked for past their gateways.
      const isNear = ({ network }: EndpointModel): boolean => network === "" || (scope.network ?? "") === "" || network === scope.network;
      const table = nameTable(services, (service) => service.ports.flatMap((port) => getEndpoints(endpoints, service, port.port, reader).filter(isNear)));
      return [scopedEntry(scope.scope, encodeResource(NameTableSchema, "", table))];
    },
    sameScopedResource,
  );
}

function resolvePort(port: OutboundPort, model: MeshModel, virtualServices: Collection<VirtualServiceModel>, reader: CollectionReader): Omit<ListenerPort, "telemetry"> | undefined {
  const mesh = reader.get(model.inputs.mesh, meshKey);
  if (mesh === undefined) return undefined;
  const { namespace, labels } = port;
  const serviceOf = (host: string): ServiceModel | undefined => destinationService(host, namespace, model.registry, reader);
  const ruleOf = (host: string) => destinationRuleFor(serviceOf(host) ?? { hostname: host, namespace: "" }, { namespace, labels }, mesh, model.destinationRules, reader);
  return {
    port,
    mesh,
    services: port.services.flatMap((entry) => {
      const service = portService(port, entry, model.registry, reader);
      const own = service?.ports.find((candidate) => candidate.port === port.port) ?? (port.protocol === undefined ? undefined : service?.ports[0]);
      return service === undefined || own === undefined ? [] : { service, port: { ...own, port: port.port } };
    }),
    virtualServices: port.virtualServices.flatMap((key) => reader.get(virtualServices, key) ?? []),
    serviceOf,
    ruleOf,
    aliasesOf: (host) => reader.lookup(model.registry.aliases, host).filter((alias) => isVisible(alias, namespace)).map((alias) => alias.hostname),
    endpointsOf: (service, number) => getEndpoints(model.endpoints, service, number, reader),
  };
}

/** A service as the proxies of a port have it. */
export function portService(port: OutboundPort, entry: OutboundPort["services"][number], registry: ServiceRegistry, reader: CollectionReader): ServiceModel | undefined {
  const registered = registeredService(entry, registry, reader);
  if (registered === undefined) return undefined;
  const service = serviceInCluster(registered, port.clusterId);
  return port.dnsCapture ? withAutomaticAddresses(service) : service;
}

/** Gateways have no original destinations to pass on to. */
export function fixedClusterNames(kind: "sidecar" | "router", hbone: boolean): readonly string[] {
  return [blackHoleName, ...(kind === "sidecar" ? [passthroughName] : []), ...(hbone ? [connectOriginateName] : [])];
}

const fixed: Readonly<Record<string, (mesh: MeshSettings) => Cluster>> = {
  [connectOriginateName]: connectOriginateCluster,
  [blackHoleName]: blackHoleCluster,
  [passthroughName]: passthroughCluster,
};

function deriveFixedClusters(graph: CollectionGraph, inputs: MeshInputs): Collection<EncodedResource> {
  return graph.derive("cds-fixed", inputs.mesh, (mesh) => Object.entries(fixed).map(([name, build]) => [name, encodeResource(ClusterSchema, name, build(mesh))] as const), sameResource);
}
