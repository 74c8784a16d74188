import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";

const preload = join(import.meta.dirname, "end-of-tests.ts");
const limitMs = 60_000;

/** Runs a test file with this text in the same way as the suite, and returns its exit code and output. */
function run(
  context: TestContext,
  text: string,
  exitMs: number,
): { readonly code: number | null; readonly output: string } {
  const directory = mkdtempSync(join(tmpdir(), "serin-end-"));
  context.after(() => rmSync(directory, { recursive: true, force: true }));
  const file = join(directory, "some.test.ts");
  writeFileSync(file, text);
  const { NODE_TEST_CONTEXT: _own, ...env } = process.env;
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    ["--disable-warning=ExperimentalWarning", "--test", `--import=${preload}`, file],
    { encoding: "utf8", env: { ...env, SERIN_TEST_EXIT_MS: String(exitMs) }, timeout: limitMs },
  );
  return { code: status, output: stdout + stderr };
}

const imports = `import { test } from "node:test"; import { createServer } from "node:net"; import { spawn } from "node:child_process";`;

test("a file that leaves a server and a process behind fails, with their names", (context) => {
  const { code, output } = run(
    context,
    `${imports} test("passes", () => { createServer().listen(0); spawn("sleep", ["100"], { stdio: "ignore" }); });`,
    300,
  );
  assert.equal(code, 1, output);
  assert.match(output, /some\.test\.ts: its tests ended 0\.3 s ago, but the process goes on/);
  assert.match(output, /Still open: .*TCPServerWrap.*the process sleep 100/);
});

test("a file that leaves nothing behind passes", (context) => {
  // The time limit is long, because a process may take a while to end on a busy machine.
  const { code, output } = run(
    context,
    `${imports} test("passes", () => { createServer().listen(0).close(); });`,
    limitMs / 2,
  );
  assert.equal(code, 0, output);
});
