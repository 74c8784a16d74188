import assert from "node:assert/strict";
import { test } from "node:test";
import { onAbort, ShutdownController } from "./drain.ts";

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

test("the second request forces, and a drain before the first one does not count", () => {
  const [shutdown, early] = [new ShutdownController(), new ShutdownController()];
  early.drainEarly("deleted");
  const states = (): readonly boolean[] => [shutdown, early].map(({ force }) => force.aborted);
  assert.equal(early.drain.aborted, true);
  for (const controller of [shutdown, early]) controller.request("SIGTERM");
  assert.deepEqual(states(), [false, false]);
  assert.equal(shutdown.drain.aborted, true);
  for (const controller of [shutdown, early]) controller.request("SIGTERM");
  assert.deepEqual(states(), [true, true]);
});
