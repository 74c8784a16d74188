import { seededRandom } from "../../../base/index.ts";
import { calmFromTick, type Disturbance, type Scenario } from "../scenario.ts";
import { pick } from "./pick.ts";
import { servicesScenarioOf } from "./services-scenario.ts";

const remadeSalt = 0x6e_a3;

/**
 * Adds to {@link servicesScenarioOf}: in a third of the upgrades somebody deletes a namespace, and makes it again with
 * its content.
 */
export function remadeScenarioOf(seed: number): Scenario {
  const scenario = servicesScenarioOf(seed);
  const random = seededRandom(seed ^ remadeSalt);
  const remade = scenario.rollouts.flatMap(({ kind }, rollout): Disturbance[] =>
    kind !== "MeshUpgrade" || random() > 0.35
      ? []
      : [{ type: "remakeNamespace", atTick: 5 + pick(random, calmFromTick - 40), rollout }],
  );
  return { ...scenario, disturbances: [...scenario.disturbances, ...remade] };
}
