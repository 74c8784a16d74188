// A gateway's data path under clients that make it reset HTTP/2 streams: what an honest client waits, and what memory stays.
//   node bench/http2-floods.ts [--seconds 5] [--attackers 8] [--json]
// The proxy is a process of its own; attackers whose connections were ended dial anew at once.
import { fork, type ChildProcess } from "node:child_process";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { parseArgs } from "node:util";
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
const megabyte = 1_048_576;

/** The child: a gateway to one upstream. Answers its memory in MB, and its upstream connections, when asked. */
async function runProxy(upstreamPort: number): Promise<void> {
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
    process.send?.([process.memoryUsage().rss / megabyte, connections]);
  });
  process.send?.([harness.port, 0]);
}

/** The child: an upstream that takes its time. */
async function runUpstream(): Promise<void> {
  const server = createServer((_request, response) => void setTimeout(() => response.end("fine"), 5));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  process.on("disconnect", () => process.exit());
  process.send?.([(server.address() as AddressInfo).port, 0]);
}

/** The child: the attackers. Floods for a phase by the attack that it is told, and answers its streams and connections. */
async function runAttackers(port: number): Promise<void> {
  process.on("disconnect", () => process.exit());
  process.on("message", (title: string) => {
    const attack = streamAttacks[title];
    if (attack === undefined) return;
    const over = AbortSignal.timeout(phaseMs);
    const flooders = Array.from({ length: Number(options.attackers) }, () => new Http2Flooder(attack));
    const floods = flooders.map(async (flooder) => {
      while (!over.aborted) await flooder.run(port, over).catch(() => undefined);
    });
    void Promise.all(floods).then(() => {
      const streams = flooders.reduce((sum, one) => sum + one.streams, 0);
      process.send?.([streams, flooders.reduce((sum, one) => sum + one.endings.length, 0)]);
    });
  });
  await Promise.resolve();
}

async function told(child: ChildProcess): Promise<[number, number]> {
  return await new Promise((resolve) => child.once("message", (pair) => resolve(pair as [number, number])));
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
  const children = [upstream, proxy];
  try {
    const [port] = await told(proxy);
    const attackers = fork(import.meta.filename, ["attackers", String(port), ...process.argv.slice(2)]);
    children.push(attackers);
    const look = async (): Promise<[number, number]> => {
      proxy.send("look");
      return await told(proxy);
    };
    await honest(port);
    const quiet = await honest(port);
    const [beforeMb] = await look();
    const report: Record<string, unknown> = { quiet, beforeMb };
    process.stdout.write(
      `quiet: p50 ${quiet.p50Ms.toFixed(1)} ms, p99 ${quiet.p99Ms.toFixed(1)} ms, ${beforeMb.toFixed(0)} MB\n`,
    );
    for (const title of Object.keys(streamAttacks)) {
      attackers.send(title);
      const flooded = told(attackers);
      const attacked = await honest(port);
      const [streams, connections] = await flooded;
      const [peakMb, held] = await look();
      await new Promise((resolve) => setTimeout(resolve, restMs));
      const [afterMb, left] = await look();
      report[title] = { ...attacked, streams, connections, peakMb, held, afterMb, left };
      process.stdout.write(
        `${title}: ${streams} streams on ${connections} connections; honest ${attacked.answers} answers, ${attacked.failed} failed, p50 ${attacked.p50Ms.toFixed(1)} ms, p99 ${attacked.p99Ms.toFixed(1)} ms; ${peakMb.toFixed(0)} MB and ${held} upstream connections, 10 s later ${afterMb.toFixed(0)} MB and ${left}\n`,
      );
    }
    if (options.json) process.stdout.write(`${JSON.stringify({ name: "http2-floods", ...report })}\n`);
  } finally {
    for (const child of children) child.kill("SIGKILL");
  }
}

if (positionals[0] === "proxy") await runProxy(Number(positionals[1]));
else if (positionals[0] === "attackers") await runAttackers(Number(positionals[1]));
else if (positionals[0] === "upstream") await runUpstream();
else await main();
