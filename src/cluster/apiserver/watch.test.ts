import assert from "node:assert/strict";
import { EventEmitter } from "node:events";
import { test } from "node:test";
import { silentLogger } from "../../base/index.ts";
import { HandClock } from "../../base/testing/index.ts";
import { createSchemaRegistry } from "../schema/index.ts";
import { fillStore, memoryStore } from "../store/testing/memory-store.ts";
import type { Store } from "../store/index.ts";
import type { ResourceContext, ServerParts } from "./context.ts";
import { Encoder } from "./encoder.ts";
import { watchObjects } from "./watch.ts";

const registry = createSchemaRegistry();
const type = registry.resource("", "v1", "configmaps");
assert.ok(type !== undefined);
const maps = "/configmaps";
const minuteMs = 60_000;

/** A response to a watch that records what the client gets. */
class Answer extends EventEmitter {
  text = "";
  writableEnded = false;
  destroyed = false;
  /** The bytes that the client has not read. */
  writableLength = 0;
  status = 0;

  writeHead(status: number): void {
    this.status = status;
  }

  flushHeaders(): void {}

  write(bytes: Buffer): void {
    this.text += bytes.toString();
  }

  end(text = ""): void {
    if (this.writableEnded) return;
    this.text += text;
    this.writableEnded = true;
    this.emit("close");
  }

  destroy(): void {
    if (this.destroyed) return;
    this.destroyed = true;
    this.emit("close");
  }

  /** The events since the last call, as `TYPE name@version`. */
  take(): string[] {
    return this.takeEvents().map(({ type: what, object }) =>
      what === "ERROR"
        ? `ERROR ${object.code} ${object.reason} ${object.message}`
        : `${what} ${object.metadata.name ?? ""}@${object.metadata.resourceVersion}`,
    );
  }

  // eslint-disable-next-line typescript/no-explicit-any -- tests read events freely
  takeEvents(): any[] {
    const lines = this.text.split("\n");
    assert.equal(lines.pop(), "", "each event is a whole line");
    this.text = "";
    return lines.map((line) => JSON.parse(line) as unknown);
  }
}

class Watched {
  readonly clock = new HandClock();
  readonly store: Store;
  readonly encoder = new Encoder(registry, this.clock);
  readonly #stopping = new AbortController();

  constructor(store: Store) {
    this.store = store;
  }

  static async with(...names: readonly string[]): Promise<Watched> {
    const watched = new Watched(await memoryStore());
    for (const name of names) await watched.put(name);
    return watched;
  }

  async put(name: string, metadata: object = {}, collection = maps): Promise<void> {
    const object = { apiVersion: "v1", kind: "ConfigMap", metadata: { name, namespace: "shop", ...metadata } };
    await fillStore(this.store, { [collection]: [object] });
  }

  async remove(name: string): Promise<void> {
    await this.store.remove(maps, "shop", name, this.store.latest(maps, "shop", name)?.revision ?? 0);
  }

  watch(query = "", namespace = "shop"): Answer {
    const answer = new Answer();
    const parts = {
      clock: this.clock,
      store: this.store,
      encoder: this.encoder,
      log: silentLogger,
      stopping: this.#stopping.signal,
    };
    const context = {
      type,
      response: answer,
      request: { headers: {} },
      query: new URLSearchParams(query),
      info: { namespace },
      user: { name: "jane" },
    };
    watchObjects(parts as unknown as ServerParts, context as unknown as ResourceContext);
    return answer;
  }

  stop(): void {
    this.#stopping.abort();
  }
}

test("a watch that resumes after a version gets each later change once, in order, and then new ones", async () => {
  const watched = await Watched.with("a", "b");
  await watched.put("a");
  await watched.remove("b");
  const answer = watched.watch("resourceVersion=2");
  assert.deepEqual(answer.take(), ["MODIFIED a@3", "DELETED b@4"]);
  await watched.put("c");
  assert.deepEqual(answer.take(), ["ADDED c@5"]);
  assert.deepEqual(watched.watch("resourceVersion=4").take(), ["ADDED c@5"]);
  assert.deepEqual(watched.watch("resourceVersion=5").take(), []);
});

