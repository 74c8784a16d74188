import assert from "node:assert/strict";
import { test } from "node:test";
import { systemClock } from "../../../base/index.ts";
import { parseStat, processesByInit, readMemoryBytes, readProcessTable, type ProcessEntry } from "./process-table.ts";
import { statsSummary } from "./stats-summary.ts";
import { UsageSampler } from "./usage-sampler.ts";

function entry(pid: number, parent: number, change: Partial<ProcessEntry> = {}): ProcessEntry {
  return { pid, parent, session: 1, startTicks: `t${pid}`, cpuMs: 0, pidNamespace: "pid:[1]", ...change };
}

test("a process' time is its own and that of its ended children, whatever its name", () => {
  const text = "7 (a ) b) S 3 7 5 0 -1 0 1 2 3 4 10 20 300 4000 20 0 1 0 9876 0 0\n";
  assert.deepEqual(parseStat(7, text, "pid:[2]"), {
    pid: 7,
    parent: 3,
    session: 5,
    startTicks: "9876",
    cpuMs: 43_300,
    pidNamespace: "pid:[2]",
  });
});

test("a container owns the processes of its PID namespace and nested ones, or without a namespace those of its session and its descendants", () => {
  const table = [
    entry(1, 0),
    entry(10, 1, { pidNamespace: "pid:[2]" }),
    entry(11, 10, { pidNamespace: "pid:[2]" }),
    entry(12, 1, { pidNamespace: "pid:[2]" }), // started by exec, so its parent is the node
    entry(13, 11, { pidNamespace: "pid:[3]" }),
    entry(20, 1, { session: 20 }), // a process of this session, in the node's PID namespace
    entry(21, 20, { session: 99 }),
    entry(22, 1, { session: 20 }), // a process of this session whose parent has ended
    entry(30, 1, { session: 30 }),
  ];
  const found = processesByInit(table, new Set([10, 20]), "pid:[1]");
  assert.deepEqual(
    [...found].map(([init, group]) => [init, group.map(({ pid }) => pid)]),
    [
      [10, [10, 11, 12, 13]],
      [20, [20, 21, 22]],
    ],
  );
});

test("this process is in the kernel's table, with memory and a growing time", async () => {
  const ownEntry = (): ProcessEntry => readProcessTable().find(({ pid }) => pid === process.pid) ?? assert.fail();
  const before = ownEntry();
  let after = before;
  // Use CPU time until it shows in /proc. The kernel counts in ticks, and this process gets no time while others run.
  for (let looks = 0; looks < 10_000 && after.cpuMs === before.cpuMs; looks += 1) after = ownEntry();
  assert.ok(after.cpuMs > before.cpuMs, `${before.cpuMs} ms, and then ${after.cpuMs} ms`);
  assert.equal(after.startTicks, before.startTicks);
  const bytes = await readMemoryBytes(process.pid);
  assert.ok(bytes > 10e6 && bytes < 4e9, String(bytes));
});

/** A simulated machine with one container (pid 10), its child process and the node's process. */
class Machine {
  nowMs = 100_000;
  slept: number[] = [];
  tables = 0;
  processes: ProcessEntry[] = [
    entry(1, 0, { cpuMs: 500 }),
    entry(10, 1, { cpuMs: 1_000, pidNamespace: "pid:[2]" }),
    entry(11, 10, { cpuMs: 2_000, pidNamespace: "pid:[2]" }),
  ];
  readonly identity = { pid: 10, startTicks: "t10" };
  running = [this.identity];
  readonly sampler = new UsageSampler({
    clock: {
      ...systemClock,
      nowMs: () => this.nowMs,
      steadyMs: () => this.nowMs,
      sleep: async (ms) => {
        this.slept.push(ms);
        this.work(ms, 0.25);
      },
    },
    processes: () => {
      this.tables += 1;
      return this.processes;
    },
    memoryBytes: async (pid) => pid * 1_000,
    containers: () => this.running,
    ownPid: 1,
  });

