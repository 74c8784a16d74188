import assert from "node:assert/strict";
import { test } from "node:test";
import { formatAddress, isBuggy, parseAddress, parseRange, rangeHas } from "./address-pool.ts";

test("a range is two addresses or a prefix, whose address may be any in the range", () => {
  const range = parseRange("172.18.255.200 - 172.18.255.250");
  assert.ok(range !== undefined && rangeHas(range, "172.18.255.250") && !rangeHas(range, "172.18.255.251"));
  const prefix = parseRange("10.1.2.3/24");
  assert.ok(prefix !== undefined && rangeHas(prefix, "10.1.2.0") && rangeHas(prefix, "10.1.2.255"));
  assert.ok(!rangeHas(prefix, "10.1.3.0") && !rangeHas(prefix, "fd00::1"));
});

test("reversed, mixed and incomplete ranges are invalid", () => {
  for (const text of [
    "172.18.0.9-172.18.0.1",
    "10.0.0.1-fd00::1",
    "10.0.0.1",
    "10.0.0.0/33",
    "10.0.0.0/x",
    "fd00::/129",
  ])
    assert.equal(parseRange(text), undefined, text);
});

test("addresses of both families survive parsing and formatting", () => {
  for (const text of ["172.18.255.1", "0.0.0.0", "255.255.255.255"])
    assert.equal(formatAddress("IPv4", parseAddress(text)?.value ?? 0n), text);
  for (const text of ["fd00::1:0:0:5", "::1", "fd00::", "1:2:3:4:5:6:7:8"])
    assert.equal(formatAddress("IPv6", parseAddress(text)?.value ?? 0n), text);
});

test("addresses that end in 0 or 255 are recognised as those that old equipment drops", () => {
  const buggy = (text: string): boolean => isBuggy("IPv4", parseAddress(text)?.value ?? 0n);
  assert.deepEqual(["10.0.0.0", "10.0.0.255", "10.0.0.1"].map(buggy), [true, true, false]);
});
