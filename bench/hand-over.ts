// Hands a gateway and a ztunnel over to a new process while clients open connections at a constant rate. Fails if one
// connection fails.
//   npm run bench:hand-over [-- --rate 20000] [-- --hand-overs 5] [-- --only gateway|ztunnel|tunnels] [-- --kill] [-- --json]
// Needs root. The programs are those of an installation: `serin proxy router` and `serin ztunnel`. Each connection is a
// strict exchange. The client ends its own side, and waits for the peer's end. So a connection that waited in the queue
// of a closed listener is reset, and has failed. Through the ztunnel, a byte and its echo come before the end, because
// the ztunnel accepts a captured connection before the tunnel is open. The gateway gets --rate connections a second.
// The ztunnel gets 80 % of the rate that it can serve, which the bench measures first. With --kill, the old program is
// killed and the new one takes its place without a hand-over. This shows that the bench notices failures. The load
// shares the cores with the programs. If they are too busy for the offered rate, the bench says so, but does not fail.
import { mkdirSync, rmSync } from "node:fs";
import { loadavg } from "node:os";
import { join } from "node:path";
import { benchOptions } from "../scripts/arguments/bench-options.ts";
import { systemClock } from "../src/base/index.ts";
import { sumOf, type Counts } from "./hand-over/clients.ts";
import { GatewayScene } from "./hand-over/gateway-scene.ts";
import type { HandOver, Scene } from "./hand-over/scene.ts";
import { ZtunnelScene } from "./hand-over/ztunnel-scene.ts";
import { scratchFolder } from "./scratch-folder.ts";

/** The data plane under test. `ztunnel` captures connections. `tunnels` is a ztunnel to which clients open tunnels. */
type Subject = "gateway" | "ztunnel" | "tunnels";

/**
 * The time of the warm-up. V8 has compiled the last functions of a data plane only after 10,000 to 15,000 connections.
 */
const warmUpMs = { gateway: 4000, ztunnel: 6000 };
const capacityMs = 2000;
const capacityShare = 0.8;
/** If less than this share of the offered rate was served, the row says nothing about that rate. */
const leastReachedShare = 0.95;
/** How long a program serves alone after a hand-over, when the clients have caught up. */
const settleMs = 500;
/**
 * The longest wait until the clients have begun all connections that were due in a hand-over. A program that has just
 * started serves less than a warm one, because V8 has not compiled its code yet.
 */
const catchUpMs = 20_000;
/**
 * The maximum number of open connections. It is high, so that the clients keep their rate while a program starts on the
 * same cores. A listener's queue has room for about the same number.
 */
const mostOpen: Readonly<Record<Subject, number>> = { gateway: 2000, ztunnel: 4000, tunnels: 1500 };
/** The number of open connections that keeps the ztunnel busy while its capacity is measured. */
const mostOpenForCapacity = 64;

/** The numbers of workers before and after the hand-overs of a row. They are exchanged after each hand-over. */
const workerCounts = [
  [1, 1],
  [2, 2],
  [1, 2],
] as const;
type Workers = (typeof workerCounts)[number];

interface Options {
  readonly rate: number;
  readonly "hand-overs": number;
  readonly kill: boolean;
}

interface Measured {
  readonly handOvers: readonly HandOver[];
  /** The number of connections that the clients begin per second. */
  readonly offered: number;
  /** The number of connections that were served per second, over all periods. */
  readonly reached: number;
  /** The counts from the first change until the old program had ended, for all hand-overs together. */
  readonly during: Counts & { readonly reached: number };
  readonly total: Counts;
}

interface Row extends Measured {
  readonly subject: Subject;
  readonly workers: Workers;
}

interface Load {
  readonly perSecond: number;
  readonly most: number;
}

async function measured(scene: Scene, load: Load, workers: Workers, options: Options): Promise<Measured> {
  const { clients } = scene;
  const parts: { readonly counts: Counts; readonly seconds: number; readonly isHandOver: boolean }[] = [];
  const handOvers: HandOver[] = [];
  let takenMs = performance.now();
  const take = async (isHandOver = false): Promise<void> => {
    const counts = await clients.run({ order: "take" });
    const nowMs = performance.now();
    parts.push({ counts, seconds: (nowMs - takenMs) / 1000, isHandOver });
    takenMs = nowMs;
  };
  await clients.run({ order: "rate", ...load });
  for (let count = 0; count < options["hand-overs"]; count += 1) {
    const next = workers[(count + 1) % 2] ?? 1;
    await systemClock.sleep(settleMs);
    if (!options.kill) await scene.startNext(next);
    await take();
    handOvers.push(await (options.kill ? scene.replaceWithoutHandOver(next) : scene.handOver()));
    await take(true);
    await clients.run({ order: "catch up", limitMs: catchUpMs });
  }
  await systemClock.sleep(settleMs);
  await take();
  const last = await clients.run({ order: "finish" });
  const ratesOf = (those: typeof parts) => {
    const counts = sumOf(those.map((part) => part.counts));
    return { ...counts, reached: counts.served / those.reduce((sum, { seconds }) => sum + seconds, 0) };
  };
  const during = ratesOf(parts.filter(({ isHandOver }) => isHandOver));
  const { reached, ...all } = ratesOf(parts);
  return { handOvers, offered: load.perSecond, reached, during, total: sumOf([all, last]) };
}

