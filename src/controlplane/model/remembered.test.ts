import assert from "node:assert/strict";
import { test } from "node:test";
import { Remembered } from "./remembered.ts";

test("a subject and a word share one remembered object, and the words of a living subject are bounded", () => {
  const remembered = new Remembered<object, object>();
  const subject = {};
  const made: object[] = [];
  const of = (word: string): object => remembered.of(subject, word, () => made[made.push({}) - 1] ?? {});
  const first = of("first");
  assert.equal(of("first"), first);
  assert.equal(made.length, 1);
  for (let index = 0; index < 10_000; index += 1) of(`scope ${index}`);
  assert.notEqual(of("first"), first, "it has been forgotten");
});
