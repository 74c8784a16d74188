import assert from "node:assert/strict";
import { test } from "node:test";
import type { UntypedObject } from "../../api/index.ts";
import type { JournalEntry, ObjectReference } from "../../api/serin/index.ts";
import type { ObjectAccess } from "./object-access.ts";
import type { UndoContext } from "./undo-context.ts";
import { undoEntry } from "./undo-entry.ts";
import { UndoPlay, type UndoResult } from "./undo-play.ts";

type FieldEntry = Extract<JournalEntry, { type: "field" }>;

const route: ObjectReference = {
  apiVersion: "gateway.networking.k8s.io/v1",
  kind: "HTTPRoute",
  plural: "httproutes",
  name: "web",
  namespace: "shop",
};
const other = { ...route, name: "api" };

function entry(step: string, object: ObjectReference, more: Partial<FieldEntry> = {}): FieldEntry {
  return { type: "field", step, object, pointer: "/spec/hostnames", ...more };
}

/** Makes one pass with these results. Returns the entries that the pass tried to undo. */
function played(play: UndoPlay, resultOf: (entry: JournalEntry) => UndoResult): string[] {
  const asked: string[] = [];
  for (let next = play.next(); next !== undefined; next = play.next()) {
    asked.push(`${next.step} ${next.object.name}`);
    play.tell(resultOf(next));
  }
  return asked;
}

const gone = { state: "undone", isGone: true } as const;

test("an object that somebody makes again while a pass runs is undone whole in the next pass", () => {
  const entries = [entry("step-1", route), entry("step-2", route)];
  const play = new UndoPlay(entries, false);
  assert.deepEqual(
    played(play, () => gone),
    ["step-2 web"],
    "later fields build on what earlier ones restore",
  );
  play.settleGone(() => false);
  assert.deepEqual(play.undone, []);
  assert.deepEqual(play.report.waitingFor, ["HTTPRoute shop/web: somebody has made it again"]);
  const again = new UndoPlay(entries, false);
  assert.deepEqual(
    played(again, () => ({ state: "undone" })),
    ["step-2 web", "step-1 web"],
  );
});

test("the entries of an object that is gone stay while one of them waits for other objects", () => {
  const entries = [entry("step-1", route), entry("step-1", other), entry("step-2", route)];
  const resultOf = ({ object }: JournalEntry): UndoResult =>
    object === route ? gone : { state: "waiting", detail: "no proxy has acknowledged it" };
  const waiting = new UndoPlay(entries, false);
  assert.deepEqual(played(waiting, resultOf), ["step-2 web", "step-1 api"]);
  waiting.settleGone(() => true);
  assert.deepEqual(waiting.undone, [], "somebody may make the route again with the weights of step 2");
  const last = new UndoPlay(entries, false);
  played(last, ({ object }) => (object === route ? gone : { state: "undone" }));
  last.settleGone(() => true);
  assert.equal(last.undone.length, 3);
});

test("a workload that was made again after its restart gets pods with the restored labels, once", async () => {
  const object = { ...route, apiVersion: "apps/v1", kind: "Deployment", plural: "deployments" };
  const mark = "/spec/template/metadata/annotations/rollout.serin.dev~1restarted-for";
  const writes: string[] = [];
  let journal = entry("wave/shop", object, { pointer: mark, uid: "1", written: "new.1", restart: "template" });
  const undoneOf = async (uid: string, annotations: Readonly<Record<string, string>> = {}): Promise<UndoResult> => {
    const found: UntypedObject = { metadata: { name: "web", uid }, spec: { template: { metadata: { annotations } } } };
    const objects = {
      get: async () => await Promise.resolve(found),
      release: async () => await Promise.resolve(),
      setField: async (_object: unknown, pointer: string, value: unknown) => {
        writes.push(`${pointer.slice(mark.lastIndexOf("/") + 1)}=${String(value)}`);
        return await Promise.resolve(value);
      },
    } as unknown as ObjectAccess;
    const context = {
      nowMs: Date.parse("2026-01-01T00:00:00.5Z"),
      heldBack: async () => await Promise.resolve(undefined),
      notReplaced: async () => await Promise.resolve(undefined),
      keepRemade: async (_entry: FieldEntry, kept: string) => {
        journal = { ...journal, uid: kept };
        await Promise.resolve();
      },
    } as unknown as UndoContext;
    return await undoEntry(objects, journal, context);
  };
  assert.equal((await undoneOf("1")).state, "undone");
  assert.deepEqual(writes, [], "somebody has taken the mark out of the same object, which replaced its pods");
  await undoneOf("2");
  assert.deepEqual(writes, ["kubectl.kubernetes.io~1restartedAt=2026-01-01T00:00:01Z"]);
  await undoneOf("2");
  assert.equal(writes.length, 1, "it restarts once");
  await undoneOf("3", { "rollout.serin.dev/restarted-for": "new.1" });
  assert.deepEqual(writes.slice(1), ["rollout.serin.dev~1restarted-for=undefined"]);
});

test("the number of pods of a Deployment that somebody has made again stays as it was written then", async () => {
  const object = { ...route, apiVersion: "apps/v1", kind: "Deployment", plural: "deployments" };
  const journal = entry("step-2", object, { pointer: "/spec/replicas", uid: "1", prior: 5, written: 2 });
  const undoneOf = async (uid: string, replicas: number): Promise<readonly [string, number | undefined]> => {
    const found: UntypedObject = { metadata: { name: "web", uid }, spec: { replicas } };
    let written: number | undefined;
    const objects = {
      get: async () => await Promise.resolve(found),
      release: async () => await Promise.resolve(),
      setField: async (_object: unknown, _pointer: string, value: number) => await Promise.resolve((written = value)),
    } as unknown as ObjectAccess;
    const context = {
      heldBack: async () => await Promise.resolve(undefined),
      notReached: async () => await Promise.resolve(undefined),
    } as unknown as UndoContext;
    const { state } = await undoEntry(objects, journal, context);
    return [state, written];
  };
  assert.deepEqual(await undoneOf("1", 2), ["undone", 5]);
  assert.deepEqual(await undoneOf("1", 3), ["conflict", undefined]);
  assert.deepEqual(await undoneOf("2", 3), ["undone", undefined]);
  assert.deepEqual(await undoneOf("2", 2), ["undone", 5], "it may have been made again from the rollout's own state");
});
