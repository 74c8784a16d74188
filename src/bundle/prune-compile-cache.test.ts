import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import { pruneCompileCache } from "./index.ts";

const nowMs = 1_800_000_000_000;
const dayMs = 86_400_000;
const version = "v24.21.0-x64-964aae3f-0";
let directory: string;

beforeEach(() => (directory = mkdtempSync(join(tmpdir(), "serin-compiled-"))));
afterEach(() => rmSync(directory, { recursive: true, force: true }));

function addFile(name: string, { readAgo, writtenAgo }: { readonly readAgo: number; readonly writtenAgo: number }) {
  mkdirSync(join(directory, name, ".."), { recursive: true });
  writeFileSync(join(directory, name), name);
  utimesSync(join(directory, name), (nowMs - readAgo) / 1000, (nowMs - writtenAgo) / 1000);
}

test("if there are too many files, those that were used last stay, across all folders of the cache", () => {
  for (let day = 0; day < 10; day += 1)
    addFile(`${version}/0000000${day}`, { readAgo: (day + 1) * dayMs, writtenAgo: 30 * dayMs });
  addFile(`lab/${version}/0000000a`, { readAgo: 40 * dayMs, writtenAgo: 40 * dayMs });
  addFile(`lab/${version}/0000000b`, { readAgo: 40 * dayMs, writtenAgo: dayMs / 2 });
  addFile(`lab/pods/${version}/0000000c`, { readAgo: 50 * dayMs, writtenAgo: 50 * dayMs });
  assert.equal(pruneCompileCache({ directory, nowMs, maxFiles: 13 }), 0);
  assert.equal(pruneCompileCache({ directory, nowMs, maxFiles: 6 }), 9);
  assert.deepEqual(readdirSync(join(directory, version)).sort(), ["00000000", "00000001", "00000002"]);
  assert.deepEqual(readdirSync(join(directory, "lab", version)), ["0000000b"]);
  assert.deepEqual(readdirSync(join(directory, "lab/pods", version)), []);
});

test("files that Node may still write stay, and a missing cache counts as empty", () => {
  for (let index = 0; index < 5; index += 1) addFile(`${version}/0000000${index}`, { readAgo: 1000, writtenAgo: 1000 });
  assert.equal(pruneCompileCache({ directory, nowMs, maxFiles: 1 }), 0);
  assert.equal(pruneCompileCache({ directory: join(directory, "nothing"), nowMs }), 0);
});

test("files with other names are not Node's, and stay", () => {
  const strangers = ["photo.jpg", "photos/00000000", `${version}/letter.txt`, `other/${version}/00000000`];
  for (const name of strangers) addFile(name, { readAgo: 90 * dayMs, writtenAgo: 90 * dayMs });
  assert.equal(pruneCompileCache({ directory, nowMs, maxFiles: 1 }), 0);
});
