import { seededRandom } from "../../../base/index.ts";
import { calmFromTick, type Disturbance, type Scenario } from "../scenario.ts";
import { pick } from "./pick.ts";
import { retiredScenarioOf } from "./retired-scenario.ts";

const restoreSalt = 0x7e_7c;

/** Adds to {@link retiredScenarioOf}: in a fifth of the seeds somebody restores the API server's storage. */
export function restoredScenarioOf(seed: number): Scenario {
  const scenario = retiredScenarioOf(seed);
  const random = seededRandom(seed ^ restoreSalt);
  if (random() > 0.2) return scenario;
  const atTick = 5 + pick(random, calmFromTick - 80);
  const untilTick = atTick + 1 + pick(random, 60);
  const restored: Disturbance = { type: "restoreEtcd", atTick, untilTick, isRestarted: random() < 0.5 };
  return { ...scenario, disturbances: [...scenario.disturbances, restored] };
}
