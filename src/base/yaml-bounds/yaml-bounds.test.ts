import assert from "node:assert/strict";
import { test } from "node:test";
import { yamlBoundsFault } from "./index.ts";

const deep = "must be nested at most 64 levels deep";

test("every kind of nesting counts: brackets, braces, dashes, question marks, indents", () => {
  const lines = Array.from({ length: 100 }, (_, level) => `${" ".repeat(level)}a:`);
  for (const text of [
    `a: ${"[".repeat(100)}`,
    `a: ${"{a: ".repeat(100)}`,
    `${"- ".repeat(100)}a`,
    `${"? ".repeat(100)}a`,
    `${"-\t".repeat(100)}a`,
    lines.join("\n"),
    lines.join("\r"),
    `a: it's\nb: ${"[".repeat(100)}`,
    `a: "]]]"\nb: ${'["]", '.repeat(100)}`,
    `a: "'"\nb: ${"[\n ".repeat(100)}`,
    `${"- ".repeat(40)}${"[".repeat(40)}`,
    lines.join("\n#\n"),
    Array.from({ length: 100 }, (_, level) => `${" ".repeat(level)}${"\u00a0".repeat(100 - level)}a:`).join("\n"),
    Array.from({ length: 3 }, (_, index) => `${" ".repeat(100 * index)}${"- ".repeat(49)}a:`).join("\n"),
  ])
    assert.equal(yamlBoundsFault(text), deep, text.slice(0, 40));
});

test("ordinary YAML passes: lists, closed brackets, dashes in words, single brackets in scripts and comments", () => {
  const hundred = (one: string): string => `${one}\n`.repeat(100);
  for (const text of [
    "",
    `data:\n  run.sh: |\n${hundred('    echo -e "\\033[0;32m step"')}`,
    hundred("# from [0, 1)"),
    hundred('- "{"'),
    hundred("- a[b"),
    "holdApplicationUntilProxyStarts: true\nproxyMetadata:\n  A: b\n",
    Array.from({ length: 200 }, () => "- a: [b, {c: d}]\n  - e-f - g").join("\n"),
    JSON.stringify({ tracing: { sampling: 10 }, list: Array.from({ length: 100 }, () => ({ a: [] })) }),
    "-".repeat(200),
    Array.from({ length: 300 }, (_, index) => `${" ".repeat(index % 7)}a:`).join("\n"),
  ])
    assert.equal(yamlBoundsFault(text), undefined, text.slice(0, 40));
  assert.match(yamlBoundsFault("a".repeat(40_000)) ?? "", /^must be at most 32768 characters, got 40000$/);
});
