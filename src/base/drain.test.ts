import assert from "node:assert/strict";
import { test } from "node:test";
import { onAbort } from "./drain.ts";

test("the callback runs once, whether the signal aborts before or after, unless the handle was disposed", () => {
  const heard: string[] = [];
  const controller = new AbortController();
  onAbort(controller.signal, () => heard.push("after"));
  onAbort(controller.signal, () => heard.push("disposed"))[Symbol.dispose]();
  onAbort(undefined, () => heard.push("none"));
  assert.equal(heard.length, 0);
  controller.abort();
  onAbort(controller.signal, () => heard.push("before"));
  assert.deepEqual(heard, ["after", "before"]);
});
