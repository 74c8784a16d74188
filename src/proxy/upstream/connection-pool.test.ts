import assert from "node:assert/strict";
import { test } from "node:test";
import { seededRandom, systemClock, transientError, type Clock } from "../../base/index.ts";
import { HandClock } from "../../base/testing/index.ts";
import type { ByteStreamHandler } from "../../net/index.ts";
import { endpointAt } from "../testing/harness.ts";
import { ConnectionPool, type PoolLimits } from "./connection-pool.ts";
import type { ConnectContext, EndpointConfig, UpstreamStream } from "./endpoint.ts";
import { createLoadBalancer } from "./load-balancer.ts";
import type { ConnectFailure, PoolUser, WireProtocol } from "./pool-user.ts";
import type { UpstreamChannel } from "./upstream-channel.ts";
import { UpstreamConnection } from "./upstream-connection.ts";

class FakeStream implements UpstreamStream {
  alpnProtocol: string | undefined;
  handler: ByteStreamHandler | undefined;
  retiring = false;
  ended = false;
  readonly bufferedBytes = 0;
  readonly local = { address: "127.0.0.1", port: 1 };
  readonly remote = { address: "127.0.0.1", port: 2 };
  readonly fd = -1;
  readonly receivedBytes = 0;
  sentBytes = 0;
  setHandler(handler: ByteStreamHandler): void {
    this.handler = handler;
  }
  write(): boolean {
    return true;
  }
  end(): void {
    this.ended = true;
  }
  destroy(): void {
    this.ended = true;
  }
  pause(): void {}
  resume(): void {}
}

class User implements PoolUser {
  readonly upstreamProtocol: WireProtocol;
  channel: UpstreamChannel | undefined;
  failure: ConnectFailure | undefined;
  constructor(protocol: WireProtocol) {
    this.upstreamProtocol = protocol;
  }
  get connection(): UpstreamConnection | undefined {
    return this.channel instanceof UpstreamConnection ? this.channel : undefined;
  }
  connected(channel: UpstreamChannel): void {
    this.channel = channel;
  }
  connectFailed(failure: ConnectFailure): void {
    this.failure = failure;
  }
}

interface Dial {
  readonly protocol: string | undefined;
  succeed(alpnProtocol?: string, retiring?: boolean): Promise<FakeStream>;
  fail(): Promise<void>;
}

function poolWith(
  limits: Partial<PoolLimits> = {},
  clock: Clock = systemClock,
): {
  pool: ConnectionPool;
  dials: Dial[];
  /**
   * Lets a new user acquire a connection. Resolves with the user once the pool has begun to open a connection, if one
   * is needed.
   */
  acquire: (fresh?: boolean, protocol?: WireProtocol) => Promise<User>;
} {
  const dials: Dial[] = [];
  const connect = async (
    _endpoint: EndpointConfig,
    _timeoutMs: number,
    context?: ConnectContext,
  ): Promise<UpstreamStream> => {
    const { promise, resolve, reject } = Promise.withResolvers<UpstreamStream>();
    const turn = async (): Promise<void> => await new Promise((done) => setImmediate(done));
    dials.push({
      protocol: context?.protocol,
      succeed: async (alpnProtocol, retiring = false) => {
        const stream = new FakeStream();
        stream.retiring = retiring;
        stream.alpnProtocol = alpnProtocol;
        resolve(stream);
        await turn();
        return stream;
      },
      fail: async () => {
        reject(transientError("connection-refused", "refused"));
        await turn();
      },
    });
    return await promise;
  };
  const pool = new ConnectionPool({
    endpoint: endpointAt(80),
    connector: { connect },
    clock,
    counters: { connectionsOpened: 0, connectFailures: 0, connectTimeouts: 0, connectionsClosed: 0 },
    limits: {
      connectTimeoutMs: 1000,
      maxConnections: Infinity,
      maxPendingRequests: Infinity,
      maxRequestsPerConnection: 0,
      idleTimeoutMs: 60_000,
      ...limits,
    },
  });
  const acquire = async (fresh = false, protocol: WireProtocol = "http1"): Promise<User> => {
    const user = new User(protocol);
    pool.acquire(user, fresh);
    await Promise.resolve();
    return user;
  };
  return { pool, dials, acquire };
}

test("a freed connection serves the user that has waited longest, and the connection that is being opened is kept for later", async () => {
  const { pool, dials, acquire } = poolWith();
  const first = await acquire();
  await dials[0]?.succeed();
  const second = await acquire();
  assert.equal(second.connection, undefined);
  pool.release(first.connection ?? assert.fail());
  assert.equal(second.connection, first.connection);
  await dials[1]?.succeed();
  assert.equal(pool.openConnections, 2);
  const third = await acquire();
  assert.notEqual(third.connection, second.connection);
  assert.equal(dials.length, 2);
});

