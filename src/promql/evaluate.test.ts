import assert from "node:assert/strict";
import { test } from "node:test";
import { labelsText } from "./labels.ts";
import { evaluateAt, evaluateRange, evaluateRangeInSteps, numberText, parseQuery, type QueryValue } from "./index.ts";
import { seriesOf } from "./testing/series-notation.ts";

const minuteMs = 60_000;

/** The result as lines `{labels} value`, in alphabetical order unless the query sorts its result. */
function lines(value: QueryValue): string[] {
  const text = (number: number): string =>
    numberText(Number.isInteger(number) ? number : Number(number.toPrecision(10)));
  switch (value.type) {
    case "scalar":
      return [text(value.value)];
    case "string":
      return [value.value];
    case "vector":
      return value.samples.map(({ labels, value: number }) => `${labelsText(labels)} ${text(number)}`);
    case "matrix":
      return value.series.map(
        ({ labels, points }) =>
          `${labelsText(labels)} ${points.map(({ timestampMs, value: number }) => `${text(number)}@${timestampMs / minuteMs}m`).join(" ")}`,
      );
  }
}

interface Cases {
  readonly series: string;
  /** The time of the evaluation in minutes. */
  readonly at: number;
  readonly stepMs?: number;
  readonly ordered?: boolean;
  readonly queries: Readonly<Record<string, readonly string[]>>;
}

function check({ series, at, stepMs = minuteMs, ordered = false, queries }: Cases): void {
  const source = seriesOf(series, stepMs);
  for (const [query, expected] of Object.entries(queries)) {
    const found = lines(evaluateAt(parseQuery(query), source, at * minuteMs));
    assert.deepEqual(ordered ? found : found.toSorted(), ordered ? expected : expected.toSorted(), query);
  }
}

function refuses(series: string, query: string, expected: RegExp): void {
  assert.throws(() => evaluateAt(parseQuery(query), seriesOf(series, minuteMs), 5 * minuteMs), expected, query);
}

test("numbers, strings and precedence follow Prometheus", () => {
  check({
    series: "",
    at: 2,
    queries: {
      "1 + 2 * 3": ["7"],
      "2 ^ 3 ^ 2": ["512"],
      "-2 ^ 2": ["-4"],
      "2 * -2 ^ 2": ["-8"],
      "1 -2 ^ 2": ["-3"],
      "(-2) ^ 2": ["4"],
      "2 ^ -1": ["0.5"],
      "(1 + 2) * 3": ["9"],
      "7 % 4 - 1": ["2"],
      "0x10 + 1e1": ["26"],
      "1_000": ["1000"],
      "5m": ["300"],
      "1 / 0": ["+Inf"],
      "-Inf": ["-Inf"],
      NaN: ["NaN"],
      "1 > bool 2": ["0"],
      "1 <= bool 1": ["1"],
      '"a\\tb"': ["a\tb"],
      "`a\\tb`": ["a\\tb"],
      "time()": ["120"],
      "vector(3)": ["{} 3"],
      "scalar(vector(4))": ["4"],
      "scalar(nothing)": ["NaN"],
      "pi() > bool 3": ["1"],
      "1 atan2 1 > bool 0.78": ["1"],
    },
  });
});

test("a selector needs all of its matchers, and a missing label counts as empty", () => {
  check({
    series: `up{job="a", zone="x"} 1x5
      up{job="b"} 2x5
      down{job="a"} 3x5`,
    at: 5,
    queries: {
      up: ['up{job="a", zone="x"} 1', 'up{job="b"} 2'],
      'up{zone=""}': ['up{job="b"} 2'],
      'up{zone!=""}': ['up{job="a", zone="x"} 1'],
      'up{job=~"a|c"}': ['up{job="a", zone="x"} 1'],
      'up{job!~"a.*"}': ['up{job="b"} 2'],
      '{job="a"}': ['up{job="a", zone="x"} 1', 'down{job="a"} 3'],
      '{__name__=~".+n", job="a"}': ['down{job="a"} 3'],
      '{"up", job="b"}': ['up{job="b"} 2'],
      'up{job=~"A"}': [],
    },
  });
});

