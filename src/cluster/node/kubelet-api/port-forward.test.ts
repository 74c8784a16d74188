import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer as createHttpServer } from "node:http";
import { createServer } from "node:net";
import { test } from "node:test";
import { portForward } from "../../../kube/index.ts";
import { listenOnLoopback } from "../../../../test/support/listen-on-loopback.ts";
import { servePortForward } from "./port-forward.ts";

test("a client is notified that the pod has reset a forwarded connection", { timeout: 10_000 }, async (context) => {
  const node = createHttpServer();
  node.on("upgrade", (request, socket, head) => void servePortForward(request, socket, head, () => undefined));
  const pod = createServer((socket) => {
    socket.on("error", () => undefined);
    socket.once("data", () => socket.resetAndDestroy());
  });
  context.after(() => {
    node.close();
    pod.close();
  });
  const config = { server: `http://127.0.0.1:${await listenOnLoopback(node)}`, context: "test", namespace: "default" };
  const stream = await portForward(config, { namespace: "default", pod: "web", port: await listenOnLoopback(pod) });
  stream.write("hello");
  const [error] = (await once(stream, "close").then(
    () => [stream.errored],
    (fault: unknown) => [fault],
  )) as [Error];
  assert.match(error.message, /the pod closed the connection/);
});

test("a connection to a pod that has ended meanwhile is refused, although the client is still connected", async (context) => {
  let hasEnded = false;
  const network = (): undefined => {
    if (hasEnded) throw new Error('pod "default/web" is not running');
  };
  const node = createHttpServer();
  node.on("upgrade", (request, socket, head) => void servePortForward(request, socket, head, network));
  const other = createServer((socket) => socket.end("a port of the node"));
  context.after(() => {
    node.close();
    other.close();
  });
  const config = { server: `http://127.0.0.1:${await listenOnLoopback(node)}`, context: "test", namespace: "default" };
  const opened = portForward(config, { namespace: "default", pod: "web", port: await listenOnLoopback(other) });
  // The pod ends after the upgrade. The server then looks the network up for the new streams.
  node.once("upgrade", () => (hasEnded = true));
  const stream = await opened;
  await assert.rejects(stream.toArray(), /error forwarding port \d+ to pod: pod "default\/web" is not running/);
});

test("a client gets the reason why a port that no pod can have is not forwarded", async (context) => {
  const node = createHttpServer();
  node.on("upgrade", (request, socket, head) => void servePortForward(request, socket, head, () => undefined));
  context.after(() => node.close());
  const config = { server: `http://127.0.0.1:${await listenOnLoopback(node)}`, context: "test", namespace: "default" };
  const stream = await portForward(config, { namespace: "default", pod: "web", port: 70_000 });
  await assert.rejects(stream.toArray(), /error forwarding port 70000 to pod: a port is from 1 to 65535/);
});
