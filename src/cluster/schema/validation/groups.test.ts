import assert from "node:assert/strict";
import { test } from "node:test";
import type { JsonObject } from "../json.ts";
import { Check } from "./check.ts";
import { groupValidators } from "./groups.ts";

function classFaults(name: string, value: number, old?: JsonObject): string[] {
  const check = new Check();
  groupValidators["scheduling.k8s.io/priorityclasses"]?.({ metadata: { name }, value }, old, check);
  return check.errors.map(({ field }) => field);
}

test("a priority class that an earlier release stored with another name or value can still change its labels", () => {
  assert.deepEqual(classFaults("system-mine", 1), ["metadata.name"]);
  assert.deepEqual(classFaults("too-high", 2_000_000_000), ["value"]);
  assert.deepEqual(classFaults("system-mine", 1, { metadata: { name: "system-mine" }, value: 1 }), []);
  assert.deepEqual(classFaults("too-high", 2_000_000_000, { value: 2_000_000_000 }), []);
});
