import assert from "node:assert/strict";
import { test } from "node:test";
import { hasUndoFinalizer, meshUpgradeKind, type RolloutStatus } from "../../api/serin/index.ts";
import { silentLogger } from "../../base/index.ts";
import type { KubeClient } from "../../kube/index.ts";
import type { JournalStore } from "../act/journal-store.ts";
import { initialStatus, type Decision } from "../decide/index.ts";
import type { Rollout } from "./rollout-object.ts";
import { RolloutWriter } from "./rollout-writer.ts";

const writing: Decision = {
  status: initialStatus,
  actions: [{ type: "journal", entries: [{ type: "created", step: "a", object: {} }] }],
} as unknown as Decision;

interface Written {
  readonly writer: RolloutWriter;
  /** The bodies of updates and patches, and the names of the deleted journals, in order. */
  readonly calls: readonly unknown[];
}

/** A writer for a server that gives each write the next version, or refuses every write. */
function writerTo(isRefusing = false): Written {
  const calls: unknown[] = [];
  let version = 1;
  const write = async (body: unknown): Promise<unknown> => {
    if (isRefusing) throw new Error("refused");
    calls.push(body);
    version += 1;
    return { metadata: { resourceVersion: String(version) } };
  };
  const client = {
    update: async (_kind: unknown, body: unknown) => await write(body),
    patchMerge: async (_kind: unknown, _name: string, _namespace: unknown, patch: unknown) => await write(patch),
  } as unknown as KubeClient;
  const journals = { strike: async (name: string) => void calls.push(name) } as unknown as JournalStore;
  return { writer: new RolloutWriter(client, journals, silentLogger), calls };
}

function upgrade(metadata: object = {}): Rollout {
  return { kind: "MeshUpgrade", metadata: { name: "u", resourceVersion: "1", ...metadata } } as unknown as Rollout;
}

test("a status replaces the stored one, and the next write of the round has the new version", async () => {
  const { writer, calls } = writerTo();
  const object = { ...upgrade(), status: { ...initialStatus, cause: "an earlier fault" } } as Rollout;
  const status: RolloutStatus = { ...initialStatus, message: "x" };
  await writer.writeStatus(meshUpgradeKind, object, status);
  assert.deepEqual((calls[0] as Rollout).status, status);
  assert.deepEqual([object.metadata.resourceVersion, object.status], ["2", status]);
});

test("a refused status leaves the object as it was, so that the next round decides on the stored state", async () => {
  const object = upgrade();
  await assert.rejects(writerTo(true).writer.writeStatus(meshUpgradeKind, object, { ...initialStatus, message: "x" }));
  assert.deepEqual([object.metadata.resourceVersion, object.status], ["1", undefined]);
});

test("the finalizer is added before the first journaled write, once, and never to a deleted object", async () => {
  const { writer, calls } = writerTo();
  const object = upgrade({ uid: "u1" });
  assert.equal(await writer.ensureFinalizer(meshUpgradeKind, object, { ...writing, actions: [] }, []), false);
  assert.equal(await writer.ensureFinalizer(meshUpgradeKind, object, writing, []), true);
  assert.equal(object.metadata.resourceVersion, "2");
  const { finalizers = [], annotations } = (calls[0] as Rollout).metadata;
  assert.equal(hasUndoFinalizer(upgrade({ finalizers })), true);
  assert.deepEqual(annotations, { "rollout.serin.dev/uid": "u1" });
  const prepared = upgrade({ finalizers, annotations });
  assert.equal(await writer.ensureFinalizer(meshUpgradeKind, prepared, writing, []), false);
  const deleted = upgrade({ deletionTimestamp: "2026-01-01T00:00:00Z" });
  assert.equal(await writer.ensureFinalizer(meshUpgradeKind, deleted, writing, []), false);
  assert.equal(calls.length, 1);
  // An earlier engine has added only the finalizer.
  assert.equal(await writer.ensureFinalizer(meshUpgradeKind, upgrade({ finalizers, uid: "u1" }), writing, []), true);
  assert.deepEqual((calls[1] as Rollout).metadata.finalizers, finalizers);
  // The writer leaves the mark of a copy as it is. The mark is the uid of the object that was copied.
  const copy = upgrade({ uid: "u2", annotations: { "rollout.serin.dev/uid": "u1" } });
  assert.equal(await writer.ensureFinalizer(meshUpgradeKind, copy, writing, []), true);
  assert.equal((calls[2] as Rollout).metadata.annotations, undefined);
});

test("a deleted object's journal is struck, and one that stays keeps its journal", async () => {
  const { writer, calls } = writerTo();
  await writer.release(meshUpgradeKind, upgrade());
  assert.deepEqual(calls, []);
  await writer.release(meshUpgradeKind, upgrade({ deletionTimestamp: "2026-01-01T00:00:00Z" }));
  assert.equal(calls.length, 1);
});
