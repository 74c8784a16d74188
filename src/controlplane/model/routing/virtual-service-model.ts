import {
  maxExpandedRoutes,
  meshGateway,
  routeUnits,
  type Destination,
  type VirtualServiceHttpRoute,
  type VirtualServiceSpec,
} from "../../../api/istio/index.ts";
import type { Collection, CollectionGraph, CollectionIndex, CollectionReader } from "../../../kube/index.ts";
import { byCreation, factsKey, meshKey, type MeshSettings, type VirtualServiceFacts } from "../facts.ts";
import type { MeshInputs } from "../mesh-inputs.ts";
import { qualifiedHost } from "../service/service-hostname.ts";
import { visibilityOf } from "../service/service-visibility.ts";
import { mergeDelegate } from "./virtual-service-delegate.ts";
import type { VirtualServiceModel } from "./virtual-service.ts";
import { deriveVirtualServiceShapes, type VirtualServiceShapes } from "./virtual-service-shape.ts";

export type { VirtualServiceModel } from "./virtual-service.ts";

export interface VirtualServices {
  readonly models: Collection<VirtualServiceModel>;
  readonly shapes: VirtualServiceShapes;
  /** VirtualServices with TCP or TLS routes, without their HTTP routes, which listeners do not need. */
  readonly layer4: Collection<VirtualServiceModel>;
  /** The VirtualServices by `<gateway>@<namespace that sees the VirtualService, or *>`. */
  readonly byGateway: CollectionIndex<VirtualServiceModel>;
  /** VirtualServices that match labels of their clients, all under one key. */
  readonly withSourceLabels: CollectionIndex<VirtualServiceModel>;
}

export const sourceLabelsKey = "any";

/**
 * How many comparisons of a root's match with a delegate's match are allowed for each route that a VirtualService may
 * have. Most pairs of matches contradict each other and make no route.
 */
const comparisonsPerRoute = 10;

export function deriveVirtualServices(graph: CollectionGraph, inputs: MeshInputs): VirtualServices {
  const models = graph.derive("virtual-services", inputs.virtualServices, (facts, reader) => {
    const mesh = reader.get(inputs.mesh, meshKey);
    // A VirtualService without hosts is only a delegate of others.
    if (mesh === undefined || facts.spec.hosts.length === 0) return [];
    return [[factsKey(facts), virtualServiceModel(facts, mesh, inputs, reader)]];
  });
  return {
    models,
    shapes: deriveVirtualServiceShapes(graph, models),
    layer4: graph.derive("virtual-services-l4", models, (model, _, key) =>
      model.tls.length + model.tcp.length === 0 ? [] : [[key, { ...model, http: [] }]],
    ),
    byGateway: models.index("gateway", (model) =>
      model.gateways.flatMap((gateway) => model.visibleIn.map((namespace) => `${gateway}@${namespace}`)),
    ),
    withSourceLabels: models.index("source-labels", (model) =>
      sourceLabelNames(model).length > 0 ? [sourceLabelsKey] : [],
    ),
  };
}

/**
 * The VirtualServices of one gateway that a namespace sees: its own private ones, then those that are exported to it by
 * name, then the public ones. In each group, the oldest comes first.
 */
export function virtualServicesOf(
  gateway: string,
  namespace: string,
  virtualServices: VirtualServices,
  reader: CollectionReader,
): readonly VirtualServiceModel[] {
  const exported = reader.lookup(virtualServices.byGateway, `${gateway}@${namespace}`);
  const isOwn = (model: VirtualServiceModel): boolean => model.namespace === namespace;
  const inOrder = (models: readonly VirtualServiceModel[]): readonly VirtualServiceModel[] =>
    [...models].sort(byCreation);
  return [
    ...inOrder(exported.filter(isOwn)),
    ...inOrder(exported.filter((model) => !isOwn(model))),
    ...inOrder(reader.lookup(virtualServices.byGateway, `${gateway}@*`)),
  ];
}

export function sourceLabelNames(model: Pick<VirtualServiceModel, "http" | "tls" | "tcp">): readonly string[] {
  const matches = [...model.http, ...model.tls, ...model.tcp].flatMap(
    (route): readonly { readonly sourceLabels: Readonly<Record<string, string>> }[] => route.match,
  );
  return matches.flatMap((match) => Object.keys(match.sourceLabels));
}

function virtualServiceModel(
  facts: VirtualServiceFacts,
  mesh: MeshSettings,
  inputs: MeshInputs,
  reader: CollectionReader,
): VirtualServiceModel {
  const { spec, namespace } = facts;
  const http = withDelegates(facts, mesh, inputs, reader);
  const gateways = spec.gateways.map((gateway) => gatewayName(gateway, namespace));
  return {
    namespace,
    name: facts.name,
    createdAt: facts.createdAt,
    hosts: spec.hosts.map((host) => qualifiedHost(host, namespace, mesh.domain)),
    gateways: gateways.length === 0 ? [meshGateway] : gateways,
    visibleIn: visibilityOf(spec.exportTo.length === 0 ? mesh.defaultVirtualServiceExportTo : spec.exportTo, namespace),
    ...qualifiedRoutes({ ...spec, http }, namespace, mesh),
  };
}

