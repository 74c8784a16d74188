// Runs one of Serin's HTTP/2 servers under clients that make it reset streams. Measures the waiting time of an honest
// client and the memory that stays.
//   node bench/http2-floods.ts [--server gateway|hbone|discovery] [--seconds 5] [--attackers 8] [--only "above the limit"] [--json]
// The server is a separate process. Attackers whose connections are ended connect again at once. There is no TLS.
import { fork, type ChildProcess } from "node:child_process";
import { createServer } from "node:http";
import { createServer as createSink, type AddressInfo } from "node:net";
import { benchOptions } from "../scripts/arguments/bench-options.ts";
import { giveBackIdleMemory } from "../src/base/index.ts";
import { Http2Flooder } from "../src/proxy/testing/http2-flooder.ts";
import { sendRequest, connectTo } from "../src/proxy/testing/http2-peers.ts";
import { answerMs, floodedServers, type FloodedServer } from "./http2-floods/flooded-servers.ts";

const roles = ["server", "attackers", "sink", "upstream"] as const;
/** The role of a child process. It is undefined in the bench's main process. */
const role = roles.find((one) => one === process.argv[2]);
const ownArguments = process.argv.slice(role === undefined ? 2 : 3);
const options = benchOptions(
  "node bench/http2-floods.ts",
  { server: "gateway", seconds: 5, attackers: 8, only: "", json: false },
  ownArguments,
);
const phaseMs = options.seconds * 1000;
const restMs = 10_000;
const sinkBytes = 65_536;
const megabyte = 1_048_576;

function chosenServer(): FloodedServer {
  const found = Object.entries(floodedServers).find(([name]) => name === options.server);
  if (found !== undefined) return found[1];
  const names = Object.keys(floodedServers).join(", ");
  process.stderr.write(`--server: "${options.server}" is none of ${names}\n`);
  process.exit(2);
}

const flooded = chosenServer();

/**
 * A message of a child process. The first message has its port. Later messages of the server have its memory in MB of
 * 2^20 bytes, the number of its upstream connections, and its CPU time in ms. Those of the attackers have their numbers
 * of streams and of connections.
 */
type Report = readonly [number, number, number];

/** Runs the child process of the server. */
async function runServer(): Promise<void> {
  // Return unused memory to the system, as every process of Serin does.
  giveBackIdleMemory();
  const [attackedPort, honestPort] = await new Promise<Report>((resolve) => process.once("message", resolve));
  const { port, upstreamConnections } = await flooded.start({ attackedPort, honestPort });
  process.on("message", () => {
    const { user, system } = process.cpuUsage();
    process.send?.([process.memoryUsage().rss / megabyte, upstreamConnections(), (user + system) / 1000]);
  });
  process.send?.([port, 0, 0]);
}

/** Runs the child process of a slow upstream. */
async function runUpstream(): Promise<void> {
  const server = createServer((_request, response) => void setTimeout(() => response.end("fine"), answerMs));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  process.send?.([(server.address() as AddressInfo).port, 0, 0]);
}

