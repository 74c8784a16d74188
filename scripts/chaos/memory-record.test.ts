import assert from "node:assert/strict";
import { test } from "node:test";
import { MemoryRecord, residentKibOf } from "./memory-record.ts";

const hourMs = 3_600_000;

function grows(kibAt: (atMs: number) => number, everyMs = 5_000, forMs = hourMs): boolean | undefined {
  const record = new MemoryRecord();
  for (let atMs = 0; atMs < forMs; atMs += everyMs)
    record.add("pilot", { pid: 1, atMs, ageMs: atMs, kib: kibAt(atMs) });
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

/** Simulates processes that are killed one after the other. `livesMs` returns the age at which a process is killed. */
function growsWithKills(livesMs: (atMs: number) => number, kibAt: (ageMs: number, atMs: number) => number): boolean {
  const record = new MemoryRecord();
  let [pid, bornMs] = [1, 0];
  for (let atMs = 0; atMs < hourMs; atMs += 5_000) {
    if (atMs - bornMs > livesMs(atMs)) [pid, bornMs] = [pid + 1, atMs];
    if (atMs - bornMs >= 60_000)
      record.add("node", { pid, atMs, ageMs: atMs - bornMs, kib: kibAt(atMs - bornMs, atMs) });
  }
  return record.compare(0, hourMs)[0]?.grows ?? false;
}

test("older processes of the last quarter do not count as growth, because processes of the same age are compared", () => {
  const livesMs = (atMs: number): number => (atMs < hourMs / 2 ? 150_000 : 600_000);
  const filling = (ageMs: number): number => 70_000 + ageMs / 20;
  assert.equal(growsWithKills(livesMs, filling), false);
  assert.equal(
    growsWithKills(livesMs, (ageMs, atMs) => filling(ageMs) + (15_000 * atMs) / hourMs),
    true,
    "at the same age they are larger: what they hold has grown",
  );
});

test("growth does not count if the processes differ from each other by more", () => {
  let seed = 1;
  const sizes = new Map<number, number>();
  const sizeOf = (ageMs: number, atMs: number): number => {
    const born = atMs - ageMs;
    seed = (seed * 16_807) % 2_147_483_647;
    if (!sizes.has(born)) sizes.set(born, 60_000 + (seed % 60_000));
    return (sizes.get(born) ?? 0) * (atMs > hourMs / 2 ? 1.06 : 1);
  };
  assert.equal(
    growsWithKills(() => 200_000, sizeOf),
    false,
  );
});

test("a process that has ended and waits for its parent has no memory to compare", () => {
  assert.equal(residentKibOf("Name:\tnode\nState:\tZ (zombie)\nThreads:\t1\n"), undefined);
  assert.equal(residentKibOf("Name:\tnode\nVmRSS:\t   96000 kB\nThreads:\t11\n"), 96_000);
});
