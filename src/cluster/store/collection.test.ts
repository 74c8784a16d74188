import assert from "node:assert/strict";
import { test } from "node:test";
import type { UntypedObject } from "../../api/index.ts";
import { Collection, recordsAfter, type ChangeEvent } from "./collection.ts";
import { encodeObject, StoredRecord } from "./record.ts";

const maps = "/configmaps";

/** A collection, and a function with which the test commits changes to it. */
class Changed {
  readonly faults: unknown[] = [];
  readonly collection: Collection;
  #revision: number;

  constructor(revision = 0) {
    this.#revision = revision;
    this.collection = new Collection(maps, revision, (fault) => void this.faults.push(fault));
  }

  /**
   * Commits one change for each name, all together. A name has the form `namespace/name`. A minus before it removes the
   * object.
   */
  commit(...names: readonly string[]): void {
    this.collection.commit(names.map((name) => this.#event(name)));
  }

  #event(text: string, bytes = 0): ChangeEvent {
    const [namespace = "", name = ""] = text.replace(/^-/, "").split("/");
    const previous = this.collection.get(namespace, name);
    const revision = ++this.#revision;
    const object: UntypedObject = { metadata: { namespace, name }, data: "x".repeat(bytes) };
    const record = new StoredRecord(
      { collection: maps, namespace, name },
      revision,
      encodeObject(object, revision),
      object,
    );
    const type = text.startsWith("-") ? "DELETED" : previous === undefined ? "ADDED" : "MODIFIED";
    return { type, revision, record, previous, encoded: new Map() };
  }

  commitLarge(name: string, bytes: number): void {
    this.collection.commit([this.#event(name, bytes)]);
  }
}

const shown = (records: readonly StoredRecord[] | undefined): string[] | undefined =>
  records?.map(({ namespace, name, revision }) => `${namespace}/${name}@${revision}`);

test("lists are in the order of etcd's keys, and a namespace has no part of others whose names begin with its own", () => {
  const { collection, ...changed } = given("b/z", "a/y", "ab/x", "a/x", "a-b/x");
  assert.deepEqual(shown(collection.list()), ["a-b/x@5", "a/x@4", "a/y@2", "ab/x@3", "b/z@1"]);
  assert.deepEqual(shown(collection.list("a")), ["a/x@4", "a/y@2"]);
  assert.deepEqual(shown(collection.list("none")), []);
  changed.commit("-a/x");
  assert.deepEqual(shown(collection.list("a")), ["a/y@2"]);
});

test("a list continues with the records whose keys are greater, even if the last object is gone", () => {
  const { collection } = given("b/z", "a/y", "ab/x", "a/x", "a-b/x");
  const after = (namespace: string, name: string): unknown => shown(recordsAfter(collection.list(), namespace, name));
  assert.deepEqual(after("a", "x"), ["a/y@2", "ab/x@3", "b/z@1"]);
  assert.deepEqual(after("a", "xx"), ["a/y@2", "ab/x@3", "b/z@1"]);
  assert.deepEqual(after("", ""), ["a-b/x@5", "a/x@4", "a/y@2", "ab/x@3", "b/z@1"]);
  assert.deepEqual(after("b", "z"), []);
});

test("a list at an earlier version has what existed then: neither later objects nor later states, but those deleted since", () => {
  const { collection, commit } = given("a/kept", "a/changed", "a/removed");
  commit("a/changed");
  commit("-a/removed", "a/new");
  commit("a/removed");
  assert.deepEqual(shown(collection.listAt(3)), ["a/changed@2", "a/kept@1", "a/removed@3"]);
  assert.deepEqual(shown(collection.listAt(4)), ["a/changed@4", "a/kept@1", "a/removed@3"]);
  assert.deepEqual(shown(collection.listAt(5)), ["a/changed@4", "a/kept@1"]);
  assert.deepEqual(shown(collection.listAt(6, "a")), ["a/changed@4", "a/kept@1", "a/new@6"]);
  assert.deepEqual(shown(collection.listAt(99)), shown(collection.list()));
  assert.deepEqual(shown(collection.listAt(0)), []);
});

test("a list that a caller has does not change with later commits", () => {
  const { collection, commit } = given("a/x");
  const before = collection.list();
  commit("-a/x", "a/y");
  assert.deepEqual(shown(before), ["a/x@1"]);
});

test("a collection that begins at a version knows nothing of the changes before", () => {
  const changed = new Changed(7);
  assert.equal(changed.collection.since(6), undefined);
  assert.equal(changed.collection.listAt(6), undefined);
  assert.deepEqual(changed.collection.since(7), []);
  changed.commit("a/x");
  assert.deepEqual(
    changed.collection.since(7)?.map(({ revision }) => revision),
    [8],
  );
});

test("the history is bounded by its number of changes: older watches must list again, and the objects stay", () => {
  const { collection, ...changed } = given("a/kept");
  for (let round = 0; round < 8_192; round += 1) changed.commit("a/busy");
  assert.equal(collection.since(1), undefined);
  assert.equal(collection.since(4_096), undefined);
  assert.equal(collection.since(4_097)?.length, 4_096);
  assert.deepEqual(shown(collection.list()), ["a/busy@8193", "a/kept@1"]);
});

test("the history is bounded by its bytes too, so that few large objects do not fill the memory", () => {
  const { collection, ...changed } = given();
  for (let round = 0; round < 9; round += 1) changed.commitLarge("a/large", 4 * 1024 * 1024);
  assert.equal(collection.since(0), undefined);
  assert.equal(collection.since(8)?.length, 1);
  assert.equal(collection.size, 1);
});

test("a failing listener is reported, and the others get each change of a commit together", () => {
  const changed = new Changed();
  const seen: string[][] = [];
  changed.collection.subscribe(() => {
    throw new Error("broken listener");
  });
  const subscription = changed.collection.subscribe((events) => void seen.push(events.map(({ type }) => type)));
  changed.commit("a/x", "a/y");
  changed.commit("-a/x");
  subscription[Symbol.dispose]();
  changed.commit("a/z");
  assert.deepEqual(seen, [["ADDED", "ADDED"], ["DELETED"]]);
  assert.equal(changed.faults.length, 3);
});

test("a listener that leaves during a commit is not called again, and does not hide the commit from others", () => {
  const changed = new Changed();
  const seen: string[] = [];
  const first = changed.collection.subscribe(() => {
    seen.push("first");
    first[Symbol.dispose]();
  });
  changed.collection.subscribe(() => void seen.push("second"));
  changed.commit("a/x");
  changed.commit("a/y");
  assert.deepEqual(seen, ["first", "second", "second"]);
});

test("listeners see the state after the commit that they are called for", () => {
  const changed = new Changed();
  const sizes: number[] = [];
  changed.collection.subscribe(() => void sizes.push(changed.collection.size));
  changed.commit("a/x", "a/y");
  changed.commit("-a/x");
  assert.deepEqual(sizes, [2, 1]);
});

function given(...names: readonly string[]): {
  readonly collection: Collection;
  readonly commit: (...names: readonly string[]) => void;
  readonly commitLarge: (name: string, bytes: number) => void;
} {
  const changed = new Changed();
  for (const name of names) changed.commit(name);
  return {
    collection: changed.collection,
    commit: (...more) => changed.commit(...more),
    commitLarge: (name, bytes) => changed.commitLarge(name, bytes),
  };
}
