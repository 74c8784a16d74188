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

function cacheOf(user: number): string | undefined {
  return releaseMounts(image, { compileCache }, { user, group: user })[1]?.source;
}

test("each user of pods writes a cache of compiled sources that is theirs alone", () => {
  const user = process.getuid?.() === 0 ? 1337 : (process.getuid?.() ?? 0);
  const own = cacheOf(user);
  assert.ok(own === join(compileCache, String(user)));
  const { uid, mode } = statSync(own);
  assert.deepEqual([uid, mode & 0o022], [user, 0]);
  assert.equal(cacheOf(user), own);
  assert.equal(cacheOf(0), compileCache);
});

test("a container starts without a cache that cannot be made, as on a full disk", () => {
  writeFileSync(join(compileCache, "1338"), "in the way");
  assert.equal(cacheOf(1338), undefined);
});

test("a lab without a cache mounts none", () => {
  assert.equal(releaseMounts(image, { compileCache: undefined }, { user: 1337, group: 1337 }).length, 1);
});
