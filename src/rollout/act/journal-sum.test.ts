import assert from "node:assert/strict";
import { test } from "node:test";
import type { JournalEntry } from "../../api/serin/index.ts";
import { earlierRunOfEntries, replacementOfEntries, undoSumOf } from "./journal-sum.ts";

const object = (name: string) => ({
  apiVersion: "v1",
  kind: "ConfigMap",
  plural: "configmaps",
  name,
  namespace: "shop",
});
const field = (step: string, prior: unknown, written: unknown): JournalEntry => ({
  type: "field",
  step,
  object: object("c"),
  pointer: "/data/w",
  prior,
  written,
});
const created = (name: string): JournalEntry => ({ type: "created", step: "two", object: object(name) });

/**
 * The message about a journal whose entries `kubectl` has restored, when the rollout's last entries were these ones.
 */
function said(
  now: readonly JournalEntry[],
  last: readonly JournalEntry[],
  writer: string | undefined = "kubectl",
): string {
  const known = { undoSum: undoSumOf(now), ...(writer === undefined ? {} : { writer }) };
  return replacementOfEntries(known, undoSumOf(last)) ?? "";
}

test("an older journal that somebody puts back is noticed, although its own sum fits", () => {
  const last = [field("one", "0", "10"), field("two", "10", "50"), created("made")];
  const by = "kubectl has put back another state of it, which has changed its entries: they are of";
  assert.equal(said([field("one", "0", "10")], last), `${by} 1 field or object, and the rollout had changed 2`);
  assert.equal(said([], last), `${by} 0 fields and objects, and the rollout had changed 2`);
  assert.equal(
    said([field("one", "7", "10"), created("made")], last),
    `${by} 2 fields and objects, with other values from before`,
  );
});

test("a journal that would restore the same, one that has more, and one of the engine are taken as they are", () => {
  const last = [field("one", "0", "10"), created("made")];
  assert.equal(said([...last], last), "");
  assert.equal(
    said([field("one", "0", "10"), created("made"), field("two", "10", "50")], last),
    "",
    "a later step of the same field",
  );
  assert.equal(said([...last, created("more")], last), "", "a backup takes rollouts before their journals");
  assert.equal(
    replacementOfEntries({ undoSum: undoSumOf([]) }, undoSumOf(last)),
    undefined,
    "the engine has undone it",
  );
  assert.equal(replacementOfEntries({ undoSum: undoSumOf([]), writer: "kubectl" }, undefined), undefined);
});

test("the journal of an earlier run that somebody puts back does not count for the present one", () => {
  const status = { run: 2, startedAt: "2026-01-01T00:00:00Z" };
  const journal = { entries: [created("made")], decisions: [{ run: 1 }], writer: "velero" };
  assert.equal(
    earlierRunOfEntries(journal, status),
    "velero has put back the state that it had in run 1, with 1 entry of that run, and the rollout is in run 2",
  );
  const prepared: JournalEntry = { type: "created", step: "hold", object: object("held"), setup: true };
  const taken = [
    [{ ...journal, decisions: [{ run: 1 }, { run: 2 }] }, status],
    [{ ...journal, decisions: [] }, status],
    [{ ...journal, entries: [prepared] }, status],
    [{ entries: journal.entries, decisions: journal.decisions }, status],
    [journal, { run: 2 }],
    [journal, { ...status, run: 1 }],
  ] as const;
  for (const [given, of] of taken) assert.equal(earlierRunOfEntries(given, of), undefined);
});

test("the sum of an undo is the same in all releases, because statuses store it", () => {
  const grant = {
    apiVersion: "gateway.networking.k8s.io/v1beta1",
    kind: "ReferenceGrant",
    plural: "referencegrants",
    name: "web",
    namespace: "shop",
  };
  const node = { apiVersion: "v1", kind: "Node", plural: "nodes", name: "n1" };
  const label = { type: "field", step: "step-1", object: node, pointer: "/metadata/labels/a" } as const;
  const entries: readonly JournalEntry[] = [
    { type: "created", step: "step-1", object: grant },
    { ...label, prior: "b", written: "c" },
  ];
  assert.equal(undoSumOf(entries), "2 50c9faaa9079f9ca");
});
