// Tests that undo restores exactly the journaled fields of each object.
import assert from "node:assert/strict";
import { test } from "node:test";
import { userError } from "../../base/index.ts";
import type { ManagedFieldsEntry, UntypedObject } from "../../api/index.ts";
import { fieldManager } from "../../api/serin/field-managers/index.ts";
import type { JournalEntry, ObjectReference } from "../../api/serin/index.ts";
import type { Write } from "../decide/index.ts";
import {
  missingParentCount,
  valueAt,
  withoutServerFields,
  type ObjectAccess,
  type PatchOperation,
  fieldPatch,
  releasePatch,
} from "./object-access.ts";
import { withEntries, withLater, withPrior } from "./journal-store.ts";
import { performWrite, undoEntry, type UndoContext } from "./perform.ts";
import { UndoPlay } from "./undo-play.ts";

/** Objects in memory, changed by the same patches as in a cluster. */
class Objects {
  readonly all = new Map<string, UntypedObject>();

  key({ kind, name }: ObjectReference): string {
    return `${kind} ${name}`;
  }

  async get(object: ObjectReference): Promise<UntypedObject | undefined> {
    return structuredClone(this.all.get(this.key(object)));
  }

  async create(object: ObjectReference, body: UntypedObject): Promise<void> {
    if (!this.all.has(this.key(object))) this.all.set(this.key(object), structuredClone(withoutServerFields(body)));
  }

  async delete(object: ObjectReference, uid: string | undefined): Promise<void> {
    const found = this.all.get(this.key(object));
    if (uid !== undefined && found !== undefined && found.metadata.uid !== uid)
      throw userError("conflict", `the UID in the precondition (${uid}) does not match`);
    this.all.delete(this.key(object));
  }

  async setField(
    object: ObjectReference,
    pointer: string,
    value: unknown,
    expected: unknown,
    madeParents = 0,
  ): Promise<unknown> {
    const current = this.all.get(this.key(object));
    if (current !== undefined)
      for (const operation of fieldPatch(current, pointer, value, expected, madeParents)) apply(current, operation);
    return valueAt(current, pointer);
  }

  async preview(_object: ObjectReference, _pointer: string, value: unknown): Promise<unknown> {
    return value;
  }

  async release(object: ObjectReference, pointer: string): Promise<void> {
    const current = this.all.get(this.key(object));
    if (current !== undefined) for (const operation of releasePatch(current, pointer)) apply(current, operation);
  }

  snapshot(): unknown {
    return structuredClone(Object.fromEntries(this.all));
  }
}

function apply(object: UntypedObject, { op, path, value }: PatchOperation): void {
  if (op === "test") return;
  const at = path.lastIndexOf("/");
  const parent = (at === 0 ? object : valueAt(object, path.slice(0, at))) as Record<string, unknown>;
  const segment = path
    .slice(at + 1)
    .replaceAll("~1", "/")
    .replaceAll("~0", "~");
  if (op === "remove") delete parent[segment];
  else parent[segment] = structuredClone(value);
}

function reference(kind: string, name: string): ObjectReference {
  return { apiVersion: "v1", kind, plural: `${kind.toLowerCase()}s`, name, namespace: "n" };
}

const route = reference("HTTPRoute", "r");
const app = reference("Deployment", "app");
const old = reference("Deployment", "istiod-old");
const made = reference("Deployment", "canary");

function cluster(): Objects {
  const objects = new Objects();
  objects.all.set("HTTPRoute r", {
    metadata: { name: "r", resourceVersion: "1" },
    spec: { rules: [{ weight: 100 }], hostnames: ["h"] },
  });
  objects.all.set("Deployment app", {
    metadata: { name: "app", resourceVersion: "1", labels: { app: "a" } },
    spec: { replicas: 3 },
  });
  objects.all.set("Deployment istiod-old", {
    metadata: { name: "istiod-old", uid: "1", resourceVersion: "1" },
    spec: { replicas: 1 },
  });
  return objects;
}

