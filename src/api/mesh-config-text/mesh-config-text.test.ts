import assert from "node:assert/strict";
import { test } from "node:test";
import { meshTextTree, readMeshConfig } from "./index.ts";

const where = "ConfigMap istio-system/istio";

test("a mesh config is read by the rules of YAML that istiod uses, and an empty text has all defaults", () => {
  assert.equal(readMeshConfig("enableAutoMtls: off\n", where).enableAutoMtls, false);
  assert.equal(readMeshConfig("", where).rootNamespace, "istio-system");
  const merged = "defaultConfig: &all {concurrency: 2}\nother: {<<: *all, drainDuration: 10s}\n";
  assert.deepEqual(Reflect.get(meshTextTree(merged, where) as object, "other"), {
    concurrency: 2,
    drainDuration: "10s",
  });
});

test("each fault is the user's and names the text: no YAML, too many levels, and all invalid fields", () => {
  for (const [text, message] of [
    ["a: [", /^ConfigMap istio-system\/istio is not valid YAML: Flow sequence in block collection must be/],
    ["[".repeat(70), /^ConfigMap istio-system\/istio must be nested at most 64 levels deep$/],
    [
      "trustDomain: 3\nrootNamespace: []\n",
      /^ConfigMap istio-system\/istio is not a valid mesh config:\n.*trustDomain: must be a string, got 3\n.*rootNamespace: must be a string/s,
    ],
  ] as const)
    assert.throws(() => readMeshConfig(text, where), { kind: "user", code: "bad-mesh-config", message });
});
