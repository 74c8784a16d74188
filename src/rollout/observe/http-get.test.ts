import assert from "node:assert/strict";
import { createServer, type AddressInfo } from "node:net";
import { test } from "node:test";
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
