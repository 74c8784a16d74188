import assert from "node:assert/strict";
import { test } from "node:test";
import type { KindDefinition, KubernetesObject, ManagedFieldsEntry } from "../../api/index.ts";
import { userError } from "../../base/index.ts";
import type { KubeClient } from "../client.ts";
import { createAsApplied } from "./create-as-applied.ts";

const kind = { kind: "Canary" } as unknown as KindDefinition<KubernetesObject>;
const wanted: KubernetesObject = { metadata: { name: "web", namespace: "shop" } };
const entry = (manager: string, operation: "Apply" | "Update", more: object = {}): ManagedFieldsEntry => ({
  manager,
  operation,
  fieldsV1: { "f:spec": {} },
  ...more,
});
const ofStatus = entry("engine", "Update", { subresource: "status" });

/** Runs `createAsApplied` against a server on which a controller writes the status right after the creation. */
async function create(refusals: { readonly create?: Error; readonly patch?: Error } = {}): Promise<{
  readonly outcome: string;
  readonly now: KubernetesObject;
}> {
  const managedFields = [entry("cli", "Update")];
  const created = { metadata: { ...wanted.metadata, uid: "u", resourceVersion: "1", managedFields } };
  let now: KubernetesObject = {
    metadata: { ...created.metadata, resourceVersion: "2", managedFields: [...managedFields, ofStatus] },
  };
  const client = {
    create: async () =>
      await (refusals.create === undefined ? Promise.resolve(created) : Promise.reject(refusals.create)),
    get: async () => await Promise.resolve(now),
    patchMerge: async (_kind: unknown, _name: string, _namespace: unknown, { metadata }: KubernetesObject) => {
      if (refusals.patch !== undefined) throw refusals.patch;
      if (metadata.resourceVersion !== now.metadata.resourceVersion) throw userError("conflict", "stale");
      now = { metadata: { ...now.metadata, ...metadata } };
      return await Promise.resolve(now);
    },
  } as unknown as Pick<KubeClient, "create" | "get" | "patchMerge">;
  const clock = { sleep: async () => await Promise.resolve() };
  return { outcome: await createAsApplied(client, kind, wanted, { fieldManager: "cli", clock }), now };
}

test("the creator owns the fields as after an apply, also when somebody has written the object meanwhile", async () => {
  const { outcome, now } = await create();
  assert.equal(outcome, "done");
  assert.deepEqual(now.metadata.managedFields, [entry("cli", "Apply"), ofStatus]);
});

test("an object that somebody else has created first stays as it is", async () => {
  const { outcome, now } = await create({ create: userError("already-exists", "canaries web already exists") });
  assert.equal(outcome, "taken");
  assert.deepEqual(now.metadata.managedFields, [entry("cli", "Update"), ofStatus]);
  await assert.rejects(create({ create: userError("forbidden", "no") }), { code: "forbidden" });
});

test("a created object is no failure, even if its ownership cannot be written", async () => {
  assert.equal((await create({ patch: userError("forbidden", "no") })).outcome, "done");
});
