import assert from "node:assert/strict";
import { test } from "node:test";
import type { Scenario } from "./scenario.ts";
import type { SimMesh } from "./sim-mesh.ts";
import { simulate } from "./simulate.ts";

/** An upgrade of gateways alone, which a person deletes at a tick and creates again. */
function leftAt(tick: number, { replicas, weights }: Pick<SimMesh, "replicas" | "weights">): Scenario {
  const mesh: SimMesh = {
    dataPlane: "none",
    gateways: ["operator", "gatewayApi", "waypoint"],
    by: "revision",
    installs: false,
    ztunnelBy: "Pod",
    weights,
    replicas,
    retire: "Automatic",
    stranger: false,
  };
  return {
    seed: tick,
    rollouts: [
      {
        kind: "MeshUpgrade",
        name: "r0",
        namespace: "a",
        watched: false,
        errorRate: 0,
        rollback: "Automatic",
        onDeletion: "Leave",
        steps: [],
        createdAtTick: 0,
        moves: ["a"],
        mesh,
      },
    ],
    disturbances: [{ type: "replace", atTick: tick, rollout: 0 }],
    maxConcurrent: 1,
    crashRate: 0,
    lostRate: 0,
    staleRate: 0,
  };
}

test("gateways end with the pods that they had and without a canary, wherever an earlier upgrade was left", () => {
  // The first upgrade ends before the last tick.
  for (const [replicas, weights, lastTick] of [
    [1, [100], 80],
    [5, [50, 100], 110],
  ] as const)
    for (let tick = 2; tick < lastTick; tick += 4) {
      const { failure, history } = simulate(leftAt(tick, { replicas, weights }));
      assert.equal(failure, undefined, `deleted at tick ${tick}:\n${history.join("\n")}`);
    }
});
