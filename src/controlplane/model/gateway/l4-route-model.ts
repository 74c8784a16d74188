import type { L4RouteRule } from "../../../api/gateway/index.ts";
import type { Collection, CollectionGraph } from "../../../kube/index.ts";
import { resolveBackend, type ResolvedBackend } from "./backend-resolution.ts";
import { factsKey, meshKey, type ConfigFacts } from "../facts.ts";
import type { Verdict } from "../verdict.ts";
import type { MeshInputs } from "../mesh-inputs.ts";
import { attachmentsOf, type AttachableRoute, type ParentAttachment } from "./route-attachment.ts";

/** A TLSRoute or TCPRoute with its parents checked and its backends resolved. */
export interface L4RouteModel {
  readonly kind: "TLSRoute" | "TCPRoute";
  readonly route: ConfigFacts<{
    readonly parentRefs: AttachableRoute["spec"]["parentRefs"];
    readonly hostnames?: readonly string[];
    readonly rules: readonly L4RouteRule[];
  }>;
  readonly parents: readonly ParentAttachment[];
  /** The backends of the first rule, for connections that arrive at a Gateway. The Gateway API allows only one rule. */
  readonly gateway: L4Backends;
  /** The backends for connections to the Services that are its parents. */
  readonly mesh: L4Backends;
}

export interface L4Backends {
  readonly backends: readonly { readonly resolved: ResolvedBackend; readonly weight: number }[];
  readonly unresolved: Verdict;
}

/** The TLSRoutes and TCPRoutes, by `namespace/name`. */
export function deriveL4RouteModels(
  graph: CollectionGraph,
  inputs: MeshInputs,
): readonly [tls: Collection<L4RouteModel>, tcp: Collection<L4RouteModel>] {
  const derive = <Route extends L4RouteModel["route"]>(
    name: string,
    kind: L4RouteModel["kind"],
    routes: Collection<Route>,
  ): Collection<L4RouteModel> =>
    graph.derive(name, routes, (route, reader) => {
      const mesh = reader.get(inputs.mesh, meshKey);
      const parents = attachmentsOf(route, kind, inputs, reader);
      if (mesh === undefined || parents.length === 0) return [];
      const resolve = (needsGrant: boolean): L4Backends => {
        const context = { mesh, inputs, reader, namespace: route.namespace, kind, needsGrant };
        const backends = (route.spec.rules[0]?.backendRefs ?? []).map((reference) => ({
          resolved: resolveBackend(reference, context),
          weight: reference.weight,
        }));
        const faulty = backends.find(({ resolved }) => "fault" in resolved)?.resolved;
        return { backends, unresolved: faulty !== undefined && "fault" in faulty ? faulty.fault : undefined };
      };
      return [[factsKey(route), { kind, route, parents, gateway: resolve(true), mesh: resolve(false) }]];
    });
  return [
    derive("tls-route-models", "TLSRoute", inputs.tlsRoutes),
    derive("tcp-route-models", "TCPRoute", inputs.tcpRoutes),
  ];
}
