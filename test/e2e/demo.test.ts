// The demo, as a stranger runs it: everything from nothing, under load, to the end.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { test } from "node:test";
import { root } from "../support/lab-cluster.ts";

interface DemoSummary {
  readonly ok: boolean;
  readonly requests: number;
  readonly steps: readonly { readonly name: string; readonly failed: number }[];
  readonly rolledBack: readonly { readonly cause: string }[];
}

const timeLimitMs = 400_000;

async function runDemo(): Promise<{ readonly code: number; readonly output: string }> {
  const child = spawn(process.execPath, ["scripts/demo.ts", "--json"], { cwd: root, stdio: ["ignore", "pipe", "pipe"] });
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

test("the app and the mesh change under load with no failed request, and two bad releases are taken back", async () => {
  const { code, output } = await runDemo();
  const last = output.trim().split("\n").at(-1) ?? "";
  assert.equal(code, 0, output);
  const summary = JSON.parse(last) as DemoSummary;
  assert.equal(summary.ok, true);
  assert.ok(summary.requests > 1000, `${summary.requests} requests`);
  for (const step of summary.steps.filter(({ name }) => !name.includes("bad"))) assert.equal(step.failed, 0, step.name);
  assert.equal(summary.rolledBack.length, 2);
  assert.match(summary.rolledBack[0]?.cause ?? "", /rejected istio\.workload\.Address/);
  assert.match(summary.rolledBack[1]?.cause ?? "", /probe-matrix/);
});
