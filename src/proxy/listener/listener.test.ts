import assert from "node:assert/strict";
import { test } from "node:test";
import type { ConnectionInfo } from "../terms/connection-info.ts";
import type { ListenerSpec } from "./listener-spec.ts";
import { silentLogger, systemClock } from "../../base/index.ts";
import { HandClock } from "../../base/testing/index.ts";
import type { ByteListener, ByteStream, ByteStreamHandler } from "../../net/index.ts";
import { ActiveListener, type ListenerRuntime } from "./listener.ts";

/** A listener on an address whose socket opens when the test lets it open. */
function opening() {
  const attempts: PromiseWithResolvers<ByteListener>[] = [];
  let closed = 0;
  const listen = async (): Promise<ByteListener> => {
    const one = Promise.withResolvers<ByteListener>();
    attempts.push(one);
    return await one.promise;
  };
  const spec = {
    name: "l",
    kind: "bound",
    addresses: [{ address: "127.0.0.1", port: 80 }],
    chains: [],
    defaultChain: undefined,
  } as unknown as ListenerSpec;
  const listener = new ActiveListener(spec, {
    listen,
    clock: systemClock,
    log: silentLogger,
  } as unknown as ListenerRuntime);
  const open = async (): Promise<void> => {
    attempts.shift()?.resolve({ address: { address: "127.0.0.1", port: 80 }, close: () => void (closed += 1) });
    await new Promise((resolve) => setImmediate(resolve));
  };
  return { listener, open, attempts: () => attempts.length, closed: () => closed };
}

test("a listener that is removed while its socket opens does not listen", async () => {
  const { listener, open, closed } = opening();
  const bound = listener.bind();
  await new Promise((resolve) => setImmediate(resolve));
  listener.stopListening();
  await open();
  await bound;
  assert.deepEqual([listener.addresses, closed()], [[], 1]);
});

test("a socket opens once, however often it is requested meanwhile", async () => {
  const { listener, open, attempts, closed } = opening();
  const bound = [listener.bind(), listener.bind(), listener.bind()];
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(attempts(), 1);
  await open();
  await Promise.all(bound);
  assert.deepEqual([attempts(), listener.bound, closed()], [0, true, 0]);
});

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/**
 * An internal listener. Each of its chains is named after the destination that it serves, and reports the connections
 * that it gets.
 */
function internal({ lingerMs = 2000, kind = "internal", maxConnectionsOfListener = 1000 } = {}) {
  const clock = new HandClock();
  const served: string[] = [];
  const specWith = (...names: string[]): ListenerSpec =>
    ({
      name: "main_internal",
      kind,
      addresses: [],
      inspectors: [],
      chains: names.map((name) => ({
        name,
        serves: { kind: "tcp" },
        maxConnections: Infinity,
        filters: [{ name: "test", onConnection: () => (served.push(name), new Promise(() => undefined)) }],
      })),
      defaultChain: undefined,
      matcher: ({ local }: ConnectionInfo) => local.address,
    }) as unknown as ListenerSpec;
  let refused = 0;
  const listener = new ActiveListener(specWith("first"), {
    lingerMs,
    maxConnectionsOfListener,
    admits: () => true,
    observeRefused: () => (refused += 1),
    clock,
    log: silentLogger,
    chains: { clock },
  } as unknown as ListenerRuntime);
  const connect = async (
    address: string,
    peer = "10.1.0.1",
  ): Promise<{ readonly state: () => string; end(): void }> => {
    let state = "open";
    let handler: ByteStreamHandler | undefined;
    const stream = {
      remote: { address: peer, port: 1 },
      setHandler: (next: ByteStreamHandler) => (handler = next),
      destroy: () => (state = "destroyed"),
    } as unknown as ByteStream;
    const arrival = { local: { address, port: 80 }, remote: stream.remote, tls: undefined, peer: undefined };
    listener.accept(stream, arrival);
    await turn();
    return { state: () => state, end: () => handler?.close(undefined) };
  };
  return { listener, clock, served, specWith, connect, refused: () => refused };
}

