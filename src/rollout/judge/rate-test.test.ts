import assert from "node:assert/strict";
import { test } from "node:test";
import { seededRandom, type Random } from "../../base/index.ts";
import { addBatch, judgeRate, noEvidence, type RateBatch, type RateEvidence } from "./rate-test.ts";

const limits = { minSamples: 100, maxErrorRate: 0.005 };
const batchSize = 20;

interface Run {
  readonly share: number;
  readonly canaryRate: number;
  readonly stableRate: number;
  /** Ends the run when this many canary requests were seen. */
  readonly canaryRequests: number;
}

/**
 * Looks after every batch, as the engine does. Returns the number of canary requests until the first `fail`, if there
 * was one.
 */
function failedAfter(run: Run, random: Random): number | undefined {
  let evidence: RateEvidence = noEvidence;
  while (evidence.canaryTotal < run.canaryRequests) {
    const batch = { canaryTotal: 0, canaryErrors: 0, stableTotal: 0, stableErrors: 0 };
    for (let request = 0; request < batchSize; request += 1) {
      if (random() < run.share) {
        batch.canaryTotal += 1;
        if (random() < run.canaryRate) batch.canaryErrors += 1;
      } else {
        batch.stableTotal += 1;
        if (random() < run.stableRate) batch.stableErrors += 1;
      }
    }
    evidence = addBatch(evidence, batch, limits.maxErrorRate);
    if (judgeRate(evidence, limits).verdict === "fail") return evidence.canaryTotal;
  }
  return undefined;
}

function failures(run: Run, runs: number, seed: number): number {
  const random = seededRandom(seed);
  let failed = 0;
  for (let index = 0; index < runs; index += 1) if (failedAfter(run, random) !== undefined) failed += 1;
  return failed;
}

test("an equal release fails wrongly in at most one run of a hundred, for any number of looks", () => {
  for (const rate of [0, 0.005, 0.01]) {
    const wrong = failures({ share: 0.1, canaryRate: rate, stableRate: rate, canaryRequests: 500 }, 400, 7);
    assert.ok(wrong <= 4, `${wrong} of 400 at ${rate}`);
  }
});

test("an error rate of five percent against none is caught within 500 canary requests in at least 99 of 100 runs", () => {
  for (const share of [0.1, 0.5, 1]) {
    const caught = failures({ share, canaryRate: 0.05, stableRate: 0, canaryRequests: 500 }, 300, 11);
    assert.ok(caught >= 297, `${caught} of 300 at share ${share}`);
  }
});

test("with too few samples the result is to wait, never to pass", () => {
  const evidence = addBatch(noEvidence, { canaryTotal: 99, canaryErrors: 0, stableTotal: 900, stableErrors: 0 }, 0.005);
  assert.equal(judgeRate(evidence, limits).verdict, "wait");
  assert.equal(
    judgeRate(addBatch(evidence, { canaryTotal: 1, canaryErrors: 0, stableTotal: 9, stableErrors: 0 }, 0.005), limits)
      .verdict,
    "pass",
  );
});

test("while enough requests were seen but not judged, the evidence says how many were judged", () => {
  const of = (canaryTotal: number): RateBatch => ({ canaryTotal, canaryErrors: 0, stableTotal: 0, stableErrors: 0 });
  const evidence = addBatch(noEvidence, of(80), limits.maxErrorRate);
  const textOf = (open: number): string => judgeRate(evidence, limits, of(open)).evidence;
  assert.match(textOf(19), /; 100 responses of the canary are needed$/);
  assert.match(
    textOf(22),
    /^canary 0 of 102 failed, .*; 100 responses of the canary are needed, and 80 of these are judged so far$/,
  );
});
