import assert from "node:assert/strict";
import { test } from "node:test";
import { parseQuery } from "./index.ts";

const faults: Readonly<Record<string, RegExp>> = {
  "": /the query is empty/,
  "foo{": /line 1, character 5: unexpected end of input/,
  "sum(": /line 1, character 5: unexpected end of input/,
  "foo bar": /character 5: unexpected "bar"/,
  "up ==\n  foo{a='b'} }": /line 2, character 14: unexpected "}"/,
  "nofn(x)": /character 1: the function nofn is not supported/,
  "raet(x[5m])": /raet is not supported; did you mean rate\?/,
  "histogram_avg(x)": /histogram_avg is not supported/,
  "rate(x)": /argument 1 of rate must be a range vector, not an instant vector/,
  "rate(x[5m], 1)": /rate takes 1 argument\(s\), not 2/,
  "sum(x[5m])": /sum aggregates an instant vector, not a range vector/,
  "topk(x)": /topk takes 2 argument\(s\), not 1/,
  "topk('a', x)": /first argument of topk must be a scalar/,
  "{}": /at least one matcher that does not match the empty string/,
  '{a=~".*"}': /at least one matcher that does not match the empty string/,
  'x{a=~"("}': /not a valid RE2 expression/,
  'x{__name__="y"}': /name is set twice/,
  "1 > 2": /need the modifier bool/,
  "x + bool y": /bool is allowed after a comparison only/,
  "x and 1": /and needs instant vectors on both sides/,
  "x and on(a) group_left() y": /and does not support group_left/,
  "1 + on(a) x": /on and ignoring need instant vectors on both sides/,
  "x / on(a) group_left(a) y": /must not be both in on\(\) and in group_left/,
  "(x + y)[5m]": /a range is allowed after a selector only/,
  "x[5m][5m]": /unexpected|range is allowed/,
  "x[0s]": /must be greater than 0/,
  "x[5]m": /unexpected/,
  "rate(x[5m:1m]) offset 5m": /offset and @ must come after a selector or a subquery/,
  "x offset 5m offset 5m": /once each/,
  "-'a'": /a sign needs a scalar or an instant vector/,
  "'abc": /unexpected end|not a complete string/,
  "x smoothed": /is not supported/,
};

test("an invalid query is refused with the position and the fault", () => {
  for (const [query, expected] of Object.entries(faults)) assert.throws(() => parseQuery(query), expected, query);
});

test("an error far into a long query is found at its place", () => {
  const terms = "a{b='c'}, ".repeat(2000);
  assert.throws(() => parseQuery(`label_join(${terms}x) }${"a ".repeat(2000)}`), /character 20015: unexpected "}"/);
  assert.throws(
    () => parseQuery(`label_join(${terms}"${"x".repeat(5000)}`),
    /character 25013: unexpected end of input/,
  );
});

test("a query is bounded in length and depth", () => {
  assert.throws(() => parseQuery(`x${" + x".repeat(50_000)}`), /100000 are allowed/);
  assert.throws(() => parseQuery(`${"(".repeat(300)}1${")".repeat(300)}`), /more than 200 levels/);
});

test("a chain or a nesting of any length is refused for its depth, although the grammar's parser gives it up earlier", () => {
  const tooDeep = /nested more than 200 levels deep, and each operator of a chain such as a \+ b \+ c is one level/;
  for (const terms of [300, 700, 1500, 20_000]) {
    for (const query of [
      Array.from({ length: terms }, () => "a").join(" + "),
      Array.from({ length: terms }, () => "1").join("*"),
      `${"(".repeat(terms)}1${")".repeat(terms)}`,
    ])
      assert.throws(() => parseQuery(query), tooDeep, `${terms} terms of ${query.slice(0, 8)}`);
  }
  assert.equal(parseQuery(Array.from({ length: 200 }, () => "a").join(" + ")).type, "binary");
});

test("a query's parts keep their meaning", () => {
  const parsed = parseQuery('sum without ("a.b", c) (rate(x{j!~"k"}[1h30m] offset 1m)) # comment');
  assert.equal(parsed.type, "aggregation");
  assert.deepEqual([...(parsed.type === "aggregation" ? parsed.grouping : [])], ["a.b", "c"]);
  const call = parsed.type === "aggregation" ? parsed.expression : parsed;
  const range = call.type === "call" ? call.args[0] : call;
  assert.equal(range?.type === "range" ? range.rangeMs : 0, 5_400_000);
  assert.equal(range?.type === "range" ? range.selector.offsetMs : 0, 60_000);
});