test("a connection to an internal listener waits for the chain of a service that its client knows earlier", async () => {
  const { listener, clock, served, specWith, connect, refused } = internal();
  const early = await connect("second");
  assert.deepEqual([served, early.state(), listener.connections], [[], "open", 1]);
  listener.reconfigure(specWith("first", "other"));
  await turn();
  assert.deepEqual(served, []);
  clock.pass(1999);
  listener.reconfigure(specWith("first", "second"));
  await turn();
  assert.deepEqual([served, early.state(), listener.connections], [["second"], "open", 0]);

  const late = await connect("third");
  clock.pass(1999);
  await turn();
  assert.equal(late.state(), "open");
  clock.pass(1);
  await turn();
  assert.deepEqual([late.state(), refused(), listener.counters.noFilterChain], ["destroyed", 1, 1]);
  const gone = await connect("third");
  gone.end();
  await turn();
  assert.deepEqual([gone.state(), listener.connections], ["destroyed", 0], "a client that leaves waits no more");
});

test("few connections of a client wait for a chain, and none to other listeners", async () => {
  const { listener, connect } = internal();
  const states: string[] = [];
  for (let index = 0; index < 33; index += 1) states.push((await connect("second")).state());
  assert.deepEqual(states, [...Array.from({ length: 32 }, () => "open"), "destroyed"]);
  assert.equal((await connect("second", "10.1.0.2")).state(), "open");
  assert.equal(listener.connections, 33);
  for (const other of [internal({ kind: "bound" }), internal({ lingerMs: 0 })])
    assert.equal((await other.connect("second")).state(), "destroyed");
});

test("a removed chain of an internal listener accepts connections of clients that do not know yet", async () => {
  const { listener, clock, served, specWith, connect } = internal();
  listener.reconfigure(specWith("second", "third"));
  listener.reconfigure(specWith("third"));
  clock.pass(1999);
  listener.sweep(2000, 10_000);
  for (const name of ["first", "second", "third"]) await connect(name);
  assert.deepEqual(served, ["first", "second", "third"]);
  assert.ok(listener.acceptsForRemoved);
  assert.deepEqual([listener.drainingConnections, listener.connections], [0, 0], "connections are counted, not chains");
  clock.pass(1);
  listener.sweep(2000, 10_000);
  await connect("first");
  assert.deepEqual([served.length, listener.acceptsForRemoved, listener.chains().length], [3, false, 1]);

  const bound = internal({ kind: "bound" });
  bound.listener.reconfigure(bound.specWith("second"));
  await bound.connect("first");
  assert.deepEqual([bound.served, bound.listener.acceptsForRemoved], [[], false]);
});

test("the newest of the chains that had one name before it was removed accepts connections", async () => {
  const { listener, served, specWith, connect } = internal();
  const replaced = specWith("first");
  const [chain] = replaced.chains;
  assert.ok(chain !== undefined);
  const filter = { name: "test", onConnection: () => (served.push("replaced"), new Promise(() => undefined)) };
  const serves = { kind: "http", http: {} };
  listener.reconfigure({ ...replaced, chains: [{ ...chain, serves, filters: [filter] }] } as unknown as ListenerSpec);
  assert.equal(listener.chains().length, 2, "the old chain cannot serve the new specification");
  listener.reconfigure(specWith("other"));
  await connect("first");
  assert.deepEqual(served, ["replaced"]);
});

test("a listener counts the connections of its chains only when it may be full, because it may have thousands", async () => {
  const { listener, connect, served } = internal();
  const chains = listener.chains.bind(listener);
  let counts = 0;
  listener.chains = () => {
    counts += 1;
    return chains();
  };
  for (let connection = 0; connection < 10; connection += 1) await connect("first");
  assert.deepEqual([served.length, counts], [10, 0]);
});

test("a client that opens all connections of a listener loses its oldest ones to other clients", async () => {
  const { connect } = internal({ maxConnectionsOfListener: 20 });
  const flood = [];
  for (let index = 0; index < 20; index += 1) flood.push(await connect("second", "192.0.2.1"));
  const honest = [await connect("second", "192.0.2.2"), await connect("second", "192.0.2.2")];
  assert.deepEqual(
    honest.map(({ state }) => state()),
    ["open", "open"],
  );
  assert.deepEqual(flood.map(({ state }) => state()).slice(0, 3), ["destroyed", "destroyed", "open"]);
  assert.equal((await connect("second", "192.0.2.1")).state(), "destroyed");
});
