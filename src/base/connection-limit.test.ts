import assert from "node:assert/strict";
import { test } from "node:test";
import { ConnectionLimit } from "./connection-limit.ts";

function server(max: number) {
  const limit = new ConnectionLimit<{ destroy(): void }>(max);
  const destroyed: string[] = [];
  const connect = (name: string, address: string): (() => void) => {
    const connection = { destroy: () => void destroyed.push(name) };
    limit.admit(connection, address);
    return () => limit.release(connection, address);
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
