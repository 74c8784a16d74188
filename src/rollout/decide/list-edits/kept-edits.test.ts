import assert from "node:assert/strict";
import { test } from "node:test";
import type { Tree } from "../../../base/index.ts";
import type { JournalEntry } from "../../../api/serin/index.ts";
import { hasOwnChanges, listUndo, listWrite, type ListInCluster } from "./kept-edits.ts";

type FieldEntry = Extract<JournalEntry, { type: "field" }>;
const object = { apiVersion: "v1", kind: "HTTPRoute", plural: "httproutes", name: "shop", namespace: "shop" };
const backend = (name: string, weight?: number): Tree => ({
  group: "",
  kind: "Service",
  name,
  port: 80,
  ...(weight === undefined ? {} : { weight }),
});
const path = (value: string): Tree => ({ path: { type: "PathPrefix", value } });
const header = { headers: [{ type: "Exact", name: "traffic", value: "test" }] };

const moved = { matches: [path("/shop")], backendRefs: [backend("shop", 1)] };
const other = { matches: [path("/api")], backendRefs: [backend("api", 1)] };
/** The user's rules. The rollout moves the first one. */
const prior = [moved, other];
const copy = { matches: [{ ...path("/shop"), ...header }], backendRefs: [backend("next", 1)] };
const atWeight = (weight: number, rule: Tree = moved): Tree => ({
  ...rule,
  backendRefs: [backend("shop", 100 - weight), backend("next", weight)],
});
/** What the plan asks for in two steps: a rule for matching requests, then a weight too. */
const [first, second] = [
  [copy, moved, other],
  [copy, atWeight(10), other],
];

const entry = (step: string, before: unknown, written: unknown, more: Partial<FieldEntry> = {}): FieldEntry => ({
  type: "field",
  step,
  object,
  pointer: "/spec/rules",
  prior: before,
  written,
  ...more,
});
const one = [entry("step-1", prior, first)];
const two = [...one, entry("step-2", first, second)];

const write = (value: unknown, found: unknown, entries: readonly FieldEntry[], more: Partial<ListInCluster> = {}) =>
  listWrite(
    { pointer: "/spec/rules", value, base: prior, isMade: false },
    { entries, step: "step-3", found, isWrittenByEngine: false, isRemade: false, ...more },
  );

const timeouts = { request: "5s" };
const filter = { type: "RequestHeaderModifier", requestHeaderModifier: { set: [{ name: "a", value: "b" }] } };
const added = { matches: [path("/new")], backendRefs: [backend("new", 1)] };

/** Changes that people make to the rules of a route, after the rollout has written them. */
const edits: Readonly<Record<string, (rules: readonly Tree[]) => Tree[]>> = {
  "a field in the moved rule": (rules) => rules.map((rule) => (isOf(rule, moved) ? { ...rule, timeouts } : rule)),
  "a filter in the moved rule": (rules) =>
    rules.map((rule) => (isOf(rule, moved) ? { ...rule, filters: [filter] } : rule)),
  "a match in the moved rule": (rules) =>
    rules.map((rule) => (isOf(rule, moved) ? { ...rule, matches: [...moved.matches, path("/cart")] } : rule)),
  "a header in the moved rule's match": (rules) =>
    rules.map((rule) => (isOf(rule, moved) ? { ...rule, matches: [{ ...path("/shop"), method: "GET" }] } : rule)),
  "a filter of a backend": (rules) =>
    rules.map((rule) => (isOf(rule, moved) ? { ...rule, backendRefs: withFilter(rule["backendRefs"]) } : rule)),
  "a rule at the end": (rules) => [...rules, added],
  "a rule at the beginning": (rules) => [added, ...rules],
  "another rule's backend": (rules) =>
    rules.map((rule) => (isOf(rule, other) ? { ...rule, backendRefs: [backend("api", 1), backend("beta", 1)] } : rule)),
  "another rule's removal": (rules) => rules.filter((rule) => !isOf(rule, other)),
  "another order": (rules) => rules.toSorted((a, b) => Number(isOf(b, other)) - Number(isOf(a, other))),
};

function isOf(rule: Tree, original: Tree): boolean {
  const backends = rule["backendRefs"] as readonly Tree[];
  return backends.some(({ name }) => name === (original === moved ? "shop" : "api"));
}

