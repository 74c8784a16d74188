// Sends captured connections through a ztunnel that is both ends of the tunnel. Measures work per CPU second and
// memory.
//   node bench/ztunnel.ts [--rounds 8] [--slice 500] [--only bulkUp8,connect] [--beside DIR] [--together]
//                         [--workers 2] [--alike] [--no-memory] [--profile DIR]
// Needs root. With ZTUNNEL=/path/to/ztunnel (scripts/fetch/ztunnel.sh builds one), the same load runs against
// upstream's ztunnel in alternating slices. With --beside, the load runs against the ztunnel of another checkout. The
// bench reports the ratio of Serin's work per CPU second to that of the other ztunnel. More is better.
// With --together, all of these get their slices at the same time, and share the core. Other work on the machine then
// affects all alike, so the ratios are more exact. CPU times are then higher than if one runs at a time. --workers
// compares several workers with one. Each side has as many cores as there are workers. The ratio is the work per CPU
// second of several workers to that of one. The bench reports how long each worker ran, and how long it had work: it
// ran or waited for a core. With --alike, the other side is not one ztunnel with one worker, but as many such ztunnels
// as there are workers. For each worker of both sides, there are a client and a server on each core, and all of a
// worker's connections come from these in equal parts.
// With --profile, the bench writes a CPU profile of Serin's ztunnel to that directory.
import { rmSync } from "node:fs";
import { loadavg } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { numberOption } from "../scripts/arguments/number-option.ts";
import { intervalText, medianInterval, type MedianInterval } from "./median-interval.ts";
import { runLoad, runServer, type Work } from "./ztunnel/ends.ts";
import {
  Scene,
  serinOf,
  serverAddress as address,
  type Measured,
  type Subject,
  type ThreadTime,
} from "./ztunnel/scene.ts";
import { scratchFolder } from "./scratch-folder.ts";

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    rounds: { type: "string", default: "8" },
    slice: { type: "string", default: "500" },
    only: { type: "string", default: "" },
    beside: { type: "string" },
    profile: { type: "string" },
    workers: { type: "string", default: "1" },
    alike: { type: "boolean", default: false },
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

/** A ztunnel, or several of which each has a part of the load. Their costs are added. */
interface Side {
  readonly name: string;
  readonly scenes: readonly Scene[];
}

interface Row {
  readonly cpuMicros: Record<string, number>;
  readonly p99Ms: Record<string, number>;
  /** For each other side, by its name: the first side's work per CPU second, divided by that side's. */
  readonly ratio: Record<string, MedianInterval>;
  /** For each side, the share of the time in which each serving thread ran, and in which it had work. */
  readonly threads: Record<string, readonly ThreadTime[]>;
}

async function measured(sides: readonly Side[], work: Work): Promise<Row> {
  const results = new Map(sides.map(({ name }) => [name, [] as Measured[]]));
  for (let round = -warmUpRounds; round < rounds; round += 1) {
    const ofRound = await inTurnsOrTogether(
      round % 2 === 0 ? sides : sides.toReversed(),
      async (side) => [side, await measuredSide(side, work)] as const,
    );
    for (const [side, result] of ofRound) if (round >= 0) results.get(side.name)?.push(result);
  }
  const costOf = ({ cpuMicros, count }: Measured): number => cpuMicros / count;
  const mediansBy = (value: (result: Measured) => number): Record<string, number> =>
    Object.fromEntries([...results].map(([name, all]) => [name, medianInterval(all.map(value)).median]));
  const first = sides[0]?.name;
  const own = (results.get(first ?? "") ?? []).map(costOf);
  const ratio: Record<string, MedianInterval> = {};
  for (const [name, all] of results) {
    if (name === first) continue;
    const others = all.map(costOf);
    ratio[name] = medianInterval(own.map((cost, index) => (others[index] ?? 0) / cost));
  }
  const threads = Object.fromEntries([...results].map(([name, all]) => [name, mediansOf(all)]));
  return { cpuMicros: mediansBy(costOf), p99Ms: mediansBy(({ p99Ms }) => p99Ms), ratio, threads };
}

async function measuredSide({ scenes }: Side, work: Work): Promise<Measured> {
  const all = await Promise.all(scenes.map(async (scene) => await scene.measure(work, sliceMs)));
  return {
    count: all.reduce((sum, { count }) => sum + count, 0),
    cpuMicros: all.reduce((sum, { cpuMicros }) => sum + cpuMicros, 0),
    p99Ms: Math.max(...all.map(({ p99Ms }) => p99Ms)),
    threads: all.flatMap(({ threads }) => threads).toSorted((left, right) => right.ran - left.ran),
  };
}

async function inTurnsOrTogether<Result>(
  sides: readonly Side[],
  measure: (side: Side) => Promise<Result>,
): Promise<readonly Result[]> {
  if (options.together) return await Promise.all(sides.map(measure));
  const results: Result[] = [];
  for (const side of sides) results.push(await measure(side));
  return results;
}

/**
 * Returns the medians by rank. The first is that of the busiest threads of all rounds, the second that of the second
 * busiest ones, and so on.
 */
