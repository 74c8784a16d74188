import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { silentLogger } from "../../base/index.ts";
import { Store } from "./store.ts";
import type { BatchWriter } from "./writer.ts";
import type { UntypedObject } from "../../api/index.ts";

const directory = mkdtempSync(join(tmpdir(), "serin-store-"));
after(() => rmSync(directory, { recursive: true, force: true }));

function configMap(name: string, data: Record<string, string> = {}): UntypedObject {
  return { apiVersion: "v1", kind: "ConfigMap", metadata: { name, namespace: "default", uid: name }, data };
}

test("writes of one event-loop turn share a commit, readers see only durable data, and history serves old revisions", async () => {
  const store = Store.open({ path: join(directory, "a.db"), log: silentLogger });
  const first = store.put("/configmaps", configMap("one"), "absent");
  const second = store.put("/configmaps", configMap("two"), "absent");
  assert.equal(store.get("/configmaps", "default", "one"), undefined);
  assert.equal(store.latest("/configmaps", "default", "one")?.revision, 1);
  assert.equal(store.put("/configmaps", configMap("one"), "absent"), undefined);
  await Promise.all([first, second]);
  assert.equal(store.revision, 2);
  await store.put("/configmaps", configMap("one", { a: "b" }), 1);
  await store.remove("/configmaps", "default", "two", 2);
  const collection = store.collection("/configmaps");
  assert.deepEqual(
    collection.since(2)?.map((event) => event.type),
    ["MODIFIED", "DELETED"],
  );
  assert.deepEqual(
    collection.listAt(2)?.map((record) => [record.name, record.revision]),
    [
      ["one", 1],
      ["two", 2],
    ],
  );
  assert.deepEqual(
    collection.list("default").map((record) => record.revision),
    [3],
  );
  await store.close();
});

test("forgotten changes end watches from before them, and no others", async () => {
  const store = Store.open({ path: join(directory, "forgets.db"), log: silentLogger });
  await store.put("/configmaps", configMap("one"), "absent");
  await store.put("/configmaps", configMap("one", { a: "b" }), 1);
  await store.put("/secrets", configMap("other"), "absent");
  await store.put("/configmaps", configMap("two"), "absent");
  store.forget(3);
  const collection = store.collection("/configmaps");
  assert.equal(collection.since(1), undefined);
  assert.equal(collection.listAt(1), undefined);
  assert.deepEqual(
    collection.since(2)?.map(({ record }) => record.name),
    ["two"],
  );
  assert.deepEqual(
    collection.list().map(({ name, revision }) => [name, revision]),
    [
      ["one", 2],
      ["two", 4],
    ],
  );
  assert.deepEqual(store.collection("/secrets").since(3), [], "nothing has changed since");
  await store.close();
});

test("after a restart, objects and revisions are the same, and a watch resumes where it ended", async () => {
  const store = Store.open({ path: join(directory, "a.db"), log: silentLogger });
  assert.equal(store.revision, 4);
  assert.equal(store.get("/configmaps", "default", "one")?.revision, 3);
  const collection = store.collection("/configmaps");
  assert.deepEqual(collection.since(4), []);
  assert.equal(collection.since(3), undefined);
  await store.close();
});

test("a failed commit refuses every write that was not durable, and the store continues", async () => {
  let fail: (error: Error) => void = () => undefined;
  const batches: number[] = [];
  const startWriter = (): BatchWriter => ({
    write: async ({ revision }) => {
      batches.push(revision);
      if (batches.length === 1) await new Promise<void>((_resolve, reject) => (fail = reject));
    },
    close: () => Promise.resolve(),
  });
  const store = Store.open({ path: join(directory, "full.db"), log: silentLogger, startWriter });
  const first = store.put("/configmaps", configMap("one"), "absent");
  await new Promise((resolve) => setImmediate(resolve));
  const second = store.put("/configmaps", configMap("one", { built: "on it" }), 1);
  fail(new Error("disk full"));
  await assert.rejects(async () => first, { code: "storage-failed", message: "disk full" });
  await assert.rejects(async () => second, { code: "storage-failed" });
  assert.equal(store.latest("/configmaps", "default", "one"), undefined);
  const third = await store.put("/configmaps", configMap("one"), "absent");
  assert.equal(third?.revision, 3);
  assert.deepEqual(batches, [1, 3]);
  assert.deepEqual(
    store
      .collection("/configmaps")
      .since(0)
      ?.map((event) => [event.type, event.revision]),
    [["ADDED", 3]],
  );
  await store.close();
});

test("kill -9 loses no acknowledged write", async () => {
  const path = join(directory, "killed.db");
  const program = `
    import { Store } from ${JSON.stringify(join(import.meta.dirname, "store.ts"))};
    const log = { error() {} };
    const store = Store.open({ path: ${JSON.stringify(path)}, log });
    for (let i = 0; ; i++) {
      const metadata = { name: "n" + i, namespace: "default", uid: "u" + i };
      const record = await store.put("/configmaps", { apiVersion: "v1", kind: "ConfigMap", metadata }, "absent");
      process.stdout.write(record.name + " " + record.revision + "\\n");
    }`;
  const child = spawn(process.execPath, ["--input-type=module", "-e", program], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  let output = "";
  await new Promise<void>((resolve) => {
    child.stdout.on("data", (chunk: Buffer) => {
      output += chunk.toString();
      if (output.length > 500) child.kill("SIGKILL");
    });
    child.on("close", () => resolve());
  });
  const acknowledged = output.slice(0, output.lastIndexOf("\n")).split("\n");
  const store = Store.open({ path, log: silentLogger });
  for (const line of acknowledged) {
    const [name = "", revision] = line.split(" ");
    assert.equal(String(store.get("/configmaps", "default", name)?.revision), revision, name);
  }
  await store.close();
});
