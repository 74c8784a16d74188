import { routeUnits, type Destination, type HttpMatch } from "../../../api/istio/index.ts";
import type { Collection, CollectionGraph, CollectionIndex, CollectionReader } from "../../../kube/index.ts";
import { byCreation } from "../facts.ts";
import type { VirtualServiceModel } from "./virtual-service.ts";

/**
 * The parts of a VirtualService that decide which hosts and destinations exist. A change of weights, timeouts and the
 * like leaves them unchanged.
 */
export interface VirtualServiceShape extends Pick<
  VirtualServiceModel,
  "namespace" | "name" | "createdAt" | "hosts" | "gateways" | "visibleIn"
> {
  readonly http: readonly HttpRouteShape[];
  readonly layer4: readonly Destination[];
  /** The size of the routes, see {@link routeUnits}. It is rounded up to a power of two, so that it seldom changes. */
  readonly units: number;
}

export interface HttpRouteShape {
  readonly match: readonly HttpMatch[];
  readonly destinations: readonly Destination[];
}

export interface VirtualServiceShapes {
  readonly all: Collection<VirtualServiceShape>;
  /** The shapes by `<gateway>@<namespace that sees the VirtualService, or *>`. */
  readonly byGateway: CollectionIndex<VirtualServiceShape>;
}

export function deriveVirtualServiceShapes(
  graph: CollectionGraph,
  models: Collection<VirtualServiceModel>,
): VirtualServiceShapes {
  const all = graph.derive("virtual-service-shapes", models, (model, _, key) => [[key, shapeOf(model)]]);
  return {
    all,
    byGateway: all.index("gateway", (shape) =>
      shape.gateways.flatMap((gateway) => shape.visibleIn.map((namespace) => `${gateway}@${namespace}`)),
    ),
  };
}

/** The VirtualServices of one gateway that a namespace sees, in the order of {@link virtualServicesOf}. */
export function virtualServiceShapesOf(
  gateway: string,
  namespace: string,
  shapes: VirtualServiceShapes,
  reader: CollectionReader,
): readonly VirtualServiceShape[] {
  const exported = reader.lookup(shapes.byGateway, `${gateway}@${namespace}`);
  const isOwn = (shape: VirtualServiceShape): boolean => shape.namespace === namespace;
  const inOrder = (found: readonly VirtualServiceShape[]): readonly VirtualServiceShape[] =>
    [...found].sort(byCreation);
  return [
    ...inOrder(exported.filter(isOwn)),
    ...inOrder(exported.filter((shape) => !isOwn(shape))),
    ...inOrder(reader.lookup(shapes.byGateway, `${gateway}@*`)),
  ];
}

/**
 * The hosts to which the VirtualService sends traffic, with the ports that it names (0 means any). Leaves out an HTTP
 * route if its matches name source namespaces, but not `clientNamespace`. Routes of TCP and TLS always count.
 */
export function destinationsOf(
  shape: VirtualServiceShape,
  clientNamespace: string,
): ReadonlyMap<string, ReadonlySet<number>> {
  const found = new Map<string, Set<number>>();
  const add = ({ host, port }: Destination): void => {
    const ports = found.get(host) ?? new Set();
    found.set(host, ports.add(port?.number ?? 0));
  };
  for (const route of shape.http) {
    const namespaces = route.match.flatMap((match) => match.sourceNamespace ?? []);
    if (namespaces.length > 0 && !namespaces.includes(clientNamespace)) continue;
    for (const destination of route.destinations) add(destination);
  }
  for (const destination of shape.layer4) add(destination);
  return found;
}

function shapeOf({
  namespace,
  name,
  createdAt,
  hosts,
  gateways,
  visibleIn,
  http,
  tls,
  tcp,
}: VirtualServiceModel): VirtualServiceShape {
  return {
    namespace,
    name,
    createdAt,
    hosts,
    gateways,
    visibleIn,
    http: http.map(({ match, route, mirrors }) => ({
      match,
      destinations: [...route, ...mirrors].map(({ destination }) => destination),
    })),
    units: 2 ** Math.ceil(Math.log2(Math.max(1, routeUnits({ http, tls, tcp })))),
    layer4: [...tls, ...tcp].flatMap(({ route }) => route.map(({ destination }) => destination)),
  };
}
