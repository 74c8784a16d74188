import assert from "node:assert/strict";
import { test } from "node:test";
import { suspicion } from "../base/testing/index.ts";
import { parseQuery } from "./index.ts";

/** Just below the limit for the length of a query, which is 100,000. */
const size = 96_000;

const repeated = (piece: string, size_: number): string => piece.repeat(Math.ceil(size_ / piece.length));

/** Queries that repeat a piece of text. About half of them are invalid. */
const growths: Readonly<Record<string, (size: number) => string>> = {
  ...Object.fromEntries(
    [
      "a",
      "1",
      "(",
      ")",
      "[",
      "{",
      '"',
      "'",
      "`",
      "\\",
      "-",
      "+",
      "!",
      "=",
      ",",
      "#",
      "\n",
      " ",
      "[5m]",
      "a+",
      "a(",
      "sum ",
      "{a=",
      '"\\n',
      "@",
      "5m",
      "offset ",
      "é",
      "\ud83d",
    ].map((piece) => [`text of ${JSON.stringify(piece)}`, (length: number) => repeated(piece, length)]),
  ),
  "a long sum": (length) => `${repeated("a + ", length)}a`,
  "a sum of selectors": (length) => `${repeated('a{x="y"} * ', length)}b`,
  "many matchers": (length) => `a{${Array.from({ length: length / 8 }, (_, index) => `l${index}="x"`).join(",")}}`,
  "equal matchers": (length) => `a{${repeated('x="y",', length)}}`,
  "many labels": (length) => `sum by (${Array.from({ length: length / 6 }, (_, index) => `l${index}`).join(",")}) (a)`,
  "a long text": (length) => `a{x="${repeated("y", length)}"}`,
  escapes: (length) => `a{x="${repeated("\\n", length)}"}`,
  "a long pattern": (length) => `a{x=~"${repeated("y|", length)}"}`,
  comments: (length) => `${repeated("# c\n", length)}a`,
  spaces: (length) => `a${repeated(" ", length)}`,
  "a long name in parentheses before an error": (length) => `(${repeated("a", length)}) !`,
  arguments: (length) => `label_join(a, "x", ${repeated('"y", ', length)}"z")`,
  signs: (length) => `${repeated("- ", length)}1`,
};

for (const [name, make] of Object.entries(growths))
  test(`a repetitive query is parsed in linear time: ${name}`, () => {
    const read = (text: string): void => {
      try {
        parseQuery(text);
      } catch {
        // The query is invalid. Refusing it must take linear time too.
      }
    };
    assert.equal(suspicion(read, make, size), undefined);
  });

function workMs(text: string): number {
  const runs = Array.from({ length: 3 }, () => {
    const before = process.cpuUsage();
    try {
      parseQuery(text);
    } catch {
      // The query is invalid.
    }
    const { user, system } = process.cpuUsage(before);
    return (user + system) / 1000;
  });
  return Math.min(...runs);
}

test("an invalid query takes no longer than a valid one of the same length", () => {
  const valid = workMs(`a{${Array.from({ length: size / 10 }, (_, index) => `l${index}="x"`).join(",")}}`);
  for (const piece of [",", "é", "!", "5m", ")"]) {
    const invalid = workMs(repeated(piece, size));
    assert.ok(invalid < valid, `${JSON.stringify(piece)}: ${invalid} ms, a valid query: ${valid} ms`);
  }
});
