import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { array, assert as assertProperty, constantFrom, nat, property, tuple } from "fast-check";
import { parseAllDocuments } from "yaml";
import { readForKubernetes } from "../../base/kubernetes-yaml/index.ts";
import { readPlainYaml } from "./plain-yaml.ts";

const root = join(import.meta.dirname, "../../..");
const files = ["samples/**/*.yaml", "manifests/*.yaml", "test/**/*.yaml"]
  .flatMap((pattern) => globSync(pattern, { cwd: root }))
  .map((file) => ({ file, text: readFileSync(join(root, file), "utf8") }))
  .filter(({ text }) => text.length < 40_000);

function fully(text: string): { readonly values: readonly unknown[]; readonly faults: number } {
  const documents = parseAllDocuments(text, { ...readForKubernetes, prettyErrors: false, logLevel: "silent" });
  const all = Array.isArray(documents) ? documents : [];
  return {
    values: all.map((document) => document.toJS() as unknown).filter((value) => value !== null),
    faults: all.reduce((sum, { errors }) => sum + errors.length, 0),
  };
}

test("manifests of this project parse as with the full reader, most of them without it", () => {
  let plain = 0;
  for (const { file, text } of files) {
    const documents = readPlainYaml(text);
    if (documents === undefined) continue;
    plain += 1;
    assert.deepEqual(
      documents.map(({ value }) => value),
      fully(text).values,
      file,
    );
  }
  assert.ok(plain >= files.length * 0.8, `${plain} of ${files.length}`);
});

const sample = `apiVersion: v1 # one
kind: List
"q": 'it''s'
items:
- a: {b: 1, c: [x, "y z"]}
  b:
  - no
- text: |
    line

    last
  m: -1
  list:
  - - x
  -
    k: ~
  args: ["--flag", 'two', 3]
---
k: v
date: 2024-01-01
s: "a\\tb"
`;

test("the sample needs no full reader", () => {
  assert.deepEqual(
    readPlainYaml(sample)?.map(({ value }) => value),
    fully(sample).values,
  );
});

test("the plain reader gives the full reader's answer for any text, or none", () => {
  const pieces = constantFrom(
    "\n",
    " ",
    "  ",
    ":",
    ": ",
    "- ",
    "-",
    "#",
    " #",
    '"',
    "'",
    "|",
    "|-",
    "[",
    "]",
    "{",
    "}",
    ",",
    "a",
    "1",
    "~",
    "null",
    "&a ",
    "*a",
    "!x ",
    "---\n",
    "\n\n",
    "?",
    "%",
    "0o7",
    "1e3",
    ".5",
    "+",
    "true",
    "yes",
    "y",
    "off",
    "_",
    "0b1",
  );
  const edits = array(tuple(nat(sample.length), nat(4), pieces), { minLength: 1, maxLength: 6 });
  assertProperty(
    property(edits, (changes) => {
      let text = sample;
      for (const [at, removed, added] of changes) text = text.slice(0, at) + added + text.slice(at + removed);
      const documents = readPlainYaml(text);
      if (documents === undefined) return;
      const { values, faults } = fully(text);
      assert.equal(faults, 0, `refused by the full reader:\n${text}`);
      assert.deepEqual(
        documents.map(({ value }) => value).filter((value) => value !== null),
        values,
        text,
      );
    }),
    { numRuns: 1500 },
  );
});

test("a scalar or key has the value that the full reader gives it", () => {
  for (const text of [
    "010",
    "-0",
    "1.",
    ".5",
    "1e3",
    "+1",
    "yes",
    "on",
    "Off",
    "n",
    "oN",
    "True",
    "e5",
    "1_000",
    "08",
    "0o17",
    "0b11",
    "1e3",
    "null",
    "12:30",
    "0x1f",
    ".inf",
    "-a",
    "--x",
    "- ",
    "a #b",
    "a#b",
    "{}",
    "[]",
    "http://x",
    "'a' #c",
    "9007199254740993",
  ]) {
    const documents = readPlainYaml(`k: ${text}\n`);
    if (documents !== undefined) assert.deepEqual(documents[0]?.value, fully(`k: ${text}\n`).values[0], text);
    const keyed = readPlainYaml(`${text}: k\n`);
    if (keyed !== undefined) assert.deepEqual(keyed[0]?.value, fully(`${text}: k\n`).values[0], text);
  }
});
