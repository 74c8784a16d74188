import type { HttpRouteFilter } from "../../api/gateway/index.ts";
import type { Collection, CollectionGraph } from "../../kube/index.ts";
import { resolveBackend, type ResolvedBackend } from "./backend-resolution.ts";
import { factsKey, meshKey, type HttpRouteFacts } from "./facts.ts";
import type { Verdict } from "./listener-validation.ts";
import type { MeshInputs } from "./mesh-inputs.ts";
import { attachmentsOf, type ParentAttachment } from "./route-attachment.ts";

/** An HTTPRoute with its parents judged and its backends resolved. */
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

/** All routes that some Gateway of ours or a Service is a parent of, by `namespace/name`. */
export function deriveRouteModels(graph: CollectionGraph, inputs: MeshInputs): Collection<RouteModel> {
  return graph.derive("route-models", inputs.httpRoutes, (route, reader) => {
    const mesh = reader.get(inputs.mesh, meshKey);
    const parents = attachmentsOf(route, "HTTPRoute", inputs, reader);
    if (mesh === undefined || parents.length === 0) return [];
    const resolve = (reference: Parameters<typeof resolveBackend>[0]): ResolvedBackend => resolveBackend(reference, route.namespace, mesh, inputs, reader);
    const backends = route.spec.rules.map((rule) => rule.backendRefs.map(resolve));
    const mirrors = route.spec.rules.map((rule) => rule.filters.flatMap((filter) => (filter.type === "RequestMirror" ? resolve(filter.requestMirror.backendRef) : [])));
    return [[factsKey(route), { route, parents, backends, mirrors, unresolved: firstFault([...backends, ...mirrors].flat()) ?? unsupportedFilter(route) }]];
  });
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
