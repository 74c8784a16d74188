import assert from "node:assert/strict";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { after, test } from "node:test";
import { defineKind, type KubernetesObject } from "../api/index.ts";
import { silentLogger, systemClock } from "../base/index.ts";
import { until } from "../base/testing/index.ts";
import { createKubeClient } from "./http-kube-client.ts";
import type { InformerChange } from "./informer.ts";
import { createInformer } from "./list-watch-informer.ts";

const thingKind = defineKind<KubernetesObject>({
  group: "test.dev",
  versions: ["v1"],
  kind: "Thing",
  plural: "things",
  namespaced: true,
});

const objectOf = (name: string, version: number, uid = name): KubernetesObject => ({
  apiVersion: "test.dev/v1",
  kind: "Thing",
  metadata: { name, namespace: "default", uid, resourceVersion: String(version) },
});

type Answer = (request: IncomingMessage, response: ServerResponse, url: URL) => void;

/** A server that gives these answers in order. The test fails if it gets more requests. */
async function scripted(answers: readonly Answer[]): Promise<{ server: Server; url: string; requests: string[] }> {
  const requests: string[] = [];
  const queue = [...answers];
  const server = createServer((request, response) => {
    const url = new URL(request.url ?? "/", "http://test");
    requests.push(
      `${url.searchParams.has("watch") ? "watch" : "list"} ${url.searchParams.get("resourceVersion") ?? ""}`.trim(),
    );
    const answer = queue.shift();
    if (answer === undefined) return; // no answer: a watch without events
    answer(request, response, url);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", () => resolve()));
  return { server, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, requests };
}

const list =
  (version: number, ...items: KubernetesObject[]): Answer =>
  (_request, response) =>
    response.end(JSON.stringify({ kind: "ThingList", metadata: { resourceVersion: String(version) }, items }));

const event = (type: string, object: unknown): string => `${JSON.stringify({ type, object })}\n`;
const bookmark = (version: number): string =>
  event("BOOKMARK", { kind: "Thing", metadata: { resourceVersion: String(version) } });

/** A watch that sends these bytes in two pieces. Afterwards, the server ends the response or breaks the connection. */
const watch =
  (text: string, end: "end" | "break"): Answer =>
  (_request, response) => {
    const middle = Math.floor(text.length / 2);
    response.write(text.slice(0, middle));
    response.write(
      text.slice(middle),
      () => void setImmediate(() => (end === "end" ? response.end() : response.destroy())),
    );
  };

const statusError =
  (code: number, reason: string): Answer =>
  (_request, response) => {
    response.statusCode = code;
    response.end(JSON.stringify({ kind: "Status", status: "Failure", reason, code, message: reason }));
  };

async function follow(
  answers: readonly Answer[],
  wanted: number,
  streamsList = false,
): Promise<{ changes: string[]; requests: string[]; keys: string[] }> {
  const { server, url, requests } = await scripted(answers);
  const client = createKubeClient(
    { server: url, context: "test", namespace: "default" },
    { log: silentLogger, clock: systemClock },
  );
  const dependencies = { log: silentLogger, clock: systemClock, random: () => 0 };
  const informer = createInformer(client, thingKind, { ...dependencies, streamsList });
  const stop = new AbortController();
  const changes: string[] = [];
  const done = Promise.withResolvers<void>();
  const note = (change: InformerChange<KubernetesObject>): void => {
    const before =
      change.type === "set" && change.previous !== undefined ? `${change.previous.metadata.resourceVersion}->` : "";
    changes.push(`${change.type} ${change.object.metadata.name} ${before}${change.object.metadata.resourceVersion}`);
    if (changes.length === wanted) done.resolve();
  };
  informer.subscribe(note);
  const running = informer.run(stop.signal);
  await Promise.all([informer.synced, done.promise]);
  // By the time of the next request, the informer would have delivered any wrong change.
  await until(() => requests.length > answers.length);
  stop.abort();
  await running;
  client.close();
  after(() => server.closeAllConnections());
  server.close();
  server.closeAllConnections();
  return { changes, requests, keys: informer.list().map((object) => object.metadata.name ?? "") };
}

test("a broken watch resumes from the last version seen, and repeated events are delivered once", async () => {
  const { changes, requests } = await follow(
    [
      list(10, objectOf("a", 5)),
      watch(event("MODIFIED", objectOf("a", 11)) + bookmark(20), "break"),
      watch(event("ADDED", objectOf("a", 11)) + event("ADDED", objectOf("b", 21)), "end"),
    ],
    3,
  );
  assert.deepEqual(changes, ["set a 5", "set a 5->11", "set b 21"]);
  assert.deepEqual(requests, ["list", "watch 10", "watch 20", "watch 21"]);
});

test("the present objects can come from the watch itself, also after 410", async () => {
  const end = (version: number): string =>
    event("BOOKMARK", {
      metadata: { resourceVersion: String(version), annotations: { "k8s.io/initial-events-end": "true" } },
    });
  const { changes, requests, keys } = await follow(
    [
      watch(event("ADDED", objectOf("a", 5)) + event("ADDED", objectOf("b", 6)), "break"),
      watch(
        event("ADDED", objectOf("a", 5)) +
          event("ADDED", objectOf("b", 6)) +
          end(10) +
          event("MODIFIED", objectOf("a", 11)),
        "break",
      ),
      statusError(410, "Gone"),
      watch(event("ADDED", objectOf("a", 12)) + end(90), "end"),
    ],
    5,
    true,
  );
  assert.deepEqual(changes, ["set a 5", "set b 6", "set a 5->11", "set a 11->12", "delete b 6"]);
  assert.deepEqual(requests, ["watch", "watch", "watch 11", "watch", "watch 90"]);
  assert.deepEqual(keys, ["a"]);
});

test("after 410 the list is compared with the known objects, and only differences are delivered", async () => {
  const { changes, requests, keys } = await follow(
    [
      list(10, objectOf("a", 5), objectOf("b", 6), objectOf("c", 7)),
      watch(event("ERROR", { kind: "Status", code: 410, reason: "Expired", message: "too old" }), "end"),
      list(90, objectOf("a", 5), objectOf("b", 80), objectOf("c", 81, "another")),
      statusError(410, "Gone"),
      list(95, objectOf("b", 80)),
    ],
    8,
  );
  assert.deepEqual(changes, [
    "set a 5",
    "set b 6",
    "set c 7",
    "set b 6->80",
    "delete c 7",
    "set c 81",
    "delete a 5",
    "delete c 81",
  ]);
  assert.deepEqual(requests, ["list", "watch 10", "list", "watch 90", "list", "watch 95"]);
  assert.deepEqual(keys, ["b"]);
});

test("a list continues over its pages, and a request to a failing server is repeated", async () => {
  const paged: Answer = (_request, response) =>
    response.end(JSON.stringify({ metadata: { resourceVersion: "10", continue: "next" }, items: [objectOf("a", 5)] }));
  const { changes } = await follow([statusError(503, "ServiceUnavailable"), paged, list(10, objectOf("b", 6))], 2);
  assert.deepEqual(changes, ["set a 5", "set b 6"]);
});

test("errors name the object and have the server's reason in kebab-case", async () => {
  const { server, url } = await scripted([
    statusError(409, "AlreadyExists"),
    statusError(409, "Conflict"),
    statusError(404, "NotFound"),
    statusError(404, "NotFound"),
  ]);
  const client = createKubeClient(
    { server: url, context: "test", namespace: "default" },
    { log: silentLogger, clock: systemClock },
  );
  await assert.rejects(client.create(thingKind, objectOf("a", 1)), {
    kind: "user",
    code: "already-exists",
    message: "create of Thing default/a: AlreadyExists",
  });
  await assert.rejects(client.update(thingKind, objectOf("a", 1)), { kind: "transient", code: "conflict" });
  assert.equal(await client.get(thingKind, "a", "default"), undefined);
  await client.delete(thingKind, "a", "default");
  client.close();
  server.close();
  server.closeAllConnections();
  await assert.rejects(client.create(thingKind, objectOf("a", 1)), { kind: "transient", code: "unreachable" });
});

test("a kind whose first list is forbidden counts as empty if it is optional, and its objects appear when they may be read", async () => {
  const { server, url } = await scripted([
    statusError(403, "Forbidden"),
    statusError(403, "Forbidden"),
    list(10, objectOf("a", 5)),
  ]);
  const client = createKubeClient(
    { server: url, context: "test", namespace: "default" },
    { log: silentLogger, clock: systemClock },
  );
  const informer = createInformer(client, thingKind, {
    emptyIfForbidden: true,
    log: silentLogger,
    clock: systemClock,
    random: () => 0,
  });
  const stop = new AbortController();
  const found = Promise.withResolvers<string>();
  informer.subscribe(({ key }) => found.resolve(key));
  const running = informer.run(stop.signal);
  await informer.synced;
  assert.deepEqual(informer.list(), []);
  assert.equal(await found.promise, "default/a");
  stop.abort();
  await running;
  client.close();
  server.close();
  server.closeAllConnections();
});

test("a busy server is asked again after the time that it names, of at most a minute", async () => {
  for (const [seconds, expectedMs] of [
    ["7", 7_000],
    ["600", 60_000],
  ] as const) {
    const busy: Answer = (_request, response) => {
      response.writeHead(429, { "retry-after": seconds });
      response.end("Too many requests, please try again later.");
    };
    const { server, url } = await scripted([busy, list(1, objectOf("a", 1))]);
    const waits: number[] = [];
    const clock = { ...systemClock, sleep: (ms: number) => Promise.resolve(void waits.push(ms)) };
    const client = createKubeClient(
      { server: url, context: "test", namespace: "default" },
      { log: silentLogger, clock: systemClock },
    );
    const informer = createInformer(client, thingKind, { log: silentLogger, clock, random: () => 0 });
    const ended = new AbortController();
    const running = informer.run(ended.signal);
    await informer.synced;
    assert.deepEqual(waits, [expectedMs + 25]);
    ended.abort();
    await running;
    client.close();
    server.close();
    server.closeAllConnections();
  }
});
