import assert from "node:assert/strict";
import { test } from "node:test";
import { array, assert as assertProperty, integer, nat, property } from "fast-check";
import {
  addHistograms,
  coarsened,
  countAbove,
  gainOf,
  noDurations,
  quantileOf,
  totalOf,
  type DurationHistogram,
} from "./duration-histogram.ts";
import { judgeDurations, type DurationLimits } from "./duration-test.ts";
import { beginDurations, countDurations } from "./batch-sequence.ts";

const boundsMs = [10, 25, 50, 100];
const limits: DurationLimits = { minSamples: 20, quantiles: [0.5, 0.99], maxRatio: 1.2 };
const histogramOf = (...counts: number[]): DurationHistogram => ({
  boundsMs,
  counts,
  sumMs: counts.reduce((sum, count, index) => sum + count * (boundsMs[index] ?? 200) * 0.8, 0),
});
const histograms = array(nat(50), { minLength: 5, maxLength: 5 }).map((counts) => histogramOf(...counts));

function judged(
  canary: DurationHistogram,
  stable: DurationHistogram,
  more: Partial<DurationLimits> = {},
  batches = 5,
): ReturnType<typeof judgeDurations> {
  const all = { ...limits, ...more };
  let sequence = beginDurations(all, noDurations);
  for (let batch = 0; batch < batches; batch += 1) sequence = countDurations(sequence, { canary, stable }, all);
  return judgeDurations(sequence.evidence, all);
}

test("histograms can be added, and a coarser one keeps its requests and those above a remaining bound", () => {
  assertProperty(
    property(histograms, histograms, (left, right) => {
      assert.equal(totalOf(addHistograms(left, right)), totalOf(left) + totalOf(right));
      const coarse = coarsened(left, [25, 100]);
      assert.equal(totalOf(coarse), totalOf(left));
      assert.equal(countAbove(coarse, 0), countAbove(left, 1));
      assert.deepEqual(
        gainOf(left, addHistograms(left, right))?.counts,
        totalOf(right) === 0 ? [0, 0, 0, 0, 0] : right.counts,
      );
    }),
  );
});

test("a quantile lies in its reported bucket, and grows with the percentage", () => {
  assertProperty(
    property(
      histograms.filter((one) => totalOf(one) > 0),
      integer({ min: 1, max: 98 }),
      (histogram, percent) => {
        const [low, high] = [quantileOf(histogram, percent / 100), quantileOf(histogram, (percent + 1) / 100)];
        assert.ok(low.ms >= low.aboveMs && low.ms <= low.upToMs);
        assert.ok(low.ms <= high.ms);
      },
    ),
  );
});

test("under the null hypothesis the evidence is at most one on average, for any batch sizes", () => {
  const one = { ...limits, quantiles: [0.5] };
  assertProperty(
    property(
      integer({ min: 10, max: 14 }),
      integer({ min: 10, max: 14 }),
      integer({ min: 1, max: 19 }),
      nat(30),
      (canaryTotal, stableTotal, twentieths, known) => {
        const rate = twentieths / 20;
        const start = beginDurations(one, histogramOf(0, 30 - known, known, 0, 0));
        let mean = 0;
        for (let canarySlow = 0; canarySlow <= canaryTotal; canarySlow += 1) {
          for (let stableSlow = 0; stableSlow <= stableTotal; stableSlow += 1) {
            const batch = {
              canary: histogramOf(0, canaryTotal - canarySlow, canarySlow, 0, 0),
              stable: histogramOf(0, stableTotal - stableSlow, stableSlow, 0, 0),
            };
            const logs = countDurations(start, batch, one).evidence.relative[0] ?? [];
            mean +=
              (chanceOf(canaryTotal, canarySlow, rate) *
                chanceOf(stableTotal, stableSlow, rate) *
                logs.reduce((sum, log) => sum + Math.exp(log), 0)) /
              logs.length;
          }
        }
        assert.ok(mean <= 1 + 1e-9, `${mean}`);
      },
    ),
    { numRuns: 50 },
  );
});

function chanceOf(total: number, count: number, rate: number): number {
  let chance = 1;
  for (let index = 0; index < count; index += 1) chance = (chance * (total - index)) / (index + 1);
  return chance * rate ** count * (1 - rate) ** (total - count);
}

test("a slower canary fails, with both versions' quantiles and buckets as evidence", () => {
  const { verdict, evidence } = judged(histogramOf(0, 0, 20, 0, 0), histogramOf(0, 20, 0, 0, 0), {}, 8);
  assert.equal(verdict, "fail");
  assert.match(
    evidence,
    /^\d+ requests of the canary, \d+ of stable: slower than stable, p50 about 37\.5 ms \(25 ms to 50 ms\) against about 17\.5 ms \(10 ms to 25 ms\) \(probability of chance 1 in [\d,]+, the check fails below 1 in 3,000\)$/,
  );
});

test("a certain but small difference does not fail the canary", () => {
  const [canary, stable] = [histogramOf(0, 40, 60, 0, 0), histogramOf(0, 50, 50, 0, 0)];
  assert.equal(judged(canary, stable, {}, 100).verdict, "pass");
  assert.equal(judged(canary, stable, { maxRatio: 1.01 }, 100).verdict, "fail");
});

test("without requests, or with too few, the result is to wait", () => {
  assert.equal(judged(noDurations, noDurations).verdict, "wait");
  assert.equal(judged(noDurations, histogramOf(0, 1000, 0, 0, 0)).verdict, "wait");
  assert.equal(judged(histogramOf(0, 15, 0, 0, 0), histogramOf(0, 15, 0, 0, 0), {}, 1).verdict, "wait");
});

test("without stable traffic only maxMs is judged, at the next bucket bound", () => {
  assert.match(
    judged(histogramOf(0, 0, 0, 50, 0), noDurations).evidence,
    /no stable version takes requests to compare with, and there is no maxMs$/,
  );
  assert.equal(judged(histogramOf(0, 0, 0, 50, 0), noDurations, { maxMs: 100 }).verdict, "pass");
  const late = judged(histogramOf(0, 0, 0, 0, 50), noDurations, { maxMs: 90 });
  assert.equal(late.verdict, "fail");
  assert.match(
    late.evidence,
    /p50 above 100 ms is above maxMs 90 ms, counted above 100 ms, the next bound of the buckets/,
  );
});

test("a quantile above its bound that passes says that with so few slow requests this may be chance", () => {
  const { verdict, evidence } = judged(histogramOf(0, 49, 0, 0, 1), histogramOf(0, 49, 1, 0, 0), {}, 3);
  assert.equal(verdict, "pass", evidence);
  assert.match(evidence, /; p99 is above the bound of [\d.]+ ms, but with so few slow requests this may be chance$/);
  assert.doesNotMatch(judged(histogramOf(0, 49, 1, 0, 0), histogramOf(0, 49, 1, 0, 0), {}, 3).evidence, /bound/);
});

test("a quantile above maxMs that passes says so, and a limit within a bucket counts from the bucket's end", () => {
  const few = judged(histogramOf(0, 58, 0, 0, 1), noDurations, { maxMs: 100 }, 1);
  assert.equal(few.verdict, "pass", few.evidence);
  assert.match(few.evidence, /; p99 is above the bound of 100 ms, but with so few slow requests this may be chance$/);
  assert.doesNotMatch(judged(histogramOf(0, 0, 0, 50, 0), noDurations, { maxMs: 60 }).evidence, /bound of/);
});
