import assert from "node:assert/strict";
import { test } from "node:test";
import { nextRollout } from "./rollouts.ts";

test("Canaries and MeshUpgrades take turns, and no MeshUpgrade begins shortly before the end", () => {
  assert.equal(nextRollout(false, 600_000), "Canary");
  assert.equal(nextRollout(true, 600_000), "MeshUpgrade");
  assert.equal(nextRollout(true, 60_000), "Canary");
});
