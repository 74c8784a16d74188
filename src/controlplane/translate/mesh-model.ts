import type { Collection, CollectionGraph, CollectionReader } from "../../kube/index.ts";
import { deriveDestinationRules, type DestinationRules } from "../model/destination-rule-model.ts";
import { byAge, type PodFacts } from "../model/facts.ts";
import { deriveRouteModels, type RouteModel, type RouteModels } from "../model/gateway/gateway-model.ts";
import { deriveL4RouteModels, type L4RouteModel } from "../model/gateway/l4-route-model.ts";
import type { MeshInputs } from "../model/mesh-inputs.ts";
import { deriveNetworkGateways, type NetworkGatewaysModel } from "../model/network-gateways.ts";
import { deriveServiceEndpoints, type ServiceEndpoints } from "../model/service/service-endpoints.ts";
import { takesHbone } from "../model/service/tunnel-servers.ts";
import { deriveServiceRegistry, type ServiceModel, type ServiceRegistry } from "../model/service/service-model.ts";
import { deriveOutboundScopes, type OutboundScopes } from "../model/derive-outbound-scopes.ts";
import { deriveVirtualServices, type VirtualServices } from "../model/routing/virtual-service-model.ts";
import { deriveWaypoints, type Waypoints } from "../model/ambient/waypoint.ts";

/**
 * Says whether pods accept HBONE: one collection for the control plane's own cluster, one for remote clusters. Each has
 * at most one element.
 */
export type HboneServers = readonly Collection<boolean>[];

export interface MeshModel {
  readonly inputs: MeshInputs;
  readonly registry: ServiceRegistry;
  readonly endpoints: ServiceEndpoints;
  readonly virtualServices: VirtualServices;
  readonly destinationRules: DestinationRules;
  readonly scopes: OutboundScopes;
  readonly routes: RouteModels;
  readonly l4Routes: readonly [tls: Collection<L4RouteModel>, tcp: Collection<L4RouteModel>];
  readonly waypoints: Waypoints;
  readonly networkGateways: NetworkGatewaysModel;
  readonly hboneServers: HboneServers;
}

export function deriveMeshModel(graph: CollectionGraph, inputs: MeshInputs): MeshModel {
  const routes = deriveRouteModels(graph, inputs);
  const registry = deriveServiceRegistry(graph, inputs);
  const endpoints = deriveServiceEndpoints(graph, inputs, registry);
  const virtualServices = deriveVirtualServices(graph, inputs);
  const destinationRules = deriveDestinationRules(graph, inputs);
  const networkGateways = deriveNetworkGateways(graph, inputs);
  const scopes = deriveOutboundScopes(graph, { inputs, registry, virtualServices, destinationRules, networkGateways });
  return {
    inputs,
    registry,
    networkGateways,
    endpoints,
    virtualServices,
    destinationRules,
    scopes,
    routes,
    l4Routes: deriveL4RouteModels(graph, inputs),
    waypoints: deriveWaypoints(graph, inputs),
    hboneServers: deriveHboneServers(graph, inputs),
  };
}

/**
 * The HTTPRoutes and GRPCRoutes that are attached to a Service's port and apply to clients of a namespace: those in the
 * clients' namespace or, if there are none, those in the Service's namespace.
 */
export function routesToService(
  service: ServiceModel,
  port: number,
  clientNamespace: string,
  { routes }: Pick<MeshModel, "routes">,
  reader: CollectionReader,
): readonly RouteModel[] {
  return attachedTo(service, port, clientNamespace, routes, reader);
}

/** The TLSRoutes and TCPRoutes of a service, like {@link routesToService}. */
export function l4RoutesToService(
  service: ServiceModel,
  port: number,
  clientNamespace: string,
  { l4Routes }: Pick<MeshModel, "l4Routes">,
  reader: CollectionReader,
): readonly L4RouteModel[] {
  return attachedTo(service, port, clientNamespace, l4Routes, reader).toSorted((left, right) =>
    byAge(left.route, right.route),
  );
}

export function anyL4Route({ l4Routes }: Pick<MeshModel, "l4Routes">, reader: CollectionReader): boolean {
  return l4Routes.some((collection) => isAttached(collection, reader));
}

export function anyRoute({ routes }: Pick<MeshModel, "routes">, reader: CollectionReader): boolean {
  return routes.some((collection) => isAttached(collection, reader));
}

export function deriveHboneServers(graph: CollectionGraph, { pods, remote }: MeshInputs): HboneServers {
  const derive = (name: string, all: Collection<PodFacts>): Collection<boolean> =>
    graph.flatten(
      name,
      all,
      (pod) => (takesHbone(pod) ? [true] : []),
      () => anyKey,
    );
  return [derive("hbone-servers", pods), derive("remote-hbone-servers", remote.pods)];
}

export function anyHboneServer(servers: HboneServers, reader: CollectionReader): boolean {
  return servers.some((pods) => reader.get(pods, anyKey) !== undefined);
}

function isAttached(collection: Collection<Pick<RouteModel, "parents">>, reader: CollectionReader): boolean {
  const attached = collection.index("any-service", ({ parents }) =>
    parents.some(({ service }) => service !== undefined) ? [anyKey] : [],
  );
  return reader.lookup(attached, anyKey).length > 0;
}

const anyKey = "any";

type Attached = Pick<RouteModel, "parents"> & { readonly route: { readonly namespace: string } };

function attachedTo<Model extends Attached>(
  service: ServiceModel,
  port: number,
  clientNamespace: string,
  collections: readonly Collection<Model>[],
  reader: CollectionReader,
): readonly Model[] {
  // As upstream does, leave out the Service's routes for its host in clusterset.local.
  if (service.clusterSet === true) return [];
  const key = parentKey({
    registry: service.registry,
    key: `${service.namespace}/${service.registry === "Kubernetes" ? service.name : service.objectName}`,
  });
  const attaches = ({ parents }: Attached): boolean =>
    parents.some(
      (parent) =>
        parent.refused === undefined &&
        parent.service !== undefined &&
        parentKey(parent.service) === key &&
        (parent.service.port ?? port) === port,
    );
  const services = ({ parents }: Attached): ReadonlySet<string> =>
    new Set(
      parents.flatMap((parent) =>
        parent.refused === undefined && parent.service !== undefined ? [parentKey(parent.service)] : [],
      ),
    );
  const attached = collections
    .flatMap((collection) => reader.lookup(collection.index("service", services), key))
    .filter(attaches);
  const ofClient = attached.filter(({ route }) => route.namespace === clientNamespace);
  return ofClient.length > 0 ? ofClient : attached.filter(({ route }) => route.namespace === service.namespace);
}

function parentKey({ registry, key }: { readonly registry: ServiceModel["registry"]; readonly key: string }): string {
  return `${registry} ${key}`;
}
