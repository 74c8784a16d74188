import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import {
  constants,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import { atPlaceBelow, inDirectoryBelow, openFileBelow, readEndBelow, removeBelow } from "./place-below.ts";

const refusal = /a link or another file stands where the node keeps its own files and directories/;
let directory: string;
let root: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "place-below-"));
  root = join(directory, "node");
  mkdirSync(join(root, "var"), { recursive: true });
  mkdirSync(join(directory, "machine/deep"), { recursive: true });
  writeFileSync(join(directory, "machine/deep/file"), "of the machine");
  symlinkSync("../../machine", join(root, "var/link"));
});
afterEach(() => rmSync(directory, { recursive: true }));

const at = (path: string): { root: string; path: string } => ({ root, path: join(root, path) });

test("a missing directory is created, and its path leads to it during the call", () => {
  inDirectoryBelow(at("var/log/pods"), { createMissing: true }, (path) => writeFileSync(`${path}/file`, "content"));
  assert.equal(readFileSync(join(root, "var/log/pods/file"), "utf8"), "content");
});

test("nothing is created, opened, read, mounted or removed through a link", () => {
  assert.throws(() => inDirectoryBelow(at("var/link/new"), { createMissing: true }, () => undefined), refusal);
  assert.throws(() => openFileBelow(at("var/link/new"), constants.O_CREAT | constants.O_WRONLY), refusal);
  assert.throws(() => readEndBelow(at("var/link/deep/file"), 10), refusal);
  assert.throws(() => atPlaceBelow(at("var/link"), () => undefined), refusal);
  assert.throws(() => atPlaceBelow(at("var/link/deep"), () => undefined), refusal);
  removeBelow(at("var/link/deep"));
  assert.equal(existsSync(join(directory, "machine/new")), false);
  assert.equal(readFileSync(join(directory, "machine/deep/file"), "utf8"), "of the machine");
});

test("a link is removed itself", () => {
  removeBelow(at("var/link"));
  assert.equal(existsSync(join(root, "var/link")), false);
  assert.ok(existsSync(join(directory, "machine/deep/file")));
  removeBelow(at("var/missing/file"));
});

test("a pipe in place of a file does not make the process wait for its other end", () => {
  execFileSync("mkfifo", [join(root, "var/pipe")]);
  for (const flags of [constants.O_RDONLY, constants.O_WRONLY | constants.O_APPEND])
    assert.throws(() => openFileBelow(at("var/pipe"), flags), refusal);
});

test("the end of a file is read", () => {
  writeFileSync(join(root, "var/file"), "0123456789");
  assert.equal(readEndBelow(at("var/file"), 4).toString(), "6789");
  assert.equal(readEndBelow(at("var/file"), 40).toString(), "0123456789");
});
