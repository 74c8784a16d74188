import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { suite, test } from "node:test";
import { batchesOf, needsOwnProcess, runInLanes, runInTurns, type Batch, type Turns } from "./batches.ts";
import { filesBeside, filesOfWholeMachine, groupsBeside, isPatient, needsWholeMachine } from "./whole-machine.ts";

suite("test files that share a process", () => {
  test("short files of one folder share a process up to a total duration, and the longest batch comes first", () => {
    const durations = { "a/1": 10_000, "a/2": 28_000, "b/1": 8_000, "b/2": 60_000, "c/1": 50 };
    const rules = { shares: () => true, durations, unknownMs: 100, lanes: 1 };
    const batches = batchesOf(["c/1", "a/2", "a/1", "b/1", "b/2", "c/2"], rules);
    assert.deepEqual(
      batches.map(({ files, expectedMs, shared }) => ({ files, expectedMs, shared })),
      [
        { files: ["b/2"], expectedMs: 60_000, shared: false },
        { files: ["a/1", "a/2"], expectedMs: 38_000, shared: true },
        { files: ["b/1"], expectedMs: 8_000, shared: false },
        { files: ["c/1", "c/2"], expectedMs: 150, shared: true },
      ],
    );
  });

  test("a file that needs its own process runs alone", () => {
    const batches = batchesOf(["a", "b", "c"], {
      shares: (file) => file !== "b",
      durations: {},
      unknownMs: 100,
      lanes: 1,
    });
    assert.deepEqual(
      batches.map(({ files }) => files),
      [["a", "c"], ["b"]],
    );
  });

  test("few files are divided among all lanes, so that none waits for a long process of another", () => {
    const files = Array.from({ length: 16 }, (_one, index) => `a/${String(index).padStart(2, "0")}`);
    const batches = batchesOf(files, { shares: () => true, durations: {}, unknownMs: 2000, lanes: 2 });
    assert.deepEqual(
      batches.map(({ files: ofBatch }) => ofBatch.length),
      [4, 4, 4, 4],
    );
  });

  test("a test's text shows whether it would change its process", () => {
    const claims = [
      "beforeEach(() => clear());",
      'process.env["CI"] = "true";',
      "delete process.env.CI;",
      "process.exitCode = 1;",
      'process.on("SIGTERM", end);',
      "mock.timers.enable();",
      "globalThis.fetch = fake;",
      "  global.gc = undefined;",
      "const { heapUsed } = usage;",
    ];
    for (const text of claims) assert.equal(needsOwnProcess("src/a.test.ts", text), true, text);
    const harmless = [
      "  beforeEach(() => clear());",
      "before(() => server.start());",
      "after(() => server.stop());",
      'if (process.env["CI"] === "true") return;',
      "const mocked = 1;",
      't.mock.method(server, "close");',
      "assert.equal(close.mock.callCount(), 1);",
      "let fetched: typeof globalThis.fetch;",
      'await run("--set global.istioNamespace=mesh");',
      "const { user } = process.cpuUsage(before);",
    ];
    for (const text of harmless) assert.equal(needsOwnProcess("src/a.test.ts", text), false, text);
    for (const file of ["scripts/rules/tidy.test.ts", "scripts/fuzz/corpus.test.ts"])
      assert.equal(needsOwnProcess(file, ""), true, file);
    for (const file of ["scripts/documents/stuck-docs.test.ts", "scripts/chaos/summary.test.ts"])
      assert.equal(needsOwnProcess(file, ""), false, file);
  });
});

test("a free lane takes the next batch, and results keep the order of the batches", async () => {
  const batches = ["slow", "a", "b", "c"].map((name): Batch => ({ files: [name], expectedMs: 0, shared: false }));
  const begun: string[] = [];
  let endSlow = (): void => undefined;
  const slow = new Promise<void>((resolve) => (endSlow = resolve));
  const ran = runInLanes(batches, 2, async ({ files: [name = ""] }) => {
    begun.push(name);
    if (name === "slow") await slow;
    if (name === "c") endSlow();
    return name;
  });
  assert.deepEqual(await ran, ["slow", "a", "b", "c"]);
  assert.deepEqual(begun, ["slow", "a", "b", "c"]);
});

const batchOf = (name: string, expectedMs: number): Batch => ({ files: [name], expectedMs, shared: false });

/**
 * Runs a batch that needs the whole machine, three patient ones and the rest, on two lanes. Each batch lasts until
 * `end` is called for it.
 */
function beginTurns(rest: Omit<Turns, "alone" | "patient" | "idle"> & Partial<Pick<Turns, "idle">>) {
  const ends = new Map<string, () => void>();
  const begun: string[] = [];
  const runs = runInTurns(
    {
      alone: [batchOf("judge", 9)],
      patient: [batchOf("p1", 3), batchOf("p2", 2), batchOf("p3", 1)],
      idle: [],
      ...rest,
    },
    2,
    async ({ files: [name = ""] }, yields) => {
      begun.push(yields ? `${name} yields` : name);
      await new Promise<void>((resolve) => ends.set(name, resolve));
      return name;
    },
  );
  const end = async (name: string): Promise<void> => {
    ends.get(name)?.();
    await new Promise((resolve) => setImmediate(resolve));
  };
  return { begun, end, runs };
}