/** Measures the gateway at the rate of the options. */
async function gatewayRow(folder: string, workers: Workers, options: Options): Promise<Row> {
  const scene = await GatewayScene.start(folder, workers[0]);
  try {
    const { clients } = scene;
    const load = { perSecond: options.rate, most: mostOpen.gateway };
    await clients.run({ order: "rate", ...load });
    await systemClock.sleep(warmUpMs.gateway);
    const warm = await clients.run({ order: "take" });
    const row = await measured(scene, load, workers, options);
    return { subject: "gateway", workers, ...row, total: sumOf([warm, row.total]) };
  } finally {
    await scene.stop();
  }
}

/** Measures the ztunnel at a share of its capacity, which is measured first. */
async function ztunnelRow(subject: Subject, folder: string, workers: Workers, options: Options): Promise<Row> {
  const scene = await ZtunnelScene.start(folder, workers[0], subject === "tunnels" ? "tunnels" : "captured");
  try {
    const { clients } = scene;
    await clients.run({ order: "rate", most: mostOpenForCapacity });
    await systemClock.sleep(warmUpMs.ztunnel);
    const warm = await clients.run({ order: "take" });
    const startedMs = performance.now();
    await systemClock.sleep(capacityMs);
    const counts = await clients.run({ order: "take" });
    const capacity = (counts.served * 1000) / (performance.now() - startedMs);
    const load = { perSecond: capacity * capacityShare, most: mostOpen[subject] };
    const row = await measured(scene, load, workers, options);
    return { subject, workers, ...row, total: sumOf([warm, counts, row.total]) };
  } finally {
    await scene.stop();
  }
}

const rowOf: Readonly<Record<Subject, (folder: string, workers: Workers, options: Options) => Promise<Row>>> = {
  gateway: gatewayRow,
  ztunnel: async (...given) => await ztunnelRow("ztunnel", ...given),
  tunnels: async (...given) => await ztunnelRow("tunnels", ...given),
};
const titles: Readonly<Record<Subject, string>> = {
  gateway: "gateway",
  ztunnel: "ztunnel, captured",
  tunnels: "ztunnel, tunnels",
};

const failuresOf = ({ failed }: Counts): number => Object.values(failed).reduce((sum, count) => sum + count, 0);

function lineOf({ subject, workers, handOvers, offered, reached, during, total }: Row): string {
  const [before, after] = workers;
  const title = `${titles[subject]}, ${before === after ? `${before} worker(s)` : `${before} to ${after} and back`}`;
  const kinds = Object.entries(total.failed).map(([kind, count]) => `${count} ${kind}`);
  const range = (of: (one: HandOver) => number): string => {
    const seconds = handOvers.map((one) => of(one) / 1000);
    return `${Math.min(...seconds).toFixed(2)} to ${Math.max(...seconds).toFixed(2)} s`;
  };
  return [
    title.padEnd(36),
    `offered ${Math.round(offered)}/s, reached ${Math.round(reached)}/s, in hand-overs ${Math.round(during.reached)}/s`,
    `${handOvers.length} hand-overs: moved in ${range(({ movedMs }) => movedMs)}, old one ended after ${range(({ endedMs }) => endedMs)}`,
    `${during.served} of ${total.served} connections in hand-overs`,
    `longest ${Math.round(during.longestMs)} ms, of all ${Math.round(total.longestMs)} ms`,
    `failed ${failuresOf(total)}${kinds.length === 0 ? "" : ` (${kinds.join(", ")})`}`,
  ].join("; ");
}

async function main(): Promise<void> {
  const { only, json, ...options } = benchOptions("npm run bench:hand-over --", {
    rate: 20_000,
    "hand-overs": 5,
    only: "",
    kill: false,
    json: false,
  });
  const wanted = Object.entries(rowOf).filter(([name]) => only === "" || name === only);
  if (wanted.length === 0) throw new Error(`--only: there is no ${only}, but ${Object.keys(rowOf).join(", ")}`);
  const scratch = scratchFolder("serin-bench-hand-over-");
  const rows: Row[] = [];
  try {
    for (const [name, measureRow] of wanted)
      for (const workers of workerCounts) {
        const folder = join(scratch, `${name}-${workers.join("-")}`);
        mkdirSync(folder);
        const row = await measureRow(folder, workers, options);
        rows.push(row);
        process.stdout.write(`${lineOf(row)}\n`);
      }
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
  const slow = rows.filter(({ offered, reached }) => reached < offered * leastReachedShare);
  if (slow.length > 0)
    process.stderr.write(
      `${slow.length} of ${rows.length} rows did not reach the offered rate, so they prove nothing about that rate: ` +
        "repeat the run on a quiet machine, or with a lower --rate\n",
    );
  const failed = rows.reduce((sum, { total }) => sum + failuresOf(total), 0);
  if (failed > 0) {
    process.stderr.write(`${failed} connections failed; a hand-over must lose none\n`);
    process.exitCode = 1;
  }
  if (json) process.stdout.write(`${JSON.stringify({ name: "hand-over", load: loadavg()[0], ...options, rows })}\n`);
}

await main();