test("with room for one connection, a failed attempt fails one request and the next is tried", async () => {
  const { dials, acquire } = poolWith({ maxConnections: 1 });
  const [first, second] = [await acquire(), await acquire()];
  assert.equal(dials.length, 1);
  await dials[0]?.fail();
  assert.deepEqual([first.failure?.kind, second.failure], ["connection-failure", undefined]);
  await dials[1]?.succeed();
  assert.ok(second.connection !== undefined);
});

test("a request that is withdrawn in the turn in which it arrived opens no connection", async () => {
  const { pool, dials } = poolWith({ maxConnections: 2 });
  const [gone, stays, last] = [new User("http1"), new User("http1"), new User("http1")];
  for (const user of [gone, stays]) pool.acquire(user, false);
  pool.giveUp(gone);
  await Promise.resolve();
  assert.deepEqual([dials.length, pool.dialing], [1, 1]);
  await dials[0]?.succeed();
  assert.ok(stays.connection !== undefined && gone.connection === undefined);
  // A connection that was not opened does not count against the limit.
  pool.acquire(last, false);
  await Promise.resolve();
  await dials[1]?.succeed();
  assert.ok(last.connection !== undefined);
});

test("requests beyond the pending limit are refused at once", async () => {
  const { acquire } = poolWith({ maxPendingRequests: 1, maxConnections: 1 });
  await acquire();
  assert.equal((await acquire()).failure?.kind, "overflow");
});

test("a drained pool serves users that already wait, and keeps no connection", async () => {
  const { pool, dials, acquire } = poolWith();
  const waiting = await acquire();
  pool.drain();
  const stream = await dials[0]?.succeed();
  pool.release(waiting.connection ?? assert.fail());
  assert.equal(stream?.ended, true);
});

test("an HTTP/1.1 connection whose carrier drains is not used again, whether idle or just released", async () => {
  const { pool, dials, acquire } = poolWith();
  const first = await acquire();
  const stream = (await dials[0]?.succeed()) ?? assert.fail();
  pool.release(first.connection ?? assert.fail());
  stream.retiring = true;
  pool.sweep(systemClock.steadyMs());
  assert.deepEqual([stream.ended, pool.openConnections], [true, 0]);
  await acquire();
  assert.equal(dials.length, 2);
});

test("an HTTP/2 connection whose carrier drains ends with its last stream, or at once without one", async () => {
  const { pool, dials, acquire } = poolWith();
  const turn = async (): Promise<void> => await new Promise((resolve) => setImmediate(resolve));
  const idle = await acquire(false, "http2");
  const idleStream = (await dials[0]?.succeed()) ?? assert.fail();
  idle.channel?.abandon();
  idleStream.retiring = true;
  const busy = await acquire(false, "http2");
  const busyStream = (await dials[1]?.succeed()) ?? assert.fail();
  busyStream.retiring = true;
  pool.sweep(systemClock.steadyMs());
  await turn();
  assert.deepEqual([idleStream.ended, busyStream.ended], [true, false]);
  busy.channel?.abandon();
  await turn();
  assert.equal(busyStream.ended, true);
});

test("a connection whose carrier drains from the start serves only one waiting user", async () => {
  const { pool, dials, acquire } = poolWith();
  const first = await acquire();
  const stream = (await dials[0]?.succeed(undefined, true)) ?? assert.fail();
  assert.ok(first.connection !== undefined);
  first.connection.requests = 1;
  pool.release(first.connection);
  assert.deepEqual([stream.ended, dials.length], [true, 1]);
  const [second, third] = [await acquire(false, "http2"), await acquire(false, "http2")];
  await dials[1]?.succeed(undefined, true);
  assert.ok(second.channel !== undefined);
  assert.equal(third.channel, undefined);
  assert.equal(dials.length, 3, "one more, for the one that still waits");
});

test("a fresh connection is never a used one, and a connection is retired after its number of requests", async () => {
  const { pool, dials, acquire } = poolWith({ maxRequestsPerConnection: 1 });
  const first = await acquire();
  const stream = await dials[0]?.succeed();
  if (first.connection !== undefined) first.connection.requests = 1;
  pool.release(first.connection ?? assert.fail());
  assert.equal(stream?.ended, true);
  await acquire(true);
  assert.equal(dials.length, 2);
});

test("a connection whose request left before it opened is kept briefly, and a used one for the idle timeout", async () => {
  const { pool, dials, acquire } = poolWith();
  const used = await acquire();
  await dials[0]?.succeed();
  pool.giveUp(await acquire());
  const surplus = (await dials[1]?.succeed()) ?? assert.fail();
  pool.release(used.connection ?? assert.fail());
  pool.sweep(systemClock.steadyMs() + 4000);
  assert.deepEqual([surplus.ended, pool.openConnections], [false, 2]);
  pool.sweep(systemClock.steadyMs() + 5001);
  assert.deepEqual([surplus.ended, pool.openConnections], [true, 1]);
});

