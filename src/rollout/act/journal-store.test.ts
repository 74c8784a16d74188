import assert from "node:assert/strict";
import { test } from "node:test";
import { systemClock } from "../../base/index.ts";
import type { JournalEntry, RolloutJournal } from "../../api/serin/index.ts";
import type { KubeClient } from "../../kube/index.ts";
import { journalCounts, type FieldEntry } from "../decide/index.ts";
import { JournalStore } from "./journal-store.ts";
import { records } from "./testing/decision-records.ts";

test("a journal that is too large to store is refused before anything is written", async () => {
  const client = {
    get: async () => await Promise.resolve(undefined),
    create: () => assert.fail("it was written"),
  } as unknown as KubeClient;
  const store = new JournalStore(client, systemClock);
  const object = { apiVersion: "v1", kind: "ConfigMap", plural: "configmaps", name: "big", namespace: "shop" };
  const entry: JournalEntry = {
    type: "deleted",
    step: "retire",
    object,
    body: { metadata: { name: "big" }, data: { text: "x".repeat(1_000_000) } },
  };
  await assert.rejects(
    store.append("meshupgrade.up", [entry], []),
    /the journal meshupgrade\.up would have 1 entries of more than 900 KiB/,
  );
});

test("a journal belongs to the rollout that made its entries, until none of them is left", async () => {
  let stored: RolloutJournal | undefined;
  let version = 0;
  const write = async (_: unknown, body: RolloutJournal): Promise<RolloutJournal> => {
    stored = { ...body, metadata: { ...body.metadata, resourceVersion: String((version += 1)) } };
    return await Promise.resolve(stored);
  };
  const client = { get: async () => await Promise.resolve(stored), create: write, update: write };
  const store = new JournalStore(client as unknown as KubeClient, systemClock);
  const object = { apiVersion: "v1", kind: "ConfigMap", plural: "configmaps", name: "c", namespace: "shop" };
  const entry: JournalEntry = { type: "created", step: "one", object };
  const name = "canary.shop.c";
  await store.append(name, [entry], [], "first");
  await store.append(name, [], records(1, 1), "second");
  const journal = await store.read(name);
  assert.equal(journal.uid, "first");
  assert.equal(journalCounts(journal, "second").isLeftover, true);
  assert.equal(journalCounts(journal, "first").isLeftover, undefined);
  await store.strike(name, () => true);
  assert.equal(journalCounts(await store.read(name), "second").isLeftover, undefined);
  await store.append(name, [entry], [], "second");
  assert.equal((await store.read(name)).uid, "second");
});

test("the journals tell which other rollout wrote a field last", async () => {
  const object = { apiVersion: "v1", kind: "ConfigMap", plural: "configmaps", name: "c", namespace: "shop" };
  const entry = (written: string): FieldEntry => ({ type: "field", step: "s", object, pointer: "/data/w", written });
  const journal = (name: string, ...written: string[]) => ({ metadata: { name }, entries: written.map(entry) });
  const items = [
    journal("canary.shop.web", "10"),
    journal("canary.shop.past", "50", "60"),
    journal("canary.shop.next.one", "20", "50"),
    journal("meshupgrade.to-1.2", "70"),
    journal("canary.shop.empty"),
  ];
  const client = { list: async () => await Promise.resolve({ items }) };
  const store = new JournalStore(client as unknown as KubeClient, systemClock);
  const other = async (found: string) => await store.otherRollout("canary.shop.web", entry("10"), found);
  assert.deepEqual(await other("50"), { name: "Canary shop/next.one", undo: "serin canary abort next.one -n shop" });
  assert.deepEqual(await other("70"), { name: "MeshUpgrade to-1.2", undo: "serin upgrade rollback to-1.2" });
  assert.equal(await other("10"), undefined, "its own");
  assert.equal(await other("5"), undefined);
});

