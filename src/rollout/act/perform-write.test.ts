import assert from "node:assert/strict";
import { test } from "node:test";
import type { Write } from "../decide/index.ts";
import type { ObjectAccess } from "./object-access.ts";
import { performWrite } from "./perform-write.ts";
import { cluster, old } from "./testing/undo-cluster.ts";

test("a step deletes the object whose value it has journaled, and no other one of its name", async () => {
  const objects = cluster();
  const prior = { metadata: { name: "istiod-old", uid: "0" } };
  const write: Write = { type: "delete", object: old };
  await assert.rejects(performWrite(objects as unknown as ObjectAccess, write, prior), { code: "conflict" });
  await performWrite(objects as unknown as ObjectAccess, write, await objects.get(old));
  assert.equal(await objects.get(old), undefined);
});
