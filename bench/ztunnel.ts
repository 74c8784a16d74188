// Sends captured connections through a ztunnel that is both ends of the tunnel. Measures work per CPU second and
// memory.
//   node bench/ztunnel.ts [--rounds 8] [--slice 500] [--only bulkUp8,connect] [--beside DIR] [--together]
//                         [--workers 2] [--no-memory] [--profile DIR]
// Needs root. With ZTUNNEL=/path/to/ztunnel (scripts/fetch/ztunnel.sh builds one), the same load runs against
// upstream's ztunnel in alternating slices. With --beside, the load runs against the ztunnel of another checkout. The
// bench reports the ratio of Serin's work per CPU second to that of the other ztunnel. More is better.
// With --together, all of these get their slices at the same time, and share the core. Other work on the machine then
// affects all alike, so the ratios are more exact. CPU times are then higher than if one runs at a time. --workers
// compares several workers with one. Each side has as many cores as there are workers. The ratio is the work per CPU
// second of several workers to that of one, and the running time of each worker is reported. With --profile, the bench
// writes a CPU profile of Serin's ztunnel to that directory.
import { mkdtempSync, rmSync } from "node:fs";
import { loadavg, tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { numberOption } from "../scripts/arguments/number-option.ts";
import { intervalText, medianInterval, type MedianInterval } from "./median-interval.ts";
import { runLoad, runServer, type Work } from "./ztunnel/ends.ts";
import { Scene, serinOf, serverAddress as address, subjectCore, type Subject } from "./ztunnel/scene.ts";

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    rounds: { type: "string", default: "8" },
    slice: { type: "string", default: "500" },
    only: { type: "string", default: "" },
    beside: { type: "string" },
    profile: { type: "string" },
    workers: { type: "string", default: "1" },
    together: { type: "boolean", default: false },
    "no-memory": { type: "boolean", default: false },
  },
});

const kilobyte = 1024;
const block = 65_536;
const works: Readonly<Record<string, { readonly unit: string; readonly work: Work }>> = {
  pingPong64: {
    unit: "round trip, 64 connections, 64 B",
    work: { kind: "pingPong", connections: 64, bytes: 64, address },
  },
  pingPong64k1: {
    unit: "round trip, 64 connections, 1 kB",
    work: { kind: "pingPong", connections: 64, bytes: kilobyte, address },
  },
  pingPong512: {
    unit: "round trip, 512 connections, 64 B",
    work: { kind: "pingPong", connections: 512, bytes: 64, address },
  },
  pingPong1: { unit: "round trip, 1 connection, 64 B", work: { kind: "pingPong", connections: 1, bytes: 64, address } },
  bulkUp1: { unit: "MB up, 1 connection", work: { kind: "up", connections: 1, bytes: block, address } },
  bulkUp8: { unit: "MB up, 8 connections", work: { kind: "up", connections: 8, bytes: block, address } },
  bulkDown1: { unit: "MB down, 1 connection", work: { kind: "down", connections: 1, bytes: block, address } },
  bulkDown8: { unit: "MB down, 8 connections", work: { kind: "down", connections: 8, bytes: block, address } },
  connect: { unit: "new connection, 16 at a time", work: { kind: "connect", connections: 16, bytes: 1, address } },
};
const held: Work = { kind: "hold", connections: 2000, bytes: 1, address };
/**
 * The work before the first measured slice. V8 compiles hot code in steps: a new ztunnel of Serin uses twice as much
 * CPU for a connection as one that has served 10,000 of them. V8 compiles the largest functions of a connection last,
 * when 10,000 to 15,000 have been served.
 */
const warmUpWorks: readonly { readonly name: string; readonly forWorks: RegExp; readonly count: number }[] = [
  { name: "pingPong64", forWorks: /^(?:pingPong|bulk)/, count: 60_000 },
  { name: "bulkUp8", forWorks: /^bulkUp/, count: 500 },
  { name: "bulkDown8", forWorks: /^bulkDown/, count: 500 },
  { name: "connect", forWorks: /^connect$/, count: 24_000 },
];
const warmUpRounds = 2;
const workers = numberOption("--workers", options.workers, { isWhole: true });
const rounds = numberOption("--rounds", options.rounds, { isWhole: true });
const sliceMs = numberOption("--slice", options.slice);
const severalWorkers = workers > 1;
const settleMs = 1500;

interface Row {
  readonly cpuMicros: Record<string, number>;
  readonly p99Ms: Record<string, number>;
  /** The ratio of the first ztunnel's work per CPU second to that of each other one. */
  readonly ratio: Record<string, MedianInterval>;
  /** For each ztunnel, the share of the time in which each serving thread ran. */
  readonly busy: Record<string, readonly number[]>;
}

async function measured(scenes: readonly Scene[], work: Work): Promise<Row> {
  const costs = new Map(scenes.map(({ name }) => [name, [] as number[]]));
  const tails = new Map(scenes.map(({ name }) => [name, [] as number[]]));
  const busy = new Map(scenes.map(({ name }) => [name, [] as (readonly number[])[]]));
  for (let round = -warmUpRounds; round < rounds; round += 1) {
    const results = await inTurnsOrTogether(
      round % 2 === 0 ? scenes : scenes.toReversed(),
      async (scene) => [scene, await scene.measure(work, sliceMs)] as const,
    );
    for (const [scene, { cpuMicros, p99Ms, busy: shares }] of results) {
      if (round < 0) continue;
      costs.get(scene.name)?.push(cpuMicros);
      tails.get(scene.name)?.push(p99Ms);
      busy.get(scene.name)?.push(shares);
    }
  }
  const medians = (values: ReadonlyMap<string, readonly number[]>): Record<string, number> =>
    Object.fromEntries([...values].map(([name, all]) => [name, medianInterval(all).median]));
  const first = scenes[0]?.name;
  const own = costs.get(first ?? "") ?? [];
  const ratio: Record<string, MedianInterval> = {};
  for (const [name, others] of costs)
    if (name !== first) ratio[name] = medianInterval(own.map((cost, index) => (others[index] ?? 0) / cost));
  const busyOf = Object.fromEntries([...busy].map(([name, rounds]) => [name, mediansOf(rounds)]));
  return { cpuMicros: medians(costs), p99Ms: medians(tails), ratio, busy: busyOf };
}

