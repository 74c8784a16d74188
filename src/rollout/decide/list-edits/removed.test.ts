// Tests steps that remove what earlier steps of their rollout wrote: the rule of a match, a mirror, or everything.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Tree } from "../../../base/index.ts";
import type { JournalEntry } from "../../../api/serin/index.ts";
import { hasOwnChanges, listUndo, listWrite, rewrittenList } from "./kept-edits.ts";

type FieldEntry = Extract<JournalEntry, { type: "field" }>;
type List = readonly Tree[];

const object = { apiVersion: "v1", kind: "HTTPRoute", plural: "httproutes", name: "shop", namespace: "shop" };

/** The lists of one kind of route: before the rollout, and after each of its steps. The last list equals the first. */
interface Route {
  readonly pointer: string;
  readonly lists: readonly [List, ...List[]];
  /** Adds what the API server adds to a list that the engine has written. */
  readonly stored: (list: List) => List;
  /** A rule that somebody adds. */
  readonly added: Tree;
}

const backend = (name: string, weight?: number): Tree => ({
  name,
  port: 80,
  ...(weight === undefined ? {} : { weight }),
});
const withDefaults = (list: List): List =>
  list.map((rule) => ({
    matches: [{}],
    ...rule,
    backendRefs: (rule["backendRefs"] as List).map((ref) => ({ group: "", kind: "Service", weight: 1, ...ref })),
  }));
const mirrorFilter = { filters: [{ type: "RequestMirror", requestMirror: { backendRef: backend("next") } }] };
const ofHeader = { matches: [{ headers: [{ type: "Exact", name: "traffic", value: "test" }] }] };
const stable = { backendRefs: [backend("shop")] };
/** The rule with the canary's weight. The stable backend keeps its fields. */
const at = (weight: number, rule: Tree = stable): Tree => {
  const [shop] = rule["backendRefs"] as List;
  return { ...rule, backendRefs: [{ ...shop, weight: 100 - weight }, backend("next", weight)] };
};

const destination = (host: string, weight?: number): Tree => ({
  destination: { host },
  ...(weight === undefined ? {} : { weight }),
});
const tcp = (...route: readonly Tree[]): Tree => ({ match: [{ port: 90 }], route });
const tls = (...route: readonly Tree[]): Tree => ({ match: [{ port: 443, sniHosts: ["shop.example"] }], route });
const split = (weight: number): List => [destination("shop", 100 - weight), destination("next", weight)];
const asWritten = (list: List): List => list;

const gatewayRoute = (moved: Tree): Route => ({
  pointer: "/spec/rules",
  lists: [
    [moved],
    [{ ...moved, ...mirrorFilter }],
    [moved],
    [
      { ...ofHeader, backendRefs: [backend("next")] },
      { ...at(10, moved), ...mirrorFilter },
    ],
    [{ ...ofHeader, backendRefs: [backend("next")] }, at(10, moved)],
    [at(10, moved)],
    [at(100, moved)],
    [moved],
  ],
  stored: withDefaults,
  added: { matches: [{ path: { type: "Exact", value: "/new" } }], backendRefs: [backend("new")] },
});

const routes: Readonly<Record<string, Route>> = {
  "a user's HTTPRoute or GRPCRoute": gatewayRoute(withDefaults([stable])[0] ?? {}),
  "an HTTPRoute that the engine has made": gatewayRoute(stable),
  "the HTTP routes of a VirtualService": {
    pointer: "/spec/http",
    lists: [
      [{ route: [destination("shop")] }],
      [{ route: [destination("shop")], mirror: { host: "next" }, mirrorPercentage: { value: 50 } }],
      [{ route: [destination("shop")] }],
      [{ match: [{ headers: { traffic: { exact: "test" } } }], route: [destination("next")] }, { route: split(10) }],
      [{ route: split(10) }],
      [{ route: split(100) }],
      [{ route: [destination("shop")] }],
    ],
    stored: asWritten,
    added: { match: [{ uri: { exact: "/new" } }], route: [destination("new")] },
  },
  "the TCP routes of a VirtualService": {
    pointer: "/spec/tcp",
    lists: [[tcp(destination("shop"))], [tcp(...split(10))], [tcp(...split(100))], [tcp(destination("shop"))]],
    stored: asWritten,
    added: { match: [{ port: 91 }], route: [destination("new")] },
  },
  "the TLS routes of a VirtualService": {
    pointer: "/spec/tls",
    lists: [[tls(destination("shop"))], [tls(...split(10))], [tls(...split(100))], [tls(destination("shop"))]],
    stored: asWritten,
    added: { match: [{ port: 443, sniHosts: ["new.example"] }], route: [destination("new")] },
  },
};

