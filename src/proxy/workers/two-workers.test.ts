import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { test } from "node:test";

const root = join(import.meta.dirname, "../../..");

/**
 * The worker's file in the program that `bin/serin` runs: the bundle, or the sources where no bundle can be made. The
 * tests start some forty workers, and one from the bundle takes less than half of the processor time.
 */
function workerFile(): string {
  const { stdout, stderr } = spawnSync(join(root, "bin/serin"), ["version"], {
    encoding: "utf8",
    env: {
      ...process.env,
      NODE_OPTIONS: "--import=data:text/javascript,process.stdout.write(process.argv[1]);process.exit()",
    },
  });
  const program = dirname(dirname(stdout));
  const found = ["js", "ts"]
    .map((ending) => join(program, `proxy/workers/data-path.worker.${ending}`))
    .find(existsSync);
  return found ?? assert.fail(`bin/serin runs ${stdout}, which has no worker beside it: ${stderr}`);
}

// Runs tests of the proxy again with two workers: listeners, routing, tunnels, drain, TLS of gateways, own ports, and
// filters whose configuration comes by discovery.
for (const file of ["proxy.test.ts", "gateway-tls.test.ts", "own-ports.test.ts", "extension-discovery.test.ts"])
  test(`all that ${file} proves holds with two workers`, async () => {
    const { NODE_TEST_CONTEXT: _context, ...env } = process.env;
    const child = spawn(
      process.execPath,
      ["--disable-warning=ExperimentalWarning", "--test-reporter=tap", join(import.meta.dirname, "..", file)],
      {
        env: { ...env, SERIN_TEST_WORKERS: "2", SERIN_TEST_WORKER_FILE: workerFile() },
        stdio: ["ignore", "pipe", "pipe"],
      },
    );
    let output = "";
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding("utf8").on("data", (text: string) => (output += text));
    const code = await new Promise((resolve) => child.on("close", resolve));
    assert.equal(code, 0, output);
    assert.match(output, /^# pass [1-9]/m);
  });
