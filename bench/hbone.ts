// Opens tunnels over HTTP/2 without TLS on the loopback address. Measures the CPU time of a round trip, a megabyte and
// a new tunnel, for both ends together.
//   node bench/hbone.ts [--rounds 20] [--slice 300] [--tunnels 64] [--bytes 1024] [--beside DIR] [--json]
// With --beside, another checkout does the same work in alternating slices, and the ratio of the costs is reported.
// Less is better.
import { fork, type ChildProcess } from "node:child_process";
import { join } from "node:path";
import { benchOptions } from "../scripts/arguments/bench-options.ts";
import { HbonePool, serveHbone, type HboneTunnel } from "../src/dataplane/index.ts";
import { connectTcp, listenTcp, type ByteStream, type SecureStream } from "../src/net/index.ts";
import { intervalText, medianInterval, type MedianInterval } from "./median-interval.ts";

/** Whether this process is the child process that does the work. */
const isWorker = process.argv[2] === "ends";
const options = benchOptions(
  "node bench/hbone.ts",
  { rounds: 20, slice: 300, tunnels: 64, bytes: 1024, beside: "", json: false },
  process.argv.slice(isWorker ? 3 : 2),
);
const { slice: sliceMs, tunnels, bytes: messageBytes } = options;
const bulkTunnels = 8;
const blockBytes = 65_536;
const openersAtOnce = 16;
const warmUps = 4;

/** Skips TLS, because its cost would hide the cost of HTTP/2. */
function asSecure(stream: ByteStream): SecureStream {
  return Object.defineProperties(stream, {
    peerIdentity: { value: "spiffe://cluster.local/ns/default/sa/bench" },
    alpnProtocol: { value: "h2" },
  }) as SecureStream;
}

/** Starts an echo server behind HBONE. It reads bytes for the authority `sink`, and discards them. Returns its port. */
async function listen(): Promise<number> {
  const listener = await listenTcp({ address: "127.0.0.1", port: 0 }, (connection) => {
    serveHbone(asSecure(connection), {
      onConnect: (request) => {
        const stream = request.accept();
        const echoes = request.authority !== "sink:1";
        stream.setHandler({
          data: (chunk) => {
            if (echoes && !stream.write(chunk)) stream.pause();
          },
          end: () => stream.end(),
          drain: () => stream.resume(),
          close: () => undefined,
        });
        stream.resume();
      },
    });
  });
  return listener.address.port;
}

type Connect = (authority: string) => Promise<HboneTunnel>;

async function pingPong(connect: Connect, isOver: () => boolean): Promise<number> {
  const message = Buffer.alloc(messageBytes, "x");
  let trips = 0;
  const one = async (): Promise<void> => {
    const tunnel = await connect("echo:1");
    await new Promise<void>((resolve) => {
      let left = messageBytes;
      tunnel.setHandler({
        data: (chunk) => {
          left -= chunk.length;
          if (left > 0) return;
          trips += 1;
          left = messageBytes;
          if (isOver()) tunnel.destroy();
          else tunnel.write(message);
        },
        end: () => undefined,
        drain: () => undefined,
        close: () => resolve(),
      });
      tunnel.resume();
      tunnel.write(message);
    });
  };
  await Promise.all(Array.from({ length: tunnels }, one));
  return trips;
}

async function bulk(connect: Connect, isOver: () => boolean): Promise<number> {
  const block = Buffer.alloc(blockBytes);
  let bytes = 0;
  const one = async (): Promise<void> => {
    const tunnel = await connect("sink:1");
    const drained = { resolve: (): void => undefined };
    tunnel.setHandler({ data() {}, end() {}, drain: () => drained.resolve(), close: () => drained.resolve() });
    tunnel.resume();
    while (!isOver()) {
      bytes += block.length;
      if (!tunnel.write(block)) await new Promise<void>((resolve) => (drained.resolve = resolve));
    }
    tunnel.destroy();
  };
  await Promise.all(Array.from({ length: bulkTunnels }, one));
  return bytes / 1_048_576;
}

async function newTunnels(connect: Connect, isOver: () => boolean): Promise<number> {
  let count = 0;
  const one = async (): Promise<void> => {
    while (!isOver()) {
      const tunnel = await connect("echo:1");
      const closed = new Promise<void>((resolve) =>
        tunnel.setHandler({ data() {}, end() {}, drain() {}, close: () => resolve() }),
      );
      tunnel.resume();
      tunnel.end();
      await closed;
      count += 1;
    }
  };
  await Promise.all(Array.from({ length: openersAtOnce }, one));
  return count;
}

const works = { roundTrip: pingPong, megabyte: bulk, tunnel: newTunnels };
type Work = keyof typeof works;

/**
 * Runs the child process, which contains both ends. Does the requested work for a slice of time, and reports the CPU
 * time of each operation.
 */
async function runEnds(): Promise<void> {
  const port = await listen();
  const pool = new HbonePool({
    dial: async (target, timeoutMs) =>
      asSecure(await connectTcp({ address: target.address, port: target.port, timeoutMs })),
  });
  const connect: Connect = async (authority) =>
    await pool.connect({
      sourceIdentity: "spiffe://cluster.local/ns/default/sa/bench",
      address: "127.0.0.1",
      port,
      expectedIdentities: [],
      authority,
      headers: [],
      timeoutMs: 5000,
    });
  process.on("disconnect", () => process.exit());
  process.on("message", (work: Work) => {
    const untilMs = performance.now() + sliceMs;
    const before = process.cpuUsage();
    void works[work](connect, () => performance.now() >= untilMs).then((count) => {
      const { user, system } = process.cpuUsage(before);
      process.send?.((user + system) / count);
    });
  });
}

async function runWork(child: ChildProcess, work: Work): Promise<number> {
  child.send(work);
  return await new Promise((resolve) => child.once("message", (cost) => resolve(Number(cost))));
}

async function main(): Promise<void> {
  const start = (directory: string): ChildProcess =>
    fork(join(directory, "bench/hbone.ts"), ["ends", ...process.argv.slice(2)], { cwd: directory });
  const own = start(join(import.meta.dirname, ".."));
  const beside = options.beside === "" ? undefined : start(options.beside);
  const report: Record<string, { cpuMicros: number; ratio?: MedianInterval }> = {};
  try {
    for (const work of Object.keys(works) as Work[]) {
      const costs: number[] = [];
      const ratios: number[] = [];
      for (let round = -warmUps; round < options.rounds; round += 1) {
        const first = round % 2 === 0 ? await runWork(own, work) : undefined;
        const other = beside === undefined ? undefined : await runWork(beside, work);
        const cost = first ?? (await runWork(own, work));
        if (round < 0) continue;
        costs.push(cost);
        if (other !== undefined) ratios.push(cost / other);
      }
      const ratio = ratios.length === 0 ? undefined : medianInterval(ratios);
      const cpuMicros = medianInterval(costs).median;
      report[work] = { cpuMicros, ...(ratio === undefined ? {} : { ratio }) };
      process.stdout.write(
        `${work.padEnd(10)} ${cpuMicros.toFixed(1)} µs CPU, both ends${ratio === undefined ? "" : `; to the other ${intervalText(ratio)}`}\n`,
      );
    }
    if (options.json) process.stdout.write(`${JSON.stringify({ name: "hbone", ...report })}\n`);
  } finally {
    own.kill("SIGKILL");
    beside?.kill("SIGKILL");
  }
}

// End with the parent process.
process.on("disconnect", () => process.exit());
if (isWorker) await runEnds();
else await main();