test("a sample is valid for less than five minutes, and not after its series has ended", () => {
  const series = `old 1
    ended 1 2 stale
    back 1 stale 3`;
  check({ series, at: 4, queries: { old: ["old 1"], ended: [], back: ["back 3"] } });
  check({ series, at: 5, queries: { old: [], "{__name__=~'.+'}": ["back 3"] } });
  check({ series, at: 1, queries: { ended: ["ended 2"], back: [] } });
  // After a series has ended, a range still contains its earlier samples.
  check({ series, at: 4, queries: { "count_over_time(ended[4m])": ["{} 1"], "count_over_time(ended[5m])": ["{} 2"] } });
});

test("offset and @ move the time of a selector", () => {
  check({
    series: "x 0+1x20",
    at: 10,
    queries: {
      "x offset 4m": ["x 6"],
      "x offset -4m": ["x 14"],
      "x @ 180": ["x 3"],
      "x @ 180 offset 1m": ["x 2"],
      "x offset 1m @ 180": ["x 2"],
      "x @ end()": ["x 10"],
      "x[2m] offset 5m": ["x 4@4m 5@5m"],
      "sum_over_time(x[3m] @ 240)": ["{} 9"],
    },
  });
});

test("a rate is extrapolated to its window's edges as far as samples allow, and handles resets", () => {
  const series = `steady{c="1"} 0+10x10
    reset{c="1"} 0+18x5 0+18x4
    young{c="1"} _ _ _ _ _ _ _ _ 0+30x2
    gauge{c="1"} 100-10x10
    one{c="1"} _ _ _ _ _ _ _ _ _ _ 5
    still{c="1"} 7x10`;
  check({
    series,
    at: 10,
    queries: {
      "rate(steady[10m])": ['{c="1"} 0.1666666667'],
      "increase(steady[10m])": ['{c="1"} 100'],
      // The window is (0, 10]. The counter rises from 18 to 90 and, after a reset, from 0 to 72: by 144 in 9 minutes.
      // The missing minute at the start is extrapolated, which gives 160.
      "increase(reset[10m])": ['{c="1"} 160'],
      // The counter began within the window, at zero. Half an interval before its first sample, it would be below zero,
      // so nothing is added before that sample.
      "increase(young[10m])": ['{c="1"} 60'],
      "delta(gauge[10m])": ['{c="1"} -100'],
      "increase(one[10m])": [],
      "rate(still[10m])": ['{c="1"} 0'],
      "irate(reset[10m])": ['{c="1"} 0.3'],
      "irate(reset[10m] offset 4m)": ['{c="1"} 0'],
      "idelta(gauge[10m])": ['{c="1"} -10'],
      "resets(reset[11m])": ['{c="1"} 1'],
      "changes(steady[11m])": ['{c="1"} 10'],
      "changes(still[11m])": ['{c="1"} 0'],
      "deriv(gauge[10m])": ['{c="1"} -0.1666666667'],
      "predict_linear(gauge[10m], 600)": ['{c="1"} -100'],
      "rate(steady[5m] offset 5m)": ['{c="1"} 0.1666666667'],
    },
  });
});

test("each range function summarizes a window's samples", () => {
  check({
    series: "x 1 5 2 4 3",
    at: 4,
    queries: {
      "sum_over_time(x[5m])": ["{} 15"],
      "avg_over_time(x[5m])": ["{} 3"],
      "min_over_time(x[5m])": ["{} 1"],
      "max_over_time(x[5m])": ["{} 5"],
      "count_over_time(x[4m])": ["{} 4"],
      "last_over_time(x[5m])": ["x 3"],
      "first_over_time(x[5m])": ["x 1"],
      "present_over_time(x[5m])": ["{} 1"],
      "stdvar_over_time(x[5m])": ["{} 2"],
      "stddev_over_time(x[5m]) ^ 2": ["{} 2"],
      "quantile_over_time(0.5, x[5m])": ["{} 3"],
      "quantile_over_time(0.9, x[5m])": ["{} 4.6"],
      "mad_over_time(x[5m])": ["{} 1"],
      "ts_of_max_over_time(x[5m])": ["{} 60"],
      "absent_over_time(x[5m])": [],
      'absent_over_time(y{a="b"}[5m])': ['{a="b"} 1'],
      "double_exponential_smoothing(x[5m], 0.5, 0.5)": ["{} 5.09375"],
    },
  });
});

