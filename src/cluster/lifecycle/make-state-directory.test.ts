import assert from "node:assert/strict";
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { makeStateDirectory } from "./make-state-directory.ts";

test("only its owner can open a cluster's directory, which contains all Secrets, and the ones above stay open", () => {
  const root = mkdtempSync(join(tmpdir(), "serin-state-"));
  const mask = process.umask(0o022);
  const modeOf = (path: string): number => statSync(path).mode & 0o777;
  try {
    const directory = join(root, "serin/clusters/kind");
    makeStateDirectory(directory);
    assert.deepEqual([modeOf(join(root, "serin")), modeOf(join(root, "serin/clusters"))], [0o755, 0o755]);
    assert.equal(modeOf(directory), 0o700);
    assert.throws(() => makeStateDirectory(directory), { code: "EEXIST" });
  } finally {
    process.umask(mask);
    rmSync(root, { recursive: true });
  }
});
