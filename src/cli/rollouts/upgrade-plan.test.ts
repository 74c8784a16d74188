import assert from "node:assert/strict";
import { test } from "node:test";
import { parseMeshUpgrade } from "../../api/serin/index.ts";
import { plannedUpgrade } from "./upgrade-plan.ts";

test("a plan renders the agent that the engine would install, although the file states only its tag", () => {
  const install = [{ profile: "ambient", revision: "next", values: { global: { platform: "k3s" } } }];
  const object = {
    metadata: { name: "to-next" },
    spec: { from: { revision: "default" }, to: { revision: "next", install, cni: { tag: "1.18.1" } } },
  };
  const { value = assert.fail() } = parseMeshUpgrade(object);
  const planned = plannedUpgrade(object, value);
  assert.equal(planned.installs, install);
  assert.deepEqual(planned.cni, {
    profile: "ambient",
    tag: "1.18.1",
    values: { global: { platform: "k3s" } },
    components: { cni: { enabled: true } },
  });
});
