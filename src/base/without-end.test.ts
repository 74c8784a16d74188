import assert from "node:assert/strict";
import { test } from "node:test";
import { withoutEnd } from "./without-end.ts";

test("characters are removed from the end of a text only", () => {
  const cases = [
    ["a/b//", "/", "a/b"],
    ["//a", "/", "//a"],
    ["a.-.", "-.", "a"],
    ["///", "/", ""],
    ["", "/", ""],
  ] as const;
  for (const [text, characters, expected] of cases) assert.equal(withoutEnd(text, characters), expected);
});
