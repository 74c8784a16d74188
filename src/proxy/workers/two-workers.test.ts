import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { join } from "node:path";
import { test } from "node:test";

// Runs tests of the proxy again with two workers: listeners, routing, tunnels, drain, TLS of gateways, own ports, and
// filters whose configuration comes by discovery.
for (const file of ["proxy.test.ts", "gateway-tls.test.ts", "own-ports.test.ts", "extension-discovery.test.ts"])
  test(`all that ${file} proves holds with two workers`, async () => {
    const { NODE_TEST_CONTEXT: _context, ...env } = process.env;
    const child = spawn(
      process.execPath,
      ["--disable-warning=ExperimentalWarning", "--test-reporter=tap", join(import.meta.dirname, "..", file)],
      {
        env: { ...env, SERIN_TEST_WORKERS: "2" },
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
