import assert from "node:assert/strict";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
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
  const treeWith = (name: string, ...files: readonly string[]): string => {
    const directory = join(root, name);
    mkdirSync(directory, { recursive: true });
    for (const file of ["package.json", ...files]) writeFileSync(join(directory, file), "{}");
    return directory;
  };
  const checkout = treeWith("checkout");
  const workTree = treeWith("work-tree", ".serin-release", ".git");
  const linked = treeWith("linked/package");
  symlinkSync(root, join(linked, "node_modules"));
  const isTaken = (error: unknown): boolean => error instanceof SerinError && error.code === "path-taken";
  for (const directory of [checkout, workTree, linked]) {
    await assert.rejects(buildRelease(release, directory, "1.0.1"), isTaken, directory);
    assert.ok(existsSync(join(directory, "package.json")), directory);
  }
  await assert.rejects(exportRelease(release, checkout), isTaken);

  const former = treeWith("former", ".serin-release", "old");
  await buildRelease(release, former, "1.0.1");
  assert.equal(existsSync(join(former, "old")), false);
});

test("a build does not replace the release that it copies, and one that failed can be repeated", async (context) => {
  const root = mkdtempSync(join(tmpdir(), "serin-release-"));
  context.after(() => rmSync(root, { recursive: true }));
  const own = join(root, "outer", "own");
  mkdirSync(own, { recursive: true });
  for (const file of ["package.json", "LICENSE"]) writeFileSync(join(own, file), "{}");
  for (const directory of [own, join(root, "outer")]) writeFileSync(join(directory, ".serin-release"), "");
  const release: Release = { version: "1.0.0", root: own, entry: "src/cmd/main.ts" };
  for (const directory of [own, join(root, "outer")])
    await assert.rejects(buildRelease(release, directory, "1.0.1"), { code: "path-taken" }, directory);
  assert.ok(existsSync(join(own, "package.json")));

  const overlay = join(root, "overlay");
  mkdirSync(overlay);
  const changes = (find: string): void =>
    writeFileSync(join(overlay, "changes.json"), JSON.stringify([{ file: "LICENSE", find, replace: "{ }" }]));
  const target = join(root, "new");
  changes("absent");
  await assert.rejects(buildRelease(release, target, "1.0.1", overlay), { code: "release-invalid" });
  changes("{}");
  await buildRelease(release, target, "1.0.1", overlay);
  assert.ok(existsSync(join(target, "package.json")));
});

test("a copy of a checkout's bundle has the data of generated, and neither its modules nor source maps", async (context) => {
  const root = mkdtempSync(join(tmpdir(), "serin-release-"));
  context.after(() => rmSync(root, { recursive: true }));
  const own = join(root, "own");
  const files = [
    ".bundles/1/cmd/main.js",
    ".bundles/1/cmd/main.js.map",
    "generated/kubernetes/types.json.br",
    "generated/proto/door.d.ts",
    "generated/proto/door.js",
    "samples/bookinfo/src/ratings.ts",
    "package.json",
  ];
  for (const file of files) {
    mkdirSync(join(own, file, ".."), { recursive: true });
    writeFileSync(join(own, file), "{}");
  }
  mkdirSync(join(own, "node_modules"));
  const copy = join(root, "copy");
  await buildRelease({ version: "1.0.0", root: own, entry: ".bundles/1/cmd/main.js" }, copy, "1.0.1");
  const copied = readdirSync(copy, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(relative(copy, entry.parentPath), entry.name));
  assert.deepEqual(copied.toSorted(), [
    ".serin-release",
    "dist/cmd/main.js",
    "generated/kubernetes/types.json.br",
    "package.json",
    "samples/bookinfo/src/ratings.ts",
  ]);
});
