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
  node.on("upgrade", (request, socket, head) => void servePortForward(request, socket, head, undefined));
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
