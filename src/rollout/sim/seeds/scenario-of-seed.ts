import type { Scenario } from "../scenario.ts";
import { skewedScenarioOf } from "./skewed-scenario.ts";

/** Generates the scenario of a seed. */
export function scenarioOf(seed: number): Scenario {
  return skewedScenarioOf(seed);
}
