import assert from "node:assert/strict";
import { test } from "node:test";
import { array, assert as assertProperty, constantFrom, property } from "fast-check";
import { diffHunks, lineDiff, type DiffLine } from "./line-diff.ts";

const written = (lines: readonly DiffLine[]): string[] =>
  lines.map(({ kind, text }) => `${{ same: " ", gone: "-", new: "+" }[kind]}${text}`);

test("a changed line is a removal and an addition", () => {
  assert.deepEqual(written(lineDiff("a: 1\nb: 2\nc: 3\n", "a: 1\nb: 5\nc: 3\n")), [" a: 1", "-b: 2", "+b: 5", " c: 3"]);
  assert.deepEqual(written(lineDiff("", "a: 1\n")), ["+a: 1"]);
  assert.deepEqual(
    written(lineDiff("a\nb\nc\na\nb\nb\na\n", "c\nb\na\nb\na\nc\n")).filter((line) => !line.startsWith(" ")).length,
    5,
  );
});

test("equal texts have no hunks, and a final line break is no change", () => {
  assert.deepEqual(diffHunks(lineDiff("a\nb\n", "a\nb")), []);
});

test("any difference contains both texts, its numbers are consecutive, and no line is both", () => {
  const text = array(constantFrom("a", "b", "c", "  weight: 10", ""), { maxLength: 30 });
  assertProperty(
    property(text, text, (a, b) => {
      const lines = lineDiff(a.map((line) => `${line}\n`).join(""), b.map((line) => `${line}\n`).join(""));
      const before = lines.filter(({ kind }) => kind !== "new");
      const after = lines.filter(({ kind }) => kind !== "gone");
      assert.deepEqual([before.map((line) => line.text), after.map((line) => line.text)], [a, b]);
      assert.deepEqual(
        before.map((line) => line.before),
        a.map((_line, index) => index + 1),
      );
      assert.deepEqual(
        after.map((line) => line.after),
        b.map((_line, index) => index + 1),
      );
    }),
  );
});

test("a hunk has three lines of context, and says how many were skipped", () => {
  const lines = Array.from({ length: 30 }, (_unused, index) => `line ${index}`);
  const changed = lines.with(10, "other").with(25, "another");
  const hunks = diffHunks(lineDiff(lines.join("\n"), changed.join("\n")));
  assert.deepEqual(
    hunks.map(({ skipped, lines: { length } }) => [skipped, length]),
    [
      [7, 8],
      [8, 8],
    ],
  );
});

test("the difference of texts without common lines is fast", () => {
  const big = (word: string): string => Array.from({ length: 4000 }, (_unused, index) => `${word} ${index}`).join("\n");
  assert.equal(lineDiff(big("a"), big("b")).length, 8000);
});
