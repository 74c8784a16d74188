import assert from "node:assert/strict";
import { test } from "node:test";
import { seenJson, seenText } from "./seen-text.ts";

test("invisible and direction-changing characters are named, and ordinary text stays", () => {
  assert.equal(seenText("a: \u202Eevil\u2066 # \u200B\u0007"), "a: ⟨U+202E⟩evil⟨U+2066⟩ # ⟨U+200B⟩⟨U+0007⟩");
  for (const text of ["größe: 日本 שלום", "\tmi\u200Dx\u200C", "👩\u200D🚀"]) assert.equal(seenText(text), text);
});

test("in a JSON document they are named within its texts, and it stays a document", () => {
  const value = { "a\u200B": "x\u202Ey\u001B", list: ["größe", "\n\t"] };
  assert.deepEqual(JSON.parse(seenJson(JSON.stringify(value))), {
    "a⟨U+200B⟩": "x⟨U+202E⟩y\u001B",
    list: ["größe", "\n\t"],
  });
  const plain = JSON.stringify({ a: "\u001B👩\u200D🚀" });
  assert.equal(seenJson(plain), plain);
});
