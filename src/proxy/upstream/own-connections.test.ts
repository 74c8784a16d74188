import assert from "node:assert/strict";
import { test } from "node:test";
import { OwnConnections } from "./own-connections.ts";

function streamTo(port: number, from: number): { fd: number; local: Address; remote: Address; destroy(): void } {
  return {
    fd: 7,
    local: { address: "127.0.0.1", port: from },
    remote: { address: "127.0.0.1", port },
    destroy(): void {
      this.fd = -1;
    },
  };
}

interface Address {
  readonly address: string;
  readonly port: number;
}

test("a connection to an own port that closes before its request is evaluated is still recognised as the proxy's own", () => {
  const own = new OwnConnections([15_000]);
  const stream = streamTo(15_000, 40_000);
  own.add(stream);
  own.add(streamTo(80, 40_001));
  stream.destroy();
  own.sweep(1000);
  own.sweep(60_000);
  assert.equal(own.has(40_000, 15_000), true);
  assert.equal(own.has(40_001, 80), false, "other ports are nobody's concern");
  own.sweep(61_000);
  assert.equal(own.has(40_000, 15_000), false);
});

test("opening many connections to own ports does not evict the first ones", () => {
  const own = new OwnConnections([15_000]);
  for (let from = 10_000; from < 14_096; from += 1) {
    const stream = streamTo(15_000, from);
    own.add(stream);
    stream.destroy();
  }
  const beyond = streamTo(15_000, 20_000);
  assert.throws(() => own.add(beyond), /more than 4096 connections lead to this proxy's own ports/);
  assert.equal(beyond.fd, -1);
  assert.equal(own.has(10_000, 15_000), true);
});
