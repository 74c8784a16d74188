import assert from "node:assert/strict";
import { PassThrough } from "node:stream";
import { test } from "node:test";
import { askToKeep } from "./leave.ts";

function askUser(signal = new AbortController().signal): { input: PassThrough; answer: Promise<boolean> } {
  const input = new PassThrough();
  const answer = askToKeep({ input, output: new PassThrough() }, signal);
  return { input, answer };
}

test("only the answer keep keeps the lab", async () => {
  const kept = askUser();
  kept.input.write("keep\n");
  assert.equal(await kept.answer, true);
  const removed = askUser();
  removed.input.write("\n");
  assert.equal(await removed.answer, false);
});

test("the end of the input and an interruption remove the lab", async () => {
  const ended = askUser();
  ended.input.end();
  assert.equal(await ended.answer, false);
  const interrupt = new AbortController();
  const interrupted = askUser(interrupt.signal);
  interrupt.abort();
  assert.equal(await interrupted.answer, false);
});
