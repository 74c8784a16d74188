import assert from "node:assert/strict";
import { test } from "node:test";
import { addDetail } from "./add-detail.ts";

test("a detail that is added to an error is in the stack, which is what the test runner prints", () => {
  const error = new assert.AssertionError({ message: "the gateway answers: not so" });
  addDetail(error, "ended with 22: $& 503");
  assert.equal(error.message, "the gateway answers: not so\nended with 22: $& 503");
  assert.match(error.stack ?? "", /the gateway answers: not so\nended with 22: \$& 503\n\s+at /);
});
