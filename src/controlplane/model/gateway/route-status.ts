import type { RouteParentStatus } from "../../../api/gateway/index.ts";
import type { Collection, CollectionGraph } from "../../../kube/index.ts";
import { factsKey, type ConfigFacts, type ObjectUid } from "../facts.ts";
import { gatewayControllerName } from "../gateway-class.ts";
import type { Verdict } from "../verdict.ts";
import type { MeshInputs } from "../mesh-inputs.ts";
import { owningRevision } from "../ownership.ts";
import { attachmentsOf, type ParentAttachment } from "./route-attachment.ts";
import { conditionMaker, type WantedCondition } from "../wanted-condition.ts";

export interface WantedRouteStatus {
  readonly uid: ObjectUid;
  /**
   * All parents that are our Gateways, Services or ServiceEntries. Some belong to other revisions, and this revision
   * does not write the entries of those.
   */
  readonly parents: readonly {
    readonly owned: boolean;
    readonly status: Omit<RouteParentStatus, "conditions"> & { readonly conditions: readonly WantedCondition[] };
  }[];
}

export interface WantedRouteStatuses {
  readonly kind: RouteKindName;
  readonly statuses: Collection<WantedRouteStatus>;
}

export type RouteKindName = "HTTPRoute" | "GRPCRoute" | "TLSRoute" | "TCPRoute" | "UDPRoute";

export interface JudgedRoute {
  readonly route: Pick<ConfigFacts<unknown>, "namespace" | "name" | "uid" | "labels" | "generation">;
  readonly parents: readonly ParentAttachment[];
  readonly gateway: { readonly unresolved: Verdict };
  readonly mesh: { readonly unresolved: Verdict };
}

/** The status of each route that has one of our Gateways or a Service as a parent. */
export function deriveRouteStatuses(
  graph: CollectionGraph,
  inputs: MeshInputs,
  kind: RouteKindName,
  routes: Collection<JudgedRoute>,
  revision: string,
): Collection<WantedRouteStatus> {
  return graph.derive(`route-statuses-${kind}`, routes, (model, reader, key) => {
    const { route } = model;
    const condition = conditionMaker(route.generation);
    const parents = model.parents.map((parent) => {
      const owner = parent.service === undefined ? reader.get(inputs.gateways, parent.gateway) : route;
      const { unresolved } = parent.service === undefined ? model.gateway : model.mesh;
      const bound = parent.listeners.length;
      const conditions = [
        condition(
          "Accepted",
          parent.refused,
          "Accepted",
          bound > 1 ? `Route was valid, bound to ${bound} parents` : "Route was valid",
        ),
        condition("ResolvedRefs", unresolved, "ResolvedRefs", "All references resolved"),
      ];
      const owned = owner !== undefined && owningRevision(owner, inputs, reader) === revision;
      return {
        owned,
        status: { parentRef: withoutUndefined(parent.parentRef), controllerName: gatewayControllerName, conditions },
      };
    });
    return [[key, { uid: route.uid, parents }]];
  });
}

/** The statuses of UDPRoutes, which say that UDP is not supported. */
export function deriveUdpRouteStatuses(
  graph: CollectionGraph,
  inputs: MeshInputs,
  revision: string,
): Collection<WantedRouteStatus> {
  const refused: Verdict = {
    reason: "UnsupportedProtocol",
    message: "UDPRoute is not supported by this control plane",
  };
  const judged = graph.derive(
    "udp-route-models",
    inputs.udpRoutes,
    (route, reader): Iterable<readonly [string, JudgedRoute]> => {
      const parents = attachmentsOf(route, "UDPRoute", inputs, reader).map((parent) => ({
        ...parent,
        refused,
        listeners: [],
      }));
      return parents.length === 0
        ? []
        : [[factsKey(route), { route, parents, gateway: { unresolved: undefined }, mesh: { unresolved: undefined } }]];
    },
  );
  return deriveRouteStatuses(graph, inputs, "UDPRoute", judged, revision);
}

function withoutUndefined<Value extends object>(value: Value): Value {
  return Object.fromEntries(Object.entries(value).filter(([, entry]) => entry !== undefined)) as Value;
}
