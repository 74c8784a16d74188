import assert from "node:assert/strict";
import { test } from "node:test";
import type { JournalEntry } from "../../api/serin/index.ts";
import { hasOwnChanges, listWrite } from "../decide/index.ts";
import { withEntries, withoutRun, withStored } from "./journal-entries.ts";

test("a field that an edited plan writes again keeps its first prior value, with the last written and the replaced one", () => {
  const object = { apiVersion: "v1", kind: "ConfigMap", plural: "configmaps", name: "c", namespace: "shop" };
  const entry = (step: string, more: object): JournalEntry => ({
    type: "field",
    step,
    object,
    pointer: "/data/w",
    ...more,
  });
  const before = [entry("step-1", { prior: "0", written: "10", uid: "1" })];
  const added = [
    entry("step-1", { prior: "10", written: "5", uid: "1" }),
    entry("step-2", { prior: "5", written: "50" }),
  ];
  assert.deepEqual(withEntries(before, added), [
    entry("step-1", { prior: "0", written: "5", replaced: "10", uid: "1" }),
    entry("step-2", { prior: "5", written: "50" }),
  ]);
  assert.equal(withEntries(before, before)[0], before[0]);
});

test("an object that a later step makes again keeps its first entry, unless the rollout has deleted it itself", () => {
  const object = { apiVersion: "apps/v1", kind: "Deployment", plural: "deployments", name: "edge-2", namespace: "a" };
  const made = (step: string): JournalEntry => ({ type: "created", step, object });
  const replicas: JournalEntry = {
    type: "field",
    step: "50",
    object: { ...object, name: "edge" },
    pointer: "/spec/replicas",
    prior: 2,
    written: 1,
  };
  const known = [made("50/pods"), replicas];
  assert.deepEqual(withEntries(known, [made("100/pods")]), known);
  assert.deepEqual(withEntries(known, [made("50/pods")]), known);
  const deleted: JournalEntry = { type: "deleted", step: "done", object, body: { metadata: { name: "edge-2" } } };
  assert.deepEqual(withEntries([...known, deleted], [made("again")]), [...known, deleted, made("again")]);
});

test("an object that somebody changes while the server refuses its deletion is restored as it was last", () => {
  const object = { apiVersion: "v1", kind: "ConfigMap", plural: "configmaps", name: "c", namespace: "shop" };
  const deleted = (value: string, uid = "1", resourceVersion = "1"): JournalEntry => ({
    type: "deleted",
    step: "retire",
    object,
    body: { metadata: { name: "c", uid, resourceVersion }, data: { value } },
  });
  const known = [deleted("before")];
  assert.deepEqual(withEntries(known, [deleted("edited", "1", "2")]), [deleted("edited", "1", "2")]);
  assert.equal(withEntries(known, [deleted("before", "1", "2")])[0], known[0], "nothing has to be stored");
  assert.equal(withEntries(known, [deleted("other", "2", "3")])[0], known[0]);
});

test("the preparation of a target takes over what an ended run has written, so a user's later subset is no loss", () => {
  const object = { apiVersion: "v1", kind: "DestinationRule", plural: "destinationrules", name: "web", namespace: "n" };
  const subsets = (hash: string) => [{ name: "stable", labels: { hash } }];
  const entry = (step: string, prior: unknown, written: unknown) =>
    ({ type: "field", step, object, pointer: "/spec/subsets", prior, written }) as const;
  const setup = { ...entry("subsets", [], subsets("1")), setup: true };
  const [left, ...others] = withoutRun([setup, entry("promote-stable", subsets("1"), subsets("2"))]);
  assert.deepEqual([left, others], [{ ...setup, written: subsets("2") }, []]);
  assert.ok(left?.type === "field");
  assert.ok(hasOwnChanges(left, left, [...subsets("2"), { name: "theirs" }]));
  assert.ok(!hasOwnChanges(setup, setup, [...subsets("2"), { name: "theirs" }]), "with the value of the preparation");
});

