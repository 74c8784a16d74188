import assert from "node:assert/strict";
import { existsSync, mkdirSync, mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import type { PodHost } from "./pod-host.ts";
import { releaseMounts, volumeMounts } from "./container-mounts.ts";

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

/** The source of a container's mount with this `subPath` of a directory that pods write. */
function sourceOf(root: string, subPath: string): string | undefined {
  const host = {
    pod: () => ({ metadata: {}, spec: { volumes: [{ name: "v", emptyDir: {} }], containers: [] } }),
    volumePlace: () => ({ root, path: join(root, "volume") }),
  } as unknown as PodHost;
  const container = { name: "app", volumeMounts: [{ name: "v", mountPath: "/v", subPath }] };
  return volumeMounts(container, host, {})[0]?.source;
}

test("a subPath is created in its volume, also behind a link inside, and never outside", () => {
  const root = mkdtempSync(join(tmpdir(), "serin-mounts-"));
  try {
    mkdirSync(join(root, "volume/data"), { recursive: true });
    mkdirSync(join(root, "machine"));
    symlinkSync("data", join(root, "volume/inside"));
    symlinkSync("../machine", join(root, "volume/outside"));
    assert.equal(sourceOf(root, "inside/new"), join(root, "volume/data/new"));
    assert.ok(statSync(join(root, "volume/data/new")).isDirectory());
    assert.throws(() => sourceOf(root, "outside/new"), /points outside its volume/);
    assert.equal(existsSync(join(root, "machine/new")), false);
  } finally {
    rmSync(root, { recursive: true });
  }
});
