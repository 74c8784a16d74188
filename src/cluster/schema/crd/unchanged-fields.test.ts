import assert from "node:assert/strict";
import { test } from "node:test";
import { fieldErrors } from "../field-error.ts";
import { unchangedFields } from "./unchanged-fields.ts";

const faults = (...fields: readonly string[]): ReturnType<typeof fieldErrors.invalid>[] =>
  fields.map((field) => fieldErrors.invalid(field, null, "wrong"));

test("a faulty field counts as unchanged if its old value is equal, whatever characters its path's keys contain", () => {
  const old = { spec: { "a.b": 1, "c[d": [{ "]": 2 }], e: 3 } };
  const next = { spec: { "a.b": 1, "c[d": [{ "]": 2 }], e: 4, f: 5 } };
  const fields = faults("spec.a.b", "spec.c[d[0].]", "spec.e", "spec.f", "");
  assert.deepEqual([...unchangedFields(fields, next, old)], ["spec.a.b", "spec.c[d[0].]"]);
});

test("a hundred thousand faulty fields are compared in one pass", () => {
  const keys = Array.from({ length: 100_000 }, (_, index) => `a.${index}`);
  const old = { spec: Object.fromEntries(keys.map((key) => [key, 1])) };
  assert.equal(unchangedFields(faults(...keys.map((key) => `spec.${key}`)), old, old).size, keys.length);
});
