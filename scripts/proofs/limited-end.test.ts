import assert from "node:assert/strict";
import { test } from "node:test";
import { limitedEnd } from "./limited-end.ts";

test("something that never ends is named at the limit", async () => {
  const { promise } = Promise.withResolvers<void>();
  await assert.rejects(limitedEnd("the browser", promise, 20), /the browser did not end within 0\.02 s/);
});

test("an end, or the reason why it failed, comes at once", async () => {
  await limitedEnd("the browser", Promise.resolve());
  await assert.rejects(limitedEnd("the browser", Promise.reject(new Error("it crashed"))), /it crashed/);
});
