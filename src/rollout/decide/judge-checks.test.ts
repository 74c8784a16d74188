import assert from "node:assert/strict";
import { test } from "node:test";
import { checkDefaults, type CheckSpec, type CheckStatus, type CheckType } from "../../api/serin/index.ts";
import { judgeCheck, judgeChecks, needsSamples, stalled } from "./judge-checks.ts";
import type { CheckObservation, PodFacts } from "./observation.ts";
import type { PlannedCheck, Step } from "./step.ts";

const backends = {
  type: "backends",
  canary: { service: "next", namespace: "a" },
  stable: { service: "shop", namespace: "a" },
  expectedShare: 50,
  atLeast: false,
} as const;

function planned(type: CheckType, more: Partial<CheckSpec> = {}): PlannedCheck {
  return { spec: { ...checkDefaults, type, ...more }, subject: backends };
}

/** Judges looks that are one second apart. Returns the last status. */
function look(check: PlannedCheck, seen: readonly CheckObservation[]): CheckStatus {
  let status: CheckStatus | undefined;
  // The stored state passes through JSON, as in the API server.
  seen.forEach(
    (one, index) => (status = JSON.parse(JSON.stringify(judgeCheck(check, one, status, index * 1000))) as CheckStatus),
  );
  assert.ok(status);
  return status;
}

const counted = (
  canaryTotal: number,
  canaryErrors: number,
  stableTotal: number,
  stableErrors = 0,
): CheckObservation => ({
  type: "counters",
  sources: { "a/gateway": { canaryTotal, canaryErrors, stableTotal, stableErrors } },
});
const durations = (canary: readonly number[], stable: readonly number[], epoch = "one"): CheckObservation => {
  const histogram = (counts: readonly number[]) => ({
    boundsMs: [10, 100],
    counts,
    sumMs: 50 * (counts[1] ?? 0) + 5 * (counts[0] ?? 0),
  });
  return { type: "durations", epoch, canary: histogram(canary), stable: histogram(stable), sources: ["a/gateway"] };
};
const value = (result: unknown, more: object = {}): CheckObservation => ({
  type: "values",
  result,
  canary: {},
  stable: {},
  source: "a query",
  ...more,
});
const pod = (uid: string, more: Partial<PodFacts> = {}): PodFacts => ({
  uid,
  name: `a/${uid}`,
  ready: true,
  ending: false,
  restarts: 0,
  detail: "Running",
  ...more,
});

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

/** A look at which the canary and stable have these numbers of ready pods. */
const withPods = (seen: CheckObservation, canary: number, stable: number, isExpected = true): CheckObservation => ({
  ...seen,
  ready: { canary, stable, isExpected },
});

test("a canary whose pods vanish fails within seconds, although its requests count for neither version", () => {
  const none = (seconds: number) =>
    Array.from({ length: seconds }, (_, second) => withPods(counted(20, 0, 5 * second), 0, 2));
  for (const type of ["request-success-rate", "request-duration", "request-share", "tcp-connect-failures"] as const) {
    const before = withPods(counted(20, 0, 0), 2, 2);
    const soon = look(planned(type), [before, ...none(10)]);
    assert.equal(soon.verdict, "wait", type);
    assert.match(
      soon.evidence,
      /^the canary has no ready pod, so its requests fail; the check fails if this lasts 15 s/,
    );
    const late = look(planned(type), [before, ...none(18)]);
    assert.equal(late.verdict, "fail", type);
    assert.match(late.evidence, /^the canary has had no ready pod for more than 15 s, so its requests fail/);
  }
  const health: CheckObservation = { type: "pods", canary: [], stable: [pod("s")] };
  const ill = [{ ...health, canary: [pod("c")], ready: { canary: 1, stable: 1, isExpected: false } }];
  const gone = Array.from({ length: 18 }, () => withPods(health, 0, 1, false));
  assert.equal(look(planned("pod-health"), [...ill, ...gone]).verdict, "fail");
});

test("a canary that loses its pods in this cluster does not fail while another cluster serves it", () => {
  const before = withPods(counted(20, 0, 0), 2, 2);
  const moved = (isElsewhere: boolean) =>
    Array.from({ length: 30 }, (_, second): CheckObservation => {
      const ready = { canary: 0, stable: 2, isExpected: true, ...(isElsewhere ? { isElsewhere } : {}) };
      return { ...counted(20 + 5 * second, 0, 20 + 5 * second), ready };
    });
  assert.equal(look(planned("request-success-rate"), [before, ...moved(true)]).verdict, "pass");
  assert.equal(look(planned("request-success-rate"), [before, ...moved(false)]).verdict, "fail");
});

