import assert from "node:assert/strict";
import { test } from "node:test";
import type { ManagedFieldsEntry, UntypedObject } from "../../api/index.ts";
import { fieldManager } from "../../api/serin/field-managers/index.ts";
import type { JournalEntry } from "../../api/serin/index.ts";
import { valueAt, type ObjectAccess } from "./object-access.ts";
import { withLater, withPrior } from "./journal-entries.ts";
import type { UndoContext } from "./undo-context.ts";
import { undoEntry } from "./undo-entry.ts";
import { UndoPlay } from "./undo-play.ts";
import {
  app,
  cluster,
  free,
  made,
  Objects,
  old,
  perform,
  reference,
  route,
  undo,
  withoutRestart,
  writes,
} from "./testing/undo-cluster.ts";

test("undo restores every journaled field, the deleted object and nothing else, including the parents that were created for a field", async () => {
  const objects = cluster();
  const before = objects.snapshot() as Record<string, UntypedObject>;
  const journal = await perform(objects);
  (objects.all.get("Deployment app") as UntypedObject)["data"] = { somebody: "else's" };
  await undo(objects, journal);
  const after = withoutRestart(objects.snapshot()) as Record<string, UntypedObject>;
  const { metadata: _old, ...oldSpec } = before["Deployment istiod-old"] as UntypedObject;
  const { metadata: _again, ...again } = after["Deployment istiod-old"] as UntypedObject;
  assert.deepEqual(again, oldSpec);
  assert.deepEqual(after["HTTPRoute r"], before["HTTPRoute r"]);
  assert.deepEqual(after["Deployment app"], { ...before["Deployment app"], data: { somebody: "else's" } });
  assert.equal(after["Deployment canary"], undefined);
  assert.equal(
    valueAt(objects.all.get("Deployment app"), "/spec/template/metadata/annotations/restartedAt"),
    "2026-01-01T00:00:00Z",
  );
});

test("an interrupted undo has the same result when it is repeated", async () => {
  const undone = cluster();
  await undo(undone, await perform(undone));
  for (let cut = 0; cut <= writes.length; cut += 1) {
    const objects = cluster();
    const journal = await perform(objects);
    const play = new UndoPlay(journal, false);
    for (let done = 0; done < cut; done += 1) {
      const entry = play.next();
      if (entry !== undefined) play.tell(await undoEntry(objects as unknown as ObjectAccess, entry, free));
    }
    // Undo begins again with all entries, as if it had ended before it removed the undone ones.
    await undo(objects, journal);
    assert.deepEqual(objects.snapshot(), undone.snapshot(), `cut after ${cut}`);
  }
});

test("undo restarts a workload once, also by a clock that is behind the one of the restart", async () => {
  const pointer = "/spec/restartAt";
  const object = reference("Rollout", "web");
  const objects = cluster();
  const written = "2026-01-01T00:02:00Z";
  objects.all.set("Rollout web", {
    metadata: { name: "web", resourceVersion: "1" },
    spec: { restartAt: written },
  });
  let entry: Extract<JournalEntry, { type: "field" }> = {
    type: "field",
    step: "s",
    object,
    pointer,
    written,
    restart: "time",
  };
  const times: unknown[] = [];
  for (let pass = 0; pass < 3; pass += 1) {
    await undo(objects, [entry], {
      nowMs: (free.nowMs ?? 0) + pass * 1000,
      keepRestored: async (_entry, prior) => {
        entry = { ...entry, prior };
        await Promise.resolve();
      },
      notReplaced: async () => await Promise.resolve({ detail: "its pods are old", left: 1 }),
    });
    times.push(valueAt(objects.all.get("Rollout web"), pointer));
  }
  const later = "2026-01-01T00:02:01Z";
  assert.deepEqual(times, [later, later, later]);
});

test("undo gives up the engine's claim to a field with its first entry, so that server-side apply may change it again", async () => {
  const claim = (fields: object): ManagedFieldsEntry => ({
    manager: "serin-rollout",
    operation: "Update",
    fieldsV1: { "f:spec": fields },
  });
  const helm: ManagedFieldsEntry = { manager: "helm", operation: "Apply", fieldsV1: { "f:spec": { "f:rules": {} } } };
  const objects = cluster();
  const rules = objects.all.get("HTTPRoute r") as UntypedObject;
  rules.metadata.managedFields = [helm, claim({ "f:rules": {}, "f:hostnames": {} })];
  const weights = (weight: number) => [{ weight: 100 - weight }, { weight }];
  const entry = (prior: unknown, written: unknown): JournalEntry => ({
    type: "field",
    step: "s",
    object: route,
    pointer: "/spec/rules",
    prior,
    written,
  });
  const entries = [entry([{ weight: 100 }], weights(10)), entry(weights(10), weights(50))];
  (rules["spec"] as Record<string, unknown>)["rules"] = weights(50);
  const waits = { notAcknowledged: async () => await Promise.resolve("not yet") };
  await undo(objects, entries, waits);
  assert.deepEqual(valueAt(rules, "/spec/rules"), weights(10));
  assert.deepEqual(
    rules.metadata.managedFields[1],
    claim({ "f:rules": {}, "f:hostnames": {} }),
    "the engine must still recognise its own values",
  );
  await undo(objects, entries);
  assert.deepEqual(valueAt(rules, "/spec/rules"), [{ weight: 100 }]);
  assert.deepEqual(rules.metadata.managedFields, [helm, claim({ "f:hostnames": {} })]);
});