test("aggregations keep the requested labels", () => {
  const series = `r{app="a", pod="1"} 1x5
    r{app="a", pod="2"} 3x5
    r{app="b", pod="3"} 5x5`;
  check({
    series,
    at: 5,
    queries: {
      "sum(r)": ["{} 9"],
      "sum by (app) (r)": ['{app="a"} 4', '{app="b"} 5'],
      "sum(r) without (pod)": ['{app="a"} 4', '{app="b"} 5'],
      "avg by (app) (r)": ['{app="a"} 2', '{app="b"} 5'],
      "max(r)": ["{} 5"],
      "min(r)": ["{} 1"],
      "count(r > 1)": ["{} 2"],
      "group by (app) (r)": ['{app="a"} 1', '{app="b"} 1'],
      "stdvar by (app) (r)": ['{app="a"} 1', '{app="b"} 0'],
      "quantile(0.5, r)": ["{} 3"],
      "count_values('value', r > 1)": ['{value="3"} 1', '{value="5"} 1'],
      "topk by (app) (1, r)": ['r{app="a", pod="2"} 3', 'r{app="b", pod="3"} 5'],
      "bottomk(2, r)": ['r{app="a", pod="1"} 1', 'r{app="a", pod="2"} 3'],
      "limitk(1, r)": ['r{app="a", pod="1"} 1'],
      "sum by (nothing) (r)": ["{} 9"],
      "sum(nothing)": [],
      "sum by (__name__) (r)": ["r 9"],
    },
  });
  check({
    series,
    at: 5,
    ordered: true,
    queries: {
      "topk(2, r)": ['r{app="b", pod="3"} 5', 'r{app="a", pod="2"} 3'],
      "sort(r)": ['r{app="a", pod="1"} 1', 'r{app="a", pod="2"} 3', 'r{app="b", pod="3"} 5'],
      "sort_by_label_desc(r, 'pod')": ['r{app="b", pod="3"} 5', 'r{app="a", pod="2"} 3', 'r{app="a", pod="1"} 1'],
    },
  });
});

test("binary operators match by labels, and many to one on request", () => {
  const series = `req{app="a", code="200"} 90x5
    req{app="a", code="500"} 10x5
    req{app="b", code="200"} 40x5
    pods{app="a", zone="x"} 2x5
    pods{app="b", zone="y"} 4x5
    limit{app="a"} 50x5`;
  check({
    series,
    at: 5,
    queries: {
      "sum by (app) (req) / ignoring(zone) pods": ['{app="a"} 50', '{app="b"} 10'],
      "sum by (app) (req) / on(app) pods": ['{app="a"} 50', '{app="b"} 10'],
      "req / on(app) group_left(zone) pods": [
        '{app="a", code="200", zone="x"} 45',
        '{app="a", code="500", zone="x"} 5',
        '{app="b", code="200", zone="y"} 10',
      ],
      "pods * on(app) group_right() req": [
        '{app="a", code="200"} 180',
        '{app="a", code="500"} 20',
        '{app="b", code="200"} 160',
      ],
      "req > on(app) group_left() limit": ['req{app="a", code="200"} 90'],
      "req > bool on(app) group_left() limit": ['{app="a", code="200"} 1', '{app="a", code="500"} 0'],
      'req{code="500"} == 10': ['req{app="a", code="500"} 10'],
      "50 < req": ['req{app="a", code="200"} 90'],
      "100 - limit": ['{app="a"} 50'],
      "-limit": ['{app="a"} -50'],
      "pods and on(app) limit": ['pods{app="a", zone="x"} 2'],
      "pods unless on(app) limit": ['pods{app="b", zone="y"} 4'],
      "limit or on(app) pods": ['limit{app="a"} 50', 'pods{app="b", zone="y"} 4'],
      "sum(nothing) or vector(0)": ["{} 0"],
      "limit == ignoring(zone) limit": ['limit{app="a"} 50'],
      "limit / on() group_left() vector(10)": ['{app="a"} 5'],
    },
  });
  refuses(
    series,
    "limit / on(app) req",
    /several series on the right side match by on\(app\).*aggregate|several series on the right/,
  );
  refuses(series, "req / on(app) limit", /several series match one series by on\(app\)/);
  refuses("a 1x5\nb 2x5", "rate({__name__=~'a|b'}[5m])", /several series with the same labels/);
});

