import assert from "node:assert/strict";
import { test } from "node:test";
import type { ManagedFieldsEntry, UntypedObject } from "../../api/index.ts";
import { fieldManager } from "../../api/serin/field-managers/index.ts";
import type { JournalEntry } from "../../api/serin/index.ts";
import { valueAt } from "./object-access.ts";
import { withEntries } from "./journal-entries.ts";
import type { UndoContext } from "./undo-context.ts";
import { cluster, made, perform, reference, route, undo } from "./testing/undo-cluster.ts";

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
  // A journal after the plan has changed and the engine was killed before it wrote the new value.
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
  // A GitOps controller has restored the route from before the run.
  assert.deepEqual(await undoneWith([{ weight: 100 }]), {
    undone: 3,
    conflict: undefined,
    rules: [{ weight: 100 }],
  });
  const other = await undoneWith([{ weight: 77 }]);
  assert.equal(other.undone, 1);
  assert.match(other.conflict ?? "", /changed by argocd .*; set it to \[\{"weight":100\}\] \(as it was before\)/);
});

const stepWeights = [10, 50, 90];

/** The entries of three steps for one field. `of`: its value at a weight. */
function entriesOf(object: typeof route, pointer: string, of: (canary: number) => unknown): JournalEntry[] {
  return stepWeights.map((canary, index) => ({
    type: "field",
    step: `step-${index + 1}`,
    object,
    pointer,
    prior: of(stepWeights[index - 1] ?? 0),
    written: of(canary),
  }));
}

function writtenByKubectl(field: string): ManagedFieldsEntry[] {
  return [{ manager: "kubectl-edit", operation: "Update", fieldsV1: { "f:spec": { [field]: {} } } }];
}

test("while the server keeps undone entries in the journal, each pass goes on where the last one ended", async () => {
  const rulesAt = (canary: number, more: object = {}) => {
    const next = canary === 0 ? [] : [{ name: "next", weight: canary }];
    return [{ backendRefs: [{ name: "old", weight: 100 - canary }, ...next], ...more }];
  };
  const journal = entriesOf(route, "/spec/rules", rulesAt);
  const objects = cluster();
  const current = objects.all.get("HTTPRoute r") as UntypedObject;
  const spec = current["spec"] as { rules?: unknown };
  spec.rules = rulesAt(90);
  const seen: string[] = [];
  const notYet = async (): Promise<string | undefined> => {
    const rules = JSON.stringify(spec.rules);
    seen.push(rules);
    return await Promise.resolve(rules.includes(`"weight":10}`) ? "not acknowledged yet" : undefined);
  };
  await undo(objects, journal, { notAcknowledged: notYet });
  assert.deepEqual(spec.rules, rulesAt(10));
  // Somebody changes another part of the list, and so becomes its last writer.
  const timeouts = { request: "5s" };
  spec.rules = rulesAt(10, { timeouts });
  current.metadata.managedFields = writtenByKubectl("f:rules");
  seen.length = 0;
  const { report } = await undo(objects, journal, { notAcknowledged: notYet });
  assert.deepEqual([report.conflict, spec.rules], [undefined, rulesAt(10, { timeouts })]);
  assert.ok(
    seen.every((rules) => !rules.includes(`"weight":50`)),
    "no request goes back to the canary",
  );
  await undo(objects, journal);
  assert.deepEqual(spec.rules, rulesAt(0, { timeouts }));
});

test("a number that an unfinished undo has left is not written again, whoever its last writer is", async () => {
  const objects = cluster();
  const current = objects.all.get("Deployment app") as UntypedObject;
  const spec = current["spec"] as { replicas?: unknown };
  const journal = entriesOf(reference("Deployment", "app"), "/spec/replicas", (canary) => canary + 1);
  spec.replicas = 11;
  current.metadata.managedFields = writtenByKubectl("f:replicas");
  const { report } = await undo(objects, journal);
  assert.deepEqual([report.conflict, spec.replicas], [undefined, 1]);
});
