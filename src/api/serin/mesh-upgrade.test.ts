import assert from "node:assert/strict";
import { test } from "node:test";
import { parseMeshUpgrade } from "./mesh-upgrade.ts";

function agentOf(cni: object): unknown {
  const { value } = parseMeshUpgrade({
    metadata: { name: "to-1-18-1" },
    spec: {
      from: { revision: "1-18-0" },
      to: { revision: "1-18-1", install: [{ profile: "ambient", revision: "1-18-1" }], cni },
    },
  });
  return value?.spec.to.cni;
}

test("a CNI agent with only a tag gets the mesh's profile and is enabled", () => {
  assert.deepEqual(agentOf({ tag: "1.18.1" }), {
    tag: "1.18.1",
    profile: "ambient",
    components: { cni: { enabled: true } },
  });
});

test("a CNI agent's own profile and component are kept", () => {
  const cni = { profile: "empty", components: { cni: { enabled: false, namespace: "kube-system" } } };
  assert.deepEqual(agentOf(cni), cni);
});
