// Objects that a rollout usually makes, but that exist before: the rollout writes them, and undo restores them.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { UntypedObject } from "../../api/index.ts";
import { fieldManager } from "../../api/serin/field-managers/index.ts";
import type { JournalEntry } from "../../api/serin/index.ts";
import { withEntries } from "../act/journal-entries.ts";
import { valueAt, type ObjectAccess } from "../act/object-access.ts";
import { performWrite } from "../act/perform-write.ts";
import type { UndoContext } from "../act/undo-context.ts";
import { undoEntry } from "../act/undo-entry.ts";
import { UndoPlay } from "../act/undo-play.ts";
import { keptFields, type Step, type Write } from "../decide/index.ts";
import { writeActions } from "../decide/step-writes.ts";
import { reference } from "../plan/index.ts";
import { writeState } from "./write-state.ts";

const canary = reference("apps/v1", "Deployment", "edge-next", "shop");
const bodyWith = (replicas: number): UntypedObject => ({
  metadata: {
    name: "edge-next",
    namespace: "shop",
    managedFields: [{ manager: fieldManager, operation: "Update" }],
  },
  spec: { replicas },
});
const make: Write = { type: "create", object: canary, body: bodyWith(1) };
const scale = (value: number): Write => ({
  type: "field",
  object: canary,
  pointer: "/spec/replicas",
  value,
  own: true,
  noted: true,
});
const step = (id: string, ...writes: readonly Write[]): Step => ({ id, title: id, writes, settle: [], checks: [] });

class Cluster {
  found: UntypedObject | undefined;
  journal: readonly JournalEntry[] = [];
  #made = 0;
  readonly #access = {
    get: async () => await Promise.resolve(this.found),
    create: async (_object: unknown, { metadata, ...body }: UntypedObject) => {
      this.#made += 1;
      this.found = { ...body, metadata: { ...metadata, uid: `made ${this.#made}` } };
      await Promise.resolve();
    },
    delete: async () => {
      this.found = undefined;
      await Promise.resolve();
    },
    setField: async (_object: unknown, _pointer: unknown, replicas: unknown, prior: unknown) => {
      assert.deepEqual(valueAt(this.found, "/spec/replicas"), prior);
      if (this.found !== undefined) this.found = { ...this.found, spec: { replicas } };
      return await Promise.resolve(replicas);
    },
    release: async () => await Promise.resolve(),
  } as unknown as ObjectAccess;

  get replicas(): unknown {
    return valueAt(this.found, "/spec/replicas");
  }

  /** Carries out a step in as many rounds as it needs. */
  async do({ writes, ...step }: Step): Promise<void> {
    for (let round = 0; round < 4; round += 1) {
      const states = writes.map((write) => writeState(write, this.found, step.id, this.journal, () => 0));
      for (const action of writeActions({ ...step, writes }, states)) {
        if (action.type === "journal") this.journal = withEntries(this.journal, action.entries);
        if (action.type === "write") await performWrite(this.#access, action.write, action.prior);
      }
    }
  }

  /** An autoscaler sets the number of pods. */
  autoscale(replicas: number): void {
    const { metadata } = this.found ?? bodyWith(replicas);
    const managedFields = [
      {
        manager: "kube-controller-manager",
        operation: "Update" as const,
        subresource: "scale",
        fieldsV1: { "f:spec": { "f:replicas": {} } },
      },
    ];
    this.found = { metadata: { ...metadata, managedFields }, spec: { replicas } };
  }

  async undo(): Promise<void> {
    const nothing = async (): Promise<undefined> => await Promise.resolve(undefined);
    const context = new Proxy({}, { get: () => nothing }) as UndoContext;
    const play = new UndoPlay(this.journal, false);
    for (let entry = play.next(); entry !== undefined; entry = play.next())
      play.tell(await undoEntry(this.#access, entry, context, play.original, play.between));
    assert.deepEqual([play.report.conflict, play.report.waitingFor], [undefined, []]);
  }
}

const steps = [step("50/pods", make, scale(2)), step("100/pods", make, scale(4))];

test("undo gives a Deployment that an earlier rollout has left the number of pods that it had", async () => {
  for (const isDeleted of [false, true]) {
    const cluster = new Cluster();
    cluster.found = { ...bodyWith(3), metadata: { ...bodyWith(3).metadata, uid: "left" } };
    for (const one of steps) await cluster.do(one);
    assert.equal(cluster.replicas, 4);
    if (isDeleted) await cluster.do(step("done", { type: "delete", object: canary }));
    assert.equal(cluster.found === undefined, isDeleted);
    await cluster.undo();
    assert.equal(cluster.replicas, 3);
  }
});

test("a number of pods that is right already is noted in the journal, so that the plan knows it to the end", async () => {
  const cluster = new Cluster();
  cluster.found = { ...bodyWith(3), metadata: { ...bodyWith(3).metadata, uid: "left" } };
  await cluster.do(step("100/pods", make, scale(3)));
  assert.deepEqual(
    cluster.journal.map((entry) => entry.type === "field" && [entry.prior, entry.written]),
    [[3, 3]],
  );
  cluster.found = undefined;
  await cluster.do(step("100/pods", make, scale(3)));
  assert.deepEqual(
    cluster.journal.map(({ type }) => type),
    ["field", "created"],
  );
});

test("undo makes a left copy again that its step has deleted for itself", async () => {
  const cluster = new Cluster();
  cluster.found = { ...bodyWith(3), metadata: { ...bodyWith(3).metadata, uid: "left" } };
  await cluster.do(step("end", { type: "delete", object: canary, own: true }));
  assert.equal(cluster.found, undefined);
  await cluster.undo();
  assert.equal(cluster.replicas, 3);
});

test("a Deployment that the run has made needs one entry, and undo deletes it", async () => {
  const cluster = new Cluster();
  for (const one of steps) await cluster.do(one);
  assert.deepEqual(
    cluster.journal.map(({ type }) => type),
    ["created"],
  );
  assert.equal(cluster.replicas, 4);
  await cluster.undo();
  assert.equal(cluster.found, undefined);
});

test("an autoscaler may change the number of pods of a left copy after its step, and undo restores the number from before", async () => {
  for (const found of [0, 3]) {
    const cluster = new Cluster();
    cluster.found = { ...bodyWith(found), metadata: { ...bodyWith(found).metadata, uid: "left" } };
    const scaled = step("2-scale", make, scale(4));
    await cluster.do(scaled);
    cluster.autoscale(6);
    assert.deepEqual(keptFields(step("step-2"), cluster.journal, new Set([scaled.id])), []);
    await cluster.do(step("3-scale", make, scale(8)));
    cluster.autoscale(9);
    await cluster.undo();
    assert.equal(cluster.replicas, found);
  }
});