test("a connection older than its maximum takes no more requests, whether idle or just released", async () => {
  const { pool, dials, acquire } = poolWith({ maxDurationMs: 10_000 });
  const [idle, busy] = [await acquire(), await acquire()];
  const idleStream = await dials[0]?.succeed();
  await dials[1]?.succeed();
  const shared = await acquire(false, "http2");
  const sharedStream = await dials[2]?.succeed();
  pool.release(idle.connection ?? assert.fail());
  pool.sweep(systemClock.steadyMs() + 9000);
  assert.equal(pool.openConnections, 3);
  pool.sweep(systemClock.steadyMs() + 10_001);
  assert.deepEqual([idleStream?.ended, pool.openConnections], [true, 2]);
  pool.limits = { ...pool.limits, maxDurationMs: 0 };
  pool.release(busy.connection ?? assert.fail());
  assert.equal(pool.openConnections, 1);
  shared.channel?.abandon();
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(sharedStream?.ended, true);
});

test("all waiting users share one dialled HTTP/2 connection", async () => {
  const { pool, dials, acquire } = poolWith();
  const users = await Promise.all(Array.from({ length: 20 }, () => acquire(false, "http2")));
  assert.deepEqual(
    dials.map((dial) => dial.protocol),
    ["http2"],
  );
  const stream = await dials[0]?.succeed();
  assert.ok(users.every((user) => user.channel !== undefined && user.connection === undefined));
  assert.equal(new Set(users.map((user) => user.channel)).size, 20);
  (await acquire(false, "http2")).channel?.abandon();
  pool.drain();
  for (const user of users) user.channel?.abandon();
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual([stream?.ended, dials.length], [true, 1]);
});

test("users of a removed endpoint fail a second after they came, by one timer for all of them", async () => {
  const clock = new HandClock();
  const { pool, acquire } = poolWith({}, clock);
  const early = await Promise.all(Array.from({ length: 100 }, async () => await acquire()));
  clock.pass(5000);
  pool.remove();
  clock.pass(400);
  const late = [await acquire(), await acquire(false, "http2")];
  assert.equal(clock.timers, 1);
  const left = (): number => [...early, ...late].filter(({ failure }) => failure === undefined).length;
  clock.pass(599);
  assert.equal(left(), 102);
  clock.pass(1);
  assert.deepEqual([left(), clock.timers, clock.nextTimerMs], [2, 1, 400]);
  const [one] = late;
  assert.ok(one !== undefined);
  pool.giveUp(one);
  clock.pass(400);
  assert.deepEqual([left(), pool.pendingRequests, clock.timers], [1, 0, 0], "who gave up is told nothing");
});

test("TLS decides the protocol: with HTTP/1.1, users that waited to share a connection each get their own", async () => {
  const { dials, acquire } = poolWith();
  const first = await acquire(false, "alpn");
  await dials[0]?.succeed("h2");
  assert.ok(first.channel !== undefined && first.connection === undefined);
  const other = poolWith();
  const users = await Promise.all([1, 2, 3].map(() => other.acquire(false, "alpn")));
  for (let index = 0; index < 3; index += 1) await other.dials[index]?.succeed(index === 0 ? "http/1.1" : undefined);
  assert.deepEqual(
    users.map((user) => user.connection !== undefined),
    [true, true, true],
  );
  assert.deepEqual(
    other.dials.map((dial) => dial.protocol),
    ["alpn", "alpn", "alpn"],
  );
});

test("a full round meets the weights exactly, and least requests prefers the endpoint with fewer requests", () => {
  const endpoint = (weight: number) => ({ config: { weight }, activeRequests: 0, picked: 0 });
  const weighted = [endpoint(5), endpoint(3), endpoint(2)];
  const balancer = createLoadBalancer("round-robin", { endpoints: weighted, random: seededRandom(1) });
  for (let index = 0; index < 1000; index += 1) {
    const picked = balancer.pick();
    if (picked !== undefined) picked.picked += 1;
  }
  assert.deepEqual(
    weighted.map((one) => one.picked),
    [500, 300, 200],
  );
  const equal = Array.from({ length: 4 }, () => endpoint(1));
  const least = createLoadBalancer("least-request", { endpoints: equal, random: seededRandom(1) });
  for (let index = 0; index < 400; index += 1) {
    const picked = least.pick();
    if (picked !== undefined) picked.activeRequests += 1;
  }
  const loads = equal.map((one) => one.activeRequests);
  assert.ok(Math.max(...loads) - Math.min(...loads) <= 4, String(loads));
});
