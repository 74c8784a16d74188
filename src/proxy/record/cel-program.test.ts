import assert from "node:assert/strict";
import { test } from "node:test";
import { threadCpuTimeMs } from "../../base/index.ts";
import { compileCel } from "./cel-program.ts";

const refuse = (problem: string): Error => new Error(problem);

test("an expression matches ordinary patterns", () => {
  const request = { path: `/api/v1/${"x".repeat(8000)}`, name: "reviews-v2.shop" };
  for (const expression of [
    'request.path.matches("^/api/v[0-9]+/.*$")',
    'request.name.matches("^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?[.]shop$")',
    'request.name.matches("^.{1,253}$")',
  ])
    assert.equal(compileCel(expression, refuse)({ request }), true, expression);
});

test("a pattern that takes long to compile or to match has no value, whoever chooses it", () => {
  const request = { long: "a".repeat(60_000), pattern: "a{1000}".repeat(300) };
  for (const expression of [
    `"x".matches("${"a{1000}".repeat(1000)}")`,
    `"x".matches(request.pattern)`,
    `request.long.matches("(a?){1000}b")`,
  ]) {
    const program = compileCel(expression, refuse);
    const before = threadCpuTimeMs();
    assert.equal(program({ request }), undefined, expression.slice(0, 60));
    const tookMs = threadCpuTimeMs() - before;
    assert.ok(tookMs < 200, `took ${tookMs} ms`);
  }
});
