import assert from "node:assert/strict";
import { test } from "node:test";
import { differentFiles } from "./different-files.ts";

const sum = (digit: string, file: string): string => `${digit.repeat(64)}  ${file}\n`;

test("two runs with the same bytes have no differing file, in any order of the lists", () => {
  const first = sum("a", "serin.tgz") + sum("b", "charts/base.tgz");
  assert.deepEqual(differentFiles(first, sum("b", "charts/base.tgz") + sum("a", "serin.tgz")), []);
});

test("a file with different bytes is named, and so is a file that only one run wrote", () => {
  const first = sum("a", "serin.tgz") + sum("b", "only first.tar");
  const second = sum("c", "serin.tgz") + sum("d", "only second.tar");
  assert.deepEqual(differentFiles(first, second), [
    "only first.tar: only the first run wrote it",
    "only second.tar: only the second run wrote it",
    "serin.tgz: different bytes",
  ]);
});
