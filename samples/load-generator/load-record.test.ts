import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { LoadReport } from "./load-plan.ts";
import { LoadRecord } from "./load-record.ts";

test("what was counted while the disk was full is in the next report", () => {
  const directory = mkdtempSync(join(tmpdir(), "load-"));
  try {
    const path = join(directory, "load.jsonl");
    symlinkSync("/dev/full", path);
    const record = new LoadRecord(path);
    record.failed("page", 3, "kept-alive", "ECONNRESET");
    record.flush();
    rmSync(path);
    record.answered("page", 3, "v1");
    record.flush();
    record.flush();
    const reports = readFileSync(path, "utf8")
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as LoadReport);
    assert.deepEqual(
      reports.map(({ requests, failures }) => [requests["page"]?.requests, requests["page"]?.failed, failures.length]),
      [
        [2, 1, 1],
        [undefined, undefined, 0],
      ],
    );
  } finally {
    rmSync(directory, { recursive: true });
  }
});
