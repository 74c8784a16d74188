import assert from "node:assert/strict";
import { test } from "node:test";
import { collectGarbage, oldBytes } from "../../base/testing/index.ts";
import { connectTcp, listenTcp } from "../../net/index.ts";
import { Harness, route, tableOf } from "../testing/harness.ts";

const connectionsAtATime = 16;
const collectEvery = 100;
const heldNumbers = 4000;
const request = Buffer.from("GET / HTTP/1.1\r\nhost: a\r\n\r\n");

async function connectOnce(port: number): Promise<void> {
  const stream = await connectTcp({ address: "127.0.0.1", port, timeoutMs: 5000 });
  const ended = Promise.withResolvers<void>();
  stream.setHandler({ data: () => stream.end(), end() {}, drain() {}, close: () => ended.resolve() });
  stream.resume();
  stream.write(request);
  await ended.promise;
}

test("short connections are collected before they reach the old space", async () => {
  await using harness = await Harness.start({}, 1, { observe: () => undefined });
  harness.table = tableOf(route({ kind: "direct-response", status: 200, body: Buffer.alloc(0) }));
  const listener = await listenTcp({ address: "127.0.0.1", port: 0 }, (stream) => {
    const { local, remote } = stream;
    const held = { numbers: Array.from({ length: heldNumbers }, (_, index) => index) };
    harness.listener.accept(stream, { local, remote, tls: undefined, peer: undefined, ...held });
  });
  let connected = 0;
  const connect = async (count: number): Promise<void> => {
    const end = connected + count;
    const connectAgain = async (): Promise<void> => {
      while (connected < end) {
        connected += 1;
        if (connected % collectEvery === 0) collectGarbage("minor");
        await connectOnce(listener.address.port);
      }
    };
    await Promise.all(Array.from({ length: connectionsAtATime }, connectAgain));
  };
  await connect(500);
  // A full collection moves everything that is alive to V8's old generation.
  collectGarbage("all");
  const before = oldBytes();
  const connections = 1000;
  await connect(connections);
  const each = (oldBytes() - before) / connections;
  listener.close();
  // A connection refers to 32 kB. The test runner itself keeps up to 1.4 kB for each.
  assert.ok(each < 3000, `${each} bytes of each connection became old`);
});