async function inTurnsOrTogether<Result>(
  scenes: readonly Scene[],
  measure: (scene: Scene) => Promise<Result>,
): Promise<readonly Result[]> {
  if (options.together) return await Promise.all(scenes.map(measure));
  const results: Result[] = [];
  for (const scene of scenes) results.push(await measure(scene));
  return results;
}

/**
 * The medians by rank. The first is that of the busiest threads of all rounds, the second that of the second busiest
 * ones, and so on.
 */
function mediansOf(rounds: readonly (readonly number[])[]): readonly number[] {
  return (rounds[0] ?? []).map((_, place) => medianInterval(rounds.map((shares) => shares[place] ?? 0)).median);
}

function lineOf(unit: string, { cpuMicros, p99Ms, ratio, busy }: Row): string {
  const costs = Object.entries(cpuMicros).map(([name, cost]) => {
    const tail = p99Ms[name] ?? 0;
    const shares = (busy[name] ?? []).map((share) => `${Math.round(share * 100)} %`).join(" and ");
    const ran = severalWorkers ? `, ran ${shares}` : "";
    return `${name} ${cost.toFixed(1)} µs${tail > 0 ? `, p99 ${tail.toFixed(2)} ms` : ""}${ran}`;
  });
  const ratios = Object.entries(ratio).map(([name, interval]) => `to ${name} ${intervalText(interval)}`);
  return `${unit.padEnd(36)} ${[...costs, ...ratios].join("; ")}`;
}

/** Warms up all ztunnels at once for these kinds of work. */
async function warmUp(scenes: readonly Scene[], names: readonly string[]): Promise<void> {
  for (const { name, forWorks, count } of warmUpWorks) {
    const work = works[name]?.work;
    if (work !== undefined && names.some((one) => forWorks.test(one)))
      await Promise.all(scenes.map(async (scene) => await scene.warmUp(work, count)));
  }
}

async function memoryOf(scenes: readonly Scene[], into: Record<string, Record<string, number>>, when: string) {
  await new Promise((done) => setTimeout(done, settleMs));
  const all = Object.fromEntries(scenes.map((scene) => [scene.name, Math.round(scene.pssMb() * 10) / 10]));
  into[when] = all;
  process.stdout.write(
    `memory (PSS), ${when.padEnd(22)} ${Object.entries(all)
      .map(([name, mb]) => `${name} ${mb} MB`)
      .join("; ")}\n`,
  );
}

function subjects(): readonly Subject[] {
  const root = join(import.meta.dirname, "..");
  const profiles = options.profile === undefined ? undefined : resolve(options.profile);
  if (severalWorkers) {
    const cores = `0-${workers - 1}`;
    return [serinOf(root, `${workers} workers`, { workers, cores, profiles }), serinOf(root, "1 worker", { cores })];
  }
  const upstream = process.env["ZTUNNEL"];
  if (upstream === undefined)
    process.stderr.write(
      "no comparison with upstream: ZTUNNEL names no program (scripts/fetch/ztunnel.sh builds one)\n",
    );
  return [
    serinOf(root, "serin", { profiles }),
    ...(options.beside === undefined ? [] : [serinOf(resolve(options.beside), "beside")]),
    ...(upstream === undefined
      ? []
      : [{ name: "ztunnel", command: [resolve(upstream), "proxy", "ztunnel"], workers: 1, cores: subjectCore }]),
  ];
}

async function main(): Promise<void> {
  const wanted = options.only.split(",").filter((name) => name !== "");
  const unknown = wanted.find((name) => works[name] === undefined);
  if (unknown !== undefined) throw new Error(`--only: there is no ${unknown}, but ${Object.keys(works).join(", ")}`);
  const scratch = mkdtempSync(join(tmpdir(), "serin-bench-ztunnel-"));
  const scenes: Scene[] = [];
  const rows: Record<string, Row> = {};
  const memory: Record<string, Record<string, number>> = {};
  try {
    for (const subject of subjects()) scenes.push(new Scene(subject, scratch));
    await Promise.all(scenes.map((scene) => scene.ready()));
    if (!options["no-memory"]) await memoryOf(scenes, memory, "idle");
    const measuredWorks = Object.entries(works).filter(([name]) => wanted.length === 0 || wanted.includes(name));
    await warmUp(
      scenes,
      measuredWorks.map(([name]) => name),
    );
    for (const [name, { unit, work }] of measuredWorks) {
      const row = await measured(scenes, work);
      rows[name] = row;
      process.stdout.write(`${lineOf(unit, row)}\n`);
    }
    if (!options["no-memory"]) {
      await memoryOf(scenes, memory, "after the runs");
      for (const scene of scenes) await scene.run({ order: "open", work: held });
      await memoryOf(scenes, memory, `${held.connections} connections`);
    }
    const load = loadavg()[0];
    process.stdout.write(`${JSON.stringify({ name: "ztunnel", load, rows, memoryMb: memory })}\n`);
  } finally {
    await Promise.all(scenes.map((scene) => scene.stop()));
    rmSync(scratch, { recursive: true, force: true });
  }
}

if (positionals[0] === "server") await runServer();
else if (positionals[0] === "load") runLoad();
else await main();
