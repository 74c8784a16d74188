import assert from "node:assert/strict";
import { test } from "node:test";
import { ConnectionLimit } from "./connection-limit.ts";
import { collectGarbage, oldBytes, suspicion } from "./testing/index.ts";

function server(max: number) {
  const limit = new ConnectionLimit(max);
  const destroyed: string[] = [];
  const connect = (name: string, address: string): (() => void) => {
    const connection = { destroy: () => void destroyed.push(name) };
    const place = limit.admit(connection, address);
    return () => place?.[Symbol.dispose]();
  };
  return { connect, destroyed };
}

test("an address that holds all connections loses its oldest one to another address, and can open no further ones", () => {
  const { connect, destroyed } = server(4);
  for (let index = 0; index < 4; index += 1) connect(`a${index}`, "10.0.0.1");
  connect("b0", "10.0.0.2");
  assert.deepEqual(destroyed, ["a0"]);
  connect("a4", "10.0.0.1");
  assert.deepEqual(destroyed, ["a0", "a4"], "the newcomer is of the address with the most connections");
  connect("b1", "10.0.0.2");
  assert.deepEqual(destroyed, ["a0", "a4", "a1"]);
  connect("b2", "10.0.0.2");
  assert.deepEqual(destroyed, ["a0", "a4", "a1", "b2"], "both have two, so nobody is cut off");
});

test("an ended connection frees exactly one place, even if it ends twice or was cut off before", () => {
  const { connect, destroyed } = server(2);
  const end = connect("a0", "10.0.0.1");
  connect("a1", "10.0.0.1");
  end();
  end();
  const endSecond = connect("a2", "10.0.0.1");
  assert.deepEqual(destroyed, []);
  connect("b0", "10.0.0.2");
  assert.deepEqual(destroyed, ["a1"]);
  connect("c0", "10.0.0.3");
  assert.deepEqual(destroyed, ["a1", "c0"], "each address has one");
  endSecond();
  connect("c1", "10.0.0.3");
  assert.deepEqual(destroyed, ["a1", "c0"]);
});

test("a client that holds all connections from the addresses of one IPv6 network leaves room for other networks", () => {
  const { connect, destroyed } = server(20);
  for (let index = 0; index < 20; index += 1) connect(`a${index}`, `2001:db8::${index.toString(16)}:1`);
  connect("b0", "192.0.2.1");
  connect("c0", "2001:db8:0:1::1");
  connect("c1", "2001:db8:0:1::1");
  assert.deepEqual(destroyed, ["a0", "a1", "a2"]);
  connect("a20", "2001:db8::ffff:1");
  assert.deepEqual(destroyed, ["a0", "a1", "a2", "a20"], "the newcomer is of the network with the most connections");
});

test("a pod of a node with few pods takes only a few connections of those of a node with many pods", () => {
  const { connect, destroyed } = server(200);
  for (let index = 0; index < 200; index += 1) connect("honest", `fd00:0:0:1::${(index % 20).toString(16)}`);
  for (let index = 0; index < 100; index += 1) connect("other", "fd00:0:0:2::1");
  assert.equal(destroyed.filter((name) => name === "honest").length, 9);
});

test("the time of a newcomer to a full server does not depend on the number of connections", () => {
  const run = (size: number): void => {
    const { connect, destroyed } = server(size);
    for (let index = 0; index < size; index += 1) connect(`a${index}`, "10.0.0.1");
    for (let index = 0; index < size / 4; index += 1) connect(`b${index}`, "10.0.0.2");
    assert.equal(destroyed.at(-1), `a${size / 4 - 1}`);
  };
  assert.equal(
    suspicion(run, (size) => size, 32_000),
    undefined,
  );
});

test("short connections are collected before they reach the old space, also after a full collection", () => {
  const limit = new ConnectionLimit(1000);
  const open: Disposable[] = [];
  const connect = (): void => {
    const held = Array.from({ length: 500 }, (_, index) => index);
    const place = limit.admit({ destroy: () => held.length }, "10.0.0.1");
    open.push(place ?? assert.fail());
    if (open.length > 16) open.shift()?.[Symbol.dispose]();
  };
  for (let count = 0; count < 100; count += 1) connect();
  // Everything that lives during a full collection becomes old, so collect before the measurement.
  collectGarbage("all");
  const before = oldBytes();
  for (let count = 1; count <= 4000; count += 1) {
    connect();
    if (count % 200 === 0) collectGarbage("minor");
  }
  // The 4,000 connections together have 16 MB.
  assert.ok(oldBytes() - before < 2_000_000, `${oldBytes() - before} bytes became old`);
});
