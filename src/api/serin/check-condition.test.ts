import assert from "node:assert/strict";
import { test } from "node:test";
import { conditionProblem } from "./check-condition.ts";

test("a condition that is too long is refused unread", () => {
  const condition = (terms: number): string => "result > 1.0".padEnd(terms * 12, " || result > 1.0");
  assert.equal(conditionProblem("result > 1.0 && canary < stable"), undefined);
  assert.match(conditionProblem(condition(1000)) ?? "", /must have at most 8192 characters, got 12000/);
});
