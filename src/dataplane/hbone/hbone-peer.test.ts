import assert from "node:assert/strict";
import { once } from "node:events";
import { connect as connectHttp2, createServer, type ClientHttp2Session, type ServerHttp2Stream } from "node:http2";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import { systemClock, type Clock } from "../../base/index.ts";
import { until } from "../../base/testing/index.ts";
import { connectTcp, listenTcp, type ByteStream, type SecureStream } from "../../net/index.ts";
import { HbonePool, type HbonePoolOptions } from "./hbone-pool.ts";
import { serveHbone } from "./hbone-server.ts";
import type { HboneRequest, HboneServerConnection, HboneTunnel } from "./hbone-types.ts";

const peerIdentity = "spiffe://cluster.local/ns/default/sa/peer";

/**
 * Makes a plain stream pass for a TLS stream. HTTP/2 works in the same way without TLS, and node:http2 supports that
 * too.
 */
function asSecure(stream: ByteStream): SecureStream {
  return Object.defineProperties(stream, {
    peerIdentity: { value: peerIdentity },
    alpnProtocol: { value: "h2" },
  }) as SecureStream;
}

function poolTo(
  port: number,
  options: Partial<HbonePoolOptions> = {},
  onDial: (dialed: Promise<unknown>) => unknown = () => undefined,
) {
  const dialed: number[] = [];
  const pool = new HbonePool({
    ...options,
    dial: (_target, timeoutMs) => {
      dialed.push(port);
      const stream = connectTcp({ address: "127.0.0.1", port, timeoutMs }).then(asSecure);
      onDial(stream);
      return stream;
    },
  });
  const connect = (authority = "10.0.0.1:80", destinationId?: string) =>
    pool.connect({
      destinationId,
      sourceIdentity: "spiffe://cluster.local/ns/default/sa/me",
      address: "127.0.0.1",
      port,
      expectedIdentities: [],
      authority,
      headers: [["baggage", "service.name=me"]],
      timeoutMs: 5_000,
    });
  return { pool, dialed, connect };
}

function collect(stream: ByteStream): Promise<{ readonly bytes: Buffer; readonly error: Error | undefined }> {
  const chunks: Buffer[] = [];
  return new Promise((resolve) => {
    stream.setHandler({
      data: (chunk) => void chunks.push(Buffer.from(chunk)),
      end: () => stream.end(),
      drain() {},
      close: (error) => resolve({ bytes: Buffer.concat(chunks), error }),
    });
    stream.resume();
  });
}

