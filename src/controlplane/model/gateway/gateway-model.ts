import type { HttpRouteFilter } from "../../../api/gateway/index.ts";
import type { Collection, CollectionGraph, CollectionReader } from "../../../kube/index.ts";
import { resolveBackend, type ResolvedBackend } from "./backend-resolution.ts";
import { factsKey, meshKey, type HttpRouteFacts, type MeshSettings } from "../facts.ts";
import { asHttpRoute } from "./grpc-route.ts";
import type { Verdict } from "../verdict.ts";
import type { MeshInputs } from "../mesh-inputs.ts";
import { attachmentsOf, type ParentAttachment } from "./route-attachment.ts";
import { withinCopies } from "./route-copies.ts";

export interface RouteBackends {
  readonly backends: readonly (readonly ResolvedBackend[])[];
  /** The backends of mirrors: by rule, and then by filter. */
  readonly mirrors: readonly (readonly ResolvedBackend[])[];
  /** The first fault of a reference. Undefined if all references are resolved. */
  readonly unresolved: Verdict;
}

/** An HTTPRoute (or a GRPCRoute converted to one) with its parents checked and its backends resolved. */
export interface RouteModel {
  readonly route: HttpRouteFacts;
  readonly parents: readonly ParentAttachment[];
  /** The backends for requests that arrive at a Gateway. */
  readonly gateway: RouteBackends;
  /** The backends for requests to the Services that are its parents. */
  readonly mesh: RouteBackends;
}

export type RouteModels = readonly [http: Collection<RouteModel>, grpc: Collection<RouteModel>];

/** The routes of each kind with one of our Gateways or a Service as a parent, by `namespace/name`. */
export function deriveRouteModels(graph: CollectionGraph, inputs: MeshInputs): RouteModels {
  return [
    graph.derive("route-models", inputs.httpRoutes, (route, reader) => routeModel(route, "HTTPRoute", inputs, reader)),
    graph.derive("grpc-route-models", inputs.grpcRoutes, (route, reader) =>
      routeModel(asHttpRoute(route), "GRPCRoute", inputs, reader),
    ),
  ];
}

function routeModel(
  route: HttpRouteFacts,
  kind: "HTTPRoute" | "GRPCRoute",
  inputs: MeshInputs,
  reader: CollectionReader,
): readonly (readonly [string, RouteModel])[] {
  const mesh = reader.get(inputs.mesh, meshKey);
  const parents = withinCopies(route, attachmentsOf(route, kind, inputs, reader), inputs, reader);
  if (mesh === undefined || parents.length === 0) return [];
  const gateway = resolveAll(route, kind, { mesh, inputs, reader, needsGrant: true });
  const foreign = route.spec.rules.some(({ backendRefs, filters }) =>
    [
      ...backendRefs,
      ...filters.flatMap((filter) => (filter.type === "RequestMirror" ? filter.requestMirror.backendRef : [])),
    ].some((reference) => (reference.namespace ?? route.namespace) !== route.namespace),
  );
  const ofMesh =
    foreign && parents.some(({ service }) => service !== undefined)
      ? resolveAll(route, kind, { mesh, inputs, reader, needsGrant: false })
      : gateway;
  return [[factsKey(route), { route, parents, gateway, mesh: ofMesh }]];
}

function resolveAll(
  route: HttpRouteFacts,
  kind: string,
  sources: {
    readonly mesh: MeshSettings;
    readonly inputs: MeshInputs;
    readonly reader: CollectionReader;
    readonly needsGrant: boolean;
  },
): RouteBackends {
  const resolve = (reference: Parameters<typeof resolveBackend>[0]): ResolvedBackend =>
    resolveBackend(reference, { ...sources, namespace: route.namespace, kind });
  const backends = route.spec.rules.map((rule) => rule.backendRefs.map(resolve));
  const mirrors = route.spec.rules.map((rule) =>
    rule.filters.flatMap((filter) => (filter.type === "RequestMirror" ? resolve(filter.requestMirror.backendRef) : [])),
  );
  return { backends, mirrors, unresolved: firstFault([...backends, ...mirrors].flat()) ?? unsupportedFilter(route) };
}

function firstFault(backends: readonly ResolvedBackend[]): Verdict {
  for (const backend of backends) if ("fault" in backend) return backend.fault;
  return undefined;
}

/** Requests of a rule with an unsupported filter are answered with an error. */
export function isUnsupported({ type }: HttpRouteFilter): boolean {
  return type === "ExtensionRef" || type === "ExternalAuth";
}

const backendFilters: readonly HttpRouteFilter["type"][] = ["RequestHeaderModifier", "ResponseHeaderModifier"];

function unsupportedFilter(route: HttpRouteFacts): Verdict {
  for (const { filters, backendRefs } of route.spec.rules) {
    const found =
      filters.find(isUnsupported) ??
      backendRefs.flatMap((backend) => backend.filters).find(({ type }) => !backendFilters.includes(type));
    if (found !== undefined) return { reason: "InvalidFilter", message: `unsupported filter type "${found.type}"` };
  }
  return undefined;
}