test("histogram_quantile interpolates within the bucket of the rank", () => {
  const series = `h_bucket{p="a", le="0.1"} 50x5
    h_bucket{p="a", le="0.2"} 90x5
    h_bucket{p="a", le="1"} 100x5
    h_bucket{p="a", le="+Inf"} 100x5
    h_bucket{p="b", le="0.1"} 0x5
    h_bucket{p="b", le="+Inf"} 10x5
    h_bucket{p="c", le="0.1"} 3x5
    h_bucket{p="d", le="0.1"} 5x5
    h_bucket{p="d", le="0.2"} 4x5
    h_bucket{p="d", le="+Inf"} 10x5
    h_bucket{p="e", le="0.1"} 0x5
    h_bucket{p="e", le="+Inf"} 0x5`;
  check({
    series,
    at: 5,
    queries: {
      'histogram_quantile(0.5, h_bucket{p="a"})': ['{p="a"} 0.1'],
      'histogram_quantile(0.25, h_bucket{p="a"})': ['{p="a"} 0.05'],
      'histogram_quantile(0.7, h_bucket{p="a"})': ['{p="a"} 0.15'],
      'histogram_quantile(0.95, h_bucket{p="a"})': ['{p="a"} 0.6'],
      'histogram_quantile(1, h_bucket{p="a"})': ['{p="a"} 1'],
      // All observations are above the highest finite bound, so the result is that bound.
      'histogram_quantile(0.5, h_bucket{p="b"})': ['{p="b"} 0.1'],
      'histogram_quantile(0.5, h_bucket{p="c"})': ['{p="c"} NaN'],
      // A bucket with a smaller count than the one before it is treated as having an equal count.
      'histogram_quantile(0.5, h_bucket{p="d"})': ['{p="d"} 0.1'],
      'histogram_quantile(0.5, h_bucket{p="e"})': ['{p="e"} NaN'],
      'histogram_quantile(-1, h_bucket{p="a"})': ['{p="a"} -Inf'],
      'histogram_quantile(2, h_bucket{p="a"})': ['{p="a"} +Inf'],
      'histogram_quantile(0.5, sum by (le) (h_bucket{p=~"a|b"}))': ["{} 0.1125"],
      'histogram_quantile(0.5, h_bucket{p="z"})': [],
    },
  });
});

test("functions of labels and values give Prometheus' results", () => {
  check({
    series: `m{path="/a/b", pod="x-1"} -2.5x5
      n 17x5`,
    at: 5,
    queries: {
      'label_replace(m, "root", "$1", "path", "/([a-z]+)/.*")': ['m{path="/a/b", pod="x-1", root="a"} -2.5'],
      'label_replace(m, "pod", "", "pod", ".*")': ['m{path="/a/b"} -2.5'],
      'label_replace(m, "root", "$1", "path", "a")': ['m{path="/a/b", pod="x-1"} -2.5'],
      'label_replace(m, "root", "a${constructor}", "path", ".*")': ['m{path="/a/b", pod="x-1", root="a"} -2.5'],
      'label_join(m, "all", "|", "pod", "path", "none")': ['m{all="x-1|/a/b|", path="/a/b", pod="x-1"} -2.5'],
      "abs(m)": ['{path="/a/b", pod="x-1"} 2.5'],
      "round(m)": ['{path="/a/b", pod="x-1"} -2'],
      "round(n, 5)": ["{} 15"],
      "clamp(n, 0, 10)": ["{} 10"],
      "clamp_min(m, 1)": ['{path="/a/b", pod="x-1"} 1'],
      "clamp_max(n, 3)": ["{} 3"],
      "clamp(n, 5, 1)": [],
      "floor(m)": ['{path="/a/b", pod="x-1"} -3'],
      "sgn(m)": ['{path="/a/b", pod="x-1"} -1'],
      "sqrt(n - 1)": ["{} 4"],
      "timestamp(n)": ["{} 300"],
      "timestamp(n offset 1m)": ["{} 240"],
      'absent(n{a="b", c=~"d"})': ['{a="b"} 1'],
      "absent(n)": [],
      "hour(vector(1600000000))": ["{} 12"],
      "day_of_week(vector(1600000000))": ["{} 0"],
      "days_in_month(vector(1582934400))": ["{} 29"],
      "year(vector(0))": ["{} 1970"],
      "minute()": ["{} 5"],
    },
  });
});

