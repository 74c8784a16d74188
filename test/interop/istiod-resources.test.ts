// Compares what a real istiod and Serin's control plane send to the same sidecar, gateway, waypoint and ztunnel, for
// every configuration of the corpus. Fails for differences that docs/interop.md does not explain.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { test } from "node:test";
import { root } from "../support/lab-cluster.ts";

const timeoutMs = 1_500_000;

if (process.env["ISTIOD"] === undefined)
  process.stderr.write(
    "not run, resources of a real istiod: ISTIOD names no pilot-discovery; scripts/fetch/istiod.sh builds one\n",
  );
else
  test("sends the same as a real istiod, except for explained differences", { timeout: timeoutMs }, () => {
    const { stdout, stderr } = spawnSync(
      join(root, "test/interop/mesh/in-namespace.sh"),
      [process.execPath, join(root, "test/interop/mesh/istiod-comparison.ts"), "--json"],
      { encoding: "utf8", timeout: timeoutMs, maxBuffer: 2 ** 28 },
    );
    const last = stdout.trim().split("\n").at(-1) ?? "";
    assert.match(last, /^\{/, stderr);
    const { configurations, failed, unexplained } = JSON.parse(last) as Record<string, number>;
    assert.ok((configurations ?? 0) >= 150);
    assert.deepEqual({ failed, unexplained }, { failed: 0, unexplained: 0 }, stdout.slice(-20_000));
  });
