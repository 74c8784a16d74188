// Simulates how often the judge is wrong with default settings. Rates, durations and shares are judged together after
// every batch of requests.
//   node bench/judge.ts [--runs 10000] [--seed 1] [--requests-a-look 20] [--only TEXT] [--json]
// Cases without an expected result run a tenth as often. A run is a rollout with the steps 10, 25, 50, 75 and 100 %. As
// in the engine, the evidence starts again at each step.
import { benchOptions } from "../scripts/arguments/bench-options.ts";
import { checkDefaults } from "../src/api/serin/index.ts";
import { seededRandom } from "../src/base/index.ts";
import {
  istioBoundsMs,
  logNormal,
  simulateRollout,
  withSlowTail,
  type SimulatedRollout,
  type SimulatedVersion,
} from "../src/rollout/judge/testing/judge-simulation.ts";

interface Options {
  readonly runs: number;
  readonly seed: number;
  readonly requestsALook: number;
  /** Only cases whose names contain this text run. */
  readonly only: string;
  readonly json: boolean;
}

interface Scenario {
  readonly name: string;
  readonly rollout: SimulatedRollout;
  /** How a run is expected to end. With `report`, any end is accepted. */
  readonly expected: "completed" | "failed" | "report";
}

interface Result {
  readonly name: string;
  readonly runs: number;
  readonly failedShare: number;
  readonly completedShare: number;
  /** The number of the canary's requests until the end of a run. */
  readonly p50: number;
  readonly p99: number;
  readonly ok: boolean;
}

const rolloutWeights = [10, 25, 50, 75, 100];
const caughtWithin = 500;
const neverEnding = 200_000;
/** The buckets of the mesh's own proxies. Each bound is a fifth above the one before. */
const fineBoundsMs = Array.from({ length: 64 }, (_, index) => 0.5 * 1.2 ** index);

function scenarios(options: Options): Scenario[] {
  const { minSamples, maxErrorRate, shareTolerance, quantiles, maxRatio } = checkDefaults;
  const rollout = (
    canary: SimulatedVersion,
    stable: SimulatedVersion,
    more: Partial<SimulatedRollout> = {},
  ): SimulatedRollout => ({
    canary,
    stable,
    weights: rolloutWeights,
    boundsMs: istioBoundsMs,
    rates: { minSamples, maxErrorRate },
    durations: { minSamples, quantiles, maxRatio },
    shareTolerance,
    requestsALook: options.requestsALook,
    maxCanaryRequests: neverEnding,
    ...more,
  });
  const list: Scenario[] = [];
  const kinds: readonly (readonly [name: string, medianMs: number, spread: number])[] = [
    ["3 ms", 3, 0.5],
    ["40 ms", 40, 0.5],
    ["40 ms, wide", 40, 1],
    ["180 ms", 180, 0.3],
  ];
  for (const [name, medianMs, spread] of kinds) {
    for (const errorRate of [0, 0.004, 0.02]) {
      const version = { errorRate, durationMs: logNormal(medianMs, spread) };
      list.push({
        name: `equal, ${name}, ${errorRate * 100} % errors`,
        rollout: rollout(version, version),
        expected: "completed",
      });
    }
  }
  for (const weights of [rolloutWeights, [10], [50], [100]]) {
    const at = weights.length === 1 ? `${weights[0] ?? 0} %` : "a rollout";
    const caught = { weights, maxCanaryRequests: caughtWithin };
    const [bad, good] = [
      { errorRate: 0.05, durationMs: logNormal(40, 0.5) },
      { errorRate: 0, durationMs: logNormal(40, 0.5) },
    ];
    list.push({ name: `5 % errors against none, ${at}`, rollout: rollout(bad, good, caught), expected: "failed" });
    if (weights[0] === 100) continue;
    for (const [name, medianMs, spread] of kinds) {
      const slow = { errorRate: 0, durationMs: logNormal(2 * medianMs, spread) };
      list.push({
        name: `twice as slow, ${name}, ${at}`,
        rollout: rollout(slow, { errorRate: 0, durationMs: logNormal(medianMs, spread) }, caught),
        expected: "failed",
      });
    }
  }
  for (const [name, medianMs, spread] of kinds) {
    const stable = { errorRate: 0, durationMs: logNormal(medianMs, spread) };
    const tail = { errorRate: 0, durationMs: withSlowTail(medianMs, spread, 2) };
    const slower = { errorRate: 0, durationMs: logNormal(1.3 * medianMs, spread) };
    list.push({ name: `p99 alone doubled, ${name}, a rollout`, rollout: rollout(tail, stable), expected: "report" });
    list.push({ name: `30 % slower, ${name}, a rollout`, rollout: rollout(slower, stable), expected: "report" });
    for (const [buckets, boundsMs] of [
      ["Istio's buckets", istioBoundsMs],
      ["fine buckets", fineBoundsMs],
    ] as const) {
      const unhurried = {
        weights: [25],
        boundsMs,
        maxCanaryRequests: 20_000,
        durations: { minSamples: neverEnding, quantiles, maxRatio },
      };
      list.push({
        name: `p99 alone doubled, ${name}, until it is found, ${buckets}`,
        rollout: rollout(tail, stable, unhurried),
        expected: "report",
      });
      list.push({
        name: `30 % slower, ${name}, until it is found, ${buckets}`,
        rollout: rollout(slower, stable, unhurried),
        expected: "report",
      });
    }
  }
  // Buckets of 1 to 5 ms cannot distinguish these durations, but the sums of durations can.
  const [blind, twice] = [
    { errorRate: 0, durationMs: logNormal(1.7, 0.15) },
    { errorRate: 0, durationMs: logNormal(3.4, 0.1) },
  ];
  list.push({
    name: "twice as slow within one bucket, a rollout",
    rollout: rollout(twice, blind, { maxCanaryRequests: caughtWithin }),
    expected: "failed",
  });
  list.push({ name: "equal within one bucket, a rollout", rollout: rollout(blind, blind), expected: "completed" });
  const fine = { boundsMs: fineBoundsMs, maxCanaryRequests: caughtWithin };
  const usual = { errorRate: 0, durationMs: logNormal(40, 0.5) };
  list.push({
    name: "twice as slow, 40 ms, a rollout, fine buckets",
    rollout: rollout({ errorRate: 0, durationMs: logNormal(80, 0.5) }, usual, fine),
    expected: "failed",
  });
  list.push({
    name: "equal, 40 ms, a rollout, fine buckets",
    rollout: rollout(usual, usual, { boundsMs: fineBoundsMs }),
    expected: "completed",
  });
  return list;
}

