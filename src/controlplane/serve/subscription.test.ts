import assert from "node:assert/strict";
import { test } from "node:test";
import { Subscription } from "./subscription.ts";

test("a change of what the client does not want any more before it was sent is waited for by nobody", () => {
  const subscription = new Subscription("type", { get: () => undefined, all: () => [], subscribe: () => ({ [Symbol.dispose]: () => undefined }) });
  for (const name of ["left", "kept"]) subscription.names.add(name);
  subscription.change(["left"], 7, 0);
  assert.equal(subscription.hasAcknowledged(7), false);
  subscription.forget("left");
  assert.equal(subscription.hasAcknowledged(7), true);
  subscription.change(["kept"], 8, 0);
  subscription.forget("left");
  assert.equal(subscription.hasAcknowledged(8), false);
});
