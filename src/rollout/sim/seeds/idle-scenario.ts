import { seededRandom } from "../../../base/index.ts";
import { calmFromTick, type Disturbance, type Scenario } from "../scenario.ts";
import { pick } from "./pick.ts";
import { remadeScenarioOf } from "./remade-scenario.ts";

const idleSalt = 0x1d_1e;

/**
 * The scenario of {@link remadeScenarioOf}. In half of the Canaries of an autoscaled Deployment, the autoscaler scales
 * the Deployment to 0 for a while, once or twice.
 */
export function idleScenarioOf(seed: number): Scenario {
  const scenario = remadeScenarioOf(seed);
  const random = seededRandom(seed ^ idleSalt);
  const idle = scenario.rollouts.flatMap(({ watched, canary }, rollout): Disturbance[] => {
    if (!watched || canary?.autoscaled !== true || random() < 0.5) return [];
    return Array.from({ length: 1 + pick(random, 2) }, () => {
      const atTick = 5 + pick(random, calmFromTick - 60);
      return {
        type: "scaleToZero",
        atTick,
        untilTick: Math.min(calmFromTick - 1, atTick + 5 + pick(random, 80)),
        rollout,
      };
    });
  });
  return { ...scenario, disturbances: [...scenario.disturbances, ...idle] };
}
