import { gatewayCanaryAnnotations } from "../../api/serin/index.ts";
import type { Collection, CollectionGraph } from "../../kube/index.ts";
import { factsKey, type GatewayFacts } from "./facts.ts";
import { isIngressClass, isWaypointClass } from "./gateway-class.ts";
import type { MeshInputs } from "./mesh-inputs.ts";
import { owningRevision } from "./ownership.ts";
import type { Waypoints } from "./waypoint.ts";

/** What a revision has to do with a Gateway of the class. */
export interface GatewayPlacement {
  readonly owned: boolean;
  /** The Gateway names this revision as its canary. */
  readonly canary: boolean;
  /** False when the Gateway names an address of its own: then somebody else deploys its proxies. */
  readonly managed: boolean;
  /** What its objects are made of, so that a change of it is seen. */
  readonly gateway: GatewayFacts;
  /** Of waypoints: one Deployment each. Undefined for other Gateways. */
  readonly waypoints: readonly WaypointDeployment[] | undefined;
}

export interface WaypointDeployment {
  readonly name: string;
  readonly account: string;
}

export function deriveGatewayPlacements(graph: CollectionGraph, inputs: MeshInputs, waypoints: Waypoints, revision: string): Collection<GatewayPlacement> {
  const byGateway = waypoints.all.index("gateway", (waypoint) => [`${waypoint.namespace}/${waypoint.gateway}`]);
  return graph.derive("gateway-placements", inputs.gateways, (gateway, reader) => {
    const isWaypoint = isWaypointClass(gateway.spec.gatewayClassName);
    if (!isWaypoint && !isIngressClass(gateway.spec.gatewayClassName, inputs, reader)) return [];
    const owned = owningRevision(gateway, inputs, reader) === revision;
    // Also while the revision owns the Gateway already: who promotes it takes the canary away when the rest has rolled.
    const canary = gateway.annotations[gatewayCanaryAnnotations.revision] === revision;
    const managed = (gateway.spec.addresses ?? []).every((address) => address.type !== "Hostname");
    const deployments = isWaypoint ? reader.lookup(byGateway, factsKey(gateway)).map(({ name, account }) => ({ name, account })) : undefined;
    // Whether it has served yet is no part of what is deployed.
    return [[factsKey(gateway), { owned, canary, managed, gateway: { ...gateway, programmed: false }, waypoints: deployments }]];
  });
}

