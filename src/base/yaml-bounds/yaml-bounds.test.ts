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
    `a: it's\nb: ${"[".repeat(100)}'`,
    `a: "'"\nb: ${"[\n".repeat(100)}`,
    `${"- ".repeat(40)}${"[".repeat(40)}`,
  ])
    assert.equal(yamlBoundsFault(text), deep, text.slice(0, 40));
});

test("ordinary YAML passes: long lists, nested lists, closed brackets, dashes within words", () => {
  for (const text of [
    "",
    "holdApplicationUntilProxyStarts: true\nproxyMetadata:\n  A: b\n",
    Array.from({ length: 200 }, () => "- a: [b, {c: d}]\n  - e-f - g").join("\n"),
    JSON.stringify({ tracing: { sampling: 10 }, list: Array.from({ length: 100 }, () => ({ a: [] })) }),
    "-".repeat(200),
    Array.from({ length: 300 }, (_, index) => `${" ".repeat(index % 7)}a:`).join("\n"),
  ])
    assert.equal(yamlBoundsFault(text), undefined, text.slice(0, 40));
  assert.match(yamlBoundsFault("a".repeat(40_000)) ?? "", /^must be at most 32768 characters, got 40000$/);
});
