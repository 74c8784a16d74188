import { seededRandom } from "../../../base/index.ts";
import type { Scenario } from "../scenario.ts";
import { replacedScenarioOf } from "./replaced-scenario.ts";

const retireSalt = 0x9e_71;

/**
 * Adds to {@link replacedScenarioOf}: people who stop the stable version after the end of a Canary of routes, or let
 * the Canary run again.
 */
export function retiredScenarioOf(seed: number): Scenario {
  const scenario = replacedScenarioOf(seed);
  const random = seededRandom(seed ^ retireSalt);
  const rollouts = scenario.rollouts.map((rollout) => {
    const [isRetired, isAgain] = [random() < 0.4, random() < 0.4];
    if (rollout.canary === undefined || rollout.watched) return rollout;
    return {
      ...rollout,
      ...(isRetired ? { retiresStable: true as const } : {}),
      ...(isAgain ? { runsAgain: true as const } : {}),
    };
  });
  return { ...scenario, rollouts };
}
