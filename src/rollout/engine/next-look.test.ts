import assert from "node:assert/strict";
import { test } from "node:test";
import { lateReadLookMs, restAfterMs } from "./next-look.ts";

test("an idle rollout is read again while the watch reports another version, so that no order is lost", () => {
  assert.notEqual(lateReadLookMs("7", "8"), undefined);
  assert.equal(lateReadLookMs("8", "8"), undefined);
  assert.equal(lateReadLookMs("8", undefined), undefined);
});

test("a slow look delays the next one by as much, within a bound", () => {
  assert.equal(restAfterMs(150, 20), 150);
  assert.equal(restAfterMs(150, 900), 900);
  assert.equal(restAfterMs(150, 60_000), 2000);
  assert.equal(restAfterMs(undefined, 900), undefined);
});
