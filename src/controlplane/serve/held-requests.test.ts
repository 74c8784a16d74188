import assert from "node:assert/strict";
import { test } from "node:test";
import { HeldRequests } from "./held-requests.ts";

test("no more than 32,768 requests wait, although they are empty, and when they are handled there is room again", () => {
  const held = new HeldRequests();
  let handled = 0;
  for (let round = 0; round < 2; round += 1) {
    for (let count = 0; count < 32_768; count += 1) {
      assert.equal(held.isFull, false);
      held.hold({ bytes: new Uint8Array(0), take: () => (handled += 1) });
    }
    assert.equal(held.isFull, true);
    held.handle(
      () => false,
      () => false,
    );
    assert.equal(held.isEmpty, true);
  }
  assert.equal(handled, 65_536);
});