test("a pod template that a user writes while the Deployment rolls follows after the undo", async () => {
  const template = (image: string) => ({ spec: { containers: [{ name: "web", image }] } });
  const adopted = {
    type: "field",
    object: app,
    pointer: "/spec/template",
    prior: template("v1"),
    written: template("v2"),
    adopted: true,
  } as const;
  const entries: JournalEntry[] = [
    { ...adopted, step: "copy" },
    { type: "field", step: "promote-roll", object: app, pointer: "/spec/paused", prior: true },
    { ...adopted, step: "promote-roll", restart: "template" },
  ];
  const undoneFrom = async (image: string, kills = 0) => {
    const objects = cluster();
    Object.assign(objects.all.get("Deployment app")?.["spec"] as object, { template: template(image) });
    let journal = entries;
    let killed = 0;
    const served: unknown[] = [];
    const context: Partial<UndoContext> = {
      keepLater: async (entry, later) => {
        journal = withLater(journal, entry, later);
        if (killed++ < kills) await Promise.reject(new Error("the engine is killed after this write"));
      },
      notReached: async () => {
        served.push(valueAt(objects.all.get("Deployment app"), "/spec/template"));
        return await Promise.resolve(undefined);
      },
    };
    for (let pass = 0; pass < 4 && journal.length > 0; pass += 1) {
      const { undone } = await undo(objects, journal, context);
      journal = journal.filter((entry) => !undone.includes(entry));
    }
    const left = valueAt(objects.all.get("Deployment app"), "/spec/template");
    const paused = valueAt(objects.all.get("Deployment app"), "/spec/paused");
    return { left, paused, served: served.at(-1), open: journal.length };
  };
  const common = { paused: true, served: template("v1"), open: 0 };
  assert.deepEqual(await undoneFrom("v3"), { ...common, left: template("v3") });
  assert.deepEqual(await undoneFrom("v2"), { ...common, left: template("v1") });
  assert.deepEqual(await undoneFrom("v1"), { ...common, left: template("v1") });
  assert.deepEqual(await undoneFrom("v3", 1), { ...common, left: template("v3") });
});

test("an undo ends beside a webhook that changes each template, and replaces the pods once", async () => {
  let stamps = 0;
  class Stamped extends Objects {
    override async setField(...given: Parameters<Objects["setField"]>): Promise<unknown> {
      await super.setField(...given);
      const spec = this.all.get("Deployment app")?.["spec"] as { template: unknown };
      spec.template = { stamp: (stamps += 1) };
      return structuredClone(spec.template);
    }
  }
  for (const found of ["new", "theirs"]) {
    stamps = 0;
    const objects = new Stamped();
    objects.all.set("Deployment app", {
      metadata: { name: "app" },
      spec: { paused: true, template: { image: found } },
    });
    const template = { type: "field", object: app, pointer: "/spec/template", adopted: true } as const;
    const adopted = { ...template, prior: { image: "old" }, written: { image: "new" } };
    let journal: readonly JournalEntry[] = [
      { ...adopted, step: "copy" },
      { ...adopted, step: "promote-roll", restart: "template" },
    ];
    const context: Partial<UndoContext> = {
      keepLater: async (entry, later) => void (journal = withLater(journal, entry, later)),
      keepRestored: async (entry, restored) => void (journal = withPrior(journal, entry, restored)),
      notReached: async () => (stamps < 9 ? { detail: "web is not ready" } : undefined),
    };
    for (let pass = 0; pass < 20 && journal.length > 0; pass += 1) {
      if (pass === 10) stamps = 9;
      const { undone } = await undo(objects, journal, context);
      journal = journal.filter((entry) => !undone.includes(entry));
      if (pass < 10) assert.equal(stamps, 1, "the template is restored once");
    }
    assert.equal(journal.length, 0);
  }
});

