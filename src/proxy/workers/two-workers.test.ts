import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { test } from "node:test";

const root = join(import.meta.dirname, "../../..");
const files = ["proxy.test.ts", "gateway-tls.test.ts", "own-ports.test.ts", "extension-discovery.test.ts"];

/** A line of the reporter. */
interface FileCounts {
  readonly file: string;
  readonly passed: number;
  readonly failed: number;
  readonly skipped: readonly string[];
  readonly summary: string;
}

interface Ran {
  readonly code: number | null;
  readonly counts: readonly FileCounts[];
  readonly printed: string;
}

// Runs tests of the proxy again with two workers: listeners, routing, tunnels, drain, TLS of gateways, own ports, and
// filters whose configuration comes by discovery. The files share a process, which loads the proxy once.
async function runWithTwoWorkers(): Promise<Ran> {
  const { NODE_TEST_CONTEXT: _context, ...env } = process.env;
  const child = spawn(
    process.execPath,
    [
      "--disable-warning=ExperimentalWarning",
      "--test",
      "--test-isolation=none",
      `--import=${join(root, "scripts/suite/threads-from-bundle.ts")}`,
      `--test-reporter=${join(root, "scripts/suite/count-reporter.ts")}`,
      ...files.map((file) => join(import.meta.dirname, "..", file)),
    ],
    { cwd: root, env: { ...env, SERIN_TEST_WORKERS: "2" }, stdio: ["ignore", "pipe", "pipe"] },
  );
  const ended = new Promise<number | null>((resolve) => child.on("close", resolve));
  const [report, errors, code] = await Promise.all([text(child.stdout), text(child.stderr), ended]);
  const lines = report.split("\n").filter((line) => line.startsWith("{"));
  const counts = lines.map((line) => JSON.parse(line) as FileCounts);
  return { code, counts, printed: `${report}${errors}${counts.map(({ summary }) => summary).join("")}` };
}

let running: Promise<Ran> | undefined;

for (const file of files)
  test(`all that ${file} proves holds with two workers`, async () => {
    const { code, counts, printed } = await (running ??= runWithTwoWorkers());
    const ofFile = counts.find((one) => one.file === `src/proxy/${file}`);
    assert.ok(ofFile !== undefined && ofFile.passed > 0, printed);
    assert.deepEqual([ofFile.failed, ofFile.skipped], [0, []], printed);
    // The process fails if any file fails. In that case, only the tests of the failed files must fail here.
    if (counts.every(({ failed }) => failed === 0)) assert.equal(code, 0, printed);
  });
