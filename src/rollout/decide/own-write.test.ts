import assert from "node:assert/strict";
import { test } from "node:test";
import type { JournalEntry } from "../../api/serin/index.ts";
import { isOwnWrite } from "./own-write.ts";
import type { Write } from "./step.ts";

const object = { apiVersion: "apps/v1", kind: "Deployment", plural: "deployments", name: "edge-next", namespace: "a" };
const scaling: Write = { type: "field", object, pointer: "/spec/replicas", value: 3, own: true };
const removal: Write = { type: "delete", object, own: true };
const made: JournalEntry = { type: "created", step: "one", object };

test("a write to an object that the run has found is journaled, also if the rollout usually makes it", () => {
  for (const write of [scaling, removal]) {
    assert.equal(isOwnWrite(write, [made]), true);
    assert.equal(isOwnWrite(write, []), false);
    assert.equal(isOwnWrite(write, [{ ...made, object: { ...object, name: "other" } }]), false);
  }
  assert.equal(isOwnWrite({ type: "field", object, pointer: "/spec/replicas", value: 3 }, [made]), false);
  assert.equal(isOwnWrite({ type: "create", object, body: { metadata: {} } }, [made]), false);
});

test("the deletion of a probe is never undone, whoever made it", () => {
  assert.equal(isOwnWrite({ type: "delete", object, forGood: true }, []), true);
});