test("a passed check of a step that waits for a person fails too when the canary's pods vanish", () => {
  const passed = [withPods(counted(0, 0, 0), 1, 1), withPods(counted(200, 0, 200), 1, 1)];
  assert.equal(look(planned("request-success-rate"), passed).verdict, "pass");
  const gone = Array.from({ length: 18 }, () => withPods(counted(200, 0, 400), 0, 1));
  assert.equal(look(planned("request-success-rate"), [...passed, ...gone.slice(0, 5)]).verdict, "wait");
  assert.equal(look(planned("request-success-rate"), [...passed, ...gone]).verdict, "fail");
  const back = withPods(counted(400, 0, 600), 1, 1);
  assert.equal(look(planned("request-success-rate"), [...passed, ...gone.slice(0, 10), back]).verdict, "pass");
});

test("a canary without pods does not fail where stable has none either, or where nobody knows its pods", () => {
  const seconds = Array.from({ length: 60 });
  const before = withPods(counted(0, 0, 0), 1, 1);
  const neither = look(planned("request-success-rate"), [
    before,
    ...seconds.map(() => withPods(counted(0, 0, 0), 0, 0)),
  ]);
  assert.equal(neither.verdict, "wait");
  assert.match(neither.evidence, /^neither the canary nor stable has a ready pod/);
  const machines = seconds.map(() => withPods(counted(0, 0, 9), 0, 2, false));
  assert.equal(look(planned("request-success-rate"), machines).verdict, "wait");
  assert.equal(
    look(planned("request-success-rate"), [before, ...seconds.map(() => counted(0, 0, 9))]).verdict,
    "wait",
    "a look that does not know the pods",
  );
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

test("failures, missing answers and waiting are tolerated up to their limits", () => {
  const lost: CheckObservation = { type: "unavailable", detail: "no route" };
  const check = (more: Partial<CheckSpec>): PlannedCheck => planned("query", { max: 5, ...more });
  assert.equal(look(check({ failureLimit: 1 }), [value(9), value(1)]).verdict, "pass");
  assert.match(
    look(check({ failureLimit: 1 }), [value(9), value(1), value(9)]).evidence,
    /^failed in 2 measurements: /,
  );
  assert.equal(look(check({ errorLimit: 1 }), [lost, value(1), lost]).verdict, "error");
  assert.match(look(check({ errorLimit: 1 }), [lost, lost]).evidence, /^no answer in 2 measurements: no route$/);
  assert.equal(look(check({ waitLimit: 1 }), [value(null), value(null)]).verdict, "fail");
  assert.equal(
    look(
      check({}),
      Array.from({ length: 50 }, () => value(null)),
    ).verdict,
    "wait",
  );
});

test("no answer during the whole time limit is an error, and a short gap late in a step is not", () => {
  const check = planned("query", { max: 5, timeoutSeconds: 3 });
  const lost: CheckObservation = { type: "unavailable", detail: "no route" };
  const gap = look(check, [value(1), value(1), value(1), value(1), lost, lost]);
  assert.deepEqual(
    [gap.verdict, gap.evidence],
    ["error", "no answer for 1 s, and the check fails after 3 s: no route"],
  );
  assert.match(
    look(
      check,
      Array.from({ length: 6 }, () => lost),
    ).evidence,
    /^no answer in 3 s: no route$/,
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

test("a query without data never passes, and several series are not one number", () => {
  for (const nothing of [undefined, null, Number.NaN, []])
    assert.equal(look(planned("query", { max: 5 }), [value(nothing)]).verdict, "wait");
  assert.equal(
    look(planned("query", { max: 5 }), [
      value([
        { labels: {}, value: 1 },
        { labels: { a: "b" }, value: 2 },
      ]),
    ]).verdict,
    "error",
  );
});

test("the check waits for a baseline without data, unless the canary gets all requests", () => {
  const check = planned("query", {
    passWhen: "result < baseline",
    query: { provider: "mesh", expression: "a", baseline: "b", timeoutSeconds: 1 },
  });
  assert.equal(look(check, [value(1, { baseline: [] })]).verdict, "wait");
  assert.equal(
    look({ ...check, subject: { ...backends, expectedShare: 100 } }, [value(1, { baseline: [] })]).verdict,
    "pass",
  );
});

test("a crash loop fails the canary, unless the stable version has one too", () => {
  const problem = { kind: "CrashLoopBackOff", detail: "app is in a crash loop, ended with 1" };
  const ill = pod("ill", { ready: false, problem });
  const seen = (canary: PodFacts[], stable: PodFacts[]): CheckObservation => ({ type: "pods", canary, stable });
  assert.match(
    look(planned("pod-health"), [seen([pod("x"), ill], [pod("s")])]).evidence,
    /^a\/ill: app is in a crash loop, ended with 1; canary: 1 of 2/,
  );
  assert.equal(look(planned("pod-health"), [seen([pod("x")], [pod("s", { ready: false, problem })])]).verdict, "pass");
  assert.equal(
    look(planned("pod-health"), [seen([pod("x"), ill], [pod("s", { ready: false, problem })])]).verdict,
    "wait",
  );
  assert.equal(look(planned("pod-health"), [seen([], [pod("s")])]).verdict, "wait");
  const lost = pod("x", { ready: false });
  assert.equal(look(planned("pod-health"), [seen([lost], [])]).verdict, "wait");
  const crashed = pod("x", { ready: false, restarts: 1, lastEnd: "app ended with 1" });
  assert.equal(look(planned("pod-health"), [seen([pod("x")], []), seen([crashed], [])]).verdict, "fail");
});

test("a pod of the canary that runs and is no longer ready fails after 30 s, because its kubelet may have been restarted", () => {
  const seen = (...canary: PodFacts[]): CheckObservation => ({ type: "pods", canary, stable: [pod("s")] });
  const before = seen(pod("x"), pod("y"));
  const lost = (seconds: number) => Array.from({ length: seconds }, () => seen(pod("x", { ready: false }), pod("y")));
  const soon = look(planned("pod-health"), [before, ...lost(30)]);
  assert.equal(soon.verdict, "wait");
  assert.match(
    soon.evidence,
    /^a\/x was ready, and no longer is: Running; the check fails if this lasts 30 s; canary: 1 of 2/,
  );
  assert.equal(look(planned("pod-health"), [before, ...lost(32)]).verdict, "fail");
  assert.equal(look(planned("pod-health"), [before, ...lost(30), before]).verdict, "pass");
  assert.equal(look(planned("pod-health"), [before, ...lost(30), before, ...lost(30)]).verdict, "wait");
});

test("restarts count from the first look, and from when a pod was first seen", () => {
  const seen = (...canary: PodFacts[]): CheckObservation => ({ type: "pods", canary, stable: [pod("s")] });
  assert.equal(
    look(planned("restarts"), [
      seen(pod("x", { restarts: 3 })),
      seen(pod("x", { restarts: 3 }), pod("y", { restarts: 1 })),
    ]).verdict,
    "pass",
  );
  const { verdict, evidence } = look(planned("restarts"), [
    seen(pod("x", { restarts: 3 })),
    seen(pod("x", { restarts: 4, lastEnd: "app ended with 137 (OOMKilled)" })),
  ]);
  assert.equal(verdict, "fail");
  assert.match(evidence, /^restarts: canary 1 in 1 pod, stable 0 in 1 pod; a\/x: app ended with 137 \(OOMKilled\)$/);
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

test("a canary without requests is stalled after the check's own limit, whatever stable receives", () => {
  const check = planned("request-success-rate", { timeoutSeconds: 20 });
  const step: Step = { id: "s", title: "s", writes: [], settle: [], checks: [check] };
  const unanswered: CheckObservation = { type: "unavailable", detail: "the scrape failed" };
  const silent = Array.from({ length: 30 }, (_, at) =>
    at === 25 ? unanswered : counted(at < 5 ? at : 5, 0, at * 100),
  );
  assert.equal(stalled(step, look(check, silent.slice(0, 24)), 23_000), undefined);
  assert.match(
    stalled(step, look(check, silent), 29_000) ?? "",
    /^canary 0 of 5 failed, and no new sample came in 20 s$/,
  );
});

test("a wait without progress is stalled, although its evidence changes at each look", () => {
  const limited = { timeoutSeconds: 20 } as const;
  const both = { ...limited, passWhen: "result < 0.1", failWhen: "result > 0.2" };
  const query = { provider: "prometheus", address: "http://p", expression: "q", timeoutSeconds: 5 } as const;
  const answer = (evidence: string) => value({ verdict: "wait", evidence });
  const flapping = (second: number): CheckObservation => withPods(counted(5, 0, second), (second / 5) & 1, 2);
  const cases: readonly [PlannedCheck, (second: number) => CheckObservation, RegExp][] = [
    [
      planned("query", { query, ...limited }),
      (second) => value([], { source: `q[${second}s]` }),
      /^no data, for 20 s$/,
    ],
    [planned("query", { query, ...both }), (second) => value(0.15 + second / 1000), /^neither condition is true, for/],
    [planned("webhook", limited), (second) => answer(`asked ${second} times`), /^the webhook answered wait, for 20 s$/],
    [
      planned("request-success-rate", { ...both, passWhen: "canary.rate < 0.0", failWhen: "canary.rate > 0.01" }),
      (second) => counted(200 * second, 0, 200 * second),
      /^neither condition is true, for 20 s$/,
    ],
    // The count is reached soon, and more requests do not change the rate.
    [
      planned("request-success-rate", {
        ...both,
        passWhen: "canary.total > 1000.0 && canary.rate < 0.0",
        failWhen: "canary.rate > 0.01",
      }),
      (second) => counted(200 * second, 0, 200 * second),
      /^neither condition is true, for 20 s$/,
    ],
    [
      planned("request-success-rate", { ...both, passWhen: "canary.total > 5000.0", failWhen: "canary.rate > 0.01" }),
      (second) => counted(200 * Math.min(second, 10), 0, 200 * second),
      /^neither condition is true at canary\.total 2000, and no new sample came in 20 s$/,
    ],
    [planned("request-success-rate", limited), flapping, /^canary 0 of 0 failed, and no new sample came in 20 s$/],
  ];
  for (const [check, seen, expected] of cases) {
    const step: Step = { id: "s", title: "s", writes: [], settle: [], checks: [check] };
    const status = look(
      check,
      Array.from({ length: 40 }, (_, second) => seen(second)),
    );
    assert.equal(status.verdict, "wait", status.evidence);
    assert.match(stalled(step, status, 39_000) ?? "still waits", expected, status.evidence);
  }
});

test("each sample is progress for conditions that ask for a number of them", () => {
  const spec = { timeoutSeconds: 20, failWhen: "canary.rate > 0.01" };
  const cases: readonly [passWhen: string, seen: (second: number) => CheckObservation][] = [
    ["canary.total > 10000.0", (second) => counted(200 * second, 0, 200 * second)],
    ["stable.total > 10000.0", (second) => counted(200 * Math.min(second, 1), 0, 200 * second)],
    ["canary.total + stable.total > 20000.0", (second) => counted(200 * second, 0, 200 * second)],
  ];
  for (const [passWhen, seen] of cases) {
    const check = planned("request-success-rate", { ...spec, passWhen });
    const step: Step = { id: "s", title: "s", writes: [], settle: [], checks: [check] };
    const after = (seconds: number): CheckStatus =>
      look(
        check,
        Array.from({ length: seconds }, (_, second) => seen(second)),
      );
    const waiting = after(40);
    assert.equal(waiting.verdict, "wait", waiting.evidence);
    assert.equal(stalled(step, waiting, 39_000), undefined, passWhen);
    assert.equal(needsSamples(waiting), true);
    assert.equal(after(60).verdict, "pass", passWhen);
  }
});

test("an infinite result of a query is outside of every limit, and evidence spells it out", () => {
  const query = { provider: "prometheus", address: "http://p", expression: "q", timeoutSeconds: 5 } as const;
  const above = look(planned("query", { query, max: 500 }), [value(Number.POSITIVE_INFINITY)]);
  assert.deepEqual([above.verdict, above.evidence], ["fail", "a query: Infinity: above the maximum of 500"]);
  const below = look(planned("query", { query, min: 0 }), [value(Number.NEGATIVE_INFINITY)]);
  assert.equal(below.verdict, "fail");
});

test("a series without a number is no data: neither a condition that passes nor one that fails decides on it", () => {
  const query = { provider: "prometheus", address: "http://p", expression: "q", timeoutSeconds: 5 } as const;
  const series = [
    { labels: { pod: "a" }, value: 0.01 },
    { labels: { pod: "b" }, value: Number.NaN },
  ];
  for (const condition of [
    { failWhen: "result.exists(one, one.value > 0.05)" },
    { passWhen: "result.all(one, one.value < 0.05)" },
  ]) {
    const seen = look(planned("query", { query, ...condition }), [value(series)]);
    assert.equal(seen.verdict, "wait");
    assert.match(seen.evidence, /NaN.*: no data of \{"pod":"b"\}$/);
    const complete = series.map((one) => ({ ...one, value: 0.01 }));
    assert.equal(look(planned("query", { query, ...condition }), [value(complete)]).verdict, "pass");
  }
});

test("a query without data that names one of Envoy's statistics says that a matcher must include it", () => {
  const query = { provider: "prometheus", address: "http://p", expression: "q", timeoutSeconds: 5 } as const;
  const evidenceOf = (source: string): string =>
    look(planned("query", { query, passWhen: "result < 5.0" }), [value([], { source })]).evidence;
  assert.match(
    evidenceOf("sum(rate(envoy_cluster_upstream_rq_timeout[1m]))"),
    /: no data\. Proxies have envoy_cluster_upstream_rq_timeout only if their proxyStatsMatcher includes it/,
  );
  assert.match(evidenceOf("sum(rate(istio_requests_total[1m]))"), /: no data$/);
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