function withFilter(backends: unknown): Tree[] {
  return (backends as readonly Tree[]).map((ref) => (ref["name"] === "shop" ? { ...ref, filters: [filter] } : ref));
}

test("what people change in a list during a run survives the next write, and the undo of all writes", () => {
  for (const [what, edit] of Object.entries(edits)) {
    const found = edit(second);
    assert.ok(hasOwnChanges(two[0] as FieldEntry, two[1] as FieldEntry, found), what);
    assert.deepEqual(write(second, found, two), { type: "done" }, `${what}: the present step has nothing to write`);
    const third = [copy, atWeight(50), other];
    const due = write(third, found, two);
    assert.deepEqual(due, { type: "due", value: edit(third), prior: second, isApplied: true }, what);
    const written = entry("step-3", second, edit(third), { planned: third });
    let list: unknown = edit(third);
    for (const undone of [written, ...two.toReversed()]) {
      const undo = listUndo(undone, two[0] as FieldEntry, list);
      if (undo.type === "due") list = undo.value;
      assert.notEqual(undo.type, "conflict", `${what}: ${undone.step}`);
    }
    assert.deepEqual(list, edit(prior), `${what}: after the undo`);
    const last = [...two, written];
    assert.deepEqual(write(third, third, last), { type: "done" }, `${what}: people may take it back`);
    const back = listUndo(written, two[0] as FieldEntry, third);
    assert.deepEqual(back, { type: "due", value: second }, `${what}: it does not come back`);
  }
});

test("a header that somebody removes is gone, also with a name that every JavaScript object has", () => {
  const withHeaders = (headers: Tree, weight?: number): Tree[] => {
    const route = [{ destination: { host: "shop" }, ...(weight === undefined ? {} : { weight: 100 - weight }) }];
    const canary = weight === undefined ? [] : [{ destination: { host: "next" }, weight }];
    return [{ match: [{ headers }], route: [...route, ...canary] }];
  };
  const both = { constructor: { exact: "a" }, other: { exact: "b" } };
  const journal = [{ ...entry("step-1", withHeaders(both), withHeaders(both, 10)), pointer: "/spec/http" }];
  const plan = { pointer: "/spec/http", value: withHeaders(both, 50), base: withHeaders(both), isMade: false };
  const found = withHeaders({ other: { exact: "b" } }, 10);
  const due = listWrite(plan, { entries: journal, step: "step-2", found, isWrittenByEngine: false, isRemade: false });
  assert.ok(due.type === "due");
  assert.deepEqual(due.value, withHeaders({ other: { exact: "b" } }, 50));
});

test("other weights, and a rule of the rollout that is gone, are conflicts that name the place", () => {
  assert.deepEqual(write(second, [copy, atWeight(20), other], two), { type: "conflict" });
  assert.deepEqual(write(second, [atWeight(10), other], two), { type: "conflict" });
  assert.deepEqual(write(second, prior, two), { type: "conflict" });
  const rebalanced = [copy, { ...moved, backendRefs: [backend("shop", 3), backend("old", 1)] }, other];
  assert.deepEqual(write(second, rebalanced, one), { type: "conflict", at: "/1/backendRefs" });
  const found = [copy, atWeight(20), other];
  assert.deepEqual(listUndo(two[1] as FieldEntry, two[0] as FieldEntry, found), { type: "conflict" });
});

test("a rule that somebody has removed needs no undo, unless another one has taken its place", () => {
  const undoneFrom = (found: unknown) =>
    two.toReversed().reduce<unknown>((list, undone) => {
      const undo = listUndo(undone, two[0] as FieldEntry, list);
      return undo.type === "due" ? undo.value : undo.type === "restored" ? list : undo.type;
    }, found);
  assert.deepEqual(undoneFrom([copy, other]), [other], "the rule that the rollout moves");
  assert.deepEqual(undoneFrom([atWeight(10), other]), [moved, other], "the rollout's own rule");
  assert.deepEqual(undoneFrom([other]), [other]);
  const replaced = { matches: [path("/cart")], backendRefs: [backend("next", 1)] };
  const undo = listUndo(two[1] as FieldEntry, two[0] as FieldEntry, [replaced, other]);
  assert.equal(undo.type, "conflict");
});