const writes: readonly Write[] = [
  { type: "create", object: made, body: { metadata: { name: "canary" } } },
  { type: "field", object: route, pointer: "/spec/rules", value: [{ weight: 50 }, { weight: 50 }] },
  { type: "field", object: route, pointer: "/metadata/annotations/rollout.serin.dev~1canary", value: "yes" },
  { type: "field", object: app, pointer: "/metadata/labels/istio.io~1rev", value: "new" },
  {
    type: "field",
    object: app,
    pointer: "/spec/template/metadata/annotations/restartedAt",
    value: "now",
    restart: "time",
  },
  { type: "field", object: route, pointer: "/spec/hostnames" },
  { type: "delete", object: old },
];

/** Performs the writes as a step does: journals the prior value, then writes. */
async function perform(objects: Objects): Promise<JournalEntry[]> {
  const journal: JournalEntry[] = [];
  for (const write of writes) {
    const current = await objects.get(write.object);
    const prior = write.type === "field" ? valueAt(current, write.pointer) : undefined;
    if (write.type === "create") journal.push({ type: "created", step: "s", object: write.object });
    else if (write.type === "delete")
      journal.push({ type: "deleted", step: "s", object: write.object, body: current ?? { metadata: {} } });
    else {
      const { value: written, pointer, object, restart } = write;
      journal.push({
        type: "field",
        step: "s",
        object,
        pointer,
        ...(prior === undefined ? { madeParents: missingParentCount(current, pointer) } : { prior }),
        ...(written === undefined ? {} : { written }),
        ...(restart === undefined ? {} : { restart }),
      });
    }
    await performWrite(objects as unknown as ObjectAccess, write, prior);
  }
  return journal;
}

const free: UndoContext = {
  keepLater: async () => undefined,
  keepRestored: async () => undefined,
  keepRemade: async () => undefined,
  otherRollout: async () => undefined,
  nowMs: Date.parse("2026-01-01T00:00:00Z"),
  stillServes: async () => undefined,
  notReplaced: async () => undefined,
  notReady: async () => undefined,
  notInstalled: async () => undefined,
  notReached: async () => undefined,
  notAcknowledged: async () => undefined,
  notForgotten: async () => undefined,
  notServedYet: async () => undefined,
  heldBack: async () => undefined,
};

async function undo(
  objects: Objects,
  journal: readonly JournalEntry[],
  context: Partial<UndoContext> = {},
  passOver = false,
): Promise<UndoPlay> {
  const play = new UndoPlay(journal, passOver);
  for (let entry = play.next(); entry !== undefined; entry = play.next())
    play.tell(await undoEntry(objects as unknown as ObjectAccess, entry, { ...free, ...context }, play.original));
  return play;
}

/** The snapshot without the pod template, because undo writes the time of another restart into it. */
function withoutRestart(snapshot: unknown): unknown {
  const copy = structuredClone(snapshot) as Record<string, { spec?: { template?: unknown } }>;
  delete copy["Deployment app"]?.spec?.template;
  return copy;
}

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
    // The journal still has all entries, because the undone ones had not been removed yet.
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

test("a value that a changed plan was about to replace is undone, although somebody else had restored it", async () => {
  const objects = cluster();
  const before = (await objects.get(route))?.["spec"];
  const entry: JournalEntry = {
    type: "field",
    step: "s",
    object: route,
    pointer: "/spec/rules",
    prior: [{ weight: 100 }],
    written: [{ weight: 50 }],
  };
  // The plan has changed, and the engine was killed between the journal and the write.
  const replanned: JournalEntry = { ...entry, prior: [{ weight: 50 }], written: [{ weight: 9 }] };
  const journal = withEntries([entry], [replanned]);
  const theirs = objects.all.get("HTTPRoute r") as UntypedObject;
  (theirs["spec"] as Record<string, unknown>)["rules"] = [{ weight: 50 }];
  theirs.metadata.managedFields = [
    { manager: "kubectl-edit", operation: "Update", fieldsV1: { "f:spec": { "f:rules": {} } } },
  ];
  const { report } = await undo(objects, journal);
  assert.equal(report.conflict, undefined);
  assert.deepEqual((await objects.get(route))?.["spec"], before);
});

