import assert from "node:assert/strict";
import { test } from "node:test";
import { parseWorkers, WorkerCensus } from "./worker-census.ts";

const words = (role: string): string[] => ["/lab/node", "/lab/src/cmd/main.ts", role];
/** A number that no process has. */
const first = 900_000_001;
const processes = [
  { pid: first, words: words("proxy") },
  { pid: first + 1, words: words("ztunnel") },
  { pid: first + 2, words: words("pilot") },
  { pid: first + 3, words: ["/bin/sh", "-c", "node src/cmd/main.ts proxy"] },
];

test("a census counts the workers of proxies and ztunnels, and of nothing else", () => {
  const census = new WorkerCensus(
    () => processes,
    (pid) => (pid <= first + 1 ? 2 : 1),
  );
  census.look(0);
  census.look(60_000);
  assert.deepEqual(census.end([2]), { 2: 2 });
});

test("a census names each data plane with another number of workers, once it had the time to start them", () => {
  let started = 1;
  const workersOf = (pid: number): number => (pid === first ? 2 : started);
  const census = new WorkerCensus(() => processes, workersOf);
  census.look(0);
  census.look(29_000);
  assert.deepEqual(census.end([2]), { 2: 1 });
  census.look(30_000);
  assert.throws(() => census.end([2]), /expected data planes with 2 workers; ztunnel process 900000002 had 1$/);
  started = 2;
  census.look(31_000);
  assert.deepEqual(census.end([2]), { 2: 2 });
});

test("a census of two revisions wants data planes with each number", () => {
  const census = new WorkerCensus(
    () => processes,
    () => 2,
  );
  census.look(0);
  assert.throws(() => census.end([1, 2]), /expected data planes with 1 and with 2 workers; none had 1$/);
});

for (const [given, expected] of [
  ["2", [2, 2]],
  ["1,2", [1, 2]],
] as const)
  test(`--workers ${given} means ${expected.join(" and ")}`, () => assert.deepEqual(parseWorkers(given), expected));

for (const given of ["0", "-1", "two", "", "2,", "1,2,3"])
  test(`--workers ${JSON.stringify(given)} is refused`, () =>
    assert.throws(() => parseWorkers(given), /expected a number above 0, or two with a comma/));
