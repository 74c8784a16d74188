import type { Scenario, SimRollout } from "./scenario.ts";
import { simulate } from "./simulate.ts";

/** How a rollout of a cell ends. Without any field, it runs to its end. */
export interface Way extends Pick<SimRollout, "abortedAfterEnd" | "abortedAfterSteps"> {
  /** Whether the new version is bad, so that a check fails. */
  readonly isBad?: boolean;
  /** Whether the engine is killed whenever it has journaled the first writes of a step. See {@link Scenario}. */
  readonly killedBeforeWrites?: boolean;
}

export interface CellResult {
  readonly runs: number;
  readonly failures: readonly string[];
}

export interface CellOptions {
  /** Whether a run is simulated that is rolled back after this number of steps. */
  readonly isTried: (step: number) => boolean;
  /** Whether a run with a bad version is simulated too. */
  readonly hasBad?: boolean;
}

/**
 * Simulates a cell in several ways: to the end, to the end while engines are killed, undone from the end, undone from
 * each step that `isTried` accepts, and with `hasBad` rolled back because of a bad version.
 */
export function simulateWays(
  title: string,
  scenarioOf: (way: Way) => Scenario,
  { isTried, hasBad = false }: CellOptions,
): CellResult {
  const forward = simulate(scenarioOf({}));
  const steps = forward.history.filter((line) => line.includes(" StepDone: ")).length;
  const ways: [string, Way][] = [
    ...Array.from({ length: steps }, (_one, step) => step)
      .filter(isTried)
      .map((step): [string, Way] => [`back after ${step}`, { abortedAfterSteps: step }]),
    ["back after its end", { abortedAfterEnd: true }],
    ...(hasBad ? [["back because it is bad", { isBad: true }] satisfies [string, Way]] : []),
  ];
  const killed = simulate(scenarioOf({ killedBeforeWrites: true }));
  const failures = [
    ...failureOf(`${title} forward`, forward, "is Completed"),
    ...failureOf(`${title} forward, killed before each step's writes`, killed, "is Completed"),
  ];
  for (const [what, way] of ways)
    failures.push(...failureOf(`${title} ${what}`, simulate(scenarioOf(way)), "is RolledBack"));
  return { runs: ways.length + 2, failures };
}

function failureOf(title: string, { failure, history }: ReturnType<typeof simulate>, end: string): string[] {
  const ended = history.some((line) => line.endsWith(end));
  const fault = failure ?? (ended ? undefined : `it never ${end}: ${history.at(-1) ?? ""}`);
  return fault === undefined ? [] : [`${title}: ${fault}`];
}
