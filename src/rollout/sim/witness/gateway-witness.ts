import type { ObjectReference } from "../../../api/serin/index.ts";
import { invariant } from "../../../base/index.ts";
import { countOf } from "../mesh-in-world.ts";
import { gatewayPods } from "../mesh-model.ts";
import type { ModelCluster } from "../model-cluster.ts";
import type { Scenario, SimRollout } from "../scenario.ts";
import { classicNames, classicReference, gatewayObjects, isApi, stableOf } from "../sim-mesh.ts";

/** The disturbances in which somebody else changes the number of a gateway's pods, or restores an earlier one. */
const ofPods: ReadonlySet<string> = new Set(["scaleGateway", "restoreEtcd", "remakeNamespace", "endNamespace"]);

/**
 * Checks that a completed upgrade leaves its gateways without a canary and with as many pods as they had before the
 * first upgrade, however many upgrades were deleted in between.
 */
export function gatewaysHaveTheirPods(scenario: Scenario, cluster: ModelCluster, sim: SimRollout): void {
  const { mesh } = sim;
  if (mesh === undefined || scenario.disturbances.some(({ type }) => ofPods.has(type))) return;
  for (const gateway of gatewayObjects(sim)) {
    const { canary } = gatewayPods(cluster, gateway);
    invariant(canary === 0, `${gateway.name} has ${canary} pods of a canary after ${sim.name}`);
  }
  if (mesh.autoscaled === true) return;
  for (const object of scaledDeployments(sim)) {
    const pods = cluster.find(object)?.fields.get("/spec/replicas");
    invariant(
      countOf(pods) === mesh.replicas,
      `${object.name} has ${countOf(pods)} pods after ${sim.name}, and had ${mesh.replicas}`,
    );
  }
}

/** The Deployments of the gateways that upgrades scale. A waypoint keeps its number of pods. */
function scaledDeployments({ name, moves = [], mesh }: SimRollout): readonly ObjectReference[] {
  const [first = "a"] = moves;
  if (mesh === undefined) return [];
  const ofApi = mesh.gateways.filter((kind) => isApi(kind) && kind !== "waypoint");
  return [
    ...ofApi.map((kind) => stableOf(name, kind, first)),
    ...classicNames(name, mesh).map((gateway) => classicReference(gateway)),
  ];
}
