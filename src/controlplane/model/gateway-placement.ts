import type { Collection, CollectionGraph } from "../../kube/index.ts";
import { factsKey, type GatewayFacts } from "./facts.ts";
import { isIngressClass } from "./gateway-class.ts";
import type { MeshInputs } from "./mesh-inputs.ts";
import { owningRevision } from "./ownership.ts";

/** What a revision has to do with a Gateway of the class. */
export interface GatewayPlacement {
  readonly owned: boolean;
  /** The Gateway names this revision as its canary. */
  readonly canary: boolean;
  /** False when the Gateway names an address of its own: then somebody else deploys its proxies. */
  readonly managed: boolean;
  /** What its objects are made of, so that a change of it is seen. */
  readonly gateway: GatewayFacts;
}

const canaryRevision = "rollout.serin.dev/canary-revision";

export function deriveGatewayPlacements(graph: CollectionGraph, inputs: MeshInputs, revision: string): Collection<GatewayPlacement> {
  return graph.derive("gateway-placements", inputs.gateways, (gateway, reader) => {
    if (!isIngressClass(gateway.spec.gatewayClassName, inputs, reader)) return [];
    const owned = owningRevision(gateway, inputs, reader) === revision;
    // Also while the revision owns the Gateway already: who promotes it takes the canary away when the rest has rolled.
    const canary = gateway.annotations[canaryRevision] === revision;
    const managed = (gateway.spec.addresses ?? []).every((address) => address.type !== "Hostname");
    return [[factsKey(gateway), { owned, canary, managed, gateway }]];
  });
}
