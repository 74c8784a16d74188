import type { Random } from "../../../base/index.ts";
import { addHistograms, noDurations, type DurationHistogram } from "../duration-histogram.ts";
import { judgeDurations, type DurationBatch, type DurationLimits } from "../duration-test.ts";
import { noBatch, sumOfBatches, type RateBatch, type RateLimits } from "../rate-test.ts";
import { beginDurations, beginRates, countDurations, countRates, judgeRates } from "../batch-sequence.ts";
import { judgeShare } from "../share-test.ts";

/** Upper bounds of Istio's histogram, in milliseconds. */
export const istioBoundsMs = [
  0.5, 1, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 30_000, 60_000, 300_000, 600_000, 1_800_000,
  3_600_000,
] as const;

export interface SimulatedVersion {
  readonly errorRate: number;
  readonly durationMs: (random: Random) => number;
}

export interface SimulatedRollout {
  readonly canary: SimulatedVersion;
  readonly stable: SimulatedVersion;
  /** The canary's percentage of the requests in each step. Each step's evidence starts again, as in the engine. */
  readonly weights: readonly number[];
  readonly boundsMs: readonly number[];
  readonly rates: RateLimits;
  readonly durations: DurationLimits;
  readonly shareTolerance: number;
  /** The number of requests between two looks. */
  readonly requestsALook: number;
  /** The run ends undecided after this many responses of the canary. */
  readonly maxCanaryRequests: number;
}

export interface SimulatedOutcome {
  readonly result: "completed" | "failed" | "undecided";
  readonly canaryRequests: number;
  readonly cause: string;
}

/**
 * One rollout as the engine would judge it at the default settings: by rates, durations and shares, evaluated after
 * every batch.
 */
export function simulateRollout(rollout: SimulatedRollout, random: Random): SimulatedOutcome {
  let canaryRequests = 0;
  let earlier = noDurations;
  let earlierRate = { total: 0, errors: 0 };
  for (const weight of rollout.weights) {
    let rates = beginRates(rollout.rates, earlierRate);
    let counted: RateBatch = noBatch;
    let durations = beginDurations(rollout.durations, earlier);
    for (let passed = false; !passed;) {
      if (canaryRequests >= rollout.maxCanaryRequests) return { result: "undecided", canaryRequests, cause: "" };
      const { outcomes, batch } = look(rollout, weight / 100, random);
      canaryRequests += outcomes.canaryTotal;
      counted = sumOfBatches([counted, outcomes]);
      rates = countRates(rates, outcomes, rollout.rates);
      durations = countDurations(durations, batch, rollout.durations);
      const share = {
        expectedShare: weight,
        atLeast: false,
        tolerance: rollout.shareTolerance,
        minSamples: rollout.rates.minSamples,
      };
      const verdicts = [
        judgeRates(rates, rollout.rates),
        judgeDurations(durations.evidence, rollout.durations),
        judgeShare(counted, share),
      ];
      const failed = verdicts.find(({ verdict }) => verdict === "fail");
      if (failed !== undefined) return { result: "failed", canaryRequests, cause: failed.evidence };
      passed = verdicts.every(({ verdict }) => verdict === "pass");
    }
    earlier = addHistograms(earlier, durations.evidence.stable);
    earlierRate = { total: earlierRate.total + counted.stableTotal, errors: earlierRate.errors + counted.stableErrors };
  }
  return { result: "completed", canaryRequests, cause: "" };
}

function look(
  rollout: SimulatedRollout,
  share: number,
  random: Random,
): { readonly outcomes: RateBatch; readonly batch: DurationBatch } {
  const outcomes = { canaryTotal: 0, canaryErrors: 0, stableTotal: 0, stableErrors: 0 };
  const canary = emptyCounts(rollout.boundsMs);
  const stable = emptyCounts(rollout.boundsMs);
  for (let request = 0; request < rollout.requestsALook; request += 1) {
    const isCanary = random() < share;
    const version = isCanary ? rollout.canary : rollout.stable;
    const failed = random() < version.errorRate ? 1 : 0;
    count(isCanary ? canary : stable, version.durationMs(random));
    if (isCanary)
      Object.assign(outcomes, { canaryTotal: outcomes.canaryTotal + 1, canaryErrors: outcomes.canaryErrors + failed });
    else
      Object.assign(outcomes, { stableTotal: outcomes.stableTotal + 1, stableErrors: outcomes.stableErrors + failed });
  }
  return { outcomes, batch: { canary, stable } };
}

interface Counting extends DurationHistogram {
  readonly counts: number[];
  sumMs: number;
}

function emptyCounts(boundsMs: readonly number[]): Counting {
  return { boundsMs, counts: Array.from({ length: boundsMs.length + 1 }, () => 0), sumMs: 0 };
}

function count(histogram: Counting, ms: number): void {
  let at = histogram.boundsMs.findIndex((bound) => ms <= bound);
  if (at < 0) at = histogram.boundsMs.length;
  histogram.counts[at] = (histogram.counts[at] ?? 0) + 1;
  histogram.sumMs += ms;
}

/**
 * Durations whose logarithm is normal, as those of services often are: `spread` is the standard deviation of the
 * logarithm.
 */
export function logNormal(medianMs: number, spread: number): (random: Random) => number {
  return (random) => medianMs * Math.exp(spread * normal(random));
}

/**
 * Durations like those of {@link logNormal} up to the 90th percentile, and slower by up to `factor` from the 99th on,
 * so that only the tail changes.
 */
export function withSlowTail(medianMs: number, spread: number, factor: number): (random: Random) => number {
  const [from, to] = [1.2816, 2.3263];
  return (random) => {
    const deviate = normal(random);
    const part = Math.min(1, Math.max(0, (deviate - from) / (to - from)));
    return medianMs * Math.exp(spread * deviate) * (1 + (factor - 1) * part);
  };
}

/** The Box–Muller transform. */
function normal(random: Random): number {
  return Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
}