function run({ name, rollout, expected }: Scenario, { runs: wanted, seed }: Options): Result {
  const runs = expected === "report" ? Math.ceil(wanted / 10) : wanted;
  const random = seededRandom(seed);
  const outcomes = Array.from({ length: runs }, () => simulateRollout(rollout, random));
  const share = (result: string): number => outcomes.filter((outcome) => outcome.result === result).length / runs;
  const requests = outcomes.map(({ canaryRequests }) => canaryRequests).toSorted((a, b) => a - b);
  const at = (quantile: number): number => requests[Math.min(runs - 1, Math.floor(runs * quantile))] ?? 0;
  const [failedShare, completedShare] = [share("failed"), share("completed")];
  const ok = expected === "report" || (expected === "failed" ? failedShare >= 0.99 : failedShare <= 0.01);
  return { name, runs, failedShare, completedShare, p50: at(0.5), p99: at(0.99), ok };
}

const { "requests-a-look": requestsALook, ...others } = benchOptions("node bench/judge.ts", {
  runs: 10_000,
  seed: 1,
  "requests-a-look": 20,
  only: "",
  json: false,
});
const options = { ...others, requestsALook };
const results: Result[] = [];
for (const scenario of scenarios(options).filter(({ name }) => name.includes(options.only))) {
  const result = run(scenario, options);
  results.push(result);
  const { name, failedShare, completedShare, p50, p99, ok } = result;
  process.stdout.write(
    `${ok ? "ok  " : "MISS"} ${name}: failed ${(failedShare * 100).toFixed(2)} %, completed ${(completedShare * 100).toFixed(2)} %, canary requests p50 ${p50}, p99 ${p99}\n`,
  );
}

const ok = results.every((result) => result.ok);
if (options.json) process.stdout.write(`${JSON.stringify({ name: "judge", ok, runs: options.runs, results })}\n`);
process.exitCode = ok ? 0 : 1;
