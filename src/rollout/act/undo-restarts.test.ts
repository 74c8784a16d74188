import assert from "node:assert/strict";
import { test } from "node:test";
import type { UntypedObject } from "../../api/index.ts";
import type { JournalEntry, ObjectReference } from "../../api/serin/index.ts";
import type { UndoContext } from "./undo-context.ts";
import { undoEntry } from "./undo-entry.ts";
import type { ObjectAccess } from "./object-access.ts";
import { UndoPlay } from "./undo-play.ts";

type FieldEntry = Extract<JournalEntry, { type: "field" }>;

function reference(kind: string, name: string): ObjectReference {
  return { apiVersion: "apps/v1", kind, plural: `${kind.toLowerCase()}s`, name, namespace: "shop" };
}

function restarted(kind: string, name: string, more: Partial<FieldEntry> = {}): FieldEntry {
  const pointer = "/spec/template/mark";
  return { type: "field", step: "wave/shop", object: reference(kind, name), pointer, restart: "template", ...more };
}

/** Objects with one field each that undo restores, and how often undo has done so. */
class World {
  readonly fields = new Map<string, unknown>();
  readonly missing = new Map<string, number>();
  readonly kept = new Map<string, unknown>();
  writeCount = 0;

  readonly access = {
    get: async ({ name }: ObjectReference): Promise<UntypedObject> => {
      const spec = { template: { mark: this.fields.get(name) } };
      return await Promise.resolve({ metadata: { name }, spec });
    },
    setField: async ({ name }: ObjectReference, _pointer: string, value: unknown): Promise<unknown> => {
      this.writeCount += 1;
      this.fields.set(name, value);
      return await Promise.resolve(value);
    },
    delete: async ({ name }: ObjectReference): Promise<void> => void (await Promise.resolve(this.fields.delete(name))),
    release: async (): Promise<void> => await Promise.resolve(),
  } as unknown as ObjectAccess;

  readonly context = {
    nowMs: Date.parse("2026-01-01T00:00:00Z"),
    heldBack: async () => await Promise.resolve(undefined),
    stillServes: async () => await Promise.resolve(undefined),
    keepRestored: async ({ object }: FieldEntry, restored: unknown): Promise<void> =>
      void (await Promise.resolve(this.kept.set(object.name, restored))),
    notReplaced: async ({ name }: ObjectReference) => {
      const left = this.missing.get(name) ?? 0;
      return await Promise.resolve(left === 0 ? undefined : { detail: `${left} pods are missing`, left });
    },
  } as unknown as UndoContext & { nowMs: number };

  async pass(entries: readonly JournalEntry[], passOver = false): Promise<UndoPlay> {
    const play = new UndoPlay(entries, passOver);
    for (let entry = play.next(); entry !== undefined; entry = play.next())
      play.tell(await undoEntry(this.access, entry, this.context, play.original, play.between));
    return play;
  }
}

test("undo ends only when the pods of all restarted workloads are replaced, and restarts all of them at once", async () => {
  const world = new World();
  const entries = ["web", "api"].map((name) => restarted("Deployment", name, { prior: "old", written: "new" }));
  for (const name of ["web", "api"]) {
    world.fields.set(name, "new");
    world.missing.set(name, 2);
  }
  const first = await world.pass(entries);
  assert.deepEqual([...world.fields.values()], ["old", "old"]);
  assert.deepEqual(first.undone, []);
  assert.deepEqual(first.report, {
    undone: 0,
    waitingFor: ["Deployment shop/api: 2 pods are missing", "Deployment shop/web: 2 pods are missing"],
    podsLeft: 4,
  });
  world.missing.delete("api");
  const second = await world.pass(entries);
  assert.deepEqual(second.undone, [entries[1]]);
  assert.equal(second.report.podsLeft, 2);
  world.missing.delete("web");
  assert.deepEqual((await world.pass(entries.slice(0, 1))).report, { undone: 1, waitingFor: [] });
  assert.equal(world.writeCount, 2, "each workload restarts once");
});

test("a workload that undo restarts by a time restarts once, and undo waits for its pods", async () => {
  const world = new World();
  const written = "2025-12-31T00:00:00Z";
  const entry = restarted("Rollout", "web", { restart: "time", written });
  world.fields.set("web", written);
  world.missing.set("web", 1);
  const first = await world.pass([entry]);
  const restartedAt = "2026-01-01T00:00:00Z";
  assert.equal(world.kept.get("web"), restartedAt);
  assert.deepEqual(first.report.waitingFor, ["Rollout shop/web: 1 pods are missing"]);
  const kept = { ...entry, prior: restartedAt };
  assert.equal((await world.pass([kept])).report.undone, 0);
  world.fields.set("web", "2026-01-01T00:01:00Z");
  assert.equal((await world.pass([kept])).report.undone, 0, "somebody has restarted it again, which is enough");
  world.missing.clear();
  assert.equal((await world.pass([kept])).report.undone, 1);
  assert.equal(world.writeCount, 1);
});

test("undo restarts a workload once although its controller writes the time without milliseconds, as Argo's does", async () => {
  const world = new World();
  world.context.nowMs += 123;
  const entry = restarted("Rollout", "web", { restart: "time", written: "2025-12-31T00:00:00Z" });
  world.missing.set("web", 1);
  await world.pass([entry]);
  const restartedAt = world.kept.get("web");
  assert.ok(Date.parse(String(restartedAt)) >= world.context.nowMs, "later than the pods with the other template");
  world.fields.set("web", String(restartedAt).replace(/\.\d+/, ""));
  await world.pass([{ ...entry, prior: restartedAt }]);
  assert.equal(world.writeCount, 1);
});

test("what a step made for restarted pods stays until they are replaced, but not for ever, and other steps go on", async () => {
  const created = (step: string): JournalEntry => ({ type: "created", step, object: reference("Thing", step) });
  const strategy = restarted("DaemonSet", "agent", {
    step: "cni",
    restart: undefined as never,
    pointer: "/spec/strategy",
  });
  const entries = [created("other"), created("cni"), strategy, restarted("DaemonSet", "agent", { step: "cni" })];
  const playedWith = (passOver: boolean): readonly string[] => {
    const play = new UndoPlay(entries, passOver);
    const played: string[] = [];
    for (let entry = play.next(); entry !== undefined; entry = play.next()) {
      played.push(`${entry.step} ${entry.type === "field" ? entry.pointer : entry.type}`);
      const isRestart = entry.type === "field" && entry.restart !== undefined;
      play.tell(isRestart ? { state: "settling", detail: "1 of 3 ready", left: 2 } : { state: "undone" });
    }
    return played;
  };
  assert.deepEqual(playedWith(false), ["cni /spec/template/mark", "other created"]);
  const late = ["cni /spec/template/mark", "cni created", "other created"];
  assert.deepEqual(playedWith(true), late, "the agent keeps its strategy while it is replaced");
});
