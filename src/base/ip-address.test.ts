import assert from "node:assert/strict";
import { test } from "node:test";
import { addressBytes, cidrOf } from "./ip-address.ts";

test("addresses of both families are read, and nothing else", () => {
  assert.deepEqual([...(addressBytes("10.0.0.255") ?? [])], [10, 0, 0, 255]);
  assert.deepEqual([...(addressBytes("::ffff:10.0.0.1") ?? [])], [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 10, 0, 0, 1]);
  for (const text of ["", "10.0.0", "10.0.0.256", "010.0.0.1", "a.b.c.d", "1::2::3", ":::", "1:2:3:4:5:6:7:8:9", "fe80::1%eth0"]) {
    assert.equal(addressBytes(text), undefined, text);
  }
});

test("a prefix is a whole number within the address", () => {
  assert.equal(cidrOf("10.0.0.0/8")?.length, 8);
  assert.equal(cidrOf("10.0.0.1")?.length, 32);
  for (const text of ["10.0.0.0/", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/8/8", "::/129", "/8"]) assert.equal(cidrOf(text), undefined, text);
});
