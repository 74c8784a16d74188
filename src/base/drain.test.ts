import assert from "node:assert/strict";
import { test } from "node:test";
import { onAbort } from "./drain.ts";

test("the callback runs once, whether the signal aborts before or after, unless the handle was disposed", () => {
  const calls: string[] = [];
  const controller = new AbortController();
  onAbort(controller.signal, () => calls.push("after"));
  onAbort(controller.signal, () => calls.push("disposed"))[Symbol.dispose]();
  onAbort(undefined, () => calls.push("none"));
  assert.equal(calls.length, 0);
  controller.abort();
  onAbort(controller.signal, () => calls.push("before"));
  assert.deepEqual(calls, ["after", "before"]);
});