/** Runs the child process of a server that only ends connections, at about the rate of the measured server. */
async function runSink(): Promise<void> {
  const server = createSink((socket) => {
    socket.on("error", () => undefined);
    socket.on("data", () => {
      if (socket.bytesRead > sinkBytes) socket.destroy();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  process.send?.([(server.address() as AddressInfo).port, 0, 0]);
}

/**
 * Runs the child process of the attackers. It floods a port for one phase with the given attack, and reports its
 * streams and connections.
 */
function runAttackers(): void {
  process.on("message", ({ title, port }: { readonly title: string; readonly port: number }) => {
    const attack = flooded.attacks.get(title);
    if (attack === undefined) return;
    const over = AbortSignal.timeout(phaseMs);
    const flooders = Array.from({ length: options.attackers }, () => new Http2Flooder(attack));
    const floods = flooders.map(async (flooder) => {
      while (!over.aborted) await flooder.run(port, over).catch(() => undefined);
    });
    void Promise.all(floods).then(() => {
      const streams = flooders.reduce((sum, one) => sum + one.streams, 0);
      process.send?.([streams, flooders.reduce((sum, one) => sum + one.endings.length, 0), 0]);
    });
  });
}

async function nextReport(child: ChildProcess): Promise<Report> {
  return await new Promise((resolve) => child.once("message", (report) => resolve(report as Report)));
}

interface Phase {
  readonly answers: number;
  readonly failed: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

async function honest(port: number): Promise<Phase> {
  const session = await connectTo(port);
  const { headers, body } = flooded.honest;
  const latencies: number[] = [];
  let failed = 0;
  const untilMs = performance.now() + phaseMs;
  while (performance.now() < untilMs) {
    const startedMs = performance.now();
    const status = await sendRequest(session, headers, body).then(
      (answer) => answer.headers[":status"],
      () => 0,
    );
    if (status === 200) latencies.push(performance.now() - startedMs);
    else failed += 1;
  }
  session.close();
  latencies.sort((left, right) => left - right);
  const quantile = (share: number): number => latencies[Math.floor(latencies.length * share)] ?? Number.NaN;
  return { answers: latencies.length, failed, p50Ms: quantile(0.5), p99Ms: quantile(0.99) };
}

function waitText({ p50Ms, p99Ms }: Phase): string {
  return `p50 ${p50Ms.toFixed(1)} ms, p99 ${p99Ms.toFixed(1)} ms`;
}

class Bench {
  readonly #children: ChildProcess[] = [];
  #server: ChildProcess | undefined;

  async run(): Promise<Record<string, unknown>> {
    const server = this.#fork("server");
    this.#server = server;
    // The honest client uses another upstream, because the attackers keep theirs busy.
    const [attackedPort] = await nextReport(this.#fork("upstream"));
    const [honestPort] = await nextReport(this.#fork("upstream"));
    server.send([attackedPort, honestPort, 0]);
    const [port] = await nextReport(server);
    const [sinkPort] = await nextReport(this.#fork("sink"));
    const attackers = this.#fork("attackers");
    await honest(port);
    const [, , startMs] = await this.#look();
    const quiet = await honest(port);
    const [, , quietMs] = await this.#look();
    await this.#rest();
    const [beforeMb] = await this.#look();
    const quietWorkMs = quietMs - startMs;
    process.stdout.write(
      `${options.server}, quiet: ${waitText(quiet)}, the server works ${quietWorkMs.toFixed(0)} ms; 10 s later ${beforeMb.toFixed(0)} MB\n`,
    );
    const attacks: Record<string, unknown> = {};
    for (const title of [...flooded.attacks.keys()].filter((one) => one.includes(options.only))) {
      // The attackers first flood another server. That phase shows the effect of their CPU time alone.
      attackers.send({ title, port: sinkPort });
      const elsewhere = nextReport(attackers);
      const busy = await honest(port);
      await elsewhere;
      const [, , idleMs] = await this.#look();
      attackers.send({ title, port });
      const flood = nextReport(attackers);
      const attacked = await honest(port);
      const [streams, connections] = await flood;
      const [peakMb, held, workedMs] = await this.#look();
      const workMs = workedMs - idleMs;
      await this.#rest();
      const [afterMb, left] = await this.#look();
      const p99ToQuiet = attacked.p99Ms / quiet.p99Ms;
      const memory = { peakMb, afterMb, held, left };
      attacks[title] = { ...attacked, p99ToQuiet, busy, workMs, streams, connections, ...memory };
      process.stdout.write(
        `${title}: ${streams} streams on ${connections} connections; honest ${attacked.answers} answers, ${attacked.failed} failed, ${waitText(attacked)}, ${p99ToQuiet.toFixed(1)} times quiet (while they flood another server: ${waitText(busy)}), the server works ${workMs.toFixed(0)} ms; ${peakMb.toFixed(0)} MB and ${held} upstream connections, 10 s later ${afterMb.toFixed(0)} MB and ${left}\n`,
      );
    }
    return { server: options.server, quiet, quietWorkMs, beforeMb, attacks };
  }

  end(): void {
    for (const child of this.#children) child.kill("SIGKILL");
  }

  #fork(role: (typeof roles)[number]): ChildProcess {
    const child = fork(import.meta.filename, [role, ...ownArguments]);
    this.#children.push(child);
    return child;
  }

  async #look(): Promise<Report> {
    this.#server?.send("look");
    return this.#server === undefined ? [0, 0, 0] : await nextReport(this.#server);
  }

  async #rest(): Promise<void> {
    await new Promise((resolve) => setTimeout(resolve, restMs));
  }
}

async function main(): Promise<void> {
  const bench = new Bench();
  try {
    const report = await bench.run();
    if (options.json) process.stdout.write(`${JSON.stringify({ name: "http2-floods", ...report })}\n`);
  } finally {
    bench.end();
  }
}

if (role === undefined) await main();
else {
  process.on("disconnect", () => process.exit());
  const run = { server: runServer, attackers: runAttackers, sink: runSink, upstream: runUpstream }[role];
  await run();
}