test("subqueries are evaluated at multiples of their step", () => {
  check({
    series: "c 0+60x30",
    at: 20.5,
    queries: {
      "c[3m:1m]": ["c 1080@18m 1140@19m 1200@20m"],
      "max_over_time(rate(c[2m])[5m:1m])": ["{} 1"],
      "sum_over_time(vector(1)[10m:2m])": ["{} 5"],
      "last_over_time(c[2m:1m] offset 10m)": ["c 600"],
      "count_over_time(c[5m:])": ["{} 5"],
    },
  });
});

test("a range query returns one series for each label set, with one point for each step", () => {
  const source = seriesOf(
    `x{a="1"} 0+1x10
    x{a="2"} _ _ _ 7 stale`,
    minuteMs,
  );
  const range = { startMs: 2 * minuteMs, endMs: 6 * minuteMs, stepMs: 2 * minuteMs };
  const over = (query: string): string[] =>
    lines({ type: "matrix", series: evaluateRange(parseQuery(query), source, range) });
  assert.deepEqual(over("x * 2"), ['{a="1"} 4@2m 8@4m 12@6m']);
  assert.deepEqual(over("1 + 1"), ["{} 2@2m 2@4m 2@6m"]);
  assert.deepEqual(over("x @ start()"), ['x{a="1"} 2@2m 2@4m 2@6m']);
  assert.deepEqual(over("count_over_time(x[2m])"), ['{a="1"} 2@2m 2@4m 2@6m', '{a="2"} 1@4m']);
  assert.throws(() => evaluateRange(parseQuery("x[5m]"), source, range), /got a range vector/);
  assert.throws(
    () => evaluateRange(parseQuery("x"), source, { startMs: 0, endMs: 1e9, stepMs: 1 }),
    /more than 11000 points/,
  );
  assert.throws(() => evaluateRange(parseQuery("x"), source, { ...range, stepMs: 0 }), /step must be greater/);
});

test("a query that reads too many samples, or takes too long, is aborted", () => {
  const source = seriesOf("x 0+1x100", minuteMs);
  assert.throws(
    () => evaluateAt(parseQuery("count_over_time(x[1h])"), source, 90 * minuteMs, { maxSamples: 50 }),
    /touches more than 50 samples/,
  );
  let steps = 0;
  const checkpoint = (): void => {
    steps += 1;
    if (steps > 3) throw new Error("too long");
  };
  assert.throws(
    () =>
      evaluateRange(parseQuery("x"), source, { startMs: 0, endMs: 90 * minuteMs, stepMs: minuteMs }, { checkpoint }),
    /too long/,
  );
});

test("a query whose regular expressions stand for too many instructions is refused before they are compiled", () => {
  const large = "(b?){1000}".repeat(9);
  for (const query of [
    `x{a=~"${large}"}`,
    Array.from({ length: 9 }, (_, index) => `x{a=~"(b?){1000}${index}"}`).join(" or "),
    `label_replace(x, "b", "$1", "a", "${large}")`,
  ])
    assert.throws(() => evaluateAt(parseQuery(query), seriesOf("x 1x5", minuteMs), minuteMs), {
      code: "bad-query",
      message: /instructions/,
    });
});

test("a dashboard may list hundreds of pods in each selector, because only repetitions count", () => {
  const pods = (count: number): string =>
    Array.from({ length: count }, (_, index) => `reviews-v1-7c5b8f6d9-abcde-namespace-${index}`).join("|");
  const rate = (name: string): string => `rate(${name}{pod=~"(${pods(300)})"}[5m])`;
  assert.equal(parseQuery(`${rate("a")} + ${rate("b")} + ${rate("c")}`).type, "binary");
  assert.equal(parseQuery(`x{pod=~"(${pods(2000)})"}`).type, "selector");
  const same = Array.from({ length: 100 }, () => 'x{a=~"(b?){1000}"}');
  assert.equal(parseQuery(same.join(" or ")).type, "binary", "an expression counts once");
});

