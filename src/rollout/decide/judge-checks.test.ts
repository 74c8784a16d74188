import assert from "node:assert/strict";
import { test } from "node:test";
import { checkDefaults, type CheckStatus } from "../../api/serin/index.ts";
import { judgeChecks } from "./judge-checks.ts";
import type { CheckObservation } from "./observation.ts";
import type { PlannedCheck, Step } from "./step.ts";
import { backends, counted, durations, look, planned, pod, value } from "./testing/judged.ts";

test("counts before the first look are ignored, for and against the canary", () => {
  assert.equal(
    look(planned("request-success-rate"), [counted(1000, 900, 1000), counted(1120, 900, 1120)]).verdict,
    "pass",
  );
  assert.equal(look(planned("request-success-rate"), [counted(1000, 0, 1000), counted(1000, 0, 2000)]).verdict, "wait");
});

test("a proxy that restarts, or drops series that nothing has changed for long, adds none of its earlier counts", () => {
  const fewer = [counted(1000, 0, 900_000), counted(1100, 0, 900_100), counted(1200, 0, 870_000)];
  const share = look(planned("request-share"), [...fewer, counted(1300, 0, 870_100)]);
  assert.equal(share.verdict, "pass");
  assert.match(share.evidence, /^measured share 50\.0 % of 400 responses/);
  const rate = look(planned("request-success-rate"), [counted(0, 0, 0), counted(100, 0, 100), counted(90, 80, 90)]);
  assert.match(rate.evidence, /^canary 0 of 100 failed, stable 0 of 100/);
});

test("the evidence contains the numbers, the window and the source", () => {
  const { verdict, evidence } = look(planned("request-success-rate"), [counted(0, 0, 0), counted(200, 40, 1000)]);
  assert.equal(verdict, "fail");
  assert.match(
    evidence,
    /^canary 40 of 200 failed, stable 0 of 1000: worse than stable .*; in 1 s, counted by a\/gateway$/,
  );
});

test("requests that arrive one by one are also evidence", () => {
  const seen = Array.from({ length: 400 }, (_, index) => counted(index, Math.floor(index / 2), index));
  assert.equal(look(planned("request-success-rate"), seen).verdict, "fail");
});

test("a version that replaces one with the same failure rate does not fail by the limit", () => {
  const check = planned("request-success-rate");
  assert.equal(look(check, [counted(0, 0, 10_000, 300), counted(400, 12, 10_000, 300)]).verdict, "pass");
  assert.equal(look(check, [counted(0, 0, 10_000, 0), counted(400, 12, 10_000, 0)]).verdict, "fail");
});

test("durations are compared from the first look on, and a new engine leaves a gap, not a jump", () => {
  const check = planned("request-duration", { minSamples: 20 });
  assert.equal(
    look(check, [durations([100, 900, 0], [1000, 0, 0]), durations([200, 900, 0], [1100, 0, 0])]).verdict,
    "pass",
  );
  assert.equal(look(check, [durations([0, 0, 0], [1000, 0, 0]), durations([0, 100, 0], [1100, 0, 0])]).verdict, "fail");
  const { verdict, evidence } = look(check, [
    durations([0, 0, 0], [1000, 0, 0]),
    durations([0, 900, 0], [9000, 0, 0], "two"),
  ]);
  assert.equal(verdict, "wait");
  assert.match(evidence, /^0 requests of the canary/);
});

test("a new engine that attributes the requests to a server otherwise leaves a gap in the counts too", () => {
  const check = planned("request-success-rate");
  const by = (epoch: string, seen: CheckObservation): CheckObservation => Object.assign({ epoch }, seen);
  const [begun, jumped] = [counted(0, 0, 10), counted(5000, 900, 2000)];
  assert.equal(look(check, [by("one", begun), by("two", jumped)]).verdict, "wait");
  assert.equal(look(check, [by("one", begun), by("one", jumped)]).verdict, "fail");
  assert.equal(look(check, [begun, by("one", jumped)]).verdict, "fail", "an earlier release stored none");
  const after = [by("one", begun), by("two", jumped), by("two", counted(5120, 900, 2120))];
  assert.equal(look(check, after).verdict, "pass", "it counts on from there");
});

test("failWhen and passWhen override the statistical verdict", () => {
  const seen = [counted(0, 0, 0), counted(1000, 1, 1000)];
  assert.equal(look(planned("request-success-rate", { failWhen: "canary.errors > 0.0" }), seen).verdict, "fail");
  assert.equal(look(planned("request-success-rate", { passWhen: "canary.rate < 0.01" }), seen).verdict, "pass");
  const slow = planned("request-duration", { minSamples: 20, failWhen: "canary.p99 > 50.0" });
  assert.match(
    look(slow, [durations([0, 0, 0], [9, 0, 0]), durations([0, 100, 0], [9, 100, 0])]).evidence,
    /^failWhen is true: canary\.p99 > 50\.0; 100 requests/,
  );
});

test("a check needs consecutive passing looks, and a look is counted once", () => {
  const check = planned("query", { max: 5, count: 3 });
  assert.equal(look(check, [value(1, { look: 1 }), value(1, { look: 1 }), value(1, { look: 1 })]).verdict, "wait");
  assert.equal(
    look(check, [value(1, { look: 1 }), value(undefined, { look: 2 }), value(1, { look: 3 }), value(1, { look: 4 })])
      .verdict,
    "wait",
  );
  assert.equal(
    look(
      check,
      [1, 2, 3].map((at) => value(1, { look: at })),
    ).verdict,
    "pass",
  );
});