test("a namespace that was deleted and recreated keeps its own labels, unless it has the rollout's", async () => {
  const namespace = { apiVersion: "v1", kind: "Namespace", plural: "namespaces", name: "shop" };
  const pointer = "/metadata/labels/istio.io~1rev";
  const entry: JournalEntry = {
    type: "field",
    step: "s",
    object: namespace,
    pointer,
    uid: "1",
    prior: "1",
    written: "2",
  };
  const labelAfterUndo = async (uid: string, revision?: string) => {
    const objects = cluster();
    const labels = revision === undefined ? {} : { "istio.io/rev": revision };
    objects.all.set("Namespace shop", {
      kind: "Namespace",
      metadata: { name: "shop", uid, resourceVersion: "1", labels },
    });
    const { report } = await undo(objects, [entry]);
    return [valueAt(objects.all.get("Namespace shop"), pointer), report.conflict !== undefined];
  };
  assert.deepEqual(await labelAfterUndo("2"), [undefined, false]);
  assert.deepEqual(await labelAfterUndo("2", "3"), ["3", false]);
  assert.deepEqual(await labelAfterUndo("2", "2"), ["1", false]);
  assert.deepEqual(await labelAfterUndo("1", "3"), ["3", true], "the same namespace, with another label");
});

test("a namespace that somebody took out of the mesh is not led back", async () => {
  const namespace = { apiVersion: "v1", kind: "Namespace", plural: "namespaces", name: "shop" };
  const field = (label: string, more: object): JournalEntry => ({
    type: "field",
    step: "s",
    object: namespace,
    pointer: `/metadata/labels/${label}`,
    uid: "1",
    undoGroup: "shop",
    ...more,
  });
  const entries = [field("istio.io~1rev", { written: "2" }), field("istio-injection", { prior: "enabled" })];
  const labelsAfterUndo = async (labels: Readonly<Record<string, string>>): Promise<unknown> => {
    const objects = cluster();
    objects.all.set("Namespace shop", { metadata: { name: "shop", uid: "1", resourceVersion: "1", labels } });
    assert.equal((await undo(objects, entries)).report.conflict, undefined);
    return objects.all.get("Namespace shop")?.metadata.labels;
  };
  assert.deepEqual(await labelsAfterUndo({ team: "a" }), { team: "a" });
  assert.deepEqual(await labelsAfterUndo({ "istio.io/rev": "2" }), { "istio-injection": "enabled" });
});

test("a deleted object is not recreated in a namespace that is being deleted, or gone", async () => {
  const body = { metadata: { name: "istiod-old", labels: { "rollout.serin.dev/copy": "web" } } };
  const entries: JournalEntry[] = [
    { type: "deleted", step: "end", object: old, body },
    { type: "created", step: "s", object: made },
  ];
  const undoneIn = async (namespace: UntypedObject | undefined) => {
    const objects = cluster();
    objects.all.delete("Deployment istiod-old");
    if (namespace !== undefined) objects.all.set("Namespace n", namespace);
    objects.create = async () => await Promise.reject(new Error("namespaces n is being terminated"));
    const { undone, report } = await undo(objects, entries, { notReached: async () => ({ detail: "0 of 1 ready" }) });
    return [undone.length, report.waitingFor];
  };
  assert.deepEqual(await undoneIn(undefined), [2, []]);
  assert.deepEqual(await undoneIn({ metadata: { name: "n", deletionTimestamp: "2026-01-01T00:00:00Z" } }), [2, []]);
  assert.deepEqual(
    await undoneIn({ metadata: { name: "n" } }),
    [1, ["Deployment n/istiod-old: namespaces n is being terminated"]],
    "the server has another reason",
  );
});

test("an object that gets the name of a made one while the undo deletes that one is not deleted", async () => {
  const objects = cluster();
  const entry: JournalEntry = { type: "created", step: "s", object: made };
  const managedFields: ManagedFieldsEntry[] = [{ manager: fieldManager, operation: "Update" }];
  objects.all.set("Deployment canary", { metadata: { name: "canary", uid: "1", managedFields } });
  const other: UntypedObject = { metadata: { name: "canary", uid: "2", managedFields: [{ manager: "kubectl" }] } };
  const stillServes = async (): Promise<undefined> => void objects.all.set("Deployment canary", other);
  const play = await undo(objects, [entry], { stillServes });
  assert.match(play.report.waitingFor.join(), /Deployment n\/canary: the UID in the precondition/);
  assert.deepEqual(objects.all.get("Deployment canary"), other);
  const { conflict = "" } = (await undo(objects, [entry])).report;
  assert.match(conflict, /was deleted and created again by kubectl/);
});
