import assert from "node:assert/strict";
import { test } from "node:test";
import { checkDefaults, type CheckSpec, type CheckStatus } from "../../../api/serin/index.ts";
import { judgeCheck, stalled } from "../judge-checks.ts";
import type { Step } from "../step.ts";
import type { CheckObservation } from "../observation.ts";

test("a row of passes that is always too short fails when the timeout is over", () => {
  const converging: CheckSpec = { ...checkDefaults, type: "xds-convergence", count: 3 };
  const firstFailure = (third: CheckObservation, firstRow = 2): CheckStatus & { readonly second: number } => {
    let status: CheckStatus | undefined;
    for (let index = 0; index < 400; index += 1) {
      const passes = index < firstRow || (index - firstRow) % 3 !== 0;
      const seen: CheckObservation = passes ? { type: "verdict", verdict: "pass", evidence: "converged" } : third;
      const judged = judgeCheck({ spec: converging, subject: { type: "mesh" } }, seen, status, index * 5000);
      status = JSON.parse(JSON.stringify(judged)) as CheckStatus;
      if (status.verdict === "fail") return { ...status, second: index * 5 };
    }
    throw new Error("it never failed");
  };
  const waiting = { type: "verdict", verdict: "wait", evidence: "1 proxy has not acknowledged" } as const;
  // The first look that ends a row is at 10 s, and a look ends one every 15 s.
  const late = firstFailure(waiting);
  assert.deepEqual([late.second, late.evidence], [625, "no result in 600 s: 1 proxy has not acknowledged"]);
  const unanswered = firstFailure({ type: "unavailable", detail: "no route" });
  assert.deepEqual([unanswered.second, unanswered.evidence], [625, "no result in 600 s: no route"]);
  assert.equal(firstFailure(waiting, 30).second, 765, "the limit begins again after a pass");
});

test("a long row of passes does not fail when the timeout is over, and one wait in it begins the limit", () => {
  const long: CheckSpec = { ...checkDefaults, type: "xds-convergence", count: 200 };
  let status: CheckStatus | undefined;
  const verdicts = Array.from({ length: 400 }, (_, index) => {
    const verdict = index === 150 ? "wait" : "pass";
    const seen: CheckObservation = { type: "verdict", verdict, evidence: "" };
    status = judgeCheck(
      { spec: long, subject: { type: "mesh" } },
      seen,
      index === 1 ? undefined : status,
      index * 5000,
    );
    return status.verdict;
  });
  assert.deepEqual([verdicts.includes("fail"), verdicts[349], verdicts[350]], [false, "wait", "pass"]);
});

test("a query whose rows of passes are always too short is stalled when the timeout is over, and a long row is not", () => {
  const query: CheckSpec = {
    ...checkDefaults,
    type: "query",
    name: "sold",
    query: { provider: "mesh", expression: "up", timeoutSeconds: 5 },
    count: 3,
  };
  const check = { spec: query, subject: { type: "mesh" as const } };
  const step = { checks: [check] } as unknown as Step;
  const stalledAfter = (passesOf: (index: number) => boolean): number | undefined => {
    let status: CheckStatus | undefined;
    for (let index = 0; index < 400; index += 1) {
      const verdict = passesOf(index) ? "pass" : "wait";
      const seen: CheckObservation = { type: "verdict", verdict, evidence: verdict === "pass" ? "7" : "no data" };
      status = JSON.parse(JSON.stringify(judgeCheck(check, seen, status, index * 5000))) as CheckStatus;
      const text = stalled(step, status, index * 5000);
      if (text === undefined) continue;
      assert.equal(text, "no data, and it did not pass in 3 looks in a row for 600 s");
      return index * 5;
    }
    return undefined;
  };
  assert.equal(
    stalledAfter((index) => index % 3 !== 2),
    625,
  );
  assert.equal(
    stalledAfter((index) => index % 50 !== 2),
    undefined,
    "each row is long enough after two looks",
  );
});
