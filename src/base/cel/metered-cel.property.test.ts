import assert from "node:assert/strict";
import { test } from "node:test";
import type * as CelModule from "@bufbuild/cel";
import type * as CelExtensions from "@bufbuild/cel/ext";
import { loadPackage } from "../load-package.ts";
import { threadCpuTimeMs } from "../index.ts";
import { suspicion } from "../testing/index.ts";
import { costExceeded, MeteredCel, perCallLimit } from "./index.ts";

const library = loadPackage<typeof CelModule>("@bufbuild/cel");
const { strings } = loadPackage<typeof CelExtensions>("@bufbuild/cel/ext");
const { DYN } = library.CelScalar;
const cel = new MeteredCel(library, { variables: { l: DYN, t: DYN, m: DYN }, funcs: [...strings] });

type Bindings = Parameters<ReturnType<MeteredCel["compile"]>>[0];

function bindings(length: number): Bindings {
  const numbers = Array.from({ length }, (_, index) => BigInt(index));
  return {
    l: library.celList(numbers),
    t: "ab".repeat(length),
    m: library.celMap(new Map(numbers.map((number) => [`k${number}`, number]))),
  };
}

const evaluate = (rule: string, length: number): ReturnType<ReturnType<MeteredCel["compile"]>> =>
  cel.compile(rule)(bindings(length));

const rules = [
  "l.all(x, x >= 0)",
  "l.all(x, l.all(y, x == y || true))",
  "l.all(x, l.exists(y, true))",
  "l.exists(x, l.exists(y, l.exists(z, x + y + z < 0)))",
  "l.map(x, x * 2).all(y, y >= 0)",
  "l.filter(x, x % 2 == 0).map(x, x).exists(y, y < 0)",
  "l.map(x, l.map(y, y)).size() > 0",
  "l.map(x, l + l).size() > 0",
  "l.all(x, l == l.map(y, y))",
  "l.all(x, x in l)",
  "l.all(x, l[x] == x)",
  "l.all(x, size(t) > 0)",
  "l.all(x, t + t != t)",
  "[t].map(a, a + a).map(a, a + a).map(a, a + a).map(a, a + a).map(a, a + a)[0].size() > 0",
  "m.all(k, m.exists_one(q, q == k))",
  "m.all(k, m[k] in m || true)",
  "m == m && {'a': m} == {'a': m}",
  "t.matches('^(a+b+)+$') && t.contains(t) && !t.startsWith('b')",
  "t.split('a').size() > 0 && t.lowerAscii() == t && t.split('').join('---').size() > 0",
  "l.map(x, t).join(t) != ''",
  "l.map(x, '%s'.format([t])).size() >= 0",
];

test("the time of an expression grows at most linearly with the length of lists and texts", () => {
  for (const rule of rules) {
    const program = cel.compile(rule);
    assert.equal(
      suspicion((values: Bindings) => program(values), bindings, 4000),
      undefined,
      rule,
    );
  }
});

test("an expression above the cost limit has no value, in any context", () => {
  for (const rule of [
    "l.all(x, l.all(y, x == y || true))",
    "l.all(x, l.all(y, true) || true)",
    "l.all(x, l.all(y, true)) || true",
    "has(m.k0) ? l.all(x, l.exists_one(y, y == x)) : false",
  ]) {
    assert.equal(evaluate(rule, 100).value, true, rule);
    const { value, cost } = evaluate(rule, 1100);
    assert.ok(library.isCelError(value), rule);
    assert.equal(value.message, costExceeded);
    assert.ok(cost > perCallLimit);
  }
  assert.equal(evaluate("true || l.all(x, l.all(y, true))", 2000).value, true, "what is not looked at costs nothing");
});

test("loops over literal lists are also bounded", () => {
  const ten = "[0,1,2,3,4,5,6,7,8,9]";
  const nested = "abcdefghij".split("").reduceRight((inner, name) => `${ten}.all(${name}, ${inner})`, "true");
  const before = process.cpuUsage();
  const { value } = cel.compile(nested)({});
  const { user } = process.cpuUsage(before);
  assert.ok(library.isCelError(value));
  assert.ok(user < 5e6, `took ${user} µs`);
});

test("the cost of lists that contain one list twice, again and again, is counted only up to the limit", () => {
  // The list of the last level has 2^40 items.
  const list = `[[1, 1]]${".map(a, [a, a])".repeat(40)}`;
  for (const rule of [`${list} == ${list}`, `${list} in [${list}]`, `{"k": ${list}} == {"k": ${list}}`]) {
    const before = threadCpuTimeMs();
    const { value, cost } = cel.compile(rule)({}, 100_000);
    const tookMs = threadCpuTimeMs() - before;
    assert.ok(library.isCelError(value));
    assert.equal(value.message, costExceeded);
    assert.ok(cost > 100_000);
    assert.ok(tookMs < 2000, `took ${tookMs} ms`);
  }
  assert.equal(cel.compile(`${list}.size()`)({}).value, 1n);
});

test("the clock also ends an evaluation", () => {
  let now = 0;
  const slow = new MeteredCel(library, { variables: { l: DYN } }, () => (now += 400));
  const { value } = slow.compile("l.all(x, x + 1 > x)")(bindings(10_000));
  assert.ok(library.isCelError(value));
});

test("the cost of common expressions equals Kubernetes'", () => {
  // The expected costs are those of cel-go's own model, which also charges a loop for branches that it does not take.
  for (const [rule, expected] of [
    ["true", 0],
    ["t == 'ab'", 2],
    ["l.size() > 3", 3],
    ["t.contains('ab')", 3],
    ["l.all(x, x >= 0)", 10 * 5 + 3],
    ["[1, 2, 3].all(x, true)", 20],
    ["[1, 2]", 10],
    ["t.matches('[a-z]+')", 7],
  ] as const)
    assert.equal(evaluate(rule, 10).cost, expected, rule);
});

test("lists that loops build keep their values", () => {
  for (const [rule, expected] of [
    ["l.map(x, x * 2) == [0, 2, 4, 6]", true],
    ["l.filter(x, x % 2 == 1) == [1, 3]", true],
    ["l.map(x, x > 1, x + 1) == [3, 4]", true],
    ["l.map(x, l.filter(y, y < x).size()) == [0, 1, 2, 3]", true],
    ["l.map(x, [x]) + [[9]] == [[0], [1], [2], [3], [9]]", true],
    ["m.all(key, key in m) && m.exists_one(key, key == 'k1')", true],
    ["l + [4] + l == [0, 1, 2, 3, 4, 0, 1, 2, 3]", true],
  ] as const)
    assert.equal(evaluate(rule, 4).value, expected, rule);
});

test("an expression that repeats a lot costs as much as it takes to compile", () => {
  const repeated = (times: number): string => "(a?){1000}".repeat(times);
  assert.equal(cel.compile(`"a".matches("[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")`)({}).cost, 9);
  assert.equal(cel.compile(`"a".matches("^.{1,253}$")`)({}).cost, 3);
  assert.ok(cel.compile(`"a".matches("${repeated(1)}")`)({}).cost > 10_000);
  assert.match(String(cel.compile(`"a".matches("${repeated(100)}")`)({}).value), new RegExp(costExceeded));
});
