import assert from "node:assert/strict";
import { test } from "node:test";
import { healthRequest, healthStatus } from "./grpc-health.ts";

test("a name of a service has its length in front, also one of more than 127 bytes", () => {
  assert.deepEqual(healthRequest(""), Buffer.alloc(5));
  assert.deepEqual(healthRequest("ab"), Buffer.from([0, 0, 0, 0, 4, 0x0a, 2, 0x61, 0x62]));
  const long = healthRequest("s".repeat(200));
  assert.deepEqual(long.subarray(0, 8), Buffer.from([0, 0, 0, 0, 203, 0x0a, 0xc8, 0x01]));
  assert.equal(long.subarray(8).toString(), "s".repeat(200));
});

test("the status of a response is its first field, and missing in an empty response", () => {
  assert.equal(healthStatus(Buffer.from([0, 0, 0, 0, 2, 0x08, 1])), 1);
  assert.equal(healthStatus(Buffer.from([0, 0, 0, 0, 2, 0x08, 2])), 2);
  assert.equal(healthStatus(Buffer.from([0, 0, 0, 0, 0])), undefined);
  assert.equal(healthStatus(Buffer.alloc(0)), undefined);
});
