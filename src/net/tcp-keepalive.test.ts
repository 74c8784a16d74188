import assert from "node:assert/strict";
import { test } from "node:test";
import { bytePath, connectTcp, listenTcp } from "./byte-path.ts";
import type { ByteStream } from "./byte-stream.ts";
import { check, libc, linux } from "./libc.ts";
import { keepAlive } from "./tcp-keepalive.ts";

const option = (stream: ByteStream, level: number, name: number): number => {
  const value = Buffer.alloc(4);
  const length = Buffer.alloc(4);
  length.writeInt32LE(4);
  check("getsockopt", libc().getsockopt(stream.fd, level, name, value, length));
  return value.readInt32LE();
};

const settingsOf = (stream: ByteStream): number[] => [
  option(stream, linux.levelSocket, linux.keepAlive),
  option(stream, linux.levelTcp, linux.keepAliveTime),
  option(stream, linux.levelTcp, linux.keepAliveInterval),
  option(stream, linux.levelTcp, linux.keepAliveProbes),
];

test("connections use the requested keepalive, with the system's defaults and the kernel's maxima", async () => {
  const accepted = Promise.withResolvers<ByteStream>();
  const listener = await listenTcp({ address: "127.0.0.1", port: 0 }, (stream) => accepted.resolve(stream));
  const { address, port } = listener.address;
  const plain = await connectTcp({ address, port, timeoutMs: 2000 });
  const server = await accepted.promise;
  const [off = -1, ...system] = settingsOf(plain);
  assert.equal(off, 0);
  const streams = [plain, server];
  for (const [keepalive, seen] of [
    [{ timeSeconds: 30, intervalSeconds: 5, probes: 3 }, [1, 30, 5, 3]],
    [{}, [1, ...system]],
    [{ timeSeconds: 100_000, intervalSeconds: 0, probes: 1000 }, [1, 32_767, 1, 127]],
  ] as const) {
    const stream = await connectTcp({ address, port, timeoutMs: 2000, keepalive });
    streams.push(stream);
    assert.deepEqual(settingsOf(stream), seen);
  }
  keepAlive(server, { timeSeconds: 7 });
  assert.deepEqual(settingsOf(server).slice(0, 2), [1, 7]);
  const other = await bytePath("node")?.connectTcp({ address, port, timeoutMs: 2000 });
  assert.ok(other !== undefined);
  keepAlive(other, { probes: 4 });
  assert.equal(settingsOf(other)[3], 4);
  for (const stream of [...streams, other]) stream.destroy();
  listener.close();
});
