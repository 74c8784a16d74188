import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { test, type TestContext } from "node:test";
import { podKind } from "../api/kubernetes/index.ts";
import { silentLogger } from "../base/index.ts";
import { HandClock, until } from "../base/testing/index.ts";
import { createKubeClient, type KubeConnection } from "./http-kube-client.ts";

async function clientOf(context: TestContext, clock: HandClock, answer: RequestListener): Promise<KubeConnection> {
  const server = createServer(answer).listen(0, "127.0.0.1");
  await once(server, "listening");
  const target = { server: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, context: "test" };
  const client = createKubeClient({ ...target, namespace: "default" }, { log: silentLogger, clock });
  context.after(() => {
    client.close();
    server.closeAllConnections();
    server.close();
  });
  return client;
}

const bookmark = `${JSON.stringify({ type: "BOOKMARK", object: { metadata: { resourceVersion: "7" } } })}\n`;

test("a watch that a server accepts and never answers fails after the time of a request", async (context) => {
  let count = 0;
  const clock = new HandClock();
  const client = await clientOf(context, clock, () => (count += 1));
  const next = client.watch(podKind, { resourceVersion: "5" })[Symbol.asyncIterator]().next();
  const failed = assert.rejects(next, {
    code: "timeout",
    message: "watch of pods in all namespaces: no answer within 60 s",
  });
  await until(() => count === 1);
  clock.pass(60_000);
  await failed;
});

test("a watch lives for as long as it asked for, and fails if the server does not end it then", async (context) => {
  const clock = new HandClock();
  const client = await clientOf(context, clock, (_, response) => void response.writeHead(200).write(bookmark));
  const watch = client.watch(podKind, { resourceVersion: "5" })[Symbol.asyncIterator]();
  assert.equal((await watch.next()).value?.type, "BOOKMARK");
  const next = watch.next();
  let isOpen = true;
  const failed = assert.rejects(
    next.finally(() => (isOpen = false)),
    {
      code: "timeout",
      message: "watch of pods in all namespaces: the server has not ended it after 570 s, as it was asked to",
    },
  );
  clock.pass(600_000);
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(isOpen, true);
  clock.pass(30_000);
  await failed;
});

test("a watch that its caller cancels ends without an error", async (context) => {
  const client = await clientOf(
    context,
    new HandClock(),
    (_, response) => void response.writeHead(200).write(bookmark),
  );
  const cancelled = new AbortController();
  const watch = client.watch(podKind, { resourceVersion: "5", signal: cancelled.signal })[Symbol.asyncIterator]();
  await watch.next();
  const next = watch.next();
  cancelled.abort();
  assert.equal((await next).done, true);
});
