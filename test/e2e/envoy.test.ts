// A stock Envoy under Serin's control plane, with plain processes instead of a lab. It accepts every configuration of
// the corpus, and routes as that configuration says. With CI=true a missing Envoy is a failure.
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { spawnSync } from "node:child_process";
import { root } from "../support/lab-cluster.ts";

const envoy = join(root, ".cache/interop/envoy");
const inNamespace = join(root, "test/interop/mesh/in-namespace.sh");
/** The limit is long, because this file may run beside others at the lowest priority. */
const timeoutMs = 1_500_000;
const missing = `there is no .cache/interop/envoy: scripts/fetch/envoy.sh puts it there`;

function summaryOf(file: string): Readonly<Record<string, number>> {
  const { stdout, stderr, error } = spawnSync(
    inNamespace,
    [process.execPath, join(root, "test/interop/mesh", file), "--json"],
    { encoding: "utf8", timeout: timeoutMs },
  );
  if (error !== undefined) throw error;
  const last = stdout.trim().split("\n").at(-1) ?? "";
  assert.match(last, /^\{/, `${stdout}${stderr}`);
  const summary = JSON.parse(last) as Record<string, number>;
  assert.equal(summary["failed"], 0, stdout);
  return summary;
}

if (!existsSync(envoy) && process.env["CI"] !== "true") process.stderr.write(`not run, a stock Envoy: ${missing}\n`);
else {
  test("a stock Envoy takes every configuration of the corpus, as sidecar, gateway and waypoint", () => {
    assert.ok(existsSync(envoy), missing);
    const { configurations = 0, nacks } = summaryOf("envoy-corpus.ts");
    assert.ok(configurations >= 150, `${configurations} configurations`);
    assert.equal(nacks, 0);
  });

  test("requests through a stock Envoy go where its configuration says", () => {
    assert.ok(existsSync(envoy), missing);
    assert.ok((summaryOf("envoy-traffic.ts")["cases"] ?? 0) >= 12);
  });
}