test("a route that somebody sets back keeps their additions when the rollout is undone, without a conflict", () => {
  const applied = edits["a rule at the end"]?.(prior);
  for (const undone of two.toReversed())
    assert.deepEqual(listUndo(undone, two[0] as FieldEntry, applied), { type: "restored" });
});

test("a write that was journaled but failed is done later, together with what others have changed since", () => {
  const found = [...first, added];
  const due = write(second, found, two, { step: "step-2" });
  assert.deepEqual(due, { type: "due", value: [...second, added], prior: found, isApplied: false });
  const again = entry("step-2", first, [...second, added], { planned: second, replaced: found, replacedPlan: second });
  const repeated = write(second, found, [...one, again], { step: "step-2" });
  assert.deepEqual(repeated, due, "the server has refused it again");
  assert.deepEqual(write(second, found, two), { type: "conflict" }, "a finished step has written it");
});

test("a plan that changes within a step replaces the former one, and keeps the edits", () => {
  const now = [copy, atWeight(30), other];
  const edited = [...second, added];
  const due = write(now, edited, two, { step: "step-2" });
  assert.deepEqual(due, { type: "due", value: [...now, added], prior: edited, isApplied: true });
  const again = entry("step-2", first, [...now, added], { planned: now, replaced: edited, replacedPlan: second });
  for (const found of [edited, [...now, added]])
    assert.deepEqual(
      listUndo(again, two[0] as FieldEntry, found),
      { type: "due", value: [...first, added] },
      "the engine may have stopped before or after the write",
    );
});

test("weights that a webhook changes in the engine's own write are written again, with the edits of others", () => {
  const rewritten = [copy, atWeight(9), other, added];
  const due = write(second, rewritten, two, { step: "step-2", isWrittenByEngine: true });
  assert.ok(due.type === "due" && !due.isApplied);
  assert.deepEqual(due.value, [...second, added]);
  const next = write([atWeight(100), other], rewritten, two, { isWrittenByEngine: true });
  assert.ok(next.type === "due");
  assert.deepEqual(next.value, [atWeight(100), other, added], "the copy of a matching rule does not stay");
});

test("two rollouts that move different rules of a list keep each other's weights, in any order of their undo", () => {
  const begun = [copy, atWeight(10), other];
  const theirs = { ...other, backendRefs: [backend("api", 50), backend("api-next", 50)] };
  const both = [copy, atWeight(10), theirs];
  const second_ = [entry("step-1", begun, both)];
  const ofEngine = { isWrittenByEngine: true };
  const further = [copy, atWeight(50), other];
  assert.deepEqual(write(begun, both, [entry("step-1", prior, begun)], { ...ofEngine, step: "step-1" }), {
    type: "done",
  });
  const due = write(further, both, [entry("step-1", prior, begun)], ofEngine);
  assert.ok(due.type === "due");
  assert.deepEqual(due.value, [copy, atWeight(50), theirs]);
  const undoneFirst = listUndo(entry("step-1", prior, begun), entry("step-1", prior, begun), both);
  assert.deepEqual(undoneFirst, { type: "due", value: [moved, theirs] });
  const undoneSecond = listUndo(second_[0] as FieldEntry, second_[0] as FieldEntry, both);
  assert.deepEqual(undoneSecond, { type: "due", value: begun });
});

test("the subsets that somebody adds to a DestinationRule stay, although it had none before", () => {
  const mine = [{ name: "stable", labels: { v: "1" } }];
  const theirs = { name: "theirs", labels: { v: "x" } };
  const plan = { pointer: "/spec/subsets", base: [], isMade: false };
  const cluster = { entries: [], step: "subsets", isWrittenByEngine: false, isRemade: false };
  assert.deepEqual(listWrite({ ...plan, value: mine }, { ...cluster, found: undefined }), {
    type: "due",
    value: mine,
    prior: undefined,
    isApplied: false,
  });
  const written: FieldEntry = { type: "field", step: "subsets", object, pointer: "/spec/subsets", written: mine };
  assert.deepEqual(listUndo(written, written, [...mine, theirs]), { type: "due", value: [theirs] });
  assert.deepEqual(listUndo(written, written, mine), { type: "due", value: undefined });
});

