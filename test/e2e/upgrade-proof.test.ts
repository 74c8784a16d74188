// The proof under load in its short form: everything moves, and nothing is lost. Its long form is `npm run e2e:upgrade`.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { test } from "node:test";
import { root } from "../support/lab-cluster.ts";

interface ProofSummary {
  readonly ok: boolean;
  readonly requests: number;
  readonly failed: number;
  readonly closedConnections: number;
  readonly badReleases: readonly { readonly name: string; readonly undone: boolean; readonly cause: string; readonly failedShare: number }[];
}

const requests = 10_000;
const timeLimitMs = 580_000;

async function runProof(...options: readonly string[]): Promise<{ readonly code: number; readonly output: string }> {
  const child = spawn(process.execPath, ["scripts/e2e-upgrade.ts", "--json", ...options], { cwd: root, stdio: ["ignore", "pipe", "pipe"] });
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

test("a mesh goes forward, back and forward again, and an app 0 -> 10 -> 50 -> 100 -> 0, without a failed request or a connection closed; a bad release is undone", async () => {
  const { code, output } = await runProof("--only", "upgrade,canary,bad:rejected-config", "--requests", String(requests), "--stream-seconds", "20");
  assert.equal(code, 0, output);
  const summary = JSON.parse(output.trim().split("\n").at(-1) ?? "") as ProofSummary;
  assert.deepEqual({ ok: summary.ok, failed: summary.failed, closedConnections: summary.closedConnections }, { ok: true, failed: 0, closedConnections: 0 });
  assert.ok(summary.requests >= requests, `${summary.requests} requests`);
  assert.deepEqual(summary.badReleases.map(({ name, undone, failedShare }) => ({ name, undone, failedShare })), [{ name: "rejected-config", undone: true, failedShare: 0 }]);
});
