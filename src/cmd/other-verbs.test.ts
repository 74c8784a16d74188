import assert from "node:assert/strict";
import { test } from "node:test";
import { clusterUsage } from "./cluster.ts";
import { doctorUsage } from "./doctor.ts";
import { otherVerbs } from "./other-verbs.ts";

function flagsIn(usage: string): string[] {
  return [
    ...new Set(
      Array.from(
        usage.matchAll(/(--[\w-]+)( [A-Z])?/g),
        ([, flag, value]) => `${flag}${value === undefined ? "" : "="}`,
      ),
    ),
  ];
}

test("completion knows each verb and flag that the usage of cluster names", () => {
  // A verb's usage may take several lines, which are indented by more than four spaces. The description below is
  // indented by four.
  const lines = [...clusterUsage.matchAll(/^serin cluster (\w+)(.*(?:\n {5,}.*)*)/gm)];
  const found = Object.fromEntries(lines.map(([, verb = "", usage = ""]) => [verb, flagsIn(usage).toSorted()]));
  const known = Object.entries(otherVerbs["cluster"]?.verbs ?? {}).map(([verb, flags]) => [verb, flags.toSorted()]);
  assert.deepEqual(found, Object.fromEntries(known));
});

test("completion knows each long flag that the usage of doctor names", () => {
  const [usage = ""] = doctorUsage.split("\n\n");
  const flags = otherVerbs["doctor"]?.flags ?? [];
  for (const flag of flagsIn(usage)) assert.ok(flags.includes(flag), flag);
});
