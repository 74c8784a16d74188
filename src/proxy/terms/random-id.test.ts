import assert from "node:assert/strict";
import { randomFillSync } from "node:crypto";
import { test } from "node:test";
import { randomUuids, RandomWords } from "./random-id.ts";

test("UUIDs are of version 4 and of all variants, and none repeats", () => {
  const next = randomUuids((bytes) => randomFillSync(bytes));
  const all = Array.from({ length: 2000 }, () => next()).map(String);
  for (const id of all) assert.match(id, /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  assert.equal(new Set(all).size, all.length);
  assert.deepEqual(new Set(all.map((id) => id[19])), new Set(["8", "9", "a", "b"]));
});

/** Fills words with the numbers 0x01234567, 0x12345678 and so on. */
function counted(bytes: Uint8Array): void {
  const words = new Int32Array(bytes.buffer);
  for (let at = 0; at < words.length; at += 1) words[at] = 0x01234567 + at * 0x11111111;
}

test("each digit of an id is its own four bits of the random numbers", () => {
  const uuid = randomUuids(counted);
  assert.deepEqual(
    [String(uuid()), String(uuid())],
    ["01234567-1234-4678-a345-67893456789a", "456789ab-5678-4abc-a789-abcd789abcde"],
  );
  const words = new RandomWords(counted);
  assert.deepEqual([words.hexText(4), words.hexText(2)], ["0123456712345678234567893456789a", "456789ab56789abc"]);
});

test("an id keeps its digits when the random source has filled new numbers, which other ids have", () => {
  let fillings = 0;
  const next = randomUuids((bytes) => {
    fillings += 1;
    randomFillSync(bytes);
  });
  const first = next();
  const before = String(first);
  const others = new Set(Array.from({ length: 4095 }, () => String(next())));
  assert.equal(fillings, 1);
  others.add(String(next()));
  assert.deepEqual([fillings, others.size, others.has(before)], [2, 4096, false]);
  assert.equal(String(first), before);
});
