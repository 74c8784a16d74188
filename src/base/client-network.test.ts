import assert from "node:assert/strict";
import { test } from "node:test";
import { clientNetwork } from "./client-network.ts";

test("all IPv6 addresses of a /64 are one network, however their zeros are shortened", () => {
  const cases: readonly (readonly [network: string, ...addresses: readonly string[]])[] = [
    ["2001:db8:0:7/64", "2001:db8:0:7:1:2:3:4", "2001:db8:0:7::", "2001:db8:0:7::1", "2001:db8:0:7:1::4"],
    ["2001:db8:0:0/64", "2001:db8::", "2001:db8::1", "2001:db8::1:2:3:4", "2001:db8:0:0:1::", "2001:db8::192.0.2.1"],
    ["2001:0:0:7/64", "2001::7:1:2:3:4", "2001:0:0:7::1"],
    ["0:0:0:7/64", "::7:1:2:3:4", "0:0:0:7::1"],
    ["fe80:0:0:0/64", "fe80::1%eth0", "fe80::1:2%eth1"],
  ];
  for (const [network, ...addresses] of cases)
    for (const address of addresses) assert.equal(clientNetwork(address), network, address);
  assert.notEqual(clientNetwork("2001:db8:0:7::1"), clientNetwork("2001:db8:0:8::1"));
});

test("an IPv4 address, the loopback and a text that is no address are networks of their own", () => {
  for (const text of [
    "192.0.2.1",
    "::ffff:192.0.2.1",
    "::ffff:c000:201",
    "::1",
    "::",
    "",
    "system:serviceaccount:shop:web",
  ])
    assert.equal(clientNetwork(text), text);
});
