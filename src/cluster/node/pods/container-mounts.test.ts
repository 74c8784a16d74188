import assert from "node:assert/strict";
import { mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import { releaseMounts } from "./container-mounts.ts";

const image = { release: { version: "1.18.1", root: "/release", nodeModules: undefined } };
let compileCache: string;

beforeEach(() => (compileCache = mkdtempSync(join(tmpdir(), "serin-cache-"))));
afterEach(() => rmSync(compileCache, { recursive: true, force: true }));

function cacheOf(user: number, chown = (): void => undefined): string | undefined {
  return releaseMounts(image, { compileCache }, { user, group: user }, chown)[1]?.source;
}

test("each user id of containers has its own cache of compiled sources", () => {
  const given: unknown[] = [];
  // A user namespace with one user cannot give a directory to another.
  const own = cacheOf(1337, (...args: unknown[]) => void given.push(args));
  assert.equal(own, join(compileCache, "1337"));
  assert.deepEqual(given, [[own, 1337, 1337]]);
  assert.equal(statSync(join(compileCache, "1337")).mode & 0o022, 0);
  assert.equal(cacheOf(1337), own);
  assert.equal(cacheOf(0), compileCache);
});

test("a container starts without a cache that cannot be given to its user", () => {
  const refuse = (): never => {
    throw new Error("EINVAL: invalid argument, chown");
  };
  assert.equal(cacheOf(1337, refuse), undefined);
});

test("a container starts without a cache that cannot be made, as on a full disk", () => {
  writeFileSync(join(compileCache, "1338"), "in the way");
  assert.equal(cacheOf(1338), undefined);
});

test("a lab without a cache mounts none", () => {
  assert.equal(releaseMounts(image, { compileCache: undefined }, { user: 1337, group: 1337 }).length, 1);
});
