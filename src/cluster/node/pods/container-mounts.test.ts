import assert from "node:assert/strict";
import { existsSync, mkdirSync, mkdtempSync, rmSync, statSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { PodHost } from "./pod-host.ts";
import { releaseMounts, volumeMounts } from "./container-mounts.ts";

const image = { release: { version: "1.18.1", root: "/release", nodeModules: undefined } };
test("containers only read the release, and the code that was compiled for it and their user", () => {
  const asked: unknown[] = [];
  const compiledCode = {
    directoryFor: (release: { version: string }, user: number): string => {
      asked.push([release.version, user]);
      return "/compiled";
    },
  };
  const mounts = releaseMounts(image, { compiledCode }, { user: 1337 });
  assert.deepEqual(mounts, [
    { source: "/release", target: "/opt/serin", readOnly: true },
    { source: "/compiled", target: "/var/cache/serin", readOnly: true },
  ]);
  assert.deepEqual(asked, [["1.18.1", 1337]]);
});

test("a container starts without compiled code if there is none", () => {
  const mounts = releaseMounts(image, { compiledCode: { directoryFor: () => undefined } }, { user: 0 });
  assert.deepEqual(mounts, releaseMounts(image, { compiledCode: undefined }, { user: 0 }));
  assert.equal(mounts.length, 1);
});

/** The source of a container's mount with this `subPath`. The volume is a directory in which pods may write. */
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
