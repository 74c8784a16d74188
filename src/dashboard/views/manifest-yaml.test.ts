import assert from "node:assert/strict";
import { test } from "node:test";
import { manifestYaml } from "./manifest-yaml.ts";

test("a manifest begins with its version and kind, whatever the order in which the API server sends them", () => {
  const stored = {
    kind: "VirtualService",
    spec: { hosts: ["web"] },
    metadata: { name: "web", managedFields: [{}] },
    apiVersion: "networking.istio.io/v1",
  };
  assert.equal(
    manifestYaml(stored),
    "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata:\n  name: web\nspec:\n  hosts:\n    - web\n",
  );
});