test("a rollout whose value this rollout found when it began does not count as a later writer of the field", async () => {
  const object = { apiVersion: "v1", kind: "ConfigMap", plural: "configmaps", name: "c", namespace: "shop" };
  const entry = (written: unknown, prior?: unknown): FieldEntry => ({
    type: "field",
    step: "s",
    object,
    pointer: "/data/w",
    written,
    ...(prior === undefined ? {} : { prior }),
  });
  const items = [
    { metadata: { name: "canary.shop.before" }, entries: [entry({ a: 1 })] },
    { metadata: { name: "canary.shop.later" }, entries: [entry({ b: 1 })] },
  ];
  const client = { list: async () => await Promise.resolve({ items }) } as unknown as KubeClient;
  const other = async (found: unknown) =>
    (
      await new JournalStore(client, systemClock).otherRollout(
        "canary.shop.web",
        entry({ c: 1 }, { a: 1, d: 1 }),
        found,
      )
    )?.name;
  // The value that this rollout wrote, with a field that a webhook has added.
  assert.equal(await other({ a: 1, e: 1 }), undefined);
  assert.equal(await other({ a: 1, b: 1 }), "Canary shop/later");
});

test("an undo that waits for another rollout reads only that one's journal, and not each second", async () => {
  const object = { apiVersion: "v1", kind: "ConfigMap", plural: "configmaps", name: "c", namespace: "shop" };
  const entry = (written: string): FieldEntry => ({ type: "field", step: "s", object, pointer: "/data/w", written });
  const journals = new Map<string, { metadata: { name: string }; entries?: JournalEntry[] }>();
  const store = (name: string, entries?: JournalEntry[]): void =>
    void journals.set(name, { metadata: { name }, ...(entries === undefined ? {} : { entries }) });
  store("canary.shop.bare");
  store("canary.shop.one", [entry("50")]);
  store("canary.shop.two", [entry("50")]);
  const calls: string[] = [];
  const client = {
    list: async () => {
      calls.push("all");
      return await Promise.resolve({ items: [...journals.values()] });
    },
    get: async (_kind: unknown, name: string) => {
      calls.push(name);
      return await Promise.resolve(journals.get(name));
    },
  } as unknown as KubeClient;
  let nowMs = 0;
  const asked = new JournalStore(client, { ...systemClock, steadyMs: () => nowMs });
  const other = async (found = "50") => (await asked.otherRollout("canary.shop.web", entry("10"), found))?.name;
  for (; nowMs < 60_000; nowMs += 1000) assert.equal(await other(), "Canary shop/one");
  assert.deepEqual(calls.splice(0), ["all", "canary.shop.one"]);
  journals.delete("canary.shop.one");
  assert.equal(await other(), "Canary shop/two");
  assert.equal(await other("20"), undefined, "another value is another question");
  assert.deepEqual(calls, ["canary.shop.one", "all", "all"]);
});

test("a journal of an earlier release belongs to whatever rollout has its name", async () => {
  const object = { apiVersion: "v1", kind: "ConfigMap", plural: "configmaps", name: "c", namespace: "shop" };
  const entries: JournalEntry[] = [{ type: "created", step: "one", object }];
  const stored = { metadata: { name: "canary.shop.c", resourceVersion: "1" }, formatVersion: 2, entries };
  const written: RolloutJournal[] = [];
  const client = {
    get: async () => await Promise.resolve(stored),
    update: async (_: unknown, body: RolloutJournal) => {
      written.push(body);
      return await Promise.resolve(body);
    },
  };
  const store = new JournalStore(client as unknown as KubeClient, systemClock);
  await store.append("canary.shop.c", [], records(1, 1), "second");
  assert.equal(written[0]?.metadata.annotations?.["rollout.serin.dev/rollout-uid"], undefined);
  assert.equal(journalCounts(await store.read("canary.shop.c"), "second").isLeftover, undefined);
});

