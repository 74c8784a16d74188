import assert from "node:assert/strict";
import { test } from "node:test";
import { judgeShare } from "./share-test.ts";

const limits = { expectedShare: 50, atLeast: false, tolerance: 10, minSamples: 60 };

test("a share beyond the tolerance fails, and passes with a remark while chance explains it", () => {
  assert.equal(judgeShare({ canaryTotal: 300, stableTotal: 700 }, limits).verdict, "fail");
  const few = judgeShare({ canaryTotal: 22, stableTotal: 38 }, limits);
  assert.deepEqual(few, {
    verdict: "pass",
    evidence:
      "measured share 36.7 % of 60 responses, weight 50 %; the difference is above 10 percentage points, but with so few responses this may be chance",
  });
  assert.doesNotMatch(judgeShare({ canaryTotal: 29, stableTotal: 31 }, limits).evidence, /chance/);
});
