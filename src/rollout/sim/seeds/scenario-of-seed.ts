import type { Scenario } from "../scenario.ts";
import { remadeScenarioOf } from "./remade-scenario.ts";

/** Generates the scenario of a seed with all disturbances. */
export function scenarioOf(seed: number): Scenario {
  return remadeScenarioOf(seed);
}
