import assert from "node:assert/strict";
import { randomFillSync } from "node:crypto";
import { test } from "node:test";
import { RandomTextPool, randomTexts, randomUuids } from "./random-text.ts";

test("UUIDs are of version 4 and of all variants, and none repeats", () => {
  const next = randomUuids((bytes) => randomFillSync(bytes));
  const all = Array.from({ length: 1000 }, () => next());
  for (const id of all) assert.match(id, /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  assert.equal(new Set(all).size, all.length);
  assert.deepEqual(new Set(all.map((id) => id[19])), new Set(["8", "9", "a", "b"]));
});

test("each random digit uses its own half byte, and the rest of the text is the pattern's", () => {
  let fillings = 0;
  const next = randomTexts("a: xx-x\r\n", (bytes) => {
    fillings += 1;
    for (let at = 0; at < bytes.length; at += 1) bytes[at] = (at * 0x25 + 0x1f) & 0xff;
  });
  const texts = Array.from({ length: 129 }, () => next());
  assert.deepEqual(texts.slice(0, 2), ["a: 1f-4\r\n", "a: 46-9\r\n"]);
  assert.deepEqual([fillings, texts[128]], [2, texts[0]]);
});

test("the bytes of a text stay as they are while a pool makes later texts", () => {
  const pool = new RandomTextPool("a: xx-x\r\n", (bytes) => randomFillSync(bytes));
  const at = pool.next();
  const { bytes, length } = pool;
  const before = bytes.toString("latin1", at, at + length);
  assert.match(before, /^a: [0-9a-f]{2}-[0-9a-f]\r\n$/);
  for (let count = 0; count < 1000; count += 1) pool.next();
  assert.notEqual(pool.bytes, bytes);
  assert.equal(bytes.toString("latin1", at, at + length), before);
});
