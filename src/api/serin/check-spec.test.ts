import assert from "node:assert/strict";
import { test } from "node:test";
import { parseCheck, resolveChecks } from "./check.ts";
import { checkDefaults, type CheckSpec } from "./check-spec.ts";
import { checkTypes } from "./check-type.ts";
import { evaluateCondition } from "./check-condition.ts";
import { fillTemplate, type TemplateValues } from "./check-template.ts";
import { explainCheck } from "./explain-check.ts";
import { parseCanary } from "./canary.ts";

const parsed = (spec: object) =>
  parseCheck({
    apiVersion: "rollout.serin.dev/v1alpha1",
    kind: "Check",
    metadata: { name: "one", namespace: "shop" },
    spec,
  });

function good(spec: object): CheckSpec {
  const { value, errors } = parsed(spec);
  assert.deepEqual(errors, []);
  assert.ok(value);
  return value.spec;
}

test("every default is filled in", () => {
  const { query, ...plain } = good({ type: "query", query: { provider: "mesh", expression: "up" }, min: 1 });
  assert.deepEqual(query, { provider: "mesh", expression: "up", timeoutSeconds: 5 });
  assert.deepEqual(plain, { ...checkDefaults, name: "query", type: "query", intervalSeconds: 5, min: 1 });
});

test("every type can be explained, and all but query and webhook need no other field", () => {
  for (const type of checkTypes) {
    const more =
      type === "query"
        ? { query: { provider: "prometheus", address: "http://prometheus:9090", expression: "up" }, max: 1 }
        : type === "webhook"
          ? { webhook: { url: "http://gate/" } }
          : {};
    for (const sentence of explainCheck(good({ type, ...more }))) assert.match(sentence, /[.:]|up$/, sentence);
  }
});

const bad: readonly (readonly [spec: object, path: string, message: RegExp])[] = [
  [{}, "spec.type", /is required/],
  [{ type: "probe-matrix" }, "spec.type", /must be one of .*mtls-probe-matrix/],
  [{ type: "query", min: 1 }, "spec.query", /is required by type query/],
  [{ type: "query", query: { provider: "mesh", expression: "up" } }, "spec", /needs a judgement/],
  [
    { type: "query", max: 1, query: { provider: "prometheus", expression: "up" } },
    "spec.query.address",
    /is required by provider prometheus/,
  ],
  [
    { type: "query", max: 1, query: { provider: "mesh", headers: { "X-Scope-OrgID": "shop" }, expression: "up" } },
    "spec.query.headers",
    /is only for provider prometheus/,
  ],
  [
    {
      type: "query",
      max: 1,
      query: {
        provider: "prometheus",
        address: "http://x",
        headers: { "X-Forwarded-For": "1.2.3.4" },
        expression: "up",
      },
    },
    "spec.query.headers.X-Forwarded-For",
    /only the engine may set/,
  ],
  [
    { type: "query", max: 1, query: { provider: "mesh", address: "http://x", expression: "up" } },
    "spec.query.address",
    /is only for provider prometheus/,
  ],
  [
    { type: "query", max: 1, query: { provider: "mesh", expression: "up{a='{{ canary.pod }}'}" } },
    "spec.query.expression",
    /uses the unknown name \{\{ canary\.pod \}\}; known: canary\.service, /,
  ],
  [
    { type: "query", min: 2, max: 1, query: { provider: "mesh", expression: "up" } },
    "spec.min",
    /must not be above max/,
  ],
  [
    { type: "query", passWhen: "result <", query: { provider: "mesh", expression: "up" } },
    "spec.passWhen",
    /is not a valid CEL expression: .*found/,
  ],
  [
    { type: "query", failWhen: "results > 1", query: { provider: "mesh", expression: "up" } },
    "spec.failWhen",
    /unknown variable results; .*did you mean result\?/,
  ],
  [{ type: "webhook", webhook: { url: "gate" } }, "spec.webhook.url", /must be an http or https URL/],
  [
    { type: "webhook", webhook: { url: "http://gate", timeoutSeconds: 600 } },
    "spec.webhook.timeoutSeconds",
    /from 1 to 60/,
  ],
  [{ type: "restarts", maxMs: 5 }, "spec.maxMs", /is only for type request-duration/],
  [{ type: "restarts", passWhen: "true" }, "spec.passWhen", /is only for the types request-success-rate/],
  [{ type: "request-duration", quantiles: [99] }, "spec.quantiles[0]", /such as 0\.99/],
  [{ type: "request-duration", maxRatio: 0.5 }, "spec.maxRatio", /from 1 to 1000/],
  [{ type: "certificate-roots", roots: ["abc"] }, "spec.roots[0]", /64 hex digits/],
  [{ type: "request-share", maxErrorRate: 1 }, "spec.maxErrorRate", /below 1/],
  [{ type: "request-share", name: "Not good" }, "spec.name", /lower-case/],
  [{ type: "request-share", colour: 1 }, "spec.colour", /is not a known field/],
];

