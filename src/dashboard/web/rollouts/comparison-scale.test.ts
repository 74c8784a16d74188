import assert from "node:assert/strict";
import { test } from "node:test";
import { comparisonScale, comparisonSentence, quantileName } from "./comparison-scale.ts";

const samples = { canarySamples: 1200, stableSamples: 4800 };

test("both versions and the bound share a scale from zero, with a margin at its end", () => {
  const {
    canary = 0,
    stable = 0,
    bound = 0,
  } = comparisonScale({ unit: "ms", canary: 31, stable: 28, bound: 33.6, ...samples });
  assert.ok(stable < canary && canary < bound && bound < 1);
  assert.ok(Math.abs(canary / stable - 31 / 28) < 1e-9);
});

test("unknown values have no place, and empty data divides by nothing", () => {
  assert.deepEqual(comparisonScale({ unit: "share", canary: 0, ...samples }), { canary: 0, greatest: 0 });
});

test("the picture has a sentence that describes it", () => {
  assert.equal(
    comparisonSentence({ unit: "share", canary: 0.001, stable: 0.0011, bound: 0.0111, ...samples }),
    "canary 0.10 % of 1,200 samples, stable 0.11 % of 4,800 samples, bound 1.11 %",
  );
});

test("a duration names its quantile", () => {
  assert.equal(
    comparisonSentence({ unit: "ms", quantile: 0.99, canary: 470, stable: 460, ...samples }),
    "p99, canary 470 ms of 1,200 samples, stable 460 ms of 4,800 samples",
  );
  assert.deepEqual([quantileName(0.5), quantileName(0.999), quantileName(undefined)], ["p50", "p99.9", ""]);
});
