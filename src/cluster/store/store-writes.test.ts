// Tests several writers of one store: who wins, what they see, and what happens after a failed commit. The test
// replaces the writer of the file.
import assert from "node:assert/strict";
import { test } from "node:test";
import { silentLogger } from "../../base/index.ts";
import type { UntypedObject } from "../../api/index.ts";
import type { WriteBatch } from "./database.ts";
import { ObjectTooLarge, Store } from "./store.ts";

const maps = "/configmaps";

function configMap(name: string, data: Record<string, string> = {}, namespace = "default"): UntypedObject {
  return { apiVersion: "v1", kind: "ConfigMap", metadata: { name, namespace, uid: name }, data };
}

interface HeldStore {
  readonly store: Store;
  /** The batches that the store has passed to the writer. */
  readonly batches: WriteBatch[];
  /** Ends the write of the current batch. If an error is given, the write fails with it. */
  readonly finish: (error?: Error) => Promise<void>;
}

/** A store whose commits last until the test ends them. */
function heldStore(): HeldStore {
  const batches: WriteBatch[] = [];
  let end: (error?: Error) => void = () => undefined;
  const store = Store.open({
    path: ":memory:",
    log: silentLogger,
    startWriter: () => ({
      write: async (batch) => {
        batches.push(batch);
        await new Promise<void>((resolve, reject) => {
          end = (error) => (error === undefined ? resolve() : reject(error));
        });
      },
      close: async () => await Promise.resolve(),
    }),
  });
  return {
    store,
    batches,
    finish: async (error) => {
      await turn();
      end(error);
      await turn();
    },
  };
}

const turn = async (): Promise<void> => await new Promise((resolve) => setImmediate(resolve));
const rowsOf = ({ puts, removals, revision }: WriteBatch): unknown => ({
  puts: puts.map((put) => `${put.row}@${put.revision}`),
  removals,
  revision,
});

test("if two writers expect the same state, one wins, even while the winner's write is not durable yet", async () => {
  const { store, finish } = heldStore();
  const created = store.put(maps, configMap("a"), "absent");
  assert.equal(store.put(maps, configMap("a"), "absent"), undefined, "the second creation");
  const updated = store.put(maps, configMap("a", { by: "first" }), 1);
  assert.equal(store.put(maps, configMap("a", { by: "second" }), 1), undefined, "the second update");
  assert.equal(store.remove(maps, "default", "a", 1), undefined, "a deletion of the earlier state");
  assert.equal(store.get(maps, "default", "a"), undefined, "readers see nothing yet");
  await finish();
  assert.deepEqual([(await created)?.revision, (await updated)?.revision], [1, 2]);
  assert.deepEqual(store.get(maps, "default", "a")?.object["data"], { by: "first" });
});

test("writers see uncommitted creations, changes and deletions, and readers do not", async () => {
  const { store, finish } = heldStore();
  void store.put(maps, configMap("kept"), "absent");
  void store.put(maps, configMap("changed"), "absent");
  void store.put(maps, configMap("removed"), "absent");
  await finish();
  void store.put(maps, configMap("changed", { a: "b" }), 2);
  void store.remove(maps, "default", "removed", 3);
  void store.put(maps, configMap("new"), "absent");
  void store.put(maps, configMap("elsewhere", {}, "other"), "absent");
  assert.equal(store.latest(maps, "default", "removed"), undefined);
  const newest = store.newest(maps, "default").map(({ name, revision }) => `${name}@${revision}`);
  assert.deepEqual(newest.toSorted(), ["changed@4", "kept@1", "new@6"]);
  assert.deepEqual(
    store
      .collection(maps)
      .list()
      .map(({ name, revision }) => `${name}@${revision}`),
    ["changed@2", "kept@1", "removed@3"],
  );
  await finish();
  assert.deepEqual(
    store
      .collection(maps)
      .list()
      .map(({ namespace, name }) => `${namespace}/${name}`),
    ["default/changed", "default/kept", "default/new", "other/elsewhere"],
  );
});

