import assert from "node:assert/strict";
import { test } from "node:test";
import type { CheckSpec, CheckStatus } from "../../api/serin/index.ts";
import { needsSamples, stalled } from "./judge-checks.ts";
import type { CheckObservation } from "./observation.ts";
import type { PlannedCheck, Step } from "./step.ts";
import { backends, counted, look, planned, value, withPods } from "./testing/judged.ts";

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
    // The number of requests is reached soon, but more requests do not change the rate.
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
