import assert from "node:assert/strict";
import { test } from "node:test";
import { readFullYaml } from "./full-yaml.ts";

test("aliases that cannot be resolved are a fault of their document, and the others are read", () => {
  const ten = (name: string): string => Array.from({ length: 10 }, () => `*${name}`).join(",");
  const bomb = `a: &a [1]\nb: &b [${ten("a")}]\nc: &c [${ten("b")}]\nd: [${ten("c")}]`;
  const { documents, faults } = readFullYaml(`a: *b\n---\n${bomb}\n---\na: &x 1\nb: *x\n`);
  assert.deepEqual(
    faults.map(({ line, message }) => [line, message.slice(0, 34)]),
    [
      [1, "the aliases (*name) cannot be reso"],
      [3, "the aliases (*name) cannot be reso"],
    ],
  );
  assert.deepEqual(
    documents.map(({ value }) => value),
    [{ a: 1, b: 1 }],
  );
});

test("a key that is a map, as an unquoted template makes it, is a fault with its position", () => {
  const { documents, faults } = readFullYaml("a: 1\n---\nmetadata:\n  name: {{ name }}\n---\nb: [{? [x] : y}]\n");
  assert.deepEqual(
    faults.map(({ line, column, message }) => [line, column, message.slice(0, 23)]),
    [
      [4, 10, "a key must be a string,"],
      [6, 8, "a key must be a string,"],
    ],
  );
  assert.equal(documents.length, 1);
});