test("patient batches run beside those that need the whole machine, at a lower priority", async () => {
  const { begun, end, runs } = beginTurns({
    others: [batchOf("other", 2)],
    roomBesideLanes: 0,
  });
  await end("p1");
  assert.deepEqual(begun.toSorted(), ["judge", "p1 yields", "p2 yields"]);
  await end("judge");
  assert.deepEqual(begun.slice(3), ["other", "p3"]);
  for (const name of ["p2", "other", "p3"]) await end(name);
  assert.deepEqual((await runs).toSorted(), ["judge", "other", "p1", "p2", "p3"]);
});

test("with room beside the lanes, patient batches run beside all others, and a lane without work takes one", async () => {
  const { begun, end, runs } = beginTurns({
    others: [batchOf("o1", 8), batchOf("o2", 7), batchOf("o3", 6)],
    roomBesideLanes: 1,
  });
  await end("judge");
  assert.deepEqual(begun, ["p1 yields", "judge", "o1", "o2"]);
  await end("p1");
  await end("o1");
  assert.deepEqual(begun.slice(4), ["p2 yields", "o3"]);
  await end("o2");
  assert.deepEqual(begun.slice(6), ["p3"]);
  for (const name of ["p2", "p3", "o3"]) await end(name);
  assert.deepEqual((await runs).toSorted(), ["judge", "o1", "o2", "o3", "p1", "p2", "p3"]);
});

test("one more lane begins when everything beside the lanes has ended", async () => {
  let endBeside = (): void => undefined;
  const besideEnded = new Promise<void>((resolve) => (endBeside = resolve));
  const { begun, end, runs } = beginTurns({
    others: [batchOf("o1", 8), batchOf("o2", 7), batchOf("o3", 6), batchOf("o4", 5)],
    roomBesideLanes: 1,
    besideEnded,
  });
  for (const name of ["p1", "p2", "p3", "judge"]) await end(name);
  assert.deepEqual(begun.slice(4), ["o1", "o2"]);
  endBeside();
  await end("");
  assert.deepEqual(begun.slice(6), ["o3"]);
  for (const name of ["o1", "o2", "o3", "o4"]) await end(name);
  assert.deepEqual((await runs).toSorted(), ["judge", "o1", "o2", "o3", "o4", "p1", "p2", "p3"]);
});

test("two more lanes begin where the machine has room for them, and idle batches begin first", async () => {
  const { begun, end, runs } = beginTurns({
    idle: [batchOf("i1", 1), batchOf("i2", 2)],
    others: [batchOf("o1", 8), batchOf("o2", 7), batchOf("o3", 6), batchOf("o4", 5), batchOf("o5", 4)],
    roomBesideLanes: 3,
    besideEnded: Promise.resolve(),
  });
  await end("judge");
  assert.deepEqual(begun.slice(2), ["i2", "i1"]);
  for (const name of ["p1", "p2"]) await end(name);
  assert.deepEqual(begun.slice(4), ["p2 yields", "p3 yields"]);
  await end("p3");
  assert.deepEqual(begun.slice(6), ["o1", "o2"]);
  for (const name of ["i1", "i2", "o1", "o2", "o3", "o4", "o5"]) await end(name);
  assert.equal((await runs).length, 11);
});

test("the extra lane does not delay the end until everything beside the lanes has ended", async () => {
  const { end, runs } = beginTurns({
    others: [batchOf("o1", 8)],
    roomBesideLanes: 1,
    besideEnded: new Promise(() => undefined),
  });
  for (const name of ["p1", "p2", "p3", "judge", "o1"]) await end(name);
  assert.deepEqual((await runs).toSorted(), ["judge", "o1", "p1", "p2", "p3"]);
});

test("a lane says that it has nothing left to do while others still run, because the next group may then begin", async () => {
  let freeLanes = 0;
  const { end, runs } = beginTurns({
    others: [batchOf("o1", 8), batchOf("o2", 7)],
    roomBesideLanes: 1,
    onFreeLane: () => (freeLanes += 1),
  });
  for (const name of ["judge", "p1", "p2", "p3"]) await end(name);
  assert.equal(freeLanes, 0);
  await end("o1");
  assert.equal(freeLanes, 1);
  await end("o2");
  await runs;
});

test("without a second lane nothing runs beside them", async () => {
  const batch = (name: string): Batch => ({ files: [name], expectedMs: 0, shared: false });
  const begun: string[] = [];
  await runInTurns(
    {
      alone: [batch("judge")],
      patient: [batch("patient")],
      idle: [],
      others: [batch("other")],
      roomBesideLanes: 1,
    },
    1,
    async ({ files: [name = ""] }, yields) => void begun.push(yields ? `${name} yields` : name),
  );
  assert.deepEqual(begun, ["judge", "patient", "other"]);
});

test("every file that needs the whole machine exists, and no other lab runs beside it", () => {
  const root = join(import.meta.dirname, "../..");
  assert.deepEqual(
    [...filesOfWholeMachine, ...filesBeside].filter((file) => !existsSync(join(root, file))),
    [],
  );
  assert.deepEqual(filesBeside.filter(needsWholeMachine), []);
  assert.equal(isPatient("test/e2e/envoy.test.ts"), true);
  assert.equal(needsWholeMachine("test/e2e/dashboard.test.ts"), true);
  assert.equal(needsWholeMachine("test/e2e/waypoint.test.ts"), false);
});

test("unit and netns files run beside end-to-end files only where there are two lanes and one of the files judges times", () => {
  const [judge, other] = ["test/e2e/demo.test.ts", "test/e2e/waypoint.test.ts"];
  assert.deepEqual(groupsBeside([other, judge], 2), ["unit", "netns"]);
  assert.deepEqual([groupsBeside([other, judge], 1), groupsBeside([other], 2), groupsBeside([], 2)], [[], [], []]);
});