function mediansOf(rounds: readonly Measured[]): readonly ThreadTime[] {
  const medianBy = (place: number, share: (time: ThreadTime) => number): number =>
    medianInterval(rounds.map(({ threads }) => share(threads[place] ?? { ran: 0, hadWork: 0 }))).median;
  return (rounds[0]?.threads ?? []).map((_, place) => ({
    ran: medianBy(place, ({ ran }) => ran),
    hadWork: medianBy(place, ({ hadWork }) => hadWork),
  }));
}

function lineOf(unit: string, { cpuMicros, p99Ms, ratio, threads }: Row): string {
  const percent = (share: number): string => `${Math.round(share * 100)} %`;
  const costs = Object.entries(cpuMicros).map(([name, cost]) => {
    const tail = p99Ms[name] ?? 0;
    const times = (threads[name] ?? []).map(({ ran, hadWork }) => `${percent(ran)} of ${percent(hadWork)}`);
    const shares = severalWorkers ? `, ran ${times.join(" and ")}` : "";
    return `${name} ${cost.toFixed(1)} µs${tail > 0 ? `, p99 ${tail.toFixed(2)} ms` : ""}${shares}`;
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

async function memoryOf(sides: readonly Side[], into: Record<string, Record<string, number>>, when: string) {
  await new Promise((done) => setTimeout(done, settleMs));
  const all = Object.fromEntries(
    sides.map(({ name, scenes }) => [
      name,
      Math.round(scenes.reduce((sum, scene) => sum + scene.pssMb(), 0) * 10) / 10,
    ]),
  );
  into[when] = all;
  process.stdout.write(
    `memory (PSS), ${when.padEnd(22)} ${Object.entries(all)
      .map(([name, mb]) => `${name} ${mb} MB`)
      .join("; ")}\n`,
  );
}

function subjects(): Readonly<Record<string, readonly Subject[]>> {
  const root = join(import.meta.dirname, "..");
  const profiles = options.profile === undefined ? undefined : resolve(options.profile);
  if (severalWorkers) return subjectsByWorkers(root, profiles);
  const upstream = process.env["ZTUNNEL"];
  if (upstream === undefined)
    process.stderr.write(
      "no comparison with upstream: ZTUNNEL names no program (scripts/fetch/ztunnel.sh builds one)\n",
    );
  const serin = serinOf(root, "serin", { profiles });
  return {
    serin: [serin],
    ...(options.beside === undefined ? {} : { beside: [serinOf(resolve(options.beside), "beside")] }),
    ...(upstream === undefined
      ? {}
      : { ztunnel: [{ ...serin, name: "ztunnel", command: [resolve(upstream), "proxy", "ztunnel"] }] }),
  };
}

function subjectsByWorkers(root: string, profiles: string | undefined): Readonly<Record<string, readonly Subject[]>> {
  const cores = `0-${workers - 1}`;
  const each = Array.from({ length: workers }, (_, core) => String(core));
  const several = `${workers} workers`;
  if (!options.alike)
    return {
      [several]: [serinOf(root, several, { workers, cores, profiles })],
      "1 worker": [serinOf(root, "1 worker", { cores })],
    };
  return {
    [several]: [serinOf(root, several, { workers, cores, profiles, endsCores: each.flatMap(() => each) })],
    [`${workers} ztunnels`]: each.map((core) => serinOf(root, `ztunnel ${core}`, { cores, endsCores: each })),
  };
}

async function main(): Promise<void> {
  const wanted = options.only.split(",").filter((name) => name !== "");
  const unknown = wanted.find((name) => works[name] === undefined);
  if (unknown !== undefined) throw new Error(`--only: there is no ${unknown}, but ${Object.keys(works).join(", ")}`);
  const scratch = scratchFolder("serin-bench-ztunnel-");
  const sides: Side[] = [];
  const rows: Record<string, Row> = {};
  const memory: Record<string, Record<string, number>> = {};
  try {
    for (const [name, ofSide] of Object.entries(subjects())) {
      const scenes: Scene[] = [];
      sides.push({ name, scenes });
      for (const subject of ofSide) scenes.push(new Scene(subject, scratch));
    }
    const scenes = sides.flatMap((side) => side.scenes);
    await Promise.all(scenes.map((scene) => scene.ready()));
    if (!options["no-memory"]) await memoryOf(sides, memory, "idle");
    const measuredWorks = Object.entries(works).filter(([name]) => wanted.length === 0 || wanted.includes(name));
    await warmUp(
      scenes,
      measuredWorks.map(([name]) => name),
    );
    for (const [name, { unit, work }] of measuredWorks) {
      const row = await measured(sides, work);
      rows[name] = row;
      process.stdout.write(`${lineOf(unit, row)}\n`);
    }
    if (!options["no-memory"]) {
      await memoryOf(sides, memory, "after the runs");
      for (const scene of scenes) await scene.run({ order: "open", work: held });
      await memoryOf(sides, memory, `${held.connections} connections`);
    }
    const load = loadavg()[0];
    process.stdout.write(`${JSON.stringify({ name: "ztunnel", load, rows, memoryMb: memory })}\n`);
  } finally {
    await Promise.all(sides.flatMap(({ scenes }) => scenes).map((scene) => scene.stop()));
    rmSync(scratch, { recursive: true, force: true });
  }
}

const [role, place] = positionals;
if (role === "server") await runServer(Number(place));
else if (role === "load") runLoad(Number(place));
else await main();
