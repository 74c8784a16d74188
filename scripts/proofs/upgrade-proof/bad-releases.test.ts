import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { badReleases } from "./bad-releases.ts";

const root = join(import.meta.dirname, "../../..");
const releases = join(root, "test/releases");

test("there are ten bad releases, and each changes existing code", () => {
  assert.equal(badReleases.length, 10);
  assert.deepEqual(
    badReleases.filter(({ name }) => !existsSync(join(releases, name))),
    [],
  );
  for (const name of readdirSync(releases).filter((entry) => !entry.endsWith(".md"))) {
    const path = join(releases, name, "changes.json");
    if (!existsSync(path)) continue;
    for (const { file, find } of JSON.parse(readFileSync(path, "utf8")) as { file: string; find: string }[]) {
      assert.equal(
        readFileSync(join(root, file), "utf8").split(find).length,
        2,
        `${name}: ${file} must have this once: ${find}`,
      );
    }
  }
});