test("a field that somebody else changed is never overwritten, and the message has the user, the field and the remedy", async () => {
  const objects = cluster();
  const journal = await perform(objects);
  const theirs = objects.all.get("HTTPRoute r") as UntypedObject;
  const managed: ManagedFieldsEntry = {
    manager: "kubectl-edit",
    time: "2026-01-01T00:00:00Z",
    operation: "Update",
    fieldsV1: { "f:spec": { "f:rules": {} } },
  };
  theirs.metadata.managedFields = [managed];
  (theirs["spec"] as Record<string, unknown>)["rules"] = [{ weight: 77 }];
  const { report } = await undo(objects, journal);
  assert.equal(
    report.conflict,
    'HTTPRoute n/r /spec/rules was changed by kubectl-edit at 2026-01-01T00:00:00Z since step s: found [{"weight":77}], the rollout wrote [{"weight":50},{"weight":50}]; set it to [{"weight":100}] (as it was before) or to what the rollout wrote, and the undo continues',
  );
  assert.deepEqual(valueAt(theirs, "/spec/rules"), [{ weight: 77 }]);
  assert.ok(objects.all.has("Deployment canary"), "what came before it in the journal stays for now");
});

test("a field that another rollout changed later is not overwritten, and the message says which one to undo first", async () => {
  const [ours, theirs] = [[{ weight: 50 }], [{ weight: 9 }]];
  const entry: JournalEntry = {
    type: "field",
    step: "s",
    object: route,
    pointer: "/spec/rules",
    prior: [{ weight: 100 }],
    written: ours,
  };
  const undoneWith = async (other: Awaited<ReturnType<UndoContext["otherRollout"]>>) => {
    const objects = cluster();
    const found = objects.all.get("HTTPRoute r") as UntypedObject;
    (found["spec"] as Record<string, unknown>)["rules"] = theirs;
    found.metadata.managedFields = [
      { manager: fieldManager, operation: "Update", fieldsV1: { "f:spec": { "f:rules": {} } } },
    ];
    const { report } = await undo(objects, [entry], { otherRollout: async () => await Promise.resolve(other) });
    return { conflict: report.conflict, rules: valueAt(found, "/spec/rules") };
  };
  assert.deepEqual(await undoneWith({ name: "Canary n/next", undo: "serin canary abort next -n n" }), {
    conflict:
      'HTTPRoute n/r /spec/rules was changed by Canary n/next since step s: found [{"weight":9}], the rollout wrote [{"weight":50}]; undo Canary n/next first (serin canary abort next -n n), or set it to [{"weight":100}] (as it was before) or to what the rollout wrote, and the undo continues',
    rules: theirs,
  });
  assert.deepEqual(await undoneWith(undefined), { conflict: undefined, rules: [{ weight: 100 }] }, "its own");
});

