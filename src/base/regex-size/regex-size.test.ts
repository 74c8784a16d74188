import assert from "node:assert/strict";
import { test } from "node:test";
import { array, assert as assertProperty, constantFrom, letrec, oneof, property, string, tuple } from "fast-check";
import { RE2JS } from "re2js";
import { regexSize } from "./index.ts";
import { suspicion } from "../testing/index.ts";

const r = String.raw;

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

test("no text between a part and its repetition hides the size of the part", () => {
  const part = "a?".repeat(490);
  for (const [expression, times] of [
    [`(?:${part}[(]){1000}`, 1000],
    [`(?:${part}[)]){1000}`, 1000],
    [`(?:${part}[[:alpha:](]){1000}`, 1000],
    [`(?:${part}[](]){1000}`, 1000],
    [`(?:${part}[^](]){1000}`, 1000],
    [String.raw`(?:${part}[\](]){1000}`, 1000],
    [String.raw`(?:${part}\(){1000}`, 1000],
    [String.raw`(?:${part}\Q(\E){1000}`, 1000],
    [String.raw`(?:${part})\Q\E{1000}`, 1000],
    [String.raw`(?:${part}\Q[\E){1000}`, 1000],
    [`(?:${part})(?i){1000}`, 1000],
    [`(?:${part})(?i)(?s-U){1000}`, 1000],
  ] as const)
    assert.ok(regexSize(expression) >= 2 * 490 * times, `${expression.slice(-30)}: ${regexSize(expression)}`);
});

test("a class and a quotation do not make an expression greater than it is", () => {
  assert.equal(regexSize("[a{9}(]"), 1);
  assert.equal(regexSize(String.raw`\Qa{9}\E`), 4);
  assert.equal(regexSize(String.raw`(?i)\Q(\E`), 1);
});

const { expression: generated } = letrec<{ expression: string; part: string }>((tie) => ({
  expression: array(tie("part"), { minLength: 1, maxLength: 5 }).map((parts) => parts.join("")),
  part: oneof(
    { depthSize: "small", withCrossShrink: true },
    constantFrom("a", ".", "|", "^", "(?i)", "(?s-i)", "[(]", "[)]", "[[:alpha:](]", "[^](]", "[{2}]", "[[:]"),
    constantFrom(r`\(`, r`\)`, r`\[`, r`[\](]`, r`\d`, r`\pL`, r`\x{28}`, r`\Q\E`, r`\Q(\E`, r`\Q[)\E`, r`\Q\\E`),
    string({ unit: constantFrom("(", ")", "[", "]", "{", "}", "1", "a", ":", "^", "\\"), maxLength: 4 }),
    tuple(tie("expression"), constantFrom("(", "(?:", "(?P<n>", "(?i:")).map(([inner, open]) => `${open}${inner})`),
    tuple(tie("part"), constantFrom("?", "*", "+", "{7}", "{20}", "{2,}", "{0,9}", r`\Q\E{9}`, "(?i){9}")).map(
      ([inner, times]) => `${inner}${times}`,
    ),
  ),
}));

test("the size is never far below the number of instructions, whatever the expression consists of", () => {
  let compiled = 0;
  assertProperty(
    property(generated, (expression) => {
      let instructions: number;
      try {
        instructions = RE2JS.compile(expression).programSize();
      } catch {
        return;
      }
      compiled += 1;
      const size = regexSize(expression);
      assert.ok(size * 3 + 10 >= instructions, `${expression}: ${size}, ${instructions}`);
    }),
    { numRuns: 2_000 },
  );
  assert.ok(compiled > 500, `only ${compiled} expressions were valid`);
});

test("an expression that RE2 refuses to hold has a great size", () => {
  assert.ok(regexSize("(a{1000}){1000}") >= 1_000_000);
  assert.ok(regexSize("(a?){1000}".repeat(100)) > 300_000);
});

test("the size of any text takes linear time", () => {
  for (const piece of [
    "(",
    ")",
    "{",
    "{1",
    "{1000}",
    "(a{9}",
    "\\",
    "a{1,",
    "?",
    "[",
    "[:a",
    "[[:a:]",
    "(?i",
    "(?i)",
    r`\Q`,
    r`\Qa\E`,
  ])
    assert.equal(
      suspicion(regexSize, (length) => piece.repeat(length / piece.length), 200_000),
      undefined,
      piece,
    );
});