test("a key that one commit writes several times has one row, and each change has its event", async () => {
  const { store, batches, finish } = heldStore();
  void store.put(maps, configMap("a"), "absent");
  void store.put(maps, configMap("a", { a: "b" }), 1);
  void store.put(maps, configMap("brief"), "absent");
  void store.remove(maps, "default", "brief", 3);
  void store.put(maps, configMap("brief", { again: "yes" }), "absent");
  void store.remove(maps, "default", "a", 2);
  await finish();
  assert.deepEqual(batches.map(rowsOf), [
    { puts: [`${maps}|default/brief@5`], removals: [`${maps}|default/a`], revision: 6 },
  ]);
  const events = store.collection(maps).since(0);
  assert.deepEqual(
    events?.map(({ type, record, previous }) => [type, record.name, record.revision, previous?.revision]),
    [
      ["ADDED", "a", 1, undefined],
      ["MODIFIED", "a", 2, 1],
      ["ADDED", "brief", 3, undefined],
      ["DELETED", "brief", 4, 3],
      ["ADDED", "brief", 5, undefined],
      ["DELETED", "a", 6, 2],
    ],
  );
});

test("writes that come during a commit share the next one, of a bounded size and in order", async () => {
  const { store, batches, finish } = heldStore();
  void store.put(maps, configMap("first"), "absent");
  await turn();
  for (let index = 0; index < 600; index += 1) void store.put(maps, configMap(`n${index}`), "absent");
  await finish();
  await finish();
  await finish();
  assert.deepEqual(
    batches.map(({ puts, revision }) => [puts.length, revision]),
    [
      [1, 1],
      [512, 513],
      [88, 601],
    ],
  );
  assert.equal(store.revision, 601);
});

test("a record is durable when its commit has returned, and not if its commit failed, whenever somebody asks", async () => {
  const { store, finish } = heldStore();
  void store.put(maps, configMap("a"), "absent");
  const waiting = store.latest(maps, "default", "a");
  assert.ok(waiting !== undefined);
  let isDurable = false;
  const durable = store.durable(waiting).then(() => (isDurable = true));
  await turn();
  assert.equal(isDurable, false);
  await finish();
  await durable;
  await store.durable(waiting);
  const write = store.put(maps, configMap("a", { lost: "yes" }), 1);
  const lost = store.latest(maps, "default", "a");
  assert.ok(lost !== undefined);
  const early = assert.rejects(store.durable(lost), { code: "storage-failed" });
  const refused = assert.rejects(async () => await write, { code: "storage-failed", kind: "transient" });
  await finish(new Error("disk full"));
  await Promise.all([early, refused]);
  await assert.rejects(store.durable(lost), { code: "storage-failed", message: "disk full" });
});

test("after a failed commit writers continue from the last durable state, and no listener has seen the lost one", async () => {
  const { store, finish } = heldStore();
  const seen: string[] = [];
  store.collection(maps).subscribe((events) => void seen.push(...events.map(({ record }) => `${record.revision}`)));
  void store.put(maps, configMap("a", { a: "1" }), "absent");
  await finish();
  const lost = store.put(maps, configMap("a", { a: "2" }), 1);
  const removal = store.remove(maps, "default", "a", 2);
  const refused = [lost, removal].map(async (write) => await assert.rejects(async () => await write));
  await finish(new Error("disk full"));
  await Promise.all(refused);
  assert.equal(store.latest(maps, "default", "a")?.revision, 1);
  const next = store.put(maps, configMap("a", { a: "3" }), 1);
  await finish();
  assert.equal((await next)?.revision, 4, "the lost versions are not used again");
  assert.deepEqual(seen, ["1", "4"]);
});

test("an object with more bytes than allowed is refused, changes nothing, and does not block others", async () => {
  const { store, batches, finish } = heldStore();
  assert.throws(() => store.put(maps, configMap("big", { a: "x".repeat(200) }), "absent", 200), ObjectTooLarge);
  assert.equal(store.latest(maps, "default", "big"), undefined);
  await turn();
  assert.deepEqual(batches, []);
  const small = store.put(maps, configMap("small"), "absent", 200);
  await finish();
  assert.equal((await small)?.name, "small");
});

test("closing waits for the writes that were accepted", async () => {
  const { store, batches, finish } = heldStore();
  const write = store.put(maps, configMap("a"), "absent");
  let isClosed = false;
  const closed = store.close().then(() => (isClosed = true));
  await turn();
  assert.deepEqual([batches.length, isClosed], [1, false]);
  await finish();
  await closed;
  assert.equal((await write)?.revision, 1);
});
