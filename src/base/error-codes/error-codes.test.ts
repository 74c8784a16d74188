import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { userError } from "../errors.ts";
import { errorAreas, remedyOf, type ErrorEntry } from "./index.ts";

const entries = errorAreas.flatMap(({ codes }) => Object.entries<ErrorEntry>(codes));
const root = join(import.meta.dirname, "../../..");

test("every code appears once, in kebab-case, with a meaning and a remedy in full sentences", () => {
  const codes = entries.map(([code]) => code);
  assert.deepEqual(
    codes.filter((code, index) => codes.indexOf(code) !== index),
    [],
  );
  for (const [code, { meaning, remedy }] of entries) {
    assert.match(code, /^[a-z][a-z0-9]*(-[a-z0-9]+)*$/);
    for (const text of [meaning, remedy]) assert.match(text, /^[^a-z|][^|]{5,}\.$/, `${code}: ${text}`);
  }
});

test("every code is used", () => {
  const sources = globSync(["src/**/*.ts", "scripts/**/*.ts"], { cwd: root })
    .filter((file) => !file.startsWith("src/base/error-codes/") && !file.endsWith(".test.ts"))
    .map((file) => readFileSync(join(root, file), "utf8"));
  const words = new Set(sources.flatMap((text) => text.match(/"[a-z0-9-]+"/g) ?? []));
  assert.deepEqual(
    entries.map(([code]) => code).filter((code) => !words.has(`"${code}"`)),
    [],
  );
});

test("the compiler refuses a code that the table does not have", () => {
  // @ts-expect-error: no entry has this code.
  assert.equal(userError("no-such-code", "x").kind, "user");
  assert.equal(userError("address-in-use", "x", { reason: "EADDRINUSE" }).reason, "EADDRINUSE");
});

test("a remedy is printed unless the message contains it", () => {
  assert.equal(remedyOf("address-in-use"), "End that program, or choose another port.");
  assert.equal(remedyOf("invalid"), undefined);
});
