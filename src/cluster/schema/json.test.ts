import assert from "node:assert/strict";
import { test } from "node:test";
import { wellFormedJson } from "./json.ts";

test("half of a surrogate pair in a JSON text becomes U+FFFD, as Go reads it, and a whole pair stays", () => {
  const read = (text: string): unknown => JSON.parse(wellFormedJson(text));
  assert.deepEqual(read(String.raw`{"\ud800":"a\uDC00b","c":"\ud83d\ude00"}`), { "\ufffd": "a\ufffdb", c: "😀" });
  assert.deepEqual(read(String.raw`["\ud800\ud83d\ude00","\ud800\u0041","\udfff\udbff"]`), [
    "\ufffd😀",
    "\ufffdA",
    "\ufffd\ufffd",
  ]);
  // `\u` does not begin an escape if its backslash is itself escaped.
  assert.deepEqual(read(String.raw`["\\ud800","\\\ud800"]`), [String.raw`\ud800`, "\\\ufffd"]);
  const plain = String.raw`{"a":"\u00e9\n😀"}`;
  assert.equal(wellFormedJson(plain), plain);
});
