// Runs a gateway's data path under clients that make it reset HTTP/2 streams. Measures the waiting time of an honest
// client and the memory that stays.
//   node bench/http2-floods.ts [--seconds 5] [--attackers 8] [--json]
// The proxy is a separate process. Attackers whose connections are ended connect again at once.
import { fork, type ChildProcess } from "node:child_process";
import { createServer } from "node:http";
import { createServer as createSink } from "node:net";
import type { AddressInfo } from "node:net";
import { parseArgs } from "node:util";
import { giveBackIdleMemory } from "../src/base/index.ts";
import { forwardTo, Harness, route, tableOf } from "../src/proxy/testing/harness.ts";
import { Http2Flooder, streamAttacks } from "../src/proxy/testing/http2-flooder.ts";
import { ask, connectTo } from "../src/proxy/testing/http2-peers.ts";

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    seconds: { type: "string", default: "5" },
    attackers: { type: "string", default: "8" },
    json: { type: "boolean", default: false },
  },
});
const phaseMs = Number(options.seconds) * 1000;
const restMs = 10_000;
const sinkBytes = 65_536;
const megabyte = 1_048_576;

/**
 * The child process of a gateway to one upstream. On request it reports its memory in MB, its upstream connections, and
 * its CPU time.
 */
async function runProxy(upstreamPort: number): Promise<void> {
  // Every process of Serin does the same.
  giveBackIdleMemory();
  const harness = await Harness.start();
  const cluster = harness.cluster("a", [upstreamPort], { maxConnections: 1024 });
  harness.table = tableOf(route(forwardTo("a")));
  setInterval(() => {
    harness.records.length = 0;
    harness.finished.length = 0;
    harness.listener.sweep();
    for (const endpoint of cluster.endpoints()) endpoint.sweep(performance.now());
  }, 1000);
  process.on("disconnect", () => process.exit());
  process.on("message", () => {
    let connections = 0;
    for (const endpoint of cluster.endpoints()) connections += endpoint.openConnections;
    const { user, system } = process.cpuUsage();
    process.send?.([process.memoryUsage().rss / megabyte, connections, (user + system) / 1000]);
  });
  process.send?.([harness.port, 0, 0]);
}

/** The child process of a slow upstream. */
async function runUpstream(): Promise<void> {
  const server = createServer((_request, response) => void setTimeout(() => response.end("fine"), 5));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  process.on("disconnect", () => process.exit());
  process.send?.([(server.address() as AddressInfo).port, 0, 0]);
}

/** The child process of a server that only ends connections, at about the same rate as the proxy. */
async function runSink(): Promise<void> {
  const server = createSink((socket) => {
    socket.on("error", () => undefined);
    socket.on("data", () => {
      if (socket.bytesRead > sinkBytes) socket.destroy();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  process.on("disconnect", () => process.exit());
  process.send?.([(server.address() as AddressInfo).port, 0, 0]);
}

/**
 * The child process of the attackers. Floods for one phase with the given attack, and reports its streams and
 * connections.
 */
async function runAttackers(): Promise<void> {
  process.on("disconnect", () => process.exit());
  process.on("message", ({ title, port }: { readonly title: string; readonly port: number }) => {
    const attack = streamAttacks[title];
    if (attack === undefined) return;
    const over = AbortSignal.timeout(phaseMs);
    const flooders = Array.from({ length: Number(options.attackers) }, () => new Http2Flooder(attack));
    const floods = flooders.map(async (flooder) => {
      while (!over.aborted) await flooder.run(port, over).catch(() => undefined);
    });
    void Promise.all(floods).then(() => {
      const streams = flooders.reduce((sum, one) => sum + one.streams, 0);
      process.send?.([streams, flooders.reduce((sum, one) => sum + one.endings.length, 0), 0]);
    });
  });
  await Promise.resolve();
}

async function told(child: ChildProcess): Promise<[number, number, number]> {
  return await new Promise((resolve) => child.once("message", (pair) => resolve(pair as [number, number, number])));
}

interface Phase {
  readonly answers: number;
  readonly failed: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

async function honest(port: number): Promise<Phase> {
  const session = await connectTo(port);
  const latencies: number[] = [];
  let failed = 0;
  const untilMs = performance.now() + phaseMs;
  while (performance.now() < untilMs) {
    const startedMs = performance.now();
    const status = await ask(session, { ":path": "/honest" }).then(
      ({ headers }) => headers[":status"],
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

async function main(): Promise<void> {
  const upstream = fork(import.meta.filename, ["upstream"]);
  const [upstreamPort] = await told(upstream);
  const proxy = fork(import.meta.filename, ["proxy", String(upstreamPort)]);
  const sink = fork(import.meta.filename, ["sink"]);
  const children = [upstream, proxy, sink];
  try {
    const [port] = await told(proxy);
    const [sinkPort] = await told(sink);
    const attackers = fork(import.meta.filename, ["attackers", ...process.argv.slice(2)]);
    children.push(attackers);
    const look = async (): Promise<readonly [number, number, number]> => {
      proxy.send("look");
      return await told(proxy);
    };
    await honest(port);
    const [, , startMs] = await look();
    const quiet = await honest(port);
    const [, , quietMs] = await look();
    await new Promise((resolve) => setTimeout(resolve, restMs));
    const [beforeMb] = await look();
    const report: Record<string, unknown> = { quiet, beforeMb, quietWorkMs: quietMs - startMs };
    process.stdout.write(
      `quiet: p50 ${quiet.p50Ms.toFixed(1)} ms, p99 ${quiet.p99Ms.toFixed(1)} ms, the proxy works ${(quietMs - startMs).toFixed(0)} ms; 10 s later ${beforeMb.toFixed(0)} MB\n`,
    );
    for (const title of Object.keys(streamAttacks)) {
      // They first flood another server, which shows the effect of their CPU time alone.
      attackers.send({ title, port: sinkPort });
      const elsewhere = told(attackers);
      const busy = await honest(port);
      await elsewhere;
      const [, , idleMs] = await look();
      attackers.send({ title, port });
      const flooded = told(attackers);
      const attacked = await honest(port);
      const [streams, connections] = await flooded;
      const [peakMb, held, workedMs] = await look();
      const workMs = workedMs - idleMs;
      await new Promise((resolve) => setTimeout(resolve, restMs));
      const [afterMb, left] = await look();
      report[title] = { ...attacked, busy, workMs, streams, connections, peakMb, held, afterMb, left };
      process.stdout.write(
        `${title}: ${streams} streams on ${connections} connections; honest ${attacked.answers} answers, ${attacked.failed} failed, p50 ${attacked.p50Ms.toFixed(1)} ms, p99 ${attacked.p99Ms.toFixed(1)} ms (while they flood another server: p50 ${busy.p50Ms.toFixed(1)} ms, p99 ${busy.p99Ms.toFixed(1)} ms), the proxy works ${workMs.toFixed(0)} ms; ${peakMb.toFixed(0)} MB and ${held} upstream connections, 10 s later ${afterMb.toFixed(0)} MB and ${left}\n`,
      );
    }
    if (options.json) process.stdout.write(`${JSON.stringify({ name: "http2-floods", ...report })}\n`);
  } finally {
    for (const child of children) child.kill("SIGKILL");
  }
}

if (positionals[0] === "proxy") await runProxy(Number(positionals[1]));
else if (positionals[0] === "attackers") await runAttackers();
else if (positionals[0] === "sink") await runSink();
else if (positionals[0] === "upstream") await runUpstream();
else await main();