test("a watch from a version whose changes are forgotten ends with 410, and one from the last forgotten version does not", async () => {
  const watched = await Watched.with("a", "b", "c");
  watched.store.forget(2);
  const answer = watched.watch("resourceVersion=1");
  assert.deepEqual([answer.status, answer.writableEnded], [200, true]);
  assert.deepEqual(answer.take(), ["ERROR 410 Expired too old resource version: 1 (3)"]);
  assert.deepEqual(watched.watch("resourceVersion=2").take(), ["ADDED c@3"]);
});

test("a watch from a version of the future is refused with 504, because it comes from an earlier cluster", async () => {
  const watched = await Watched.with("a");
  assert.throws(() => watched.watch("resourceVersion=2"), { code: 504, reason: "Timeout" });
  assert.throws(() => watched.watch("resourceVersion=new"), { code: 400 });
});

test("without a version, or with version 0, a watch begins with every object as it is", async () => {
  const watched = await Watched.with("b", "a", "gone");
  await watched.put("b");
  await watched.remove("gone");
  for (const query of ["", "resourceVersion=0"])
    assert.deepEqual(watched.watch(query).take(), ["ADDED a@2", "ADDED b@4"], query);
  assert.deepEqual(
    watched.watch("sendInitialEvents=false&resourceVersionMatch=NotOlderThan").take(),
    [],
    "unless the client wants no initial events",
  );
});

test("a watch that begins with a list ends the list with a bookmark that says so and has the version of the list", async () => {
  const watched = await Watched.with("a");
  await watched.put("other", {}, "/secrets");
  const query = "sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true";
  const answer = watched.watch(query);
  const [added, end, ...more] = answer.takeEvents();
  assert.equal(added.object.metadata.name, "a");
  assert.deepEqual(end, {
    type: "BOOKMARK",
    object: {
      kind: "ConfigMap",
      apiVersion: "v1",
      metadata: { resourceVersion: "2", annotations: { "k8s.io/initial-events-end": "true" } },
    },
  });
  assert.deepEqual(more, []);
  await watched.put("b");
  assert.deepEqual(answer.take(), ["ADDED b@3"]);
});

test("each minute a bookmark names the newest version, so that a watch of a quiet kind can resume from it after a restart", async () => {
  const watched = await Watched.with("a");
  const answer = watched.watch("resourceVersion=1&allowWatchBookmarks=true");
  const plain = watched.watch("resourceVersion=1");
  await watched.put("other", {}, "/secrets");
  watched.clock.pass(minuteMs - 1);
  assert.deepEqual(answer.take(), []);
  watched.clock.pass(1);
  assert.deepEqual(answer.take(), ["BOOKMARK @2"]);
  await watched.put("another", {}, "/secrets");
  watched.clock.pass(minuteMs);
  assert.deepEqual(answer.take(), ["BOOKMARK @3"]);
  assert.deepEqual(plain.take(), []);
});

test("a watch ends after its time, or after half an hour, with a last bookmark for a client that wants bookmarks", async () => {
  const watched = await Watched.with("a");
  const short = watched.watch("resourceVersion=1&timeoutSeconds=5&allowWatchBookmarks=true");
  const plain = watched.watch("resourceVersion=1&timeoutSeconds=5");
  const usual = watched.watch("resourceVersion=1");
  watched.clock.pass(5_000);
  assert.deepEqual([short.take(), short.writableEnded], [["BOOKMARK @1"], true]);
  assert.deepEqual([plain.take(), plain.writableEnded], [[], true]);
  watched.clock.pass(29 * minuteMs);
  assert.equal(usual.writableEnded, false);
  watched.clock.pass(minuteMs);
  assert.equal(usual.writableEnded, true);
});

