import { seededRandom } from "../../../base/index.ts";
import type { Scenario } from "../scenario.ts";
import { pick } from "./pick.ts";
import { sharedScenarioOf } from "./shared-scenario.ts";

const skewSalt = 0x5c_e3;
const maxSkewMs = 120_000;

/** Adds to {@link sharedScenarioOf}: in a seventh of the seeds the clocks of the leaders differ. */
export function skewedScenarioOf(seed: number): Scenario {
  const scenario = sharedScenarioOf(seed);
  const random = seededRandom(seed ^ skewSalt);
  if (random() > 0.15) return scenario;
  return { ...scenario, clockSkewMs: pick(random, 2 * maxSkewMs) - maxSkewMs };
}
