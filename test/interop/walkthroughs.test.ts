// Runs the walkthroughs of test/e2e unchanged, with Kubernetes' own API server in the lab.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { globSync } from "node:fs";
import { basename, join } from "node:path";
import { after, describe, test } from "node:test";
import { kubectls } from "../support/kubectls.ts";
import { root } from "../support/lab-cluster.ts";
import { buildRelease } from "./kube-apiserver/real-api-server.ts";

const [kubectl] = kubectls().slice(-1);

describe("on a real API server", () => {
  const release = buildRelease();
  after(() => release.remove());
  for (const file of globSync("test/e2e/seed-*.test.ts", { cwd: root }).sort()) {
    void test(basename(file, ".test.ts"), async () => {
      const { code, output } = await runTests(file, {
        SERIN_LAB_RELEASE: release.directory,
        SERIN_KUBECTL: kubectl?.file ?? "kubectl",
      });
      assert.equal(code, 0, output);
    });
  }
});

async function runTests(file: string, more: NodeJS.ProcessEnv): Promise<{ code: number | null; output: string }> {
  const env: NodeJS.ProcessEnv = { ...process.env, ...more };
  // With this variable, the inner runner would report to this one, and print nothing.
  delete env["NODE_TEST_CONTEXT"];
  const child = spawn(process.execPath, ["--test", "--test-reporter=spec", join(root, file)], {
    cwd: root,
    env,
    stdio: ["ignore", "pipe", "pipe"],
  });
  let output = "";
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding("utf8").on("data", (text: string) => (output += text));
  const code = await new Promise<number | null>((resolve) => child.once("close", resolve));
  return { code, output };
}
