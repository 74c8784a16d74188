import assert from "node:assert/strict";
import { test } from "node:test";
import { meshTrustOf, specTrust } from "./trust-settings.ts";

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