test("the error for a regular expression of great size names the expression and what is left", () => {
  const part = "(b?){1000}";
  assert.throws(() => parseQuery(`x{a=~"${part.repeat(12)}"}`), {
    message: `parse error at line 1, character 6: the repetitions of the regular expression "${part.repeat(6)}…" stand for about 47880 instructions, more than the 32768 that are allowed; repeat less by {n,m}`,
  });
  assert.throws(() => parseQuery(`x{a=~"${part.repeat(8)}",b=~"${part}"}`), {
    message: /instructions, more than the 848 that the expressions before it leave of 32768; repeat less/,
  });
});

/**
 * How many times a query calls the checkpoint. It throws an error at the first call above `most`, so that the test ends
 * even if the query does not.
 */
function checksOf(query: string, series: string, most = 10_000): number {
  let checks = 0;
  const checkpoint = (): void => {
    checks += 1;
    if (checks > most) throw new Error(`more than ${most} checks`);
  };
  evaluateAt(parseQuery(query), seriesOf(series, minuteMs), 5 * minuteMs, { checkpoint });
  return checks;
}

test("a query is aborted within a step: between subquery steps, windows, operands, matches and labels", () => {
  const series = ["a", "b", "c"].map((name) => `x{a="${name}"} 1x10`).join("\n");
  const aborted = (query: string): void => assert.throws(() => checksOf(query, series, 2), /more than 2 checks/, query);
  aborted("max_over_time(vector(1)[5m:1s])");
  aborted("count_over_time(x[5m])");
  aborted("1 + 1 + (x or x or x)");
  aborted('x{a=~"d|e"}');
  aborted('x{a!="d"}');
  aborted('label_replace(x, "b", "$1", "a", "(.*)")');
  aborted('label_join(x, "b", "", "a")');
});

test("a nested function evaluates its scalar once, not once for each window", () => {
  const series = Array.from({ length: 10 }, (_, index) => `x{a="${index}"} 1x10`).join("\n");
  let query = "0.5";
  for (let depth = 0; depth < 8; depth += 1) query = `scalar(max(quantile_over_time(${query}, x[5m])))`;
  assert.ok(checksOf(query, series) < 200);
});

test("a query that writes too much into labels, matches too long texts or collects too many points, is refused before it does so", () => {
  const source = seriesOf("x 0+1x100", minuteMs);
  let query = 'label_replace(x, "a", "aaaaaaaa", "", "")';
  for (let depth = 0; depth < 30; depth += 1) query = `label_replace(${query}, "a", "$1$1", "a", "(.*)")`;
  assert.throws(() => evaluateAt(parseQuery(query), source, minuteMs), { code: "query-too-large" });
  const joined = `label_join(x, "a", "${"s".repeat(40_000)}", ${Array.from({ length: 2_000 }, () => '"b"').join(", ")})`;
  assert.throws(() => evaluateAt(parseQuery(joined), source, minuteMs), { code: "query-too-large" });
  const matched = 'x{a=~"(b?){1000}"}';
  const long = seriesOf(`x{a="${"b".repeat(90_000)}"} 1x5`, minuteMs);
  assert.throws(() => evaluateAt(parseQuery(matched), long, minuteMs), { code: "query-too-large" });
  for (const collecting of ["x[1h]", "max_over_time(x[1h:1m])"])
    assert.throws(
      () => evaluateAt(parseQuery(collecting), source, 90 * minuteMs, { maxCollected: 50 }),
      { code: "query-too-large" },
      collecting,
    );
});

test("a range query yields between its steps", () => {
  const range = { startMs: 0, endMs: 3 * minuteMs, stepMs: minuteMs };
  const steps = evaluateRangeInSteps(parseQuery("x"), seriesOf("x 1x5", minuteMs), range);
  const seen = [];
  for (let step = steps.next(); ; step = steps.next()) {
    seen.push(step.done);
    if (step.done === true) break;
  }
  assert.deepEqual(seen, [false, false, false, false, true]);
});