function journalOf({ pointer, lists }: Route, steps: number): readonly [FieldEntry, ...FieldEntry[]] {
  const entry = (step: number): FieldEntry => ({
    type: "field",
    step: `step-${step}`,
    object,
    pointer,
    prior: lists[step - 1],
    written: lists[step],
  });
  return [entry(1), ...Array.from({ length: steps - 1 }, (_one, index) => entry(index + 2))];
}

/**
 * Calls `visit` for each route and step with two lists as the server has them: the plain one, and one to which somebody
 * has added a rule.
 */
function forEachStep(
  visit: (
    title: string,
    found: {
      readonly route: Route;
      readonly step: number;
      readonly before: List;
      readonly after: List;
      readonly journal: readonly [FieldEntry, ...FieldEntry[]];
      readonly last: FieldEntry;
    },
  ) => void,
): void {
  for (const [what, route] of Object.entries(routes))
    for (const [how, edit] of [
      ["alone", asWritten],
      ["with somebody's rule", (list: List) => [route.added, ...list]],
    ] as const)
      for (const [index, planned] of route.lists.slice(1).entries()) {
        const journal = journalOf(route, index + 1);
        const last = journal.at(-1);
        const before = route.lists[index];
        assert.ok(last !== undefined && before !== undefined);
        visit(`${what} ${how}, step ${index + 1}`, {
          route,
          step: index + 1,
          before: edit(route.stored(before)),
          after: edit(route.stored(planned)),
          journal,
          last,
        });
      }
}

test("a step that the journal has and the route has not is still due, also if it only takes back earlier steps", () => {
  forEachStep((title, { route, step, before, after, journal }) => {
    const [base] = route.lists;
    const plan = { pointer: route.pointer, value: route.lists[step], base, isMade: true };
    for (const isWrittenByEngine of [true, false]) {
      const cluster = { entries: journal, step: `step-${step}`, isWrittenByEngine, isRemade: false };
      const due = listWrite(plan, { ...cluster, found: before });
      assert.ok(due.type === "due", `${title}: ${due.type}`);
      assert.deepEqual(listWrite(plan, { ...cluster, found: due.value }), { type: "done" }, title);
      assert.deepEqual(listWrite(plan, { ...cluster, found: after }), { type: "done" }, `${title}: with defaults`);
    }
  });
});

test("a list that somebody sets back to the step before has lost the rollout's changes", () => {
  forEachStep((title, { before, after, journal, last }) => {
    assert.equal(hasOwnChanges(journal[0], last, after), true, title);
    assert.equal(hasOwnChanges(journal[0], last, before), false, title);
  });
});

test("the undo of a step ends with the list of the step before, whether the step was written or not", () => {
  forEachStep((title, { before, after, journal, last }) => {
    const undone = listUndo(last, journal[0], after);
    assert.ok(undone.type === "due", `${title}: ${undone.type}`);
    const back = { ...last, prior: last.written, written: last.prior };
    assert.equal(hasOwnChanges(back, back, undone.value), true, title);
    assert.deepEqual(listUndo(last, journal[0], undone.value), { type: "restored" }, `${title}: again`);
    assert.deepEqual(listUndo(last, journal[0], before), { type: "restored" }, `${title}: it was not written`);
  });
});

test("a list without the mirror of its step, which somebody has removed, is no list from before the rollout", () => {
  const mirrored = [{ ...at(10), ...mirrorFilter }];
  const entry: FieldEntry = {
    type: "field",
    step: "step-1",
    object,
    pointer: "/spec/rules",
    prior: [stable],
    written: mirrored,
  };
  const undo = listUndo(entry, entry, withDefaults([at(10)]));
  assert.notEqual(undo.type, "restored", "the canary still gets requests");
});

test("a webhook that keeps what a step takes back has changed the step's list", () => {
  const [first, last] = journalOf(gatewayRoute(stable), 2);
  const kept = withDefaults([{ ...stable, ...mirrorFilter }]);
  assert.ok(first !== undefined && last !== undefined);
  assert.deepEqual(rewrittenList(last, first, { written: [stable], stored: withDefaults([stable]) }), undefined);
  assert.notEqual(rewrittenList(last, first, { written: [stable], stored: kept }), undefined);
});
