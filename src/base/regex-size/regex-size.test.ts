import assert from "node:assert/strict";
import { test } from "node:test";
import { RE2JS } from "re2js";
import { regexSize } from "./index.ts";
import { suspicion } from "../testing/index.ts";

test("the size of an expression is about the number of its instructions", () => {
  for (const expression of [
    "abc",
    "a*b+c?",
    "(a?){1000}",
    "((a{10}){10}){10}",
    "((ab){2,20}c){3,}",
    "a{5}|b{100}",
    String.raw`\{1000}\(\d{50}`,
    "(?:a|b){100}(?i)x{1000}",
    "(((((((((a){1,8}){1,8}){1,8}){1,8}",
    "[a-z{3}]{700}",
    String.raw`\x{10000}\x{2603}`,
  ]) {
    const closed = expression + ")".repeat(Math.max(0, expression.split("(").length - expression.split(")").length));
    const instructions = (() => {
      try {
        return RE2JS.compile(closed).programSize();
      } catch {
        return undefined;
      }
    })();
    const size = regexSize(closed);
    if (instructions !== undefined)
      assert.ok(size * 2 + 10 >= instructions && size <= instructions * 2 + 10, `${closed}: ${size}, ${instructions}`);
  }
});

test("an expression that RE2 refuses to hold has a great size", () => {
  assert.ok(regexSize("(a{1000}){1000}") >= 1_000_000);
  assert.ok(regexSize("(a?){1000}".repeat(100)) > 300_000);
});

test("the size of any text takes linear time", () => {
  for (const piece of ["(", ")", "{", "{1", "{1000}", "(a{9}", "\\", "a{1,", "?"])
    assert.equal(
      suspicion(regexSize, (length) => piece.repeat(length / piece.length), 200_000),
      undefined,
      piece,
    );
});
