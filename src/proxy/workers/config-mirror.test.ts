import assert from "node:assert/strict";
import { test } from "node:test";
import type { XdsSubscription, XdsUpdate } from "../../dataplane/index.ts";
import { ConfigMirror } from "./config-mirror.ts";

const apply = (): void => undefined;
const subscriptions: readonly XdsSubscription[] = [
  { typeUrl: "cluster", mode: "wildcard", apply },
  { typeUrl: "listener", mode: "wildcard", apply },
  { typeUrl: "route", mode: "named", apply },
];

function update(
  typeUrl: string,
  resources: Readonly<Record<string, string>>,
  removed: readonly string[] = [],
): XdsUpdate {
  return {
    typeUrl,
    resources: Object.entries(resources).map(([name, text]) => ({
      name,
      version: text,
      aliases: [],
      typeUrl,
      body: Buffer.from(`....${text}`).subarray(4),
    })),
    removed,
  };
}

function replayed(mirror: ConfigMirror): string[] {
  return [...mirror.replay()].map(
    ({ typeUrl, resources }) =>
      `${typeUrl}: ${resources.map(({ name, body }) => `${name}=${Buffer.from(body).toString()}`).join(" ")}`,
  );
}

test("a new worker gets the configuration in force, listeners last, and empty types too", () => {
  const mirror = new ConfigMirror(subscriptions, "listener");
  mirror.accept(mirror.try(update("listener", { l: "1" })));
  mirror.accept(mirror.try(update("cluster", { a: "1", b: "1" })));
  mirror.accept(mirror.try(update("cluster", { a: "2" }, ["b"])));
  assert.deepEqual(replayed(mirror), ["cluster: a=2", "listener: l=1"]);
  mirror.accept(mirror.try(update("route", {})));
  assert.deepEqual(replayed(mirror), ["cluster: a=2", "route: ", "listener: l=1"]);
});

test("after a refused update, a new worker gets the previous state, then the attempt, and refuses it again", () => {
  const mirror = new ConfigMirror(subscriptions, "listener");
  mirror.accept(mirror.try(update("cluster", { a: "1" })));
  mirror.try(update("cluster", { a: "bad", b: "good" }));
  assert.deepEqual(replayed(mirror), ["cluster: a=1", "cluster: a=bad b=good"]);
  mirror.accept(mirror.try(update("cluster", { a: "3", b: "3" })));
  assert.deepEqual(replayed(mirror), ["cluster: a=3 b=3"]);
});

test("a new worker does not get updates that killed all workers, or resources that nobody requests any more", () => {
  const mirror = new ConfigMirror(subscriptions, "listener");
  mirror.accept(mirror.try(update("route", { r: "1", gone: "1" })));
  mirror.forget(mirror.try(update("route", { r: "deadly", s: "deadly" })));
  mirror.keepNames("route", new Set(["r", "s"]));
  assert.deepEqual(replayed(mirror), ["route: r=1"]);
});

test("a new worker gets removed resources that the others keep, and the names that do not exist", () => {
  const mirror = new ConfigMirror(
    [
      { typeUrl: "endpoint", mode: "named", apply },
      { typeUrl: "host", mode: "named", apply },
    ],
    "listener",
    new Set(["endpoint"]),
  );
  mirror.accept(mirror.try(update("endpoint", { a: "1", b: "1" }, ["missing"])));
  mirror.accept(mirror.try(update("host", { h: "1" })));
  mirror.accept(mirror.try(update("endpoint", {}, ["a"])));
  mirror.accept(mirror.try(update("host", {}, ["h"])));
  const removals = (): string[] => [...mirror.replay()].flatMap(({ removed }) => removed);
  assert.deepEqual([replayed(mirror), removals()], [["endpoint: a=1 b=1", "host: "], ["missing"]]);
  mirror.accept(mirror.try(update("endpoint", { missing: "1" })));
  mirror.keepNames("endpoint", new Set(["b", "missing"]));
  assert.deepEqual([replayed(mirror), removals()], [["endpoint: b=1 missing=1", "host: "], []]);
  mirror.accept(mirror.try(update("endpoint", {}, ["gone"])));
  mirror.keepNames("endpoint", new Set(["b"]));
  assert.deepEqual(removals(), []);
});

test("the mirror copies a resource's bytes, which are part of a larger message", () => {
  const mirror = new ConfigMirror(subscriptions, "listener");
  const [resource] = mirror.try(update("cluster", { a: "body" })).resources;
  assert.equal(resource?.body.buffer.byteLength, 4);
});
