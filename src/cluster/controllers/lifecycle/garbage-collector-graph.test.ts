import assert from "node:assert/strict";
import { test } from "node:test";
import {
  decideCollection,
  foregroundFinalizer,
  graphNodeOf,
  isInReach,
  orphanFinalizer,
  OwnerGraph,
  type CollectorAction,
  type GraphNode,
} from "./garbage-collector-graph.ts";

const kind = { group: "", versions: ["v1"], kind: "Pod", plural: "pods", namespaced: true } as const;

interface NodeOptions {
  readonly owners?: readonly string[];
  readonly finalizers?: readonly string[];
  readonly terminating?: boolean;
  readonly blocks?: boolean;
}

function node(
  uid: string,
  { owners = [], finalizers = [], terminating = false, blocks = true }: NodeOptions = {},
): GraphNode {
  const reference = (owner: string) => ({
    apiVersion: "v1",
    kind: "Pod",
    name: owner,
    uid: owner,
    blockOwnerDeletion: blocks,
  });
  return { kind, uid, name: uid, namespace: "default", owners: owners.map(reference), finalizers, terminating };
}

const foreground = { terminating: true, finalizers: [foregroundFinalizer] };
const orphaning = { terminating: true, finalizers: [orphanFinalizer] };

function graphOf(...nodes: readonly GraphNode[]): OwnerGraph {
  const graph = new OwnerGraph();
  for (const each of nodes) graph.set(each);
  return graph;
}

/** The decision about the first node. Owners that are missing from the list do not exist. */
function decide(subject: GraphNode, ...others: readonly GraphNode[]): CollectorAction {
  const graph = graphOf(subject, ...others);
  return decideCollection(subject, graph, ({ uid }) => graph.get(uid));
}

const kept = (action: CollectorAction): string[] | string =>
  action.type === "release" ? action.keep.map(({ uid }) => uid) : action.type;

test("an object without owners, or with all of them, stays", () => {
  assert.deepEqual(decide(node("a")), { type: "none" });
  assert.deepEqual(decide(node("a", { owners: ["x", "y"] }), node("x"), node("y")), { type: "none" });
});

test("an object whose owners no longer exist is deleted in the background", () => {
  assert.deepEqual(decide(node("a", { owners: ["gone", "too"] })), { type: "delete", policy: "Background" });
});

test("the finalizer of an object without owners decides how its dependents are deleted", () => {
  const owners = ["gone"];
  assert.deepEqual(decide(node("a", { owners, finalizers: [orphanFinalizer] })), { type: "delete", policy: "Orphan" });
  assert.deepEqual(decide(node("a", { owners, finalizers: [foregroundFinalizer] })), {
    type: "delete",
    policy: "Foreground",
  });
});

test("an object that still has one owner loses only its references to the others", () => {
  assert.deepEqual(kept(decide(node("a", { owners: ["x", "gone"] }), node("x"))), ["x"]);
  assert.deepEqual(kept(decide(node("a", { owners: ["x", "fg"] }), node("x"), node("fg", foreground))), ["x"]);
});

test("an owner in background deletion still counts as an owner", () => {
  assert.deepEqual(decide(node("a", { owners: ["x"] }), node("x", { terminating: true })), { type: "none" });
});

test("foreground deletion deletes the dependents, and those with dependents of their own in the foreground too", () => {
  const owner = node("fg", foreground);
  assert.deepEqual(decide(node("a", { owners: ["fg"] }), owner), { type: "delete", policy: "Background" });
  assert.deepEqual(decide(node("a", { owners: ["fg"] }), owner, node("child", { owners: ["a"] })), {
    type: "delete",
    policy: "Foreground",
  });
});

test("an object in foreground deletion is removed when no dependent blocks it any more", () => {
  const owner = node("fg", { ...foreground, finalizers: [foregroundFinalizer, "example.com/mine"] });
  assert.deepEqual(decide(owner, node("a", { owners: ["fg"] })), { type: "none" });
  const last = { type: "finalize", finalizers: ["example.com/mine"] };
  assert.deepEqual(decide(owner), last);
  assert.deepEqual(decide(owner, node("a", { owners: ["fg"], blocks: false })), last);
});

test("orphans lose their reference to the owner, which is removed when no object refers to it", () => {
  const owner = node("o", orphaning);
  assert.deepEqual(kept(decide(node("a", { owners: ["o", "x"] }), owner, node("x"))), ["x"]);
  assert.deepEqual(decide(owner, node("a", { owners: ["o"], blocks: false })), { type: "none" });
  assert.deepEqual(decide(owner), { type: "finalize", finalizers: [] });
});

test("an object that is being deleted in the background needs no action", () => {
  const going = node("a", { owners: ["gone"], terminating: true, finalizers: ["example.com/mine"] });
  assert.deepEqual(decide(going), { type: "none" });
});

test("the graph forgets the dependents of a removed object, and follows a change of owners", () => {
  const graph = graphOf(node("x"), node("a", { owners: ["x"] }), node("b", { owners: ["x"] }));
  assert.deepEqual(
    graph.dependentsOf("x").map(({ uid }) => uid),
    ["a", "b"],
  );
  graph.remove("a");
  graph.set(node("b", { owners: ["y"] }));
  assert.deepEqual(graph.dependentsOf("x"), []);
  assert.deepEqual(
    graph.dependentsOf("y").map(({ uid }) => uid),
    ["b"],
  );
});

test("an object with a deletionTimestamp is terminating", () => {
  const metadata = { name: "a", namespace: "shop", uid: "1", finalizers: ["example.com/mine"] };
  const facts = graphNodeOf(kind, { metadata });
  assert.deepEqual([facts.terminating, facts.finalizers, facts.owners], [false, ["example.com/mine"], []]);
  assert.equal(
    graphNodeOf(kind, { metadata: { ...metadata, deletionTimestamp: "2026-01-01T00:00:00Z" } }).terminating,
    true,
  );
});

/**
 * Builds the circle of owners a ← b ← c ← a, and deletes `a` in the foreground. Runs the resulting actions until there
 * are none.
 */
function deleteCircle(): string[] {
  const graph = graphOf(
    node("a", { owners: ["c"], ...foreground }),
    node("b", { owners: ["a"] }),
    node("c", { owners: ["b"] }),
  );
  const gone: string[] = [];
  for (let turn = 0; turn < 9; turn += 1) {
    for (const subject of ["a", "b", "c"].flatMap((uid) => graph.get(uid) ?? [])) {
      const action = decideCollection(subject, graph, ({ uid }) => graph.get(uid));
      if (action.type === "finalize" && action.finalizers.length === 0) {
        graph.remove(subject.uid);
        gone.push(subject.uid);
      } else if (action.type === "delete") {
        const finalizers = action.policy === "Foreground" ? [foregroundFinalizer] : [];
        graph.set({ ...subject, owners: action.unblock ?? subject.owners, terminating: true, finalizers });
      }
    }
  }
  return gone;
}

test("objects that own each other in a circle do not block each other's foreground deletion", () => {
  assert.deepEqual(deleteCircle().toSorted(), ["a", "b", "c"]);
});

test("an owner is cluster-wide or in the same namespace", () => {
  const wide = { ...node("w"), kind: { ...kind, namespaced: false }, namespace: "" };
  assert.equal(isInReach(node("x"), node("a")), true);
  assert.equal(isInReach(wide, node("a")), true);
  assert.equal(isInReach({ ...node("x"), namespace: "other" }, node("a")), false);
  assert.equal(isInReach(node("x"), wide), false);
});
