import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type AddressInfo, type Socket } from "node:net";
import { test, type TestContext } from "node:test";
import { untilClosed } from "../../base/testing/index.ts";
import { httpGet } from "./http-get.ts";

test("a server that breaks off its answer is unreachable, and the request ends", async () => {
  const server = createServer((socket) => {
    socket.on("error", () => undefined);
    socket.once("data", () => void socket.end("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nonly this"));
  });
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
  try {
    await assert.rejects(httpGet("127.0.0.1", (server.address() as AddressInfo).port, "/metrics"), {
      code: "pod-unreachable",
    });
  } finally {
    server.close();
  }
});

test("a pod that switches protocols is unreachable at once, so that it does not keep the engine waiting", async () => {
  const server = createServer((socket) => {
    socket.on("error", () => undefined);
    socket.once(
      "data",
      () => void socket.write("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n"),
    );
  });
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
  try {
    await assert.rejects(
      httpGet("127.0.0.1", (server.address() as AddressInfo).port, "/metrics"),
      /switched to another protocol/,
    );
  } finally {
    server.close();
  }
});

/**
 * Sends a request to a server that handles the connection with `serve`. Returns the fault of the request, and whether
 * the connection has ended.
 */
async function faultOf(context: TestContext, serve: (socket: Socket) => void): Promise<string> {
  const sockets: Socket[] = [];
  const server = createServer((socket) => {
    sockets.push(socket.on("error", () => undefined).resume());
    serve(socket);
  }).listen(0, "127.0.0.1");
  context.after(() => server.close());
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const fault = await httpGet("127.0.0.1", port, "/metrics", { deadlineMs: 200 }).catch(String);
  const [socket] = sockets;
  if (socket?.destroyed !== true) await untilClosed(socket!);
  return fault;
}

test("a pod that hangs or sends byte after byte loses its connection at the deadline, and one that closes it at once", async (context) => {
  assert.match(await faultOf(context, () => undefined), /did not finish its answer in 200 ms$/);
  const drip = (socket: Socket): void => {
    const timer = setInterval(() => void socket.write("x"), 20);
    socket.once("close", () => clearInterval(timer));
  };
  const head = "HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n";
  assert.match(
    await faultOf(context, (socket) => socket.once("data", () => (socket.write(head), drip(socket)))),
    /did not finish its answer in 200 ms$/,
  );
  assert.match(await faultOf(context, drip), /Parse Error|did not finish its answer in 200 ms$/, "no head either");
  assert.match(await faultOf(context, (socket) => socket.destroy()), /closed the connection/);
});
