import assert from "node:assert/strict";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import { keepBundle } from "./keep-bundle.ts";

let directory: string;
const nowMs = Date.UTC(2026, 0, 1);
const keyOf = (digit: string): string => digit.repeat(40);

beforeEach(() => (directory = mkdtempSync(join(tmpdir(), "serin-bundles-"))));
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const writeText =
  (text: string) =>
  async (target: string): Promise<void> =>
    writeFileSync(join(target, "main.js"), text);

function addBundle(digit: string, ageHours: number): void {
  mkdirSync(join(directory, keyOf(digit)));
  writeFileSync(join(directory, keyOf(digit), "main.js"), "setInterval(() => {}, 1000); console.log('runs');");
  const then = new Date(nowMs - ageHours * 3_600_000);
  utimesSync(join(directory, keyOf(digit)), then, then);
}

test("an existing bundle is not built again", async () => {
  await keepBundle({ directory, key: keyOf("a"), write: writeText("first"), nowMs });
  await keepBundle({ directory, key: keyOf("a"), write: async () => assert.fail("made again"), nowMs });
  assert.equal(readFileSync(join(directory, keyOf("a"), "main.js"), "utf8"), "first");
});

test("the first of two concurrent builds of a bundle stays, and no other files are left", async () => {
  const write = async (target: string): Promise<void> => {
    writeFileSync(join(target, "main.js"), "slow");
    await writeRival();
  };
  const writeRival = async (): Promise<void> => {
    mkdirSync(join(directory, keyOf("a")));
    writeFileSync(join(directory, keyOf("a"), "main.js"), "rival");
  };
  await keepBundle({ directory, key: keyOf("a"), write, nowMs });
  assert.deepEqual(readdirSync(directory), [keyOf("a")]);
  assert.equal(readFileSync(join(directory, keyOf("a"), "main.js"), "utf8"), "rival");
});

test("a failed build leaves its reason until another bundle exists", async () => {
  const write = async (target: string): Promise<void> => {
    writeFileSync(join(target, "half.js"), "");
    throw new Error("no such module");
  };
  await assert.rejects(keepBundle({ directory, key: keyOf("a"), write, nowMs }), /no such module/);
  assert.deepEqual(readdirSync(directory), [`${keyOf("a")}.failed`]);
  assert.equal(readFileSync(join(directory, `${keyOf("a")}.failed`), "utf8"), "no such module\n");
  await keepBundle({ directory, key: keyOf("b"), write: writeText(""), nowMs });
  assert.deepEqual(readdirSync(directory), [keyOf("b")]);
});

test("the last three bundles stay, and older ones that a process uses", async () => {
  for (const [index, digit] of "1 2 3 4 5 6".split(" ").entries()) addBundle(digit, index + 1);
  const child = spawn(process.execPath, [join(directory, keyOf("5"), "main.js")], {
    stdio: ["ignore", "pipe", "ignore"],
  });
  try {
    await once(child.stdout, "data");
    await keepBundle({ directory, key: keyOf("a"), write: writeText(""), nowMs });
  } finally {
    child.kill("SIGKILL");
  }
  assert.deepEqual(readdirSync(directory).toSorted(), ["1", "2", "3", "5", "a"].map(keyOf));
});

test("unfinished files of a killed process are deleted after ten minutes", async () => {
  for (const [name, minutes] of [
    ["old", 11],
    ["new", 9],
  ] as const) {
    const path = join(directory, `.unfinished-${name}`);
    mkdirSync(path);
    const then = new Date(nowMs - minutes * 60_000);
    utimesSync(path, then, then);
  }
  await keepBundle({ directory, key: keyOf("a"), write: writeText(""), nowMs });
  assert.ok(!existsSync(join(directory, ".unfinished-old")));
  assert.ok(existsSync(join(directory, ".unfinished-new")));
});
