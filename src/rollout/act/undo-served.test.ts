import assert from "node:assert/strict";
import { test } from "node:test";
import type { JournalEntry } from "../../api/serin/index.ts";
import type { ObjectAccess } from "./object-access.ts";
import type { UndoContext } from "./undo-context.ts";
import { undoEntry } from "./undo-entry.ts";

test("undo leaves a route as it is while the restored version has no ready pod", async () => {
  const object = { apiVersion: "v1", kind: "HTTPRoute", plural: "httproutes", name: "r", namespace: "n" };
  const [prior, written] = [[{ weight: 100 }], [{ weight: 50 }, { weight: 50 }]];
  const entry: JournalEntry = { type: "field", step: "s", object, pointer: "/spec/rules", prior, written };
  let rules: unknown = written;
  const objects = {
    get: async () => await Promise.resolve({ metadata: { name: "r" }, spec: { rules } }),
    setField: async (_object: unknown, _pointer: string, value: unknown) => await Promise.resolve((rules = value)),
    release: async () => await Promise.resolve(),
  } as unknown as ObjectAccess;
  const asked: unknown[] = [];
  let detail: string | undefined = "Service n/stable has no ready pod";
  const context = {
    notServedYet: async (_route: unknown, change: unknown) => {
      asked.push(change);
      return await Promise.resolve(detail);
    },
    notAcknowledged: async () => await Promise.resolve(undefined),
  } as unknown as UndoContext;
  assert.deepEqual(await undoEntry(objects, entry, context), { state: "waiting", detail });
  assert.deepEqual([rules, asked], [written, [{ object, before: written, after: prior }]]);
  detail = undefined;
  assert.equal((await undoEntry(objects, entry, context)).state, "undone");
  assert.deepEqual(rules, prior);
});
