// The dashboard against a live lab under load, in a real Chromium: the short form of `npm run e2e:dashboard`.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { test } from "node:test";
import { missingChromium } from "../support/chromium.ts";
import { root } from "../support/lab-cluster.ts";

interface DashboardSummary {
  readonly ok: boolean;
  readonly views: number;
  readonly failed: number;
  readonly consoleErrors: number;
  readonly maxDeviation: number;
}

const timeLimitMs = 480_000;

async function runProof(...options: readonly string[]): Promise<{ readonly code: number; readonly output: string }> {
  const child = spawn(process.execPath, ["scripts/e2e-dashboard.ts", "--json", ...options], { cwd: root, stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  const collect = (chunk: Buffer): void => {
    output += chunk.toString("utf8");
  };
  child.stdout.on("data", collect);
  child.stderr.on("data", collect);
  const timer = setTimeout(() => child.kill("SIGTERM"), timeLimitMs);
  const code = await new Promise<number>((resolve) => child.on("exit", (status) => resolve(status ?? 1)));
  clearTimeout(timer);
  return { code, output };
}

test("every view opens, every order of a canary is given by its button, figures are the load's own within 2 %, a weight is seen within 2 s, and rights hold", { skip: missingChromium }, async () => {
  const { code, output } = await runProof("--rate", "0.2", "--sights", "1");
  assert.equal(code, 0, output);
  const summary = JSON.parse(output.trim().split("\n").at(-1) ?? "") as DashboardSummary;
  assert.deepEqual({ ok: summary.ok, failed: summary.failed, consoleErrors: summary.consoleErrors }, { ok: true, failed: 0, consoleErrors: 0 });
  assert.ok(summary.views > 10, output);
  assert.ok(summary.maxDeviation <= 0.02, output);
});
