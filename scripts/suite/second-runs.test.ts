import assert from "node:assert/strict";
import { test } from "node:test";
import type { FileCounts } from "./count-reporter.ts";
import { GroupLimit, runAgain } from "./second-runs.ts";

const counts = (file: string, passed: number, failed: number): FileCounts => ({
  file,
  passed,
  failed,
  skipped: [],
  durationMs: 1,
  summary: "",
});

test("each file that runs a second time has the whole time limit, whatever the runs before it took", async () => {
  let nowMs = 5_000;
  const limit = new GroupLimit(900, () => nowMs);
  nowMs += 600;
  assert.equal(limit.leftMs, 300);
  nowMs += 4_000;
  assert.equal(limit.leftMs, 1);
  const firstRuns = ["passes", "fails", "is killed", "has no tests"].map((file) => [file, counts(file, 2, 1)] as const);
  const secondRuns = new Map([
    ["passes", counts("passes", 3, 0)],
    ["fails", counts("fails", 1, 2)],
    ["has no tests", counts("has no tests", 0, 0)],
  ]);
  const found = new Map(firstRuns);
  const limits: number[] = [];
  await runAgain([...found.keys()], found, limit, async (file) => {
    limits.push(limit.leftMs);
    nowMs += 800;
    return await Promise.resolve(secondRuns.get(file));
  });
  assert.deepEqual(limits, [900, 900, 900, 900]);
  assert.deepEqual(
    [...found.values()].map(({ file, passed, failed }) => [file, passed, failed]),
    [
      ["passes", 3, 0],
      ["fails", 2, 1],
      ["is killed", 2, 1],
      ["has no tests", 2, 1],
    ],
  );
});
