import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import type { KindDefinition } from "../api/index.ts";
import * as gateway from "../api/gateway/index.ts";
import * as istio from "../api/istio/index.ts";
import * as kubernetes from "../api/kubernetes/index.ts";
import * as serin from "../api/serin/index.ts";
import { installedKinds, renderInstall, resolveSettings } from "../install/index.ts";
import { reference } from "./plan/index.ts";

// The engine's account may do only what its role lists. test/e2e/rollout-rights.test.ts compares the role with the
// requests of a lab's rollouts. This test compares it with the requests that the sources can make.

interface Rule {
  readonly apiGroups: readonly string[];
  readonly resources: readonly string[];
  readonly verbs: readonly string[];
}

const rules = engineRules();

function engineRules(): readonly Rule[] {
  const { value: settings } = resolveSettings({ specs: [{ profile: "default" }] }, { hub: "h", tag: "1" });
  assert.ok(settings);
  const roles = renderInstall(settings, { istio: [], rollout: [] })
    .components.flatMap(({ objects }) => objects)
    .filter(({ kind, metadata }) => kind === "ClusterRole" && metadata.name === "serin-rollout");
  return roles.flatMap((role) => (role as unknown as { rules: readonly Rule[] }).rules);
}

const allows = (group: string, resource: string, verb: string): boolean =>
  rules.some(
    ({ apiGroups, resources, verbs }) =>
      apiGroups.includes(group) && resources.includes(resource) && verbs.includes(verb),
  );

const missing = (group: string, resource: string, verbs: readonly string[]): string[] =>
  verbs
    .filter((verb) => !allows(group, resource, verb))
    .map((verb) => `${verb} ${resource}${group === "" ? "" : `.${group}`}`);

const verbsOf: Readonly<Record<string, readonly string[]>> = {
  get: ["get"],
  list: ["list"],
  create: ["create"],
  update: ["update"],
  apply: ["create", "patch"],
  patchMerge: ["patch"],
  delete: ["delete"],
  createInformer: ["list", "watch"],
};
const calls =
  /(?:[cC]lient\.(?<method>get|list|create|update|apply|patchMerge|delete)|(?<informer>createInformer)\((?:this\.#)?client,\s*|(?<method2>list)ed\(sources,\s*)\(?(?<kind>\w+Kind)\b/g;
const kinds = { ...gateway, ...istio, ...kubernetes, ...serin } as unknown as Readonly<Record<string, KindDefinition>>;

test("the engine's role covers each read and write of a kind that its sources name", () => {
  const root = join(import.meta.dirname);
  const usedKinds = new Set<string>();
  const lacking: string[] = [];
  for (const file of globSync("**/*.ts", { cwd: root })) {
    if (file.endsWith(".test.ts") || file.startsWith("sim/")) continue;
    for (const { groups = {} } of readFileSync(join(root, file), "utf8").matchAll(calls)) {
      const kind = kinds[groups["kind"] ?? ""];
      // Roles in two namespaces grant the rights to Secrets, so they are not in the ClusterRole.
      if (kind === undefined || kind.plural === "secrets") continue;
      usedKinds.add(`${kind.plural}.${kind.group}`);
      const verbs = verbsOf[groups["informer"] ?? groups["method"] ?? groups["method2"] ?? ""] ?? [];
      lacking.push(...missing(kind.group, kind.plural, verbs).map((text) => `${file}: ${text}`));
    }
  }
  assert.ok(usedKinds.size > 15, [...usedKinds].join(", "));
  assert.deepEqual(lacking, []);
});

test("the engine's role covers installing, changing and removing every installed kind", () => {
  const lacking = installedKinds
    // CRDs are part of the release, and the engine does not delete namespaces.
    .filter(({ kind }) => kind !== "CustomResourceDefinition")
    .flatMap(({ group, plural }) => missing(group, plural, ["get", "list", "create", "patch", "delete"]));
  assert.deepEqual(lacking, []);
  for (const role of ["clusterroles", "roles"])
    assert.deepEqual(missing("rbac.authorization.k8s.io", role, ["escalate", "bind"]), []);
});

test("the engine's role covers writing each kind that plans name", () => {
  const sources = globSync("plan/**/*.ts", { cwd: import.meta.dirname })
    .filter((file) => !file.endsWith(".test.ts"))
    .map((file) => readFileSync(join(import.meta.dirname, file), "utf8"))
    .join("\n");
  const named = [...sources.matchAll(/(?:kind: |named\(|reference\("[^"]*", )"(?<kind>[A-Z][A-Za-z]+)"/g)].map(
    ({ groups }) => groups?.["kind"] ?? "",
  );
  const lacking = [...new Set(named)]
    .filter((kind) => !["Secret", "Machine"].includes(kind))
    .flatMap((kind) => {
      const { plural } = reference("v1", kind, "x");
      const groups = rules.filter(({ resources }) => resources.includes(plural)).flatMap(({ apiGroups }) => apiGroups);
      return groups.length === 0 ? [plural] : groups.flatMap((group) => missing(group, plural, ["get", "patch"]));
    });
  assert.ok(named.length > 10, named.join(", "));
  assert.deepEqual(lacking, []);
});

test("the engine's role covers no Secrets, no commands in pods and no impersonation", () => {
  for (const [resource, verb] of [
    ["secrets", "get"],
    ["pods/exec", "create"],
    ["nodes/proxy", "get"],
    ["users", "impersonate"],
    ["serviceaccounts", "impersonate"],
    ["*", "get"],
  ] as const)
    assert.ok(!allows("", resource, verb), `${verb} ${resource}`);
});
