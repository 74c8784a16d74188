import assert from "node:assert/strict";
import { test } from "node:test";
import { statusMessage } from "./grpc-status.ts";

test("a status message is printable ASCII, and short enough for a client's header list", () => {
  assert.equal(statusMessage("100 % of ä\n"), "100 %25 of %C3%A4%0A");
  const long = statusMessage("ä".repeat(5000));
  assert.ok(long.length <= 4096);
  assert.doesNotThrow(() => decodeURIComponent(long));
});