test("a list that a step plans anew keeps the former plan, from which an undo tells what others have changed", () => {
  const object = { apiVersion: "v1", kind: "HTTPRoute", plural: "httproutes", name: "web", namespace: "n" };
  const entry = (written: unknown, more: object = {}): JournalEntry => ({
    type: "field",
    step: "s",
    object,
    pointer: "/spec/rules",
    prior: [1],
    written,
    ...more,
  });
  const [kept] = withEntries([entry([2])], [entry([3, 9], { planned: [3], prior: [2, 9] })]);
  assert.deepEqual(kept, entry([3, 9], { planned: [3], replaced: [2, 9], replacedPlan: [2] }));
});

test("what a webhook made of a list is forgotten when it ends, so that a person who writes the same is in conflict", () => {
  const object = { apiVersion: "v1", kind: "HTTPRoute", plural: "httproutes", name: "web", namespace: "n" };
  const list = (weight: number) => [{ backendRefs: [{ name: "web", weight }] }];
  const [pointer, prior, written, rewritten] = ["/spec/rules", list(0), list(50), list(49)];
  const entry: JournalEntry = { type: "field", step: "s", object, pointer, prior, written };
  const writeOf = (entries: readonly JournalEntry[]) => {
    const fields = entries.flatMap((one) => (one.type === "field" ? [one] : []));
    const found = { entries: fields, step: "s", found: rewritten, isWrittenByEngine: false, isRemade: false };
    return listWrite({ pointer, value: written, base: prior, isMade: false }, found);
  };
  const during = withStored([entry], { object, pointer }, { written, stored: rewritten });
  assert.partialDeepStrictEqual(writeOf(during), { type: "due", isRewritten: true });
  for (const stored of [written, [{ ...written[0], defaulted: true }]]) {
    const after = withStored(during, { object, pointer }, { written, stored });
    assert.deepEqual(after, [entry]);
    assert.equal(writeOf(after).type, "conflict");
    assert.equal(withStored(after, { object, pointer }, { written, stored }), after, "nothing has to be stored");
  }
  const [again] = withEntries(during, [{ ...entry, written: list(60), prior: rewritten }]);
  assert.deepEqual(again, { ...entry, written: list(60), replaced: rewritten }, "of the former plan");
  const edited = [...rewritten, { name: "theirs" }];
  const [overEdit] = withEntries(during, [{ ...entry, written: [...list(60), { name: "theirs" }], prior: edited }]);
  assert.partialDeepStrictEqual(overEdit, { replaced: edited, replacedPlan: rewritten });
});

test("an object that two releases name in different versions of its API is one object", () => {
  const inVersion = (version: string) => ({
    apiVersion: `gateway.networking.k8s.io/${version}`,
    kind: "ReferenceGrant",
    plural: "referencegrants",
    name: "web",
    namespace: "shop",
  });
  const made: JournalEntry = { type: "created", step: "step-1", object: inVersion("v1beta1") };
  const again: JournalEntry = { type: "created", step: "step-2", object: inVersion("v1") };
  assert.deepEqual(withEntries([made], [again]), [made], "one deletion undoes it");

  const label = { type: "field", pointer: "/metadata/labels/a" } as const;
  const first: JournalEntry = { ...label, step: "step-1", object: inVersion("v1beta1"), written: "10" };
  const repeated: JournalEntry = { ...label, step: "step-1", object: inVersion("v1"), prior: "10", written: "10" };
  const [kept, ...more] = withEntries([first], [repeated]);
  assert.deepEqual(more, []);
  assert.equal(kept?.type === "field" && kept.prior === undefined, true, "the value from before the run stays");
  const other = { ...inVersion("v1"), apiVersion: "example.org/v1" };
  assert.equal(withEntries([made], [{ ...again, object: other }]).length, 2, "another group has another kind");
});
