import type { Disturbance, Scenario } from "./scenario.ts";
import { simulate, type SimResult } from "./simulate.ts";

export interface Shrunk {
  readonly scenario: Scenario;
  readonly result: SimResult;
}

const maxRuns = 400;

/**
 * Searches for a smaller scenario with the same kind of failure: fewer rollouts, disturbances, faults and steps. Stops
 * after {@link maxRuns}.
 */
export function shrink(scenario: Scenario): Shrunk {
  let best: Shrunk = { scenario, result: simulate(scenario) };
  const failure = kindOf(best.result);
  let runs = 0;
  for (let found = failure !== undefined; found && runs < maxRuns;) {
    found = false;
    for (const candidate of smaller(best.scenario)) {
      runs += 1;
      const result = simulate(candidate);
      if (kindOf(result) === failure) {
        best = { scenario: candidate, result };
        found = true;
        break;
      }
      if (runs >= maxRuns) break;
    }
  }
  return best;
}

/** The beginning of the failure without names and numbers, so that failures of different runs can be compared. */
function kindOf({ failure }: SimResult): string | undefined {
  return failure?.replaceAll(/\b[a-c]\/r\d|\br\d|\d+/g, "").slice(0, 60);
}

function* smaller(scenario: Scenario): Generator<Scenario> {
  const { rollouts, disturbances } = scenario;
  for (const rate of ["crashRate", "lostRate", "staleRate"] as const)
    if (scenario[rate] > 0) yield { ...scenario, [rate]: 0 };
  for (const [index] of disturbances.entries())
    yield { ...scenario, disturbances: disturbances.filter((_rollout, at) => at !== index) };
  if (rollouts.length > 1) {
    for (const [index] of rollouts.entries()) {
      yield {
        ...scenario,
        rollouts: rollouts.filter((_rollout, at) => at !== index),
        disturbances: disturbances.flatMap((disturbance): Disturbance[] => {
          if (!("rollout" in disturbance)) return [disturbance];
          const { rollout } = disturbance;
          return rollout === index ? [] : [{ ...disturbance, rollout: rollout > index ? rollout - 1 : rollout }];
        }),
      };
    }
  }
  for (const [index, rollout] of rollouts.entries()) {
    const last = rollout.steps.at(-1);
    if (rollout.steps.length > 1 && last !== undefined)
      yield { ...scenario, rollouts: rollouts.with(index, { ...rollout, steps: [last] }) };
  }
}
