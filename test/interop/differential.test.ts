// Sends the same bytes to Serin's proxy and to a stock Envoy. Serin's proxy must be at least as safe for every request
// that a stranger sends.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";

const root = join(import.meta.dirname, "../..");

test("the proxy is nowhere worse than a stock Envoy with the same listener, policies and tokens", () => {
  assert.ok(
    existsSync(join(root, ".cache/interop/envoy")),
    "there is no .cache/interop/envoy: scripts/fetch/envoy.sh puts it there",
  );
  const { status, stdout, stderr } = spawnSync(
    join(root, "test/interop/mesh/in-namespace.sh"),
    [process.execPath, join(root, "test/interop/differential/differential-judge.ts"), "--json"],
    { cwd: root, encoding: "utf8", maxBuffer: 64 * 1024 * 1024 },
  );
  assert.equal(status, 0, `${stdout}\n${stderr}`);
  const last = JSON.parse(stdout.trimEnd().split("\n").at(-1) ?? "") as { cases: number; worse: number };
  assert.ok(last.cases >= 15_000, `${last.cases} cases`);
  assert.equal(last.worse, 0);
});
