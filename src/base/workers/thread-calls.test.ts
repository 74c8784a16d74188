import assert from "node:assert/strict";
import { test } from "node:test";
import { MessageChannel } from "node:worker_threads";
import { ThreadCalls } from "./thread-calls.ts";

type Sums = { readonly add: (pair: readonly [number, number]) => number; readonly fail: (why: string) => never };
type None = Readonly<Record<string, never>>;

test("calls are answered in any order, refused with the other side's message, and rejected after the end", async () => {
  const { port1, port2 } = new MessageChannel();
  const waits: (() => void)[] = [];
  const theirs = new ThreadCalls<None, Sums>(port1, {
    add: async ([left, right]) => {
      if (left === 0) await new Promise<void>((resolve) => waits.push(resolve));
      else for (const resolve of waits) resolve();
      return left + right;
    },
    fail: (why) => {
      throw new Error(why);
    },
  });
  const calls = new ThreadCalls<Sums, None>(port2, {});
  assert.deepEqual(await Promise.all([calls.call("add", [0, 2]), calls.call("add", [3, 4])]), [2, 7]);
  await assert.rejects(calls.call("fail", "not today"), /not today/);
  const unanswered = calls.call("add", [0, 9]);
  calls.close(new Error("it has ended"));
  await assert.rejects(unanswered, /it has ended/);
  await assert.rejects(calls.call("add", [1, 1]), /it has ended/);
  theirs.close(new Error("over"));
  port1.close();
});