test("a dry run keeps its verdict and is marked as dry run", () => {
  const { verdict, dryRun, name } = look(planned("query", { max: 5, dryRun: true, name: "lag" }), [value(9)]);
  assert.deepEqual({ verdict, dryRun, name }, { verdict: "fail", dryRun: true, name: "lag" });
});

test("a webhook's own verdict decides, else a condition, else its status code", () => {
  const check = planned("webhook");
  assert.deepEqual(
    [look(check, [value({ verdict: "fail", evidence: "too few sold" }, { status: 200 })])].map(
      ({ verdict, evidence }) => [verdict, evidence],
    ),
    [["fail", "too few sold"]],
  );
  assert.equal(look(check, [value({ verdict: "maybe" }, { status: 200 })]).verdict, "error");
  assert.equal(look(check, [value({ sold: 3 }, { status: 204 })]).verdict, "pass");
  assert.equal(look(check, [value({ sold: 3 }, { status: 409 })]).verdict, "fail");
  assert.equal(
    look(planned("webhook", { passWhen: "result.sold > 5.0" }), [value({ sold: 3 }, { status: 200 })]).verdict,
    "fail",
  );
});

test("a check that replaces another after a change of the spec starts with its own state", () => {
  const step = (checks: readonly PlannedCheck[]): Step => ({ id: "a", title: "a", writes: [], settle: [], checks });
  const rate = planned("request-success-rate");
  const restarts = planned("restarts");
  const pods: CheckObservation = { type: "pods", canary: [pod("one")], stable: [] };
  const first = judgeChecks(
    step([rate, restarts]),
    { id: "a", title: "a", startedAt: "", checks: [] },
    { writes: [], settle: [], checks: [counted(0, 0, 0), pods] },
    0,
  );
  const [second] = judgeChecks(
    step([restarts]),
    { id: "a", title: "a", startedAt: "", checks: first },
    { writes: [], settle: [], checks: [pods] },
    1000,
  );
  assert.equal(second?.type, "restarts");
});

test("a check that is edited while it is judged starts again, and then its new limit holds", () => {
  const judging = (check: PlannedCheck, seen: CheckObservation, checks: readonly CheckStatus[]): CheckStatus => {
    const step = { id: "s", title: "s", writes: [], settle: [], checks: [check] } as Step;
    const status = { id: "s", title: "s", startedAt: "", checks };
    const [judged] = judgeChecks(step, status, { writes: [], settle: [], checks: [seen] }, 1000);
    assert.ok(judged);
    return JSON.parse(JSON.stringify(judged)) as CheckStatus;
  };
  const strict = planned("request-success-rate", { maxErrorRate: 0.001, minSamples: 100 });
  const lax = planned("request-success-rate", { maxErrorRate: 0.5, minSamples: 100 });
  const first = judging(strict, counted(0, 0, 0), []);
  const after = judging(lax, counted(20, 4, 0), [first]);
  assert.match(after.evidence, /^counting begins/);
  assert.equal(judging(lax, counted(420, 84, 0), [after]).verdict, "pass");
  assert.equal(judging(strict, counted(420, 84, 0), [first]).verdict, "fail");
  const { digest: _digest, ...state } = first.statistic as { digest: string };
  const earlier = { ...first, statistic: state };
  assert.doesNotMatch(judging(strict, counted(20, 0, 0), [earlier]).evidence, /begins/, "of an earlier release");
});

test("the conditions of all checks of a step share one bound, because the engine evaluates them in one turn", () => {
  const list = JSON.stringify(Array.from({ length: 40 }, (_, index) => index));
  const costly = `${list}.all(a, ${list}.all(b, ${list}.exists(c, c == 9 || result > 5.0)))`;
  const query = { provider: "mesh", expression: "x", timeoutSeconds: 5 } as const;
  const checks = Array.from({ length: 32 }, (_, index) =>
    planned("query", { query, name: `c${index}`, passWhen: costly }),
  );
  const step = { id: "s", title: "s", writes: [], settle: [], checks } as Step;
  const seen = { type: "values", result: 1, canary: {}, stable: {}, source: "x" } as CheckObservation;
  const status = { id: "s", title: "s", startedAt: "", checks: [] };
  const judged = judgeChecks(step, status, { writes: [], settle: [], checks: checks.map(() => seen) }, 1000);
  const verdicts = judged.map(({ verdict }) => verdict);
  const passed = verdicts.filter((verdict) => verdict === "pass").length;
  assert.ok(passed >= 1 && passed <= 4, verdicts.join(" "));
  assert.match(judged.at(-1)?.evidence ?? "", /may cost 250000 units of CEL together/);
});

test("a check that is inserted before others does not mix up the counts of their backends", () => {
  const of = (service: string): PlannedCheck => ({
    spec: { ...checkDefaults, type: "request-success-rate", minSamples: 100 },
    subject: { ...backends, canary: { service, namespace: "a" } },
  });
  const step = { id: "s", title: "s", writes: [], settle: [] };
  const judged = (checks: readonly PlannedCheck[], seen: readonly CheckObservation[], before: readonly CheckStatus[]) =>
    judgeChecks(
      { ...step, checks },
      { id: "s", title: "s", startedAt: "", checks: before },
      { writes: [], settle: [], checks: seen },
      1000,
    );
  const begun = judged([of("one"), of("two")], [counted(0, 0, 0), counted(900, 900, 0)], []);
  const health = planned("restarts");
  const again = judged(
    [health, of("one"), of("two")],
    [{ type: "unavailable", detail: "" }, counted(10, 0, 100), counted(910, 900, 100)],
    begun,
  );
  for (const { evidence } of again.slice(1)) assert.match(evidence, /canary 0 of 10 failed/);
});
