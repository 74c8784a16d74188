import type { Scenario } from "../scenario.ts";
import { servicesScenarioOf } from "./services-scenario.ts";

/** Generates the scenario of a seed. */
export function scenarioOf(seed: number): Scenario {
  return servicesScenarioOf(seed);
}