/**
 * The routes, with those of delegates in place of the root routes that name the delegates. Validation limits the routes
 * of one object, but a root may name a delegate many times. Routes beyond the same limit are left out.
 */
function withDelegates(
  facts: VirtualServiceFacts,
  mesh: MeshSettings,
  inputs: MeshInputs,
  reader: CollectionReader,
): readonly VirtualServiceHttpRoute[] {
  const { hosts, http } = facts.spec;
  if (!http.some(({ delegate }) => delegate !== undefined)) return http;
  const routes: VirtualServiceHttpRoute[] = [];
  const known = new Map<string, readonly VirtualServiceHttpRoute[]>();
  const routesOf = (reference: NonNullable<VirtualServiceHttpRoute["delegate"]>) => {
    const key = `${reference.namespace ?? facts.namespace}/${reference.name}`;
    const read = known.get(key) ?? delegateRoutes(facts, reference, mesh, inputs, reader);
    known.set(key, read);
    return read;
  };
  const budget = {
    matches: Math.floor(maxExpandedRoutes / hosts.length),
    comparisons: maxExpandedRoutes * comparisonsPerRoute,
  };
  for (const route of http) {
    if (route.delegate === undefined) budget.matches -= routeUnits({ http: [route], tls: [], tcp: [] });
    if (budget.matches < 0 || budget.comparisons < 0) break;
    if (route.delegate === undefined) routes.push(route);
    else for (const merged of mergeDelegate(route, routesOf(route.delegate), budget)) routes.push(merged);
  }
  return routes;
}

/**
 * The delegate's routes in place of a root's route. Names in them are relative to the delegate's namespace. Empty if
 * the delegate does not exist or is not exported to the root's namespace.
 */
function delegateRoutes(
  root: VirtualServiceFacts,
  reference: NonNullable<VirtualServiceHttpRoute["delegate"]>,
  mesh: MeshSettings,
  inputs: MeshInputs,
  reader: CollectionReader,
): readonly VirtualServiceHttpRoute[] {
  const namespace = reference.namespace ?? root.namespace;
  const delegate = reader.get(inputs.virtualServices, `${namespace}/${reference.name}`);
  if (delegate === undefined || delegate.spec.hosts.length > 0) return [];
  const visibleIn = visibilityOf(
    delegate.spec.exportTo.length === 0 ? mesh.defaultVirtualServiceExportTo : delegate.spec.exportTo,
    namespace,
  );
  if (!visibleIn.includes("*") && !visibleIn.includes(root.namespace)) return [];
  const { http } = qualifiedRoutes(delegate.spec, namespace, mesh);
  return http.filter((candidate) => candidate.delegate === undefined);
}

function qualifiedRoutes(
  spec: Pick<VirtualServiceSpec, "http" | "tls" | "tcp">,
  namespace: string,
  mesh: MeshSettings,
): Pick<VirtualServiceModel, "http" | "tls" | "tcp"> {
  const destination = (found: Destination): Destination => ({
    ...found,
    host: qualifiedHost(found.host, namespace, mesh.domain),
  });
  const route = <Route extends { readonly destination: Destination }>(routes: readonly Route[]): readonly Route[] =>
    routes.map((entry) => ({ ...entry, destination: destination(entry.destination) }));
  const match = <Match extends { readonly gateways: readonly string[] }>(matches: readonly Match[]): readonly Match[] =>
    matches.map((entry) => ({ ...entry, gateways: entry.gateways.map((gateway) => gatewayName(gateway, namespace)) }));
  return {
    http: spec.http.map((entry) => ({
      ...entry,
      match: match(entry.match),
      route: route(entry.route),
      mirrors: entry.mirrors.map((mirror) => ({ ...mirror, destination: destination(mirror.destination) })),
    })),
    tls: spec.tls.map((entry) => ({ match: match(entry.match), route: route(entry.route) })),
    tcp: spec.tcp.map((entry) => ({ match: match(entry.match), route: route(entry.route) })),
  };
}

/** A gateway's name as `mesh` or `namespace/name`. `name.namespace.svc…` is a deprecated form of it. */
function gatewayName(gateway: string, namespace: string): string {
  if (gateway === meshGateway) return gateway;
  if (gateway.includes("/")) return gateway;
  const [name = "", ofNamespace] = gateway.split(".");
  return `${ofNamespace ?? namespace}/${name}`;
}
