import assert from "node:assert/strict";
import { test } from "node:test";
import { compileReplacement, maxReplacedLength } from "./regex.ts";

const replaced = (pattern: string, substitution: string, text: string): string =>
  compileReplacement(pattern, substitution, "test")(text);

test("all matches are replaced by a text with groups", () => {
  const cases: readonly (readonly [pattern: string, substitution: string, text: string, expected: string])[] = [
    ["^/old/(.*)$", String.raw`/new/\1`, "/old/x/y", "/new/x/y"],
    ["(a)(b)?", String.raw`[\2\1\0]`, "abxa", "[baab]x[aa]"],
    ["^/(a)", String.raw`/\12`, "/ab", "/a2b"],
    ["^/(a)", String.raw`/\\1`, "/ab", String.raw`/\1b`],
    ["a", "$1$&", "/ab", "/$1$&b"],
    ["x*", "-", "abc", "-a-b-c-"],
    ["a", "", "banana", "bnn"],
    ["a", "-\\", "bac", "b-c"],
    ["a", String.raw`-\x+`, "bac", "b-c"],
    ["(ü)", String.raw`<\1>`, "/😀ü", "/😀<ü>"],
    ["z", "y", "/a", "/a"],
  ];
  for (const [pattern, substitution, text, expected] of cases)
    assert.equal(replaced(pattern, substitution, text), expected, `${pattern} ${substitution}`);
});

test("a substitution with a group that the expression lacks replaces nothing, and does not end the proxy", () => {
  assert.equal(replaced("^/a", String.raw`/\5`, "/ab"), "/ab");
  assert.equal(replaced("^/(a)", String.raw`/\1\2`, "/ab"), "/ab");
});

test("a text that replacements make very long is cut, so that a client cannot fill the memory", () => {
  const long = `/${"a".repeat(55_000)}`;
  for (const [pattern, substitution] of [
    ["a", "b".repeat(16_000)],
    ["(.*)", String.raw`\1`.repeat(8000)],
    ["(a)", String.raw`\1`.repeat(8000)],
  ] as const) {
    const result = replaced(pattern, substitution, long);
    assert.equal(result.length, maxReplacedLength);
    assert.ok(result.startsWith("/"));
  }
});
