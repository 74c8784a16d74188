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
  // The first row of passes ends with the look at 10 s. From then on, a row ends every 15 s.
  const late = firstFailure(waiting);
  assert.deepEqual([late.second, late.evidence], [625, "no result in 600 s: 1 proxy has not acknowledged"]);
  const unanswered = firstFailure({ type: "unavailable", detail: "no route" });
  assert.deepEqual([unanswered.second, unanswered.evidence], [625, "no result in 600 s: no route"]);
  assert.equal(firstFailure(waiting, 30).second, 765, "the limit begins again after a pass");
});

test("a check that is added or edited long after its step has settled has its whole limit from then on", () => {
  const converging: CheckSpec = { ...checkDefaults, type: "xds-convergence" };
  const waiting: CheckObservation = { type: "verdict", verdict: "wait", evidence: "1 proxy has not acknowledged" };
  const verdicts = (...looks: readonly (readonly [seconds: number, CheckObservation])[]): readonly string[] => {
    let status: CheckStatus | undefined;
    return looks.map(([seconds, seen]) => {
      const judged = judgeCheck({ spec: converging, subject: { type: "mesh" } }, seen, status, seconds * 1000);
      status = JSON.parse(JSON.stringify(judged)) as CheckStatus;
      return status.verdict;
    });
  };
  assert.deepEqual(verdicts([3600, waiting], [4200, waiting], [4201, waiting]), ["wait", "wait", "fail"]);
  const unanswered: CheckObservation = { type: "unavailable", detail: "no route" };
  assert.deepEqual(verdicts([3600, unanswered], [3601, waiting], [4201, waiting]), ["error", "wait", "fail"]);
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

test("a query whose rows of passes are always too short is stalled from the timeout until a whole row has passed", () => {
  const query: CheckSpec = {
    ...checkDefaults,
    type: "query",
    name: "sold",
    query: { provider: "mesh", expression: "up", timeoutSeconds: 5 },
    count: 3,
  };
  const check = { spec: query, subject: { type: "mesh" as const } };
  const step = { checks: [check] } as unknown as Step;
  const passed: CheckObservation = { type: "verdict", verdict: "pass", evidence: "7" };
  /** The texts about stalled checks, found at each look. Looks are 5 s apart. */
  const texts = (other: CheckObservation, passes: (index: number) => boolean): readonly (string | undefined)[] => {
    let status: CheckStatus | undefined;
    return Array.from({ length: 400 }, (_, index) => {
      const judged = judgeCheck(check, passes(index) ? passed : other, status, index * 5000);
      status = JSON.parse(JSON.stringify(judged)) as CheckStatus;
      return stalled(step, status, index * 5000);
    });
  };
  const others: readonly CheckObservation[] = [
    { type: "verdict", verdict: "wait", evidence: "no data" },
    { type: "unavailable", detail: "no data" },
  ];
  for (const other of others) {
    // The first row ends at 10 s, and each later one 15 s after the one before.
    const found = texts(other, (index) => index % 3 !== 2 || index > 300);
    assert.equal(
      found.findIndex((text) => text !== undefined),
      125,
    );
    assert.deepEqual(
      new Set(found.slice(125, 301)),
      new Set(["no data, and it did not pass in 3 measurements in a row for 600 s"]),
    );
    assert.deepEqual(new Set(found.slice(303)), new Set([undefined]));
    assert.deepEqual(new Set(texts(other, (index) => index % 50 !== 2)), new Set([undefined]), "rows are long enough");
  }
});