  /** Advances the clock. During this time, the container's child uses a share of a processor. */
  work(ms: number, share: number): void {
    this.nowMs += ms;
    this.processes = this.processes.map((each) =>
      each.pid === 11 ? { ...each, cpuMs: each.cpuMs + ms * share } : each,
    );
  }
}

test("the first request measures one second, and a later one the time since an earlier request", async () => {
  const machine = new Machine();
  const first = await machine.sampler.usage();
  assert.deepEqual(machine.slept, [1_000]);
  assert.deepEqual(
    [first.windowMs, first.containers.get(machine.identity)],
    [1_000, { cpuNanoCores: 250_000_000, cpuTotalMs: 3_250, memoryBytes: 21_000 }],
  );
  assert.deepEqual(first.node, { cpuNanoCores: 250_000_000, cpuTotalMs: 3_750, memoryBytes: 22_000 });
  machine.work(15_000, 0.5);
  const second = await machine.sampler.usage();
  assert.deepEqual(machine.slept, [1_000]);
  assert.deepEqual([second.windowMs, second.containers.get(machine.identity)?.cpuNanoCores], [15_000, 500_000_000]);
});

test("requests at the same time and within a second share one measurement", async () => {
  const machine = new Machine();
  const [first, second] = await Promise.all([machine.sampler.usage(), machine.sampler.usage()]);
  assert.equal(first, second);
  machine.work(500, 1);
  assert.equal(await machine.sampler.usage(), first);
  assert.equal(machine.tables, 2);
});

test("an old sample begins no window", async () => {
  const machine = new Machine();
  await machine.sampler.usage();
  machine.work(120_000, 0);
  assert.equal((await machine.sampler.usage()).windowMs, 1_000);
});

test("when a child ends, its processor time moves to its parent, and a restarted container counts from zero", async () => {
  const machine = new Machine();
  await machine.sampler.usage();
  machine.work(10_000, 0);
  machine.processes = [
    entry(1, 0, { cpuMs: 500 }),
    entry(10, 1, { cpuMs: 1_000 + 2_250 + 100, pidNamespace: "pid:[2]" }),
  ];
  const ended = await machine.sampler.usage();
  assert.equal(ended.containers.get(machine.identity)?.cpuNanoCores, 10_000_000);
  machine.nowMs += 10_000;
  const again = { pid: 10, startTicks: "t10 again" };
  machine.processes = [entry(1, 0, { cpuMs: 500 }), entry(10, 1, { cpuMs: 1_000, startTicks: "t10 again" })];
  const gone = await machine.sampler.usage();
  assert.equal(gone.containers.size, 0);
  machine.nowMs += 10_000;
  machine.running = [again];
  assert.equal((await machine.sampler.usage()).containers.get(again)?.cpuNanoCores, 100_000_000);
});

test("the summary lists the running containers, and omits pods without one", async () => {
  const machine = new Machine();
  const report = await machine.sampler.usage();
  const container = (name: string, running: boolean) => ({
    spec: { name },
    running,
    record: { identity: machine.identity },
  });
  const summary = statsSummary(
    "lab-worker",
    [
      {
        pod: { metadata: { name: "web", namespace: "shop", uid: "u1" } },
        containers: [container("main", true), container("ended", false)],
      },
      { pod: { metadata: { name: "new", namespace: "shop", uid: "u2" } }, containers: [container("main", false)] },
    ],
    report,
  );
  const time = "1970-01-01T00:01:41.000Z";
  const cpu = { time, windowMs: 1_000, usageNanoCores: 250_000_000, usageCoreNanoSeconds: 3_250_000_000 };
  const memory = { time, usageBytes: 21_000, workingSetBytes: 21_000 };
  assert.deepEqual(summary, {
    node: {
      nodeName: "lab-worker",
      cpu: { ...cpu, usageCoreNanoSeconds: 3_750_000_000 },
      memory: { time, usageBytes: 22_000, workingSetBytes: 22_000 },
    },
    pods: [{ podRef: { name: "web", namespace: "shop", uid: "u1" }, containers: [{ name: "main", cpu, memory }] }],
  });
});
