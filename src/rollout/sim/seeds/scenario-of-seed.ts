import type { Scenario } from "../scenario.ts";
import { remadeScenarioOf } from "./remade-scenario.ts";

/** Generates the scenario of a seed. */
export function scenarioOf(seed: number): Scenario {
  return remadeScenarioOf(seed);
}