async function http2Server(
  onStream: (stream: ServerHttp2Stream, authority: string) => void,
  maxConcurrentStreams = 1_000,
) {
  const server = createServer({ settings: { initialWindowSize: 100_000, maxConcurrentStreams } });
  server.on("stream", (stream, headers) => {
    stream.on("error", () => undefined);
    onStream(stream, String(headers[":authority"]));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return { port: (server.address() as AddressInfo).port, server };
}

async function hboneServer(onConnect: (request: HboneRequest) => void) {
  const connections: HboneServerConnection[] = [];
  const listener = await listenTcp({ address: "127.0.0.1", port: 0 }, (stream) =>
    connections.push(serveHbone(asSecure(stream), { onConnect })),
  );
  return { port: listener.address.port, connections, listener };
}

function echo(stream: ByteStream): void {
  stream.setHandler({
    data: (chunk) => {
      if (!stream.write(Buffer.from(chunk))) stream.pause();
    },
    end: () => stream.end(),
    drain: () => stream.resume(),
    close: () => undefined,
  });
  stream.resume();
}

test("our client works with node:http2's server: megabytes both ways, half close, status, reset", async () => {
  const { port, server } = await http2Server((stream, authority) => {
    if (authority === "refuse:1") stream.respond({ ":status": 401 }, { endStream: true });
    else if (authority === "reset:1") stream.close(8);
    else {
      stream.respond({ ":status": 200, baggage: "service.name=them" });
      stream.pipe(stream);
    }
  });
  const { connect, pool, dialed } = poolTo(port);
  const tunnel = await connect();
  assert.equal(tunnel.peerIdentity, peerIdentity);
  assert.deepEqual(
    tunnel.responseHeaders.find(([name]) => name === "baggage"),
    ["baggage", "service.name=them"],
  );
  const sent = Buffer.alloc(3_000_000, "abcdefghij");
  const received = collect(tunnel);
  tunnel.write(sent);
  tunnel.end();
  const { bytes, error } = await received;
  assert.equal(error, undefined);
  assert.ok(bytes.equals(sent));
  await assert.rejects(connect("refuse:1"), { reason: "401", message: "http status: 401 Unauthorized" });
  await assert.rejects(connect("reset:1"), /CANCEL/);
  // The reset stream is retried once, on the same connection only, and is not answered either time.
  assert.equal(new Set(dialed).size, 1);
  pool.close();
  server.close();
});

test("our server works with node:http2's client: megabytes both ways, half close, status, headers, bad method", async () => {
  const requests: HboneRequest[] = [];
  const { port, listener } = await hboneServer((request) => {
    requests.push(request);
    if (request.authority === "deny:1") request.reject(401);
    else echo(request.accept([["baggage", "service.name=us"]]));
  });
  const session: ClientHttp2Session = connectHttp2(`http://127.0.0.1:${port}`);
  const stream = session.request({ ":method": "CONNECT", ":authority": "10.1.1.1:99", forwarded: 'for="1.1.1.1:1"' });
  const [headers] = (await once(stream, "response")) as [Record<string, string>];
  assert.equal(headers[":status"], 200);
  assert.equal(headers["baggage"], "service.name=us");
  assert.deepEqual(
    [requests[0]?.authority, requests[0]?.headers[0]],
    ["10.1.1.1:99", ["forwarded", 'for="1.1.1.1:1"']],
  );
  const sent = Buffer.alloc(2_000_000, "0123456789");
  const chunks: Buffer[] = [];
  stream.on("data", (chunk: Buffer) => chunks.push(chunk));
  stream.end(sent);
  await once(stream, "close");
  assert.ok(Buffer.concat(chunks).equals(sent));
  const statusOf = async (fields: Record<string, string>) => {
    const other = session.request(fields);
    const [answer] = (await once(other, "response")) as [Record<string, number>];
    other.resume();
    return answer[":status"];
  };
  assert.equal(await statusOf({ ":method": "CONNECT", ":authority": "deny:1" }), 401);
  assert.equal(await statusOf({ ":method": "GET", ":authority": "x", ":path": "/" }), 400);
  session.close();
  listener.close();
});

test("tunnels share a connection; a draining server sends new tunnels elsewhere and keeps the old ones", async () => {
  const { port, connections, listener } = await hboneServer((request) => echo(request.accept()));
  const { connect, dialed, pool } = poolTo(port);
  const [old, ...others] = await Promise.all([connect(), connect(), connect()]);
  assert.equal(dialed.length, 1);
  for (const tunnel of others) tunnel.destroy();
  connections[0]?.drain();
  // The drain itself waits for a round trip, in which the first GOAWAY reaches the client.
  while (dialed.length < 2) {
    const tunnel = await connect();
    tunnel.destroy();
  }
  const received = collect(old ?? assert.fail());
  old?.write(Buffer.from("still here"));
  old?.end();
  assert.equal((await received).bytes.toString(), "still here");
  pool.close();
  listener.close();
});

test("a reset of the application's connection becomes an error, and an orderly end does not", async () => {
  const streams: ByteStream[] = [];
  const { port, listener } = await hboneServer((request) => streams.push(request.accept()));
  const { connect, pool } = poolTo(port);
  const first = collect(await connect());
  const second = collect(await connect());
  streams[0]?.destroy({ reset: true });
  streams[1]?.write(Buffer.from("bye"));
  streams[1]?.end();
  assert.match(String((await first).error), /CANCEL/);
  const { bytes, error } = await second;
  assert.deepEqual([bytes.toString(), error], ["bye", undefined]);
  pool.close();
  listener.close();
});

test("a reader that stops blocks only its own sender at the window, and no other tunnel", async () => {
  const streams: ByteStream[] = [];
  const { port, listener } = await hboneServer((request) => streams.push(request.accept()));
  const { connect, pool } = poolTo(port);
  const [slow, quick] = [await connect(), await connect()];
  const megabyte = Buffer.alloc(1_048_576);
  let sent = 0;
  slow.setHandler({ data() {}, end() {}, drain() {}, close() {} });
  while (slow.bufferedBytes === 0) {
    slow.write(megabyte);
    sent += megabyte.length;
    await new Promise((resolve) => setImmediate(resolve));
    assert.ok(sent < 16 * megabyte.length, "the sender was never held up");
  }
  assert.ok(sent >= 4 * megabyte.length && sent <= 6 * megabyte.length, `${sent} bytes before the window closed`);
  echo(streams[1] as ByteStream);
  const received = collect(quick);
  quick.write(Buffer.from("quick"));
  quick.end();
  assert.equal((await received).bytes.toString(), "quick");
  const all = collect(streams[0] as ByteStream);
  slow.end();
  assert.equal((await all).bytes.length, sent);
  pool.close();
  listener.close();
});

test("a refused connection is an error with the address, and the pool forgets it", async () => {
  const { port, listener } = await hboneServer(() => undefined);
  listener.close();
  const { connect, pool } = poolTo(port);
  await assert.rejects(connect(), /ECONNREFUSED/);
  assert.equal(pool.connections, 0);
});

test("a connection has no more streams than its peer allows, at most 100, and a refused one goes elsewhere", async () => {
  const refused = new Set<string>();
  const { port, server } = await http2Server((stream, authority) => {
    if (authority === "refuse-once:1" && !refused.has(authority)) {
      refused.add(authority);
      stream.close(7);
      return;
    }
    stream.respond({ ":status": 200 });
  }, 2);
  const few = poolTo(port);
  // The peer's limit is known after the first answer.
  const tunnels = [await few.connect()];
  for (let count = 0; count < 4; count += 1) tunnels.push(await few.connect());
  assert.equal(few.pool.connections, 3);
  for (const tunnel of tunnels) tunnel.destroy();
  (await few.connect("refuse-once:1")).destroy();
  assert.equal(refused.size, 1);
  few.pool.close();
  server.close();

  const { port: open, listener } = await hboneServer((request) => request.accept());
  const many = poolTo(open);
  const all = await Promise.all(Array.from({ length: 150 }, () => many.connect()));
  assert.equal(many.pool.connections, 2);
  for (const tunnel of all) tunnel.destroy();
  many.pool.close();
  listener.close();
});

test("a pooled connection without a place, or that loses it, ends with its last tunnel", async () => {
  const { port, listener } = await hboneServer((request) => echo(request.accept()));
  let places = 0;
  let holder: { destroy(): void } | undefined;
  let isFull = false;
  const admit: HbonePoolOptions["admit"] = (connection) => {
    if (isFull) return undefined;
    holder = connection;
    places += 1;
    return { [Symbol.dispose]: () => void (places -= 1) };
  };
  const { pool, connect, dialed } = poolTo(port, { admit });
  const close = async (tunnel: HboneTunnel): Promise<void> => {
    const done = collect(tunnel);
    tunnel.end();
    await done;
  };
  await close(await connect());
  assert.deepEqual([pool.connections, places], [1, 1], "an idle connection stays");
  const busy = await connect();
  holder?.destroy();
  const second = await connect();
  assert.equal(dialed.length, 1, "a busy connection takes more tunnels");
  await close(second);
  assert.equal(pool.connections, 1);
  await close(busy);
  await until(() => pool.connections === 0);
  assert.equal(places, 0);

  const idle = await connect();
  await close(idle);
  holder?.destroy();
  await until(() => pool.connections === 0);

  isFull = true;
  await close(await connect());
  await until(() => pool.connections === 0);
  assert.equal(dialed.length, 3);
  listener.close();
});

test("a full pool ends the connection that has been idle for the longest time, and refuses only if all are busy", async () => {
  const { port, listener } = await hboneServer((request) => echo(request.accept()));
  let nowMs = 0;
  const clock: Clock = { ...systemClock, steadyMs: () => (nowMs += 1) };
  const { pool, connect } = poolTo(port, { maxConnections: 2, clock });
  const tunnels = await Promise.all([connect("a:1", "a"), connect("b:1", "b")]);
  await assert.rejects(connect("c:1", "c"), /holds 2 connections/);
  for (const tunnel of tunnels.toReversed()) {
    const done = collect(tunnel);
    tunnel.end();
    await done;
  }
  const third = await connect("c:1", "c");
  await until(() => pool.connections === 2);
  const again = await connect("a:2", "a");
  assert.equal(pool.connections, 2, "the connection of b, which was idle first, has ended");
  for (const tunnel of [third, again]) tunnel.destroy();
  pool.close();
  listener.close();
});

test("a full pool that ends a new connection before its first tunnel opens the tunnel on another one", async () => {
  const { port, listener } = await hboneServer((request) => echo(request.accept()));
  // Try the other connect at each step between the end of the dial and the first tunnel.
  for (let steps = 0; steps < 10; steps += 1) {
    const other = Promise.withResolvers<HboneTunnel>();
    let dials = 0;
    const { pool, connect } = poolTo(port, { maxConnections: 1 }, async (dialed) => {
      dials += 1;
      if (dials > 1) return;
      await dialed;
      for (let step = 0; step < steps; step += 1) await Promise.resolve();
      connect("b:1", "b").then(other.resolve, other.reject);
    });
    const results = await Promise.allSettled([connect("a:1", "a"), other.promise]);
    for (const result of results)
      if (result.status === "fulfilled") result.value.destroy();
      else assert.match(String(result.reason), /holds 1 connections/);
    pool.close();
    await until(() => pool.connections === 0);
  }
  listener.close();
});

test("a pool knows the connection that it dialed again after the last one of a target had gone", async () => {
  const { port, connections, listener } = await hboneServer((request) => {
    if (request.authority === "lost:1" && connections.length === 1) connections[0]?.close();
    else echo(request.accept());
  });
  const { pool, connect, dialed } = poolTo(port);
  const first = await connect();
  const again = await connect("lost:1");
  assert.equal(dialed.length, 2);
  const shared = await connect();
  assert.equal(dialed.length, 2, "a later tunnel shares the connection");
  for (const tunnel of [first, again, shared]) tunnel.destroy();
  pool.close();
  await until(() => pool.connections === 0);
  listener.close();
});
