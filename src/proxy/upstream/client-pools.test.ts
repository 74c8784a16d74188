import assert from "node:assert/strict";
import { test } from "node:test";
import { systemClock } from "../../base/index.ts";
import { endpointAt } from "../testing/harness.ts";
import { ClientPools, maxClientPools } from "./client-pools.ts";

function createPools(): ClientPools {
  return new ClientPools({
    endpoint: endpointAt(80),
    connector: { connect: () => Promise.reject(new Error("nobody dials in this test")) },
    clock: systemClock,
    limits: {
      connectTimeoutMs: 1000,
      maxConnections: 10,
      maxPendingRequests: 10,
      maxRequestsPerConnection: 0,
      idleTimeoutMs: 60_000,
    },
    counters: { connectionsOpened: 0, connectFailures: 0, connectTimeouts: 0, connectionsClosed: 0 },
  });
}

test("each client's address has a pool, and the pool that was unused for longest is removed for a new one", () => {
  const pools = createPools();
  const poolOf = (host: number): object => pools.ofSource({ address: `10.0.${host >> 8}.${host & 255}`, mark: 1337 });
  const [first, second] = [poolOf(0), poolOf(1)];
  assert.notEqual(first, second);
  for (let host = 2; host < maxClientPools; host += 1) poolOf(host);
  assert.equal(poolOf(0), first);
  poolOf(maxClientPools);
  assert.equal(pools.size, maxClientPools);
  assert.equal(poolOf(0), first, "it was asked for since");
  assert.notEqual(poolOf(1), second, "it made way");
});

test("clients with their own connections make way for a new one, the one that was unused for longest first", () => {
  const pools = createPools();
  const poolOf = (address: string, port: number): object | undefined =>
    pools.get({ remote: { address, port }, local: { address: "10.0.0.2", port: 80 }, tls: undefined, peer: undefined });
  const [first, second] = [poolOf("10.0.0.1", 0), poolOf("10.0.0.1", 1)];
  for (let port = 2; port < maxClientPools; port += 1) poolOf("10.0.0.1", port);
  assert.equal(poolOf("10.0.0.1", 0), first);
  const other = poolOf("10.0.0.3", 1);
  assert.notEqual(other, undefined, "one address has all pools, and another client gets one");
  assert.equal(pools.size, maxClientPools);
  assert.deepEqual([poolOf("10.0.0.1", 0), poolOf("10.0.0.3", 1)], [first, other]);
  assert.notEqual(poolOf("10.0.0.1", 1), second, "it made way");
});
