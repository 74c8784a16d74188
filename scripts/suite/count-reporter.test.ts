import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { TestEvent } from "node:test/reporters";
import countReporter, { type FileCounts } from "./count-reporter.ts";

test("a failure whose error has no message of its own is reported with its fields", async () => {
  const cause: unknown = Object.assign(Object.create(null), { status: 503 });
  const events = [
    {
      type: "test:fail",
      data: {
        name: "asks",
        file: import.meta.filename,
        nesting: 0,
        details: { duration_ms: 1, error: new Error("failed", { cause }) },
      },
    },
  ] as unknown as readonly TestEvent[];
  const lines: string[] = [];
  for await (const line of countReporter(asynchronous(events))) lines.push(line);
  const [counts] = lines.map((line) => JSON.parse(line) as FileCounts);
  assert.equal(counts?.failed, 1);
  assert.match(counts.summary, /FAILED asks\n.*status: 503/);
});

test("a suite whose function throws before its first test counts as failed, with its error", async () => {
  const directory = mkdtempSync(join(tmpdir(), "serin-count-reporter-"));
  try {
    const file = join(directory, "thrown.test.mjs");
    writeFileSync(
      file,
      'import { describe } from "node:test"; describe("a lab", () => { throw new Error("no kubectl"); });',
    );
    const reporter = `--test-reporter=${join(import.meta.dirname, "count-reporter.ts")}`;
    const { NODE_TEST_CONTEXT: _context, ...env } = process.env;
    const { stdout } = spawnSync(process.execPath, ["--test", "--test-isolation=none", reporter, file], {
      encoding: "utf8",
      env,
    });
    const counts = JSON.parse(stdout) as FileCounts;
    assert.deepEqual([counts.passed, counts.failed], [0, 1]);
    assert.match(counts.summary, /FAILED a lab\n.*no kubectl/);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
});

async function* asynchronous<T>(values: readonly T[]): AsyncGenerator<T> {
  yield* values;
}