test("a template that must wait for the end of an undo takes the place of old decisions, and a too large one is refused", async () => {
  const object = { apiVersion: "apps/v1", kind: "Deployment", plural: "deployments", name: "web", namespace: "shop" };
  const entry: JournalEntry = { type: "field", step: "copy", object, pointer: "/spec/template", written: {} };
  const decisions = records(400, 1, "x".repeat(1000));
  const stored = { metadata: { name: "canary.shop.web", resourceVersion: "1" }, entries: [entry], decisions };
  const written: RolloutJournal[] = [];
  const client = {
    get: async () => await Promise.resolve(stored),
    update: async (_: unknown, body: RolloutJournal) => {
      written.push(body);
      return await Promise.resolve(body);
    },
  };
  const largestObject = 1.5 * 1024 * 1024;
  const later = { note: "é".repeat(650_000) };
  await new JournalStore(client as unknown as KubeClient, systemClock).keepLater("canary.shop.web", entry, later);
  assert.ok(Buffer.byteLength(JSON.stringify(written[0])) < largestObject);
  assert.deepEqual(written[0]?.entries, [{ ...entry, later }]);
  assert.equal(written[0].decisions?.at(-1)?.at, "399");
  await assert.rejects(
    new JournalStore(client as unknown as KubeClient, systemClock).keepLater("canary.shop.web", entry, {
      note: "é".repeat(750_000),
    }),
    /does not fit in the journal canary\.shop\.web, .* it is 54 KiB too large; write one of at most 1412 KiB, and/,
  );
});

/** A store whose server has one journal, which tests may delete and change. */
function oneJournal() {
  let stored: RolloutJournal | undefined;
  let [version, nowMs] = [0, 0];
  const write = async (_: unknown, body: RolloutJournal): Promise<RolloutJournal> => {
    version += 1;
    stored = { ...body, metadata: { ...body.metadata, resourceVersion: String(version) } };
    return await Promise.resolve(stored);
  };
  const client = { get: async () => await Promise.resolve(stored), create: write, update: write };
  const clock = { ...systemClock, steadyMs: () => nowMs };
  return {
    store: () => new JournalStore(client as unknown as KubeClient, clock),
    journal: () => stored,
    /** A person writes the journal, or deletes it. The engine reads it again later. */
    put: (journal: object | undefined) => {
      stored = journal as RolloutJournal | undefined;
      nowMs += 60_000;
    },
  };
}

const lostName = "canary.shop.c";
const configMap = { apiVersion: "v1", kind: "ConfigMap", plural: "configmaps", name: "c", namespace: "shop" };
export const created = (step: string): JournalEntry => ({
  type: "created",
  step,
  object: { ...configMap, name: step },
});

test("an engine writes a deleted journal again with its entries and decisions, and says so in it", async () => {
  const server = oneJournal();
  const store = server.store();
  await store.append(lostName, [created("one")], records(1, 1), "u");
  server.put(undefined);
  assert.equal((await store.read(lostName)).missing, true);
  await store.writeAgain(lostName, "u");
  const { entries, decisions, uid, missing } = await store.read(lostName);
  assert.deepEqual([entries, uid, missing], [[created("one")], "u", undefined]);
  assert.deepEqual(
    decisions.map(({ decision }) => decision),
    ["StepDone", "JournalWritten"],
  );
});

test("an engine that refuses a journal, which somebody has put back, writes the one from before again", async () => {
  const server = oneJournal();
  const store = server.store();
  await store.append(lostName, [created("one")], records(1, 1), "u");
  const earlier = server.journal();
  await store.forgetRun(lostName);
  await store.append(lostName, [], records(1, 2), "u");
  for (let look = 0; look < 2; look += 1) {
    server.put({ ...earlier, metadata: { ...earlier?.metadata, resourceVersion: "restored" } });
    assert.deepEqual((await store.read(lostName)).entries, [created("one")]);
    store.refuse(lostName);
  }
  server.put(undefined);
  await store.writeAgain(lostName, "u");
  const { entries, decisions } = await store.read(lostName);
  assert.deepEqual([entries, decisions.map(({ run }) => run)], [[], [1, 2, 2]]);
});

test("a journal that somebody deletes within a round keeps its entries when the engine adds to it", async () => {
  const server = oneJournal();
  const store = server.store();
  await store.append(lostName, [created("one")], [], "u");
  server.put(undefined);
  await store.append(lostName, [created("two")], [], "u");
  assert.deepEqual(server.journal()?.entries, [created("one"), created("two")]);
});

test("another rollout of the name, or another engine, does not get the deleted journal", async () => {
  const server = oneJournal();
  const store = server.store();
  await store.append(lostName, [created("one")], [], "u");
  server.put(undefined);
  await store.append(lostName, [created("two")], [], "second");
  assert.deepEqual(server.journal()?.entries, [created("two")]);
  server.put(undefined);
  await server.store().writeAgain(lostName, "second");
  assert.equal(server.journal(), undefined);
});