test("an object that begins to match a selector is added, and one that no longer matches is deleted with its last matching state", async () => {
  const watched = await Watched.with();
  const answer = watched.watch("labelSelector=tier%3Dweb&resourceVersion=0");
  await watched.put("a", { labels: { tier: "db" } });
  assert.deepEqual(answer.take(), []);
  await watched.put("a", { labels: { tier: "web" } });
  await watched.put("a", { labels: { tier: "web", more: "yes" } });
  assert.deepEqual(answer.take(), ["ADDED a@2", "MODIFIED a@3"]);
  await watched.put("a", { labels: { tier: "db" } });
  const [left] = answer.takeEvents();
  assert.deepEqual(
    [left.type, left.object.metadata.labels, left.object.metadata.resourceVersion],
    ["DELETED", { tier: "web", more: "yes" }, "4"],
  );
  await watched.remove("a");
  assert.deepEqual(answer.take(), [], "its deletion is nothing new");
});

test("a watch of one namespace gets nothing of others, and one of all namespaces gets everything", async () => {
  const watched = await Watched.with();
  const [shop, all] = [watched.watch("resourceVersion=0"), watched.watch("resourceVersion=0", "")];
  await watched.put("a");
  await watched.put("a", { namespace: "shop-2" });
  assert.deepEqual(shop.take(), ["ADDED a@1"]);
  assert.deepEqual(all.take(), ["ADDED a@1", "ADDED a@2"]);
});

test("a client that leaves a watch leaves nothing behind, and the others go on", async () => {
  const watched = await Watched.with("a");
  const [leaving, staying] = [
    watched.watch("resourceVersion=1&allowWatchBookmarks=true"),
    watched.watch("resourceVersion=1"),
  ];
  assert.equal(watched.clock.timers, 3);
  leaving.destroy();
  assert.equal(watched.clock.timers, 1);
  await watched.put("b");
  watched.clock.pass(minuteMs);
  assert.deepEqual([leaving.take(), staying.take()], [[], ["ADDED b@2"]]);
});

test("a watcher that does not read is cut off, and gets no event after one that it has missed", async () => {
  const watched = await Watched.with("a");
  const [slow, quick] = [watched.watch("resourceVersion=1"), watched.watch("resourceVersion=1")];
  slow.writableLength = 17 * 1024 * 1024;
  await watched.put("b");
  assert.equal(slow.destroyed, true);
  slow.writableLength = 0;
  await watched.put("c");
  assert.deepEqual([slow.take(), quick.take()], [[], ["ADDED b@2", "ADDED c@3"]]);
  assert.equal(watched.clock.timers, 1);
});

test("a watcher whose event cannot be encoded is cut off, because it would miss the event, and the others go on", async () => {
  const watched = await Watched.with("a");
  const event = watched.encoder.event.bind(watched.encoder);
  const cut = watched.watch("resourceVersion=1");
  watched.encoder.event = () => {
    watched.encoder.event = event;
    throw new Error("it cannot be encoded");
  };
  const other = watched.watch("resourceVersion=1");
  await watched.put("b");
  await watched.put("c");
  assert.deepEqual([cut.destroyed, cut.take()], [true, []]);
  assert.deepEqual(other.take(), ["ADDED b@2", "ADDED c@3"]);
});

test("all watches end when the server ends", async () => {
  const watched = await Watched.with("a");
  const answers = [watched.watch("resourceVersion=1"), watched.watch("allowWatchBookmarks=true")];
  watched.stop();
  assert.deepEqual(
    answers.map(({ writableEnded }) => writableEnded),
    [true, true],
  );
  assert.equal(watched.clock.timers, 0);
});

test("watchers of the same form share the bytes of an event", async () => {
  const watched = await Watched.with("a");
  let encoded = 0;
  const event = watched.encoder.event.bind(watched.encoder);
  watched.encoder.event = (...args) => {
    encoded += 1;
    return event(...args);
  };
  const answers = [1, 2, 3].map(() => watched.watch("resourceVersion=1"));
  await watched.put("b");
  assert.deepEqual(
    answers.map((answer) => answer.take()),
    [["ADDED b@2"], ["ADDED b@2"], ["ADDED b@2"]],
  );
  assert.equal(encoded, 1);
});