test("a field that somebody has set back to what it was before the run is undone, in whatever step", async () => {
  const pointer = "/spec/rules";
  const weights = (weight: number) => [{ weight: 100 - weight }, { weight }];
  const entry = (step: string, prior: unknown, written: unknown): JournalEntry => ({
    type: "field",
    step,
    object: route,
    pointer,
    prior,
    written,
  });
  const entries = [
    entry("step-1", [{ weight: 100 }], weights(10)),
    entry("step-2", weights(10), weights(50)),
    { type: "created", step: "s", object: made } as const,
  ];
  const undoneWith = async (rules: unknown) => {
    const objects = cluster();
    const theirs = objects.all.get("HTTPRoute r") as UntypedObject;
    theirs.metadata.managedFields = [
      { manager: "argocd", operation: "Update", fieldsV1: { "f:spec": { "f:rules": {} } } },
    ];
    (theirs["spec"] as Record<string, unknown>)["rules"] = rules;
    const { undone, report } = await undo(objects, entries);
    return { undone: undone.length, conflict: report.conflict, rules: valueAt(theirs, pointer) };
  };
  // Git has the route of before the run, and its controller has put that back.
  assert.deepEqual(await undoneWith([{ weight: 100 }]), {
    undone: 3,
    conflict: undefined,
    rules: [{ weight: 100 }],
  });
  const other = await undoneWith([{ weight: 77 }]);
  assert.equal(other.undone, 1);
  assert.match(other.conflict ?? "", /changed by argocd .*; set it to \[\{"weight":100\}\] \(as it was before\)/);
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
      notReached: async () => (stamps < 9 ? "web is not ready" : undefined),
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

test("a recreated workload must run before undo continues; after a long wait independent entries are undone", async () => {
  const objects = cluster();
  const journal = await perform(objects);
  const dead = { notReady: async () => "0 of 1 ready" };
  const expected = { undone: 0, waitingFor: ["Deployment n/istiod-old: 0 of 1 ready"] };
  for (const notReady of [dead.notReady, async () => "Deployment istiod-old: 0 of 1 ready"])
    assert.deepEqual((await undo(objects, journal, { notReady })).report, expected);
  assert.ok(objects.all.has("Deployment istiod-old"), "it is recreated all the same");
  const passed = await undo(objects, journal, dead, true);
  assert.deepEqual(valueAt(objects.all.get("HTTPRoute r"), "/spec/rules"), [{ weight: 100 }], "routes do not need it");
  assert.equal(
    valueAt(objects.all.get("Deployment app"), "/metadata/labels/istio.io~1rev"),
    "new",
    "pods would come back without a control plane",
  );
  assert.ok(objects.all.has("Deployment canary"), "a workload that was made may serve pods that could not be put back");
  assert.equal(passed.report.undone, 3);
});

test("a former destination stays until every proxy has acknowledged the new one, even after a long wait", async () => {
  const objects = cluster();
  const journal = await perform(objects);
  const deaf = { notAcknowledged: async () => "no control plane is ready" };
  await undo(objects, journal, deaf, true);
  assert.deepEqual(valueAt(objects.all.get("HTTPRoute r"), "/spec/hostnames"), ["h"]);
  assert.ok(objects.all.has("Deployment canary"));
  await undo(objects, journal);
  assert.ok(!objects.all.has("Deployment canary"));
});

test("what the rollout's own route sends requests to stays until no proxy uses the deleted route, even after a long wait", async () => {
  const objects = new Objects();
  const [stable, own] = [reference("Service", "web-stable"), reference("HTTPRoute", "web-canary")];
  const journal = [stable, own].map((object): JournalEntry => ({ type: "created", step: "s", object }));
  for (const object of [stable, own]) await objects.create(object, { metadata: { name: object.name } });
  const asked: boolean[] = [];
  const used: Partial<UndoContext> = {
    notForgotten: async (object, isNow) => {
      assert.equal(object, own);
      asked.push(isNow);
      return await Promise.resolve("proxies may still use it");
    },
  };
  const first = await undo(objects, journal, used);
  assert.deepEqual([...objects.all.keys()], ["Service web-stable"]);
  assert.deepEqual(first.report.waitingFor, ["HTTPRoute n/web-canary: proxies may still use it"]);
  await undo(objects, journal, used, true);
  assert.deepEqual([...objects.all.keys()], ["Service web-stable"]);
  assert.deepEqual(asked, [true, false], "only the pass that deletes the route knows when that was");
  assert.equal((await undo(objects, journal)).report.undone, 2);
  assert.deepEqual([...objects.all.keys()], []);
});

test("an undo that restores the number of a held Deployment's pods waits for pods of any template", async () => {
  const objects = cluster();
  Object.assign(objects.all.get("Deployment app")?.["spec"] as object, { template: "v2" });
  const field = { type: "field", object: app } as const;
  const journal: JournalEntry[] = [
    { ...field, step: "copy", pointer: "/spec/template", prior: "v1", written: "v2", adopted: true },
    { ...field, step: "step-1-stable", pointer: "/spec/replicas", prior: 5, written: 3 },
    {
      ...field,
      step: "roll",
      pointer: "/spec/template",
      prior: "v1",
      written: "v2",
      adopted: true,
      restart: "template",
    },
  ];
  const asked: boolean[] = [];
  await undo(objects, journal, {
    notReached: async (_object, isScaled) => {
      asked.push(isScaled);
      return await Promise.resolve(undefined);
    },
  });
  assert.deepEqual(asked, [false, true], "first the pods of the former template, then the former number of pods");
});

test("a gateway keeps its canary and its revision while its Deployment waits for that canary, even after a long wait", async () => {
  const gateway = reference("Gateway", "door");
  const pods = reference("Deployment", "door-istio");
  const namespace = reference("Namespace", "probes");
  const objects = new Objects();
  const annotation = "/metadata/annotations/rollout.serin.dev~1canary-replicas";
  const label = "/metadata/labels/istio.io~1rev";
  objects.all.set("Gateway door", { metadata: { name: "door", labels: { "istio.io/rev": "new" } } });
  objects.all.set("Deployment door-istio", { metadata: { name: "door-istio" }, spec: { replicas: 1 } });
  objects.all.set("Namespace probes", { metadata: { name: "probes", deletionTimestamp: "2026-01-01T00:00:00Z" } });
  const field = { type: "field", step: "own" } as const;
  const journal: JournalEntry[] = [
    { ...field, object: gateway, pointer: annotation, written: "1", madeParents: 1 },
    { ...field, step: "100", object: pods, pointer: "/spec/replicas", prior: 1, written: 0 },
    { ...field, object: gateway, pointer: label, prior: "old", written: "new" },
    { ...field, object: pods, pointer: "/spec/replicas", prior: 0, written: 1 },
    { ...field, step: "leave", object: gateway, pointer: annotation, prior: "1" },
    { type: "deleted", step: "retire", object: namespace, body: { metadata: { name: "probes" } } },
  ];
  const missing: Partial<UndoContext> = {
    heldBack: async ({ pointer, prior }) => (pointer === "/spec/replicas" && prior === 0 ? "no canary yet" : undefined),
  };
  const { report } = await undo(objects, journal, missing, true);
  assert.deepEqual(report.waitingFor, [
    "Namespace n/probes: the old object is still being deleted",
    "Deployment n/door-istio: no canary yet",
  ]);
  const left = objects.all.get("Gateway door");
  assert.equal(valueAt(left, annotation), "1", "the canary is wanted again");
  assert.equal(valueAt(left, label), "new", "and whoever makes it has the gateway");
});

test("a workload that still serves proxies keeps the objects created with it, even after a long wait", async () => {
  const objects = new Objects();
  const ours: ManagedFieldsEntry[] = [
    { manager: "serin-rollout", operation: "Update", time: "2026-01-01T00:00:00Z", fieldsV1: { "f:metadata": {} } },
  ];
  const put = (kind: string, name: string): ObjectReference => {
    objects.all.set(`${kind} ${name}`, { metadata: { name, managedFields: ours } });
    return reference(kind, name);
  };
  const created = (step: string, object: ObjectReference): JournalEntry => ({ type: "created", step, object });
  const journal = [
    created("install", put("ClusterRole", "istiod-new")),
    created("install", put("Service", "istiod-new")),
    created("install", put("Deployment", "istiod-new")),
    created("probe", put("Service", "probe")),
  ];
  const serves = {
    stillServes: async ({ object }: JournalEntry) => (object.kind === "Deployment" ? { detail: "1 proxy" } : undefined),
  };
  await undo(objects, journal, serves, true);
  assert.deepEqual([...objects.all.keys()], ["ClusterRole istiod-new", "Service istiod-new", "Deployment istiod-new"]);
  await undo(objects, journal, {}, true);
  assert.deepEqual([...objects.all.keys()], []);
});

test("no workload restarts before the labels of its namespace are restored, however long the undo waits for these", () => {
  const reference = (kind: string, name: string, namespace?: string): ObjectReference => ({
    apiVersion: "v1",
    kind,
    plural: `${kind.toLowerCase()}s`,
    name,
    ...(namespace === undefined ? {} : { namespace }),
  });
  const field = { type: "field", step: "s", undoGroup: "g", pointer: "/x" } as const;
  const label: JournalEntry = { ...field, object: reference("Namespace", "shop"), prior: "old" };
  const restart = (namespace: string): JournalEntry => ({
    ...field,
    object: reference("Deployment", "web", namespace),
    restart: "template",
  });
  const play = new UndoPlay([label, restart("shop"), restart("far")], true);
  const played: string[] = [];
  for (let entry = play.next(); entry !== undefined; entry = play.next()) {
    played.push(`${entry.object.kind} ${entry.object.namespace ?? ""}`);
    play.tell(entry === label ? { state: "waiting", detail: "no injector" } : { state: "undone" });
  }
  assert.deepEqual(played, ["Namespace ", "Deployment far"]);
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
    const { undone, report } = await undo(objects, entries, { notReached: async () => "0 of 1 ready" });
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

test("what relies on the old revision waits until its operator has installed it again, however long, and other entries do not", async () => {
  const operators = [
    { apiVersion: "install.istio.io/v1alpha1", kind: "IstioOperator", plural: "istiooperators", name: "mesh" },
    { apiVersion: "istio.banzaicloud.io/v1beta1", kind: "Istio", plural: "istios", name: "mesh" },
  ] as const;
  const [operator, istio] = operators.map((object) => ({ ...object, namespace: "istio-system" }));
  assert.ok(operator !== undefined && istio !== undefined);
  const disabled: JournalEntry = {
    type: "field",
    step: "retire",
    object: operator,
    pointer: "/spec/components/pilot/enabled",
    written: false,
  };
  const removed: JournalEntry = {
    type: "deleted",
    step: "retire",
    object: istio,
    body: { metadata: { name: "mesh" } },
  };
  const label: JournalEntry = {
    type: "field",
    step: "wave/shop",
    object: { apiVersion: "v1", kind: "Namespace", plural: "namespaces", name: "shop" },
    pointer: "/metadata/labels/istio.io~1rev",
    prior: "old",
    written: "new",
  };
  const other: JournalEntry = { ...label, pointer: "/metadata/labels/team", prior: "a", written: "b" };
  for (const retired of [disabled, removed]) {
    const objects = cluster();
    const labels = { "istio.io/rev": "new", team: "b" };
    objects.all.set("Namespace shop", { metadata: { name: "shop", labels } });
    objects.all.set("IstioOperator mesh", {
      metadata: { name: "mesh" },
      spec: { components: { pilot: { enabled: false } } },
    });
    const journal = [label, other, retired];
    const waiting = await undo(objects, journal, { notInstalled: async () => "istiod is not there yet" }, true);
    assert.deepEqual(
      [waiting.undone, waiting.report.waitingFor],
      [[other], [`${retired.object.kind} istio-system/mesh: istiod is not there yet`]],
    );
    const { undone } = await undo(objects, journal);
    assert.deepEqual(undone, [retired, other, label]);
  }
});

test("objects of a namespace that the rollout had deleted wait until it is recreated, however long", async () => {
  const home: ObjectReference = { apiVersion: "v1", kind: "Namespace", plural: "namespaces", name: "n" };
  const entries: JournalEntry[] = [
    { type: "deleted", step: "retire", object: made, body: { metadata: { name: "canary" } } },
    { type: "deleted", step: "retire", object: home, body: { metadata: { name: "n" } } },
  ];
  const play = new UndoPlay(entries, true);
  assert.equal(play.next()?.object.kind, "Namespace");
  play.tell({ state: "waiting", detail: "the old object is still being deleted" });
  assert.equal(play.next(), undefined);
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

test("a step deletes the object whose value it has journaled, and no other one of its name", async () => {
  const objects = cluster();
  const prior = { metadata: { name: "istiod-old", uid: "0" } };
  const write: Write = { type: "delete", object: old };
  await assert.rejects(performWrite(objects as unknown as ObjectAccess, write, prior), { code: "conflict" });
  await performWrite(objects as unknown as ObjectAccess, write, await objects.get(old));
  assert.equal(await objects.get(old), undefined);
});
