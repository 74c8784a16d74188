import type { Scenario } from "../scenario.ts";
import { idleScenarioOf } from "./idle-scenario.ts";

/** The scenario of a seed, with the disturbances of all files. */
export function scenarioOf(seed: number): Scenario {
  return idleScenarioOf(seed);
}
