import assert from "node:assert/strict";
import { test } from "node:test";
import { rulesNotCovered } from "./escalation.ts";
import type { PolicyRule } from "./rbac.ts";

const rule = (verbs: string, groups: string, resources: string, names?: string): PolicyRule => ({
  verbs: verbs.split(" "),
  apiGroups: groups.split(" ").map((group) => (group === "core" ? "" : group)),
  resources: resources.split(" "),
  ...(names === undefined ? {} : { resourceNames: names.split(" ") }),
});

test("each right that no held rule grants is named", () => {
  const held = [
    rule("get list", "core", "pods pods/log"),
    rule("*", "apps", "*"),
    rule("get", "core", "secrets", "own"),
    rule("update", "*", "*/scale"),
    { verbs: ["get"], nonResourceURLs: ["/healthz/*"] },
  ];
  const missing = (wanted: PolicyRule): PolicyRule[] => rulesNotCovered(held, [wanted]);
  for (const granted of [
    rule("get", "core", "pods"),
    rule("list get", "core", "pods/log pods"),
    rule("delete", "apps", "deployments deployments/status", "a b"),
    rule("get", "core apps", "pods"),
    rule("get", "core", "secrets", "own"),
    rule("update", "core", "replicationcontrollers/scale"),
    { verbs: ["get"], nonResourceURLs: ["/healthz/etcd"] },
  ])
    assert.deepEqual(missing(granted), [], JSON.stringify(granted));
  assert.deepEqual(missing(rule("get delete", "core", "pods")), [rule("delete", "core", "pods")]);
  assert.deepEqual(missing(rule("get", "core", "secrets")), [rule("get", "core", "secrets")]);
  assert.deepEqual(missing(rule("get", "core", "secrets", "own other")), [rule("get", "core", "secrets", "other")]);
  assert.deepEqual(missing(rule("*", "core", "pods")), [rule("*", "core", "pods")]);
  assert.equal(missing({ verbs: ["get"], nonResourceURLs: ["/metrics"] }).length, 1);
});

test("a rule that stands for billions of rights is compared at once, and refused unless one rule grants it", () => {
  const many = (name: string, count = 300): string[] => Array.from({ length: count }, (_, index) => `${name}${index}`);
  const wanted = { verbs: many("v"), apiGroups: many("g"), resources: many("r"), resourceNames: many("n") };
  const before = process.cpuUsage();
  assert.deepEqual(rulesNotCovered([rule("get", "core", "pods")], [wanted]), [wanted]);
  assert.deepEqual(rulesNotCovered([rule("*", "*", "*")], [wanted]), []);
  const large = { verbs: ["get"], apiGroups: [""], resources: many("r", 200_000) };
  assert.equal(rulesNotCovered([large], [{ ...large, resources: [...large.resources, "x"] }]).length, 1);
  assert.ok(process.cpuUsage(before).user < 2_000_000);
});
