import assert from "node:assert/strict";
import { test } from "node:test";
import { meshTrustOf, rootNamespaceOf, specTrust } from "./trust-settings.ts";

test("a mesh without a trust domain has the default one, and no aliases", () => {
  for (const text of ["", "enableTracing: true", "trustDomain: ''"])
    assert.deepEqual(meshTrustOf(text), { trustDomain: "cluster.local", aliases: [] }, text);
});

test("an install spec that sets a trust domain decides, and another one leaves the mesh's", () => {
  const mesh = "trustDomain: old.example\ntrustDomainAliases: [older.example]";
  assert.deepEqual(specTrust([{ meshConfig: { trustDomain: "new.example" } }], mesh), {
    trustDomain: "new.example",
    aliases: [],
  });
  for (const installs of [[], [{}], [{ meshConfig: { enableTracing: true } }], ["text"]])
    assert.deepEqual(specTrust(installs, mesh), { trustDomain: "old.example", aliases: ["older.example"] });
});

test("a mesh config that is no YAML is the user's fault, and aliases of another type have no effect", () => {
  assert.throws(() => meshTrustOf("a: ["), { kind: "user", code: "bad-mesh-config" });
  assert.deepEqual(meshTrustOf("trustDomainAliases: [a.example, {toString: 3}]").aliases, ["a.example"]);
});

test("the root namespace is read as istiod reads it, also from a merged map", () => {
  assert.equal(rootNamespaceOf("x: &all {rootNamespace: root}\n<<: *all\n", "istio-system"), "root");
  for (const text of ["", "3", "rootNamespace: {}"])
    assert.equal(rootNamespaceOf(text, "istio-system"), "istio-system");
});
