import { seededRandom } from "../../../base/index.ts";
import { calmFromTick, type Disturbance, type Scenario } from "../scenario.ts";
import { pick } from "./pick.ts";
import { skewedScenarioOf } from "./skewed-scenario.ts";

const servicesSalt = 0x5e_c7;

/**
 * Adds to {@link skewedScenarioOf}: in a third of the Canaries somebody changes selectors, removes a subset or drains a
 * node, and in a tenth of the seeds the API server does not answer for more than a minute.
 */
export function servicesScenarioOf(seed: number): Scenario {
  const scenario = skewedScenarioOf(seed);
  const random = seededRandom(seed ^ servicesSalt);
  const changed = scenario.rollouts.flatMap(({ kind }, rollout): Disturbance[] => {
    if (kind !== "Canary" || random() > 0.35) return [];
    const atTick = 5 + pick(random, calmFromTick - 80);
    const type = (["changeSelector", "dropSubset", "drain"] as const)[pick(random, 3)] ?? "drain";
    const untilTick = atTick + 1 + pick(random, 60);
    if (type === "drain") return [{ type, atTick, rollout }];
    if (type === "dropSubset") return [{ type, atTick, untilTick, rollout }];
    return [{ type, atTick, untilTick, rollout, service: pick(random, 12) }];
  });
  const down: Disturbance[] =
    random() < 0.1 ? [{ type: "apiDown", atTick: 1 + pick(random, 60), untilTick: calmFromTick - 1 }] : [];
  return { ...scenario, disturbances: [...scenario.disturbances, ...changed, ...down] };
}
