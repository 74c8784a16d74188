import assert from "node:assert/strict";
import { test } from "node:test";
import { lateReadLookMs } from "./next-look.ts";

test("what rests is read again while the watch tells another version, so that no order is lost", () => {
  assert.notEqual(lateReadLookMs("7", "8"), undefined);
  assert.equal(lateReadLookMs("8", "8"), undefined);
  assert.equal(lateReadLookMs("8", undefined), undefined);
});
