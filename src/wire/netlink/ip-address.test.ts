import assert from "node:assert/strict";
import { isIP } from "node:net";
import { test } from "node:test";
import { assert as check, ipV4, ipV6, oneof, property, string, uint8Array } from "fast-check";
import { SerinError } from "../../base/index.ts";
import { bytesToIp, ipToBytes, unmapIp } from "./ip-address.ts";

test("every address that Node accepts becomes bytes, and its text the same bytes again", () => {
  check(
    property(oneof(ipV4(), ipV6()), (address) => {
      const bytes = ipToBytes(address);
      assert.deepEqual(ipToBytes(bytesToIp(bytes)).subarray(-4), bytes.subarray(-4));
      if (bytesToIp(bytes).includes(":")) assert.deepEqual(ipToBytes(bytesToIp(bytes)), bytes);
    }),
    { numRuns: 500 },
  );
});

test("bytes become text that Node accepts as an address", () => {
  check(
    property(oneof(uint8Array({ minLength: 4, maxLength: 4 }), uint8Array({ minLength: 16, maxLength: 16 })), (bytes) =>
      assert.notEqual(isIP(bytesToIp(bytes)), 0),
    ),
  );
});

test("text that is not an address is refused as in Node", () => {
  check(
    property(string({ maxLength: 20 }), (text) => {
      if (isIP(text) !== 0) return;
      assert.throws(
        () => ipToBytes(text),
        (error) => error instanceof SerinError && error.code === "address-invalid",
      );
    }),
  );
  for (const text of ["1.2.3", "1.2.3.256", "::1::", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "g::", ""])
    assert.throws(() => ipToBytes(text), /is not an IP address/);
});

test("the short form follows RFC 5952, and mapped addresses are IPv4", () => {
  assert.equal(bytesToIp(ipToBytes("2001:0db8:0:0:1:0:0:1")), "2001:db8::1:0:0:1");
  assert.equal(bytesToIp(ipToBytes("::")), "::");
  assert.equal(bytesToIp(ipToBytes("::ffff:10.0.0.1")), "10.0.0.1");
  assert.equal(unmapIp("::ffff:10.0.0.1"), "10.0.0.1");
  assert.equal(unmapIp("fe80::1"), "fe80::1");
});
