import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { HandClock } from "../../base/testing/index.ts";
import { ConnectionRoom, connectionsPerThread, type HeldConnection } from "./connection-room.ts";

const max = 128;
let clock: HandClock;
let open: Set<HeldConnection & { readonly order: number }>;
let room: ConnectionRoom;
let looks: number;

beforeEach(() => {
  clock = new HandClock();
  open = new Set();
  looks = 0;
  const held = (): typeof open => {
    looks += 1;
    return open;
  };
  room = new ConnectionRoom({ max, held, clock });
});

function connect(peer: string, count: number): number {
  let admitted = 0;
  for (let order = 0; order < count; order += 1) {
    if (!room.admits(peer)) continue;
    admitted += 1;
    const connection = { peer, order, abort: () => void open.delete(connection) };
    open.add(connection);
  }
  return admitted;
}

const countOf = (peer: string): number => [...open].filter((connection) => connection.peer === peer).length;

test("a flood from one address is refused at the limit, and costs other addresses nothing", () => {
  assert.equal(connect("honest", 10), 10);
  assert.equal(connect("flood", 1000), max - 10);
  assert.equal(connect("new", 5), 5);
  assert.deepEqual([countOf("honest"), countOf("new")], [10, 5]);
  assert.ok(open.size <= max);
  assert.ok(
    [...open].every(({ peer, order }) => peer !== "flood" || order >= 4),
    "the oldest connections of the flood left",
  );
});

test("a flood from several addresses leaves room for an address with fewer connections", () => {
  connect("one", 100);
  connect("two", 100);
  assert.equal(connect("honest", 20), 20);
  assert.equal(countOf("honest"), 20);
  assert.ok(open.size <= max);
});

test("a refused address causes one look at all connections in a while", () => {
  connect("flood", 5000);
  const before = looks;
  assert.equal(connect("flood", 5000), 0);
  assert.equal(looks, before);
  clock.pass(100);
  open.clear();
  assert.equal(connect("flood", 1), 1);
});

test("refused addresses that take turns cause one look each", () => {
  connect("192.0.2.1", max / 2);
  connect("192.0.2.2", max / 2);
  const before = looks;
  for (let round = 0; round < 100; round += 1) assert.equal(connect("192.0.2.1", 1) + connect("192.0.2.2", 1), 0);
  assert.equal(looks, before + 2);
});

test("a client with all addresses of an IPv6 network leaves room for others, and causes one look in a while", () => {
  const connectMany = (from: number, count: number): number => {
    let admitted = 0;
    for (let index = from; index < from + count; index += 1)
      admitted += connect(`2001:db8::${index.toString(16)}:1`, 1);
    return admitted;
  };
  assert.equal(connectMany(0, 1000), max);
  assert.equal(looks, 1);
  assert.equal(connect("192.0.2.1", 6), 6);
  assert.equal(connectMany(1000, 1000), 0, "a flood takes no connections of a smaller network");
  assert.equal(countOf("192.0.2.1"), 6);
  assert.ok(open.size <= max);
});

const heldWithin =
  (connections: ReadonlySet<HeldConnection>, lookMs: number): (() => ReadonlySet<HeldConnection>) =>
  () => {
    looks += 1;
    clock.pass(lookMs);
    return connections;
  };

test("looks take at most a tenth of the thread's time, however long one takes", () => {
  const honest = new Set<HeldConnection>();
  for (let index = 0; index < max; index += 1) honest.add({ peer: `192.0.2.${index}`, abort: () => undefined });
  const lookMs = 20;
  room = new ConnectionRoom({ max, held: heldWithin(honest, lookMs), clock });
  const startedMs = clock.steadyMs();
  for (let index = 0; index < 5000; index += 1) {
    room.admits(`198.51.${index >> 8}.${index & 255}`);
    clock.pass(1);
  }
  const saved = 100;
  const most = (saved + (clock.steadyMs() - startedMs) / 10) / lookMs + 2;
  assert.ok(looks > 5 && looks <= most, `${looks} looks`);
});

test("a look for one newcomer does not keep the next ones out", () => {
  connect("flood", max);
  room = new ConnectionRoom({ max, held: heldWithin(open, 1), clock });
  for (let used = 0; used < max; used += 1) room.admits("flood");
  assert.deepEqual(
    ["192.0.2.1", "192.0.2.2", "192.0.2.3"].map((newcomer) => connect(newcomer, 1)),
    [1, 1, 1],
  );
});

test("connections that have ended make room without a look at each new one", () => {
  for (let round = 0; round < 100; round += 1) {
    assert.equal(connect("client", 10), 10);
    open.clear();
  }
  assert.ok(looks < 10, `${looks} looks`);
});

test("a thread gets its share of the descriptors, and is not limited where the kernel sets no limit", () => {
  assert.equal(connectionsPerThread(20_000, 2), 4545);
  assert.equal(connectionsPerThread(Infinity, 2), Infinity);
});
