import assert from "node:assert/strict";
import { test } from "node:test";
import { checkDefaults } from "../../api/serin/index.ts";
import { seededRandom } from "../../base/index.ts";
import {
  istioBoundsMs,
  logNormal,
  simulateRollout,
  type SimulatedRollout,
  type SimulatedVersion,
} from "./testing/judge-simulation.ts";

const usual: SimulatedVersion = { errorRate: 0, durationMs: logNormal(40, 0.5) };
const rolloutWeights = [10, 25, 50, 75, 100];

function shareOf(
  result: string,
  runs: number,
  canary: SimulatedVersion,
  stable: SimulatedVersion,
  more: Partial<SimulatedRollout>,
): number {
  const { minSamples, maxErrorRate, shareTolerance, quantiles, maxRatio } = checkDefaults;
  const rollout = {
    canary,
    stable,
    weights: rolloutWeights,
    boundsMs: istioBoundsMs,
    rates: { minSamples, maxErrorRate },
    durations: { minSamples, quantiles, maxRatio },
    shareTolerance,
    requestsALook: 20,
    maxCanaryRequests: 500,
    ...more,
  };
  const random = seededRandom(5);
  let found = 0;
  for (let run = 0; run < runs; run += 1) if (simulateRollout(rollout, random).result === result) found += 1;
  return found / runs;
}

test("a release equal to the stable one fails in at most one rollout of a hundred, by rates, durations and shares together", () => {
  for (const errorRate of [0, 0.02]) {
    const version = { ...usual, errorRate };
    const wrong = shareOf("failed", 100, version, version, { maxCanaryRequests: 100_000 });
    assert.ok(wrong <= 0.01, `${wrong} at ${errorRate}`);
  }
});

test("an error rate of five percent against none fails within 500 canary requests", () => {
  for (const weights of [[10], [50], [100], rolloutWeights]) {
    const caught = shareOf("failed", 100, { ...usual, errorRate: 0.05 }, usual, { weights });
    assert.ok(caught >= 0.98, `${caught} at ${weights.join()}`);
  }
});

test("a release that is twice as slow fails within 500 canary requests, even if one bucket holds both", () => {
  const narrow = [
    { errorRate: 0, durationMs: logNormal(3.4, 0.1) },
    { errorRate: 0, durationMs: logNormal(1.7, 0.15) },
  ] as const;
  for (const [canary, stable] of [[{ ...usual, durationMs: logNormal(80, 0.5) }, usual], narrow] as const) {
    for (const weights of [[10], [50], rolloutWeights]) {
      const caught = shareOf("failed", 60, canary, stable, { weights });
      assert.ok(caught >= 0.98, `${caught} at ${weights.join()}`);
    }
  }
});