for (const [spec, path, message] of bad) {
  test(`${JSON.stringify(spec)} is refused at ${path}`, () => {
    const { errors } = parsed(spec);
    const found = errors.find((issue) => issue.path === path);
    assert.ok(found, JSON.stringify(errors));
    assert.match(found.message, message);
  });
}

function checksOf(checks: readonly object[]): ReturnType<typeof parseCanary> {
  const target = { httpRoute: { name: "r", stable: { name: "a", port: 1 }, canary: { name: "b", port: 1 } } };
  return parseCanary({ metadata: { name: "c", namespace: "shop" }, spec: { target, steps: [{ weight: 1 }], checks } });
}

test("a reference is replaced by its Check, may have its own name, and allows no other fields", () => {
  const { value } = checksOf([
    { ref: "latency" },
    { ref: "latency", namespace: "platform", name: "theirs", dryRun: true },
  ]);
  const names: string[] = [];
  const resolved = resolveChecks(value?.spec.checks ?? [], "shop", ({ name, namespace }) => {
    names.push(`${namespace}/${name}`);
    return good({ type: "request-duration", maxMs: 100 });
  });
  assert.deepEqual(names, ["shop/latency", "platform/latency"]);
  assert.deepEqual(
    resolved.map(({ name, type, maxMs, dryRun }) => ({ name, type, maxMs, dryRun })),
    [
      { name: "latency", type: "request-duration", maxMs: 100, dryRun: false },
      { name: "theirs", type: "request-duration", maxMs: 100, dryRun: true },
    ],
  );
  assert.throws(
    () => resolveChecks(value?.spec.checks ?? [], "shop", () => undefined),
    /Check shop\/latency, which the rollout names, does not exist/,
  );
  assert.match(checksOf([{ ref: "latency", minSamples: 1 }]).errors[0]?.path ?? "", /^spec\.checks\[0\]\.minSamples$/);
});

test("the names of checks and of the Checks that they refer to follow the rules of objects' names", () => {
  const faults = (check: object): string[] => checksOf([check]).errors.map(({ path }) => path);
  assert.deepEqual(faults({ ref: "a".repeat(253), name: "a".repeat(63), namespace: "platform" }), []);
  assert.deepEqual(faults({ ref: "Not good" }), ["spec.checks[0].ref"]);
  assert.deepEqual(faults({ ref: "" }), ["spec.checks[0].ref"]);
  assert.deepEqual(faults({ ref: "latency", namespace: "a/b" }), ["spec.checks[0].namespace"]);
  assert.deepEqual(faults({ ref: "latency", name: "a".repeat(64) }), ["spec.checks[0].name"]);
  assert.deepEqual(faults({ type: "restarts", name: "a".repeat(64) }), ["spec.checks[0].name"]);
});

test("two checks with one name are refused", () => {
  assert.deepEqual(
    checksOf([{ type: "restarts" }, { type: "restarts" }]).errors.map(({ path }) => path),
    ["spec.checks[1]"],
  );
});

test("a condition can use the measurements, and a comparison with a missing value is a problem", () => {
  const bindings = {
    result: { errors: 2, list: [1, 2] },
    baseline: undefined,
    canary: { rate: 0.5 },
    stable: { rate: 0.1 },
  };
  assert.equal(evaluateCondition("canary.rate > 4.0 * stable.rate && result.list.all(x, x < 3)", bindings), true);
  assert.equal(evaluateCondition("result.errors > 2", bindings), false);
  assert.match((evaluateCondition("baseline > 1", bindings) as { problem: string }).problem, /overload|type/);
  assert.match(
    (evaluateCondition("result.other == 1", bindings) as { problem: string }).problem,
    /other|attribute|no such/i,
  );
});

test("an endless condition is a problem, and the engine continues", () => {
  const ten = "[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]";
  const nested = "abcdefgh".split("").reduce((inner, name) => `${ten}.all(${name}, ${inner})`, "true");
  const bindings = { result: 1, baseline: 1, canary: 1, stable: 1 };
  assert.deepEqual(evaluateCondition(`${nested} || true`, bindings), {
    problem:
      "the conditions of a step's checks may cost 250000 units of CEL together, and they cost more: loop over fewer elements",
  });
});

test("names in double braces are replaced, and names without a value are reported", () => {
  const side = { service: "shop", namespace: "a", workload: "", revision: "" };
  const values: TemplateValues = { canary: side, stable: { ...side, namespace: "b" }, window: "30s" };
  assert.deepEqual(
    fillTemplate(
      'rate(x{ns="{{ canary.namespace }}",other="{{stable.namespace}}",w="{{ canary.workload }}"}[{{ window }}])',
      values,
    ),
    {
      text: 'rate(x{ns="a",other="b",w=""}[30s])',
      missing: ["canary.workload"],
    },
  );
});
