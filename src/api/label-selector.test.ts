import assert from "node:assert/strict";
import { test } from "node:test";
import { matchesLabelSelector } from "./label-selector.ts";

test("a selector sees only the labels themselves, even if every object inherits a field of the key's name", () => {
  for (const key of ["constructor", "toString", "__proto__"]) {
    assert.ok(!matchesLabelSelector({ matchExpressions: [{ key, operator: "Exists" }] }, {}), key);
    assert.ok(matchesLabelSelector({ matchExpressions: [{ key, operator: "DoesNotExist" }] }, {}), key);
    const own = JSON.parse(`{"${key}":"a"}`) as Record<string, string>;
    assert.ok(matchesLabelSelector({ matchExpressions: [{ key, operator: "In", values: ["a"] }] }, own), key);
    assert.ok(!matchesLabelSelector({ matchExpressions: [{ key, operator: "NotIn", values: ["a"] }] }, own), key);
  }
});
