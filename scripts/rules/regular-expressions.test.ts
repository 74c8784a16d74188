import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { forEachChild, isRegularExpressionLiteral, createSourceFile, ScriptTarget, type Node } from "typescript";

// A search such as `/\/+$/` starts anew at each character of a run that is not at the end, so its time grows with the
// square of the run's length. A search from a repeated word to a word that is missing is as slow. For a text of a
// megabyte, either takes minutes.

const one = String.raw`(?:\\.|\[(?:\\.|[^\]\\])+\]|[^\\[\](){}|^$*+?])`;
const runToEnd = new RegExp(String.raw`(?:^|\|)${one}[+*]\$(?:$|\|)`);
const anythingToEnd = /-----(?:\[\^\]|\[\\s\\S\]|\.)[*+]\??-----END/;

/**
 * Matches the text of a file that may contain such an expression. Parsing all files would take a quarter of a minute.
 */
const candidate = /[+*]\$[/|]|-----END/;

function literalsOf(file: string): readonly string[] {
  const text = readFileSync(file, "utf8");
  if (!candidate.test(text)) return [];
  const source = createSourceFile(file, text, ScriptTarget.Latest, true);
  const found: string[] = [];
  const walk = (node: Node): void => {
    if (isRegularExpressionLiteral(node)) found.push(node.text);
    forEachChild(node, walk);
  };
  walk(source);
  return found;
}

/** Whether the time of a search may grow with the square of the text's length. */
function isSlow(literal: string): boolean {
  const source = literal.slice(1, literal.lastIndexOf("/"));
  return runToEnd.test(source) || anythingToEnd.test(source);
}

test("no regular expression searches for a run at the end of a text", () => {
  assert.deepEqual([String.raw`/\/+$/`, "/^-+|-+$/g", "/[-_.]+$/"].map(isSlow), [true, true, true]);
  assert.deepEqual([String.raw`/^\d+$/`, String.raw`/:\d+$/`, String.raw`/\?.*$/s`].map(isSlow), [false, false, false]);
  const files = globSync("src/**/*.{ts,tsx}").filter((file) => !/\.test\.tsx?$|\/testing\//.test(file));
  const slow = files.flatMap((file) =>
    literalsOf(file)
      .filter(isSlow)
      .map((literal) => `${file}: ${literal}`),
  );
  assert.deepEqual(slow, [], "use withoutEnd, certificateBlocks, or a look behind: /(?<!x)x+$/");
});