test("a route that the engine has made keeps the server's defaults and the users' fields", () => {
  const made = [{ backendRefs: [{ name: "shop-stable", port: 80 }] }];
  const found = [{ matches: [path("/")], backendRefs: [backend("shop-stable", 1)], timeouts }];
  const value = [
    {
      backendRefs: [
        { name: "shop-stable", port: 80, weight: 9 },
        { name: "next", port: 80, weight: 1 },
      ],
    },
  ];
  const due = listWrite(
    { pointer: "/spec/rules", value, base: made, isMade: true },
    { entries: [], step: "step-1", found, isWrittenByEngine: true, isRemade: false },
  );
  assert.ok(due.type === "due");
  const [rule] = due.value as readonly Tree[];
  assert.deepEqual(rule, {
    matches: [path("/")],
    backendRefs: [backend("shop-stable", 9), { name: "next", port: 80, weight: 1 }],
    timeouts,
  });
});

test("a rule of the engine's own route that has its weights from an earlier run is known again despite the server's defaults", () => {
  const base = [{ backendRefs: [{ name: "shop-stable", port: 80 }] }];
  const moved = [
    {
      backendRefs: [
        { name: "shop-stable", port: 80, weight: 0 },
        { name: "next", port: 80, weight: 100 },
      ],
    },
  ];
  const found = [{ matches: [path("/")], backendRefs: [backend("shop-stable", 0), backend("next", 100)] }];
  const cluster = { entries: [], step: "step-1", found, isWrittenByEngine: true, isRemade: false };
  const due = listWrite({ pointer: "/spec/rules", value: moved, base, isMade: true }, cluster);
  assert.deepEqual(due, { type: "done" });
  const ofMatch = [{ matches: [header], backendRefs: [{ name: "next", port: 80 }] }, ...base];
  const both = listWrite({ pointer: "/spec/rules", value: ofMatch, base, isMade: true }, cluster);
  assert.ok(both.type === "due");
  const stored = (both.value as readonly Tree[]).map((rule) => ({ matches: [path("/")], ...rule }));
  assert.equal(stored.length, 2);
  const own = [entry("step-1", found, both.value, { planned: ofMatch })];
  const again = { ...cluster, entries: own, found: stored };
  assert.deepEqual(listWrite({ pointer: "/spec/rules", value: ofMatch, base, isMade: true }, again), { type: "done" });
  const back = [...own, entry("step-2", ofMatch, found, { planned: moved })];
  const last = { ...cluster, entries: back, step: "step-2" };
  assert.deepEqual(listWrite({ pointer: "/spec/rules", value: moved, base, isMade: true }, last), { type: "done" });
});

test("the first write of a run takes back the division of an earlier run, also if the plan has the division from before", () => {
  const base = [{ backendRefs: [{ name: "shop-stable", port: 80 }] }];
  const found = [{ matches: [path("/")], timeouts, backendRefs: [backend("shop-stable", 0), backend("next", 100)] }];
  const cluster = { entries: [], step: "step-1", found, isWrittenByEngine: true, isRemade: false };
  const mirror = { type: "RequestMirror", requestMirror: { backendRef: { name: "next", port: 80 } } };
  const { weight: _weight, ...alone } = backend("shop-stable", 0);
  for (const [value, filters] of [
    [base, {}],
    [[{ ...base[0], filters: [mirror] }], { filters: [mirror] }],
  ] as const) {
    const due = listWrite({ pointer: "/spec/rules", value, base, isMade: true }, cluster);
    assert.ok(due.type === "due");
    assert.deepEqual(due.value, [{ matches: [path("/")], timeouts, backendRefs: [alone], ...filters }]);
    const stored = [{ matches: [path("/")], timeouts, backendRefs: [backend("shop-stable", 1)], ...filters }];
    const own = entry("step-1", due.prior, due.value, { planned: value });
    assert.deepEqual(
      listWrite({ pointer: "/spec/rules", value, base, isMade: true }, { ...cluster, entries: [own], found: stored }),
      { type: "done" },
    );
    const undone = listUndo(own, own, stored);
    assert.ok(undone.type === "due");
    const [rule] = undone.value as readonly { readonly backendRefs: readonly Tree[] }[];
    assert.deepEqual(
      rule?.backendRefs.map(({ name, weight }) => [name, weight]),
      [
        ["shop-stable", 0],
        ["next", 100],
      ],
    );
  }
});
