import assert from "node:assert/strict";
import { test } from "node:test";
import { MemoryRecord } from "./memory-record.ts";

const hourMs = 3_600_000;

function grows(kibAt: (atMs: number) => number, everyMs = 5_000, forMs = hourMs): boolean | undefined {
  const record = new MemoryRecord();
  for (let atMs = 0; atMs < forMs; atMs += everyMs) record.add("pilot", { atMs, kib: kibAt(atMs) });
  return record.compare(0, forMs)[0]?.grows;
}

test("memory counts as growing when it grows by more than 5 % from the second to the last quarter", () => {
  assert.equal(
    grows(() => 100_000),
    false,
  );
  assert.equal(
    grows((atMs) => 100_000 + (20_000 * atMs) / hourMs),
    true,
  );
});

test("memory of the start-up, in the first quarter, is not growth; a short run or too few samples give no judgement", () => {
  assert.equal(
    grows((atMs) => (atMs < hourMs / 4 ? 50_000 : 100_000)),
    false,
  );
  assert.equal(
    grows((atMs) => atMs, hourMs / 40),
    false,
  );
  assert.equal(
    grows((atMs) => atMs, 5_000, hourMs / 4),
    false,
  );
});
