import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { test } from "node:test";

const timeoutMs = 60_000;

/** A line as a user types it, with a standard input that has ended and no cluster. */
function typed(...words: readonly string[]): { readonly code: number | null; readonly output: string } {
  const { status, stdout, stderr } = spawnSync(process.execPath, [join(import.meta.dirname, "main.ts"), ...words], {
    env: {
      PATH: process.env["PATH"],
      HOME: "/nonexistent",
      KUBECONFIG: "/nonexistent/config",
      NODE_COMPILE_CACHE: process.env["NODE_COMPILE_CACHE"],
    },
    stdio: ["ignore", "pipe", "pipe"],
    encoding: "utf8",
    timeout: timeoutMs,
  });
  return { code: status, output: stdout + stderr };
}

test("a question without a terminal is answered with no", () => {
  const program = `import { confirm } from ${JSON.stringify(join(import.meta.dirname, "cli.ts"))};
    console.log(await confirm("Proceed?"));`;
  const { status, stdout, stderr } = spawnSync(process.execPath, ["--input-type=module", "--eval", program], {
    stdio: ["ignore", "pipe", "pipe"],
    encoding: "utf8",
    timeout: timeoutMs,
  });
  assert.deepEqual([status, stdout], [0, "false\n"], stderr);
});

test("help of the lab's verbs, of the doctor and of processes is printed, and nothing runs", () => {
  for (const words of [
    ["ztunnel", "--help"],
    ["cluster-apiserver", "-h"],
    ["cluster", "create", "--help"],
    ["doctor", "--help"],
  ]) {
    const { code, output } = typed(...words);
    assert.equal(code, 0, words.join(" "));
    assert.match(output, new RegExp(`serin ${words[0] ?? ""}`));
  }
});

test("a time limit accepts a unit with every verb", () => {
  for (const words of [
    ["canary", "status", "reviews", "--timeout", "50s"],
    ["upgrade", "status", "to-2", "--timeout", "50s"],
  ])
    assert.match(typed(...words).output, /\/nonexistent\/config/, words.join(" "));
});
