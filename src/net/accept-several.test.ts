import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate as nextTurn } from "node:timers/promises";
import { until } from "../base/testing/index.ts";
import { bytePath, type BytePath, type ListenOptions } from "./byte-path.ts";
import type { ByteStream } from "./byte-stream.ts";
import { libc, linux } from "./libc.ts";
import { beginConnect, listenTcpInNamespace, openTcpSocketInNamespace, socketName } from "./namespace-socket.ts";
import { Recorder } from "./testing/recorder.ts";

const path = bytePath("libuv");
assert.ok(path !== undefined, "this node must have the libuv byte path");

function waitingClients(count: number): { readonly fd: number; readonly clients: readonly ByteStream[] } {
  const fd = listenTcpInNamespace(undefined, { address: "127.0.0.1", port: 0 });
  const clients = Array.from({ length: count }, () => {
    const client = openTcpSocketInNamespace(undefined, { family: "ipv4" });
    assert.equal(beginConnect(client, socketName(fd)), true);
    return (path as BytePath).adoptTcp(client);
  });
  return { fd, clients };
}

async function acceptedByTurn(options: ListenOptions, count: number): Promise<readonly number[]> {
  const turns: number[] = [];
  let inTurn = 0;
  const streams: ByteStream[] = [];
  const listener = await (path as BytePath).listenTcp(options, (stream) => {
    inTurn += 1;
    streams.push(stream);
  });
  while (streams.length < count) {
    await nextTurn();
    if (inTurn > 0) turns.push(inTurn);
    inTurn = 0;
  }
  listener.close();
  for (const stream of streams) stream.destroy();
  return turns;
}

test("a turn accepts up to 16 waiting connections, fewer where the listener's owner wants no more, and else one", async () => {
  let asked = 0;
  for (const [options, turns] of [
    [{ acceptsMore: () => true }, [16, 4]],
    [{ acceptsMore: () => (asked += 1) % 5 > 0 }, [5, 5, 5, 5]],
    [{}, Array.from({ length: 20 }, () => 1)],
  ] as const) {
    const { fd, clients } = waitingClients(20);
    assert.deepEqual(await acceptedByTurn({ fd, ...options }, 20), turns);
    for (const client of clients) client.destroy();
  }
});

test("a connection that was accepted beside another carries bytes both ways, and sends small writes without delay", async () => {
  const { fd, clients } = waitingClients(2);
  const streams: ByteStream[] = [];
  const listener = await path.listenTcp({ fd, acceptsMore: () => true }, (stream) => streams.push(stream));
  await until(() => streams.length >= 2);
  for (const [index, client] of clients.entries()) {
    const server = streams[index];
    assert.ok(server !== undefined);
    assert.deepEqual([server.remote, server.local], [client.local, client.remote]);
    const noDelay = Buffer.alloc(4);
    libc().getsockopt(server.fd, linux.levelTcp, linux.noDelay, noDelay, Buffer.from([4, 0, 0, 0]));
    assert.equal(noDelay.readInt32LE(), 1);
    const [near, far] = [new Recorder(client), new Recorder(server)];
    client.write(Buffer.from("ping"));
    client.end();
    assert.equal((await far.ended).toString(), "ping");
    server.write(Buffer.from("pong"));
    server.end();
    assert.equal((await near.ended).toString(), "pong");
    assert.deepEqual(await Promise.all([near.closed, far.closed]), [undefined, undefined]);
  }
  listener.close();
});

test("a listener that is closed while it accepts takes no further connection", async () => {
  const { fd, clients } = waitingClients(3);
  const streams: ByteStream[] = [];
  const listener = await path.listenTcp({ fd, acceptsMore: () => true }, (stream) => {
    streams.push(stream);
    listener.close();
  });
  await until(() => streams.length !== 0);
  for (let turn = 0; turn < 3; turn += 1) await nextTurn();
  assert.equal(streams.length, 1);
  for (const stream of [...clients, ...streams]) stream.destroy();
});
