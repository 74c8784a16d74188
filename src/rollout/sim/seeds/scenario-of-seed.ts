import type { Scenario } from "../scenario.ts";
import { replacedScenarioOf } from "./replaced-scenario.ts";

/** Generates the scenario of a seed. */
export function scenarioOf(seed: number): Scenario {
  return replacedScenarioOf(seed);
}
