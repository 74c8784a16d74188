import assert from "node:assert/strict";
import { existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { SerinError } from "../base/index.ts";
import { buildRelease, exportRelease, programCopies } from "./release.ts";
import type { Release } from "./role.ts";

test("a release with changed sources does not contain the checkout's build for the package", () => {
  assert.deepEqual(programCopies(".bundles/1", true), [["src", "src"]]);
  assert.deepEqual(programCopies(".bundles/1", false), [[".bundles/1", "dist"]]);
  assert.deepEqual(programCopies(undefined, true), [
    ["src", "src"],
    ["dist", "dist"],
  ]);
});

test("a build replaces no checkout and no other package, and an export does not write over its own release", async (context) => {
  const root = mkdtempSync(join(tmpdir(), "serin-release-"));
  context.after(() => rmSync(root, { recursive: true }));
  const release: Release = { version: "1.0.0", root: join(root, "checkout"), entry: "src/cmd/main.ts" };
  const treeWith = (name: string, linksDependencies: boolean): string => {
    const directory = join(root, name);
    mkdirSync(directory);
    writeFileSync(join(directory, "package.json"), "{}");
    if (linksDependencies) symlinkSync(root, join(directory, "node_modules"));
    else mkdirSync(join(directory, "node_modules"));
    return directory;
  };
  const checkout = treeWith("checkout", false);
  const workTree = treeWith("work-tree", true);
  writeFileSync(join(workTree, ".git"), "");
  const isTaken = (error: unknown): boolean => error instanceof SerinError && error.code === "path-taken";
  for (const directory of [checkout, workTree]) {
    await assert.rejects(buildRelease(release, directory, "1.0.1"), isTaken, directory);
    assert.ok(existsSync(join(directory, "package.json")), directory);
  }
  await assert.rejects(exportRelease(release, checkout), isTaken);

  const former = treeWith("former", true);
  writeFileSync(join(former, "old"), "");
  await buildRelease(release, former, "1.0.1");
  assert.equal(existsSync(join(former, "old")), false);
});
