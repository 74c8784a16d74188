import assert from "node:assert/strict";
import { test } from "node:test";
import { HandClock } from "../../base/testing/index.ts";
import { ForwardNames, type ForwardNameRules } from "./forward-names.ts";

const rules: ForwardNameRules = {
  defaultPort: 80,
  maxHosts: 2,
  refreshMs: 1000,
  minTtlMs: 500,
  idleMs: 5000,
  queryTimeoutMs: 100,
  family: "all",
};

test("a name is resolved once for all requests, again when the answer is old, and forgotten when unused", async () => {
  const clock = new HandClock();
  const queries: string[] = [];
  let addresses = ["192.0.2.1", "192.0.2.2"];
  const names = new ForwardNames(
    rules,
    (name) => {
      queries.push(name);
      return Promise.resolve({ addresses });
    },
    clock,
  );
  assert.deepEqual(await Promise.all([names.addressOf("a.test", "10.0.0.1"), names.addressOf("a.test", "10.0.0.1")]), [
    "192.0.2.2",
    "192.0.2.1",
  ]);
  assert.equal(names.addressOf("a.test", "10.0.0.1"), "192.0.2.2");
  assert.deepEqual(queries, ["a.test"]);
  clock.pass(1000);
  addresses = ["192.0.2.9"];
  assert.equal(names.addressOf("a.test", "10.0.0.1"), "192.0.2.1", "the old answer serves until the next has come");
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(names.addressOf("a.test", "10.0.0.1"), "192.0.2.9");
  clock.pass(5000);
  names.sweep(clock.steadyMs());
  assert.equal(names.size, 0);
});

test("a name is resolved again when its records are no longer valid, but not earlier than the shortest time", async () => {
  const clock = new HandClock();
  let queryCount = 0;
  let ttlMs = 2000;
  const names = new ForwardNames(
    rules,
    () => {
      queryCount += 1;
      return Promise.resolve({ addresses: ["192.0.2.1"], ttlMs });
    },
    clock,
  );
  const queriesAfter = async (ms: number): Promise<number> => {
    clock.pass(ms);
    await names.addressOf("a.test", "10.0.0.1");
    await new Promise((resolve) => setImmediate(resolve));
    return queryCount;
  };
  assert.equal(await queriesAfter(0), 1);
  assert.equal(await queriesAfter(1999), 1);
  ttlMs = 10;
  assert.equal(await queriesAfter(1), 2);
  assert.equal(await queriesAfter(499), 2);
  assert.equal(await queriesAfter(1), 3);
});

test("a lookup is refused for names without an address, and for slow answers", async () => {
  const clock = new HandClock();
  const names = new ForwardNames(
    rules,
    (name) =>
      name === "slow.test"
        ? new Promise(() => undefined)
        : name === "none.test"
          ? Promise.resolve({ addresses: [] })
          : Promise.resolve({ addresses: ["192.0.2.1"] }),
    clock,
  );
  await assert.rejects(Promise.resolve(names.addressOf("none.test", "10.0.0.1")), { code: "dns-no-address" });
  const slow = assert.rejects(Promise.resolve(names.addressOf("slow.test", "10.0.0.1")), { code: "timeout" });
  clock.pass(100);
  await slow;
});

test("a client that requests many names, resolved or not, does not keep others from requesting theirs", async () => {
  const names = new ForwardNames(
    rules,
    (name) => (name.startsWith("slow") ? new Promise(() => undefined) : Promise.resolve({ addresses: ["192.0.2.1"] })),
    new HandClock(),
  );
  const slow = assert.rejects(Promise.resolve(names.addressOf("slow-0.test", "10.0.0.1")), { code: "busy" });
  await names.addressOf("a.test", "10.0.0.1");
  assert.equal(await names.addressOf("b.test", "10.0.0.1"), "192.0.2.1");
  await slow;
  assert.equal(await names.addressOf("a.test", "10.0.0.1"), "192.0.2.1");
  await names.addressOf("c.test", "10.0.0.1");
  assert.equal(
    typeof names.addressOf("a.test", "10.0.0.1"),
    "string",
    "it is still known, because it was used later than b.test",
  );
  for (let index = 1; index <= 10; index += 1)
    void Promise.resolve(names.addressOf(`slow-${index}.test`, "10.0.0.1")).catch(() => 0);
  assert.equal(await names.addressOf("b.test", "10.0.0.1"), "192.0.2.1");
  assert.equal(names.size, 2);
});

test("no name or address leads to this machine or its link", async () => {
  for (const address of [
    "127.0.0.1",
    "127.8.9.1",
    "0.0.0.0",
    "169.254.169.254",
    "::1",
    "::",
    "fe80::1",
    "::ffff:127.0.0.1",
    "::ffff:a9fe:a9fe",
    "64:ff9b::7f00:1",
    "64:ff9b::169.254.169.254",
    "fd00:ec2::254",
  ]) {
    const names = new ForwardNames(rules, () => Promise.resolve({ addresses: [address] }), new HandClock());
    await assert.rejects(
      Promise.resolve(names.addressOf("evil.test", "10.0.0.1")),
      { code: "dns-no-address" },
      address,
    );
    await assert.rejects(Promise.resolve(names.addressOf(address, "10.0.0.1")), { code: "dns-no-address" }, address);
  }
  const mixed = new ForwardNames(
    { ...rules, family: "ipv4-preferred" },
    () => Promise.resolve({ addresses: ["127.0.0.1", "2001:db8::1", "192.0.2.7"] }),
    new HandClock(),
  );
  assert.equal(await mixed.addressOf("mixed.test", "10.0.0.1"), "192.0.2.7");
});
