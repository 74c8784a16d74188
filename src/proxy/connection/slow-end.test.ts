import assert from "node:assert/strict";
import { test } from "node:test";
import { until } from "../../base/testing/index.ts";
import type { ByteStream, ByteStreamHandler } from "../../net/index.ts";
import { Harness, route, tableOf } from "../testing/harness.ts";

/** A size larger than the kernel's buffers at both ends of a connection. */
const bodyBytes = 24 * 1024 * 1024;

const body = Buffer.alloc(bodyBytes, "x");
const request = "GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";

test("a client that reads slowly gets all of a response that ends its connection", async () => {
  await using harness = await Harness.start();
  harness.table = tableOf(route({ kind: "direct-response", status: 200, body }));
  const { socket, closed } = harness.client();
  socket.removeAllListeners("data").pause();
  socket.write(request);
  await until(() => harness.records.length === 1);
  for (let second = 0; second < 30; second += 1) harness.listener.sweep();
  let receivedBytes = 0;
  socket.on("data", (chunk) => (receivedBytes += chunk.length)).resume();
  await closed;
  assert.ok(receivedBytes > bodyBytes, `${receivedBytes} bytes`);
  harness.listener.sweep();
  assert.equal(harness.listener.connections, 1, "the client has a few seconds to close");
});

test("a client that reads nothing of a response that ends its connection is cut off after a minute", async () => {
  await using harness = await Harness.start();
  harness.table = tableOf(route({ kind: "direct-response", status: 200, body }));
  const { socket } = harness.client();
  socket.removeAllListeners("data").pause();
  socket.write(request);
  await until(() => harness.records.length === 1);
  for (let second = 0; second < 60; second += 1) harness.listener.sweep();
  assert.equal(harness.listener.connections, 1);
  for (let second = 0; second < 2; second += 1) harness.listener.sweep();
  assert.equal(harness.listener.connections, 0);
});

/** A connection whose test decides how many bytes the kernel has taken. */
class SlowStream implements ByteStream {
  bufferedBytes = 0;
  handler: ByteStreamHandler | undefined;
  destroyed = false;
  readonly local = { address: "127.0.0.1", port: 1 };
  readonly remote = { address: "127.0.0.1", port: 2 };
  readonly fd = -1;
  readonly receivedBytes = 0;
  readonly sentBytes = 0;
  setHandler(handler: ByteStreamHandler): void {
    this.handler = handler;
  }
  write(bytes: Uint8Array): boolean {
    this.bufferedBytes += bytes.length;
    return false;
  }
  destroy(): void {
    this.destroyed = true;
  }
  end(): void {}
  pause(): void {}
  resume(): void {}
}

test("a client that takes a write of the last response has another minute for the rest", async () => {
  await using harness = await Harness.start({ codec: "http1" });
  harness.table = tableOf(route({ kind: "direct-response", status: 200, body: Buffer.alloc(1000, "x") }));
  const stream = new SlowStream();
  harness.listener.accept(stream);
  stream.handler?.data(Buffer.from(request));
  const sweep = (seconds: number): void => {
    for (let second = 0; second < seconds; second += 1) harness.listener.sweep();
  };
  sweep(50);
  stream.bufferedBytes -= 500;
  sweep(60);
  assert.equal(stream.destroyed, false);
  sweep(2);
  assert.equal(stream.destroyed, true);
});
