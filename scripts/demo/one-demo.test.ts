import assert from "node:assert/strict";
import { test } from "node:test";
import { holdDemo } from "./one-demo.ts";

test("a second demo is refused while the first one runs", async () => {
  const name = `serin-demo-test-${process.pid}`;
  await holdDemo(name);
  await assert.rejects(holdDemo(name), /another demo of this user is running/);
});
