import type { HttpRouteFilter } from "../../api/gateway/index.ts";
import type { Collection, CollectionGraph, CollectionReader } from "../../kube/index.ts";
import { resolveBackend, type ResolvedBackend } from "./backend-resolution.ts";
import { factsKey, meshKey, type HttpRouteFacts } from "./facts.ts";
import { asHttpRoute } from "./grpc-route.ts";
import type { Verdict } from "./listener-validation.ts";
import type { MeshInputs } from "./mesh-inputs.ts";
import { attachmentsOf, type ParentAttachment } from "./route-attachment.ts";

/** An HTTPRoute, or a GRPCRoute as the HTTPRoute that it means, with its parents judged and its backends resolved. */
export interface RouteModel {
  readonly route: HttpRouteFacts;
  readonly parents: readonly ParentAttachment[];
  /** By rule, then by backend. */
  readonly backends: readonly (readonly ResolvedBackend[])[];
  /** Of mirrors, by rule, in the order of its filters. */
  readonly mirrors: readonly (readonly ResolvedBackend[])[];
  /** The first fault of a reference; undefined when all are resolved. */
  readonly unresolved: Verdict;
}

export type RouteModels = readonly [http: Collection<RouteModel>, grpc: Collection<RouteModel>];

/** All routes that some Gateway of ours or a Service is a parent of, of each kind by `namespace/name`. */
export function deriveRouteModels(graph: CollectionGraph, inputs: MeshInputs): RouteModels {
  return [
    graph.derive("route-models", inputs.httpRoutes, (route, reader) => routeModel(route, "HTTPRoute", inputs, reader)),
    graph.derive("grpc-route-models", inputs.grpcRoutes, (route, reader) => routeModel(asHttpRoute(route), "GRPCRoute", inputs, reader)),
  ];
}

function routeModel(route: HttpRouteFacts, kind: "HTTPRoute" | "GRPCRoute", inputs: MeshInputs, reader: CollectionReader): readonly (readonly [string, RouteModel])[] {
  const mesh = reader.get(inputs.mesh, meshKey);
  const parents = attachmentsOf(route, kind, inputs, reader);
  if (mesh === undefined || parents.length === 0) return [];
  const resolve = (reference: Parameters<typeof resolveBackend>[0]): ResolvedBackend => resolveBackend(reference, route.namespace, mesh, inputs, reader, kind);
  const backends = route.spec.rules.map((rule) => rule.backendRefs.map(resolve));
  const mirrors = route.spec.rules.map((rule) => rule.filters.flatMap((filter) => (filter.type === "RequestMirror" ? resolve(filter.requestMirror.backendRef) : [])));
  return [[factsKey(route), { route, parents, backends, mirrors, unresolved: firstFault([...backends, ...mirrors].flat()) ?? unsupportedFilter(route) }]];
}

function firstFault(backends: readonly ResolvedBackend[]): Verdict {
  for (const backend of backends) if ("fault" in backend) return backend.fault;
  return undefined;
}

function unsupportedFilter(route: HttpRouteFacts): Verdict {
  const filters: readonly HttpRouteFilter[] = route.spec.rules.flatMap((rule) => [...rule.filters, ...rule.backendRefs.flatMap((backend) => backend.filters)]);
  const extension = filters.find((filter) => filter.type === "ExtensionRef");
  return extension?.type === "ExtensionRef" ? { reason: "InvalidKind", message: `the filter ${extension.extensionRef.group}/${extension.extensionRef.kind} is not known here` } : undefined;
}