test("an entry that somebody has changed into none is an error that names its field", async () => {
  const field = { type: "field", step: "one", object: configMap, pointer: "/data/a" };
  const deleted = { type: "deleted", step: "one", object: configMap, body: { metadata: {} } };
  const faults: readonly (readonly [entries: unknown, text: RegExp])[] = [
    [{}, /^RolloutJournal canary\.shop\.c: entries: expected a list, got \{\}$/],
    [[field, null], /entries\[1\]: expected an object, got null$/],
    [[{ ...field, type: "moved" }], /entries\[0\]\.type: expected field, created or deleted, got "moved"$/],
    [[{ ...field, step: 1 }], /entries\[0\]\.step: expected the id of a step, got 1$/],
    [[{ ...field, object: undefined }], /entries\[0\]\.object: expected a reference to an object, got nothing$/],
    [[{ ...field, object: { ...configMap, plural: "" } }], /entries\[0\]\.object\.plural: expected a text, got ""$/],
    [[{ ...field, pointer: undefined }], /entries\[0\]\.pointer: expected a JSON pointer, got nothing$/],
    [[{ ...deleted, body: {} }], /entries\[0\]\.body: expected the deleted object, got \{\}$/],
  ];
  const server = oneJournal();
  const journal = { metadata: { name: lostName, resourceVersion: "1" }, formatVersion: 2 };
  for (const [entries, message] of faults) {
    server.put({ ...journal, entries });
    await assert.rejects(server.store().read(lostName), { code: "journal-broken", message });
  }
  server.put({ ...journal, entries: [field, deleted, created("two")] });
  assert.equal((await server.store().read(lostName)).entries.length, 3);
});

test("entries that somebody has removed or changed validly are an error that names them, until a person lets them count", async () => {
  const server = oneJournal();
  const store = server.store();
  const field: JournalEntry = { type: "field", step: "one", object: configMap, pointer: "/data/a", prior: "x" };
  await store.append(lostName, [field, created("two")], [], "u");
  const before = server.journal();
  assert.ok(before !== undefined);
  let version = 100;
  const edited = (entries: readonly unknown[], manager = "kubectl-edit", more: object = {}): void => {
    version += 1;
    const owns = { "f:entries": {} };
    const managedFields = [{ manager, operation: "Update", time: "2026-01-01T00:00:00Z", fieldsV1: owns }];
    const metadata = { ...before.metadata, resourceVersion: String(version), managedFields, ...more };
    server.put({ ...before, entries, metadata });
  };
  const refusal = async (reader: JournalStore): Promise<string> =>
    await reader.read(lostName).then(
      () => "",
      (error: unknown) => (error as Error).message,
    );
  edited([field]);
  const removed = "ConfigMap shop/two (created) of step two was removed";
  const by = `RolloutJournal ${lostName}: kubectl-edit at 2026-01-01T00:00:00Z has changed its entries`;
  assert.equal(await refusal(store), `${by}: ${removed}`);
  assert.equal(await refusal(server.store()), `${by}: it has 1 entry, and the engine wrote 2`, "another engine");
  await assert.rejects(store.append(lostName, [created("three")], [], "u"), { code: "journal-changed" });
  edited([{ ...field, prior: "y" }, created("two")]);
  assert.equal(await refusal(store), `${by}: ConfigMap shop/c /data/a of step one was changed`);
  await assert.rejects(store.read(lostName), {
    hint: `restore the RolloutJournal from a backup, or let the change count: kubectl annotate rolloutjournal ${lostName} rollout.serin.dev/entries-sum-`,
  });
  edited([{ ...field, later: null }, created("two")]);
  assert.equal(await refusal(store), "", "a backup has the same entries");
  assert.match((await store.read(lostName)).writer ?? "", /^kubectl-edit /);
  edited([field], "kubectl-edit", { annotations: {} });
  const { entries, writer } = await store.read(lostName);
  assert.deepEqual([entries, writer], [[field], undefined], "a person has let the change count");
  edited([field, created("three")], "serin-rollout");
  assert.equal(await refusal(server.store()), "", "an engine of an earlier release leaves the sum of a later one");
});
