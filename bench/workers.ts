// Sends HTTP/1.1 through a gateway with one thread and through one with several workers, in turns. Measures requests
// per CPU second, the load of each thread, and the distribution of connections.
//   node bench/workers.ts [--workers 2] [--seconds 3] [--rounds 5] [--connections 256] [--saturated] [--json]
// The load and the upstream run on the same cores. On a busy machine only the ratio of work per CPU second is
// meaningful, not the rates. With --saturated, the gateway answers by itself, and each client sends many requests at
// once. The load then needs so little of the cores that the workers use nearly all of both. ENVOY=/path/to/envoy adds
// an Envoy with as many threads.
import { fork, type ChildProcess } from "node:child_process";
import { randomFillSync } from "node:crypto";
import { once } from "node:events";
import { createServer, type AddressInfo } from "node:net";
import { create, fromJson, toBinary, type DescMessage, type JsonValue } from "@bufbuild/protobuf";
import { benchOptions } from "../scripts/arguments/bench-options.ts";
import { silentLogger, systemClock, systemRandom } from "../src/base/index.ts";
import { connectTcp, listenTcp } from "../src/net/index.ts";
import { DataPath } from "../src/proxy/data-path.ts";
import { readSettings } from "../src/proxy/proxy-settings.ts";
import { randomUuids } from "../src/proxy/terms/random-id.ts";
import { edsCluster, httpListener, plainEndpoints, weightedRoute } from "../src/proxy/testing/ads-server.ts";
import { spawnWorker, WorkerSet } from "../src/proxy/workers/index.ts";
import { MetricsRegistry, parsePrometheus } from "../src/telemetry/index.ts";
import {
  ClusterLoadAssignmentSchema,
  ClusterSchema,
  envoyRegistry,
  ListenerSchema,
  RouteConfigurationSchema,
} from "../src/wire/envoy/index.ts";
import { typeUrls } from "../src/wire/xds/index.ts";
import { median } from "./median-interval.ts";
import { nanosSince, threadNanos } from "./process-cost.ts";
import { benchSaturated } from "./workers/saturated.ts";

const answer = Buffer.from(
  `HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 1024\r\n\r\n${"x".repeat(1024)}`,
);
const request = Buffer.from(
  "GET /productpage?u=normal HTTP/1.1\r\nhost: bookinfo.example\r\nuser-agent: bench/1\r\n\r\n",
);
const headEnd = "\r\n\r\n";

interface Measured {
  readonly requestsPerSecond: number;
  readonly requestsPerCpuSecond: number;
  /** For each serving thread, the share of the time in which it ran. */
  readonly busy: readonly number[];
  /** Each worker's number of connections. */
  readonly shares: readonly number[];
}

/** Answers each read with one response, because a client has at most one open request. */
async function runUpstream(): Promise<void> {
  const listener = await listenTcp({ address: "127.0.0.1", port: 0 }, (stream) => {
    stream.setHandler({
      data: () => stream.write(answer),
      end: () => stream.end(),
      drain: () => undefined,
      close: () => undefined,
    });
    stream.resume();
  });
  process.send?.(listener.address.port);
}

async function runProxy(workers: number, port: number, upstreamPort: number): Promise<void> {
  const data = {
    settings: readSettings({ env: {}, args: ["proxy", "router"], version: "bench", labelsFile: undefined }),
    registry: new MetricsRegistry(),
    resolve: () => Promise.resolve({ addresses: [] }),
    log: silentLogger,
    clock: systemClock,
    random: systemRandom,
    startedMs: systemClock.nowMs(),
  };
  const serving =
    workers === 1
      ? new DataPath({
          ...data,
          certificates: {
            peek: () => undefined,
            fetch: () => Promise.reject(new Error("plain text alone is measured")),
          },
          listen: listenTcp,
          readFile: () => Promise.reject(new Error("no files")),
          newRequestId: randomUuids((bytes) => randomFillSync(bytes)),
        })
      : new WorkerSet({ count: workers, spawn: spawnWorker, data });
  serving.attach({ setNames: () => undefined });
  serving.start();
  const apply = async <Schema extends DescMessage>(
    typeUrl: string,
    schema: Schema,
    name: string,
    json: JsonValue,
  ): Promise<void> => {
    const body = toBinary(schema, create(schema, fromJson(schema, json, { registry: envoyRegistry() }) as never));
    const subscription = serving.subscriptions().find((one) => one.typeUrl === typeUrl);
    await subscription?.apply({
      typeUrl,
      resources: [{ name, version: "1", aliases: [], typeUrl, body }],
      removed: [],
    });
  };
  await apply(typeUrls.cluster, ClusterSchema, "a", edsCluster("a"));
  await apply(typeUrls.endpoint, ClusterLoadAssignmentSchema, "a", plainEndpoints("a", [upstreamPort]));
  await apply(typeUrls.route, RouteConfigurationSchema, "http", weightedRoute("http", { a: 1 }));
  await apply(typeUrls.listener, ListenerSchema, "listener", httpListener(port, "http"));
  while ((await serving.status()).pending.length > 0) await systemClock.sleep(5);
  process.on("message", () => void serving.metrics().then((text) => process.send?.(text)));
  process.send?.(port);
}

/** Sends requests on one connection, one after another, until it is stopped. */
async function loadConnection(port: number, answered: () => void): Promise<() => void> {
  const stream = await connectTcp({ address: "127.0.0.1", port, timeoutMs: 30_000 });
  let left = 0;
  const send = (): void => {
    left = -1;
    stream.write(request);
  };
  stream.setHandler({
    data: (chunk) => {
      left = left < 0 ? 1024 - (chunk.length - chunk.indexOf(headEnd) - headEnd.length) : left - chunk.length;
      if (left > 0) return;
      answered();
      send();
    },
    end: () => undefined,
    drain: () => undefined,
    close: () => undefined,
  });
  stream.resume();
  send();
  return () => stream.destroy();
}

async function measure(child: ChildProcess, port: number, workers: number, options: Options): Promise<Measured> {
  let requests = 0;
  const stops = await Promise.all(
    Array.from({ length: options.connections }, () => loadConnection(port, () => (requests += 1))),
  );
  await systemClock.sleep(1000);
  const pid = child.pid ?? 0;
  const before = threadNanos(pid);
  const [requestsBefore, startedMs] = [requests, performance.now()];
  await systemClock.sleep(options.seconds * 1000);
  const elapsedSeconds = (performance.now() - startedMs) / 1000;
  const done = requests - requestsBefore;
  const spent = [...nanosSince(pid, before).values()]
    .map(({ ran }) => ran / 1e9)
    .toSorted((left, right) => right - left);
  child.send("metrics");
  const [text] = (await once(child, "message")) as [string];
  for (const stop of stops) stop();
  return {
    requestsPerSecond: done / elapsedSeconds,
    requestsPerCpuSecond: done / spent.reduce((sum, seconds) => sum + seconds, 0),
    busy: spent.slice(0, workers).map((seconds) => seconds / elapsedSeconds),
    shares: parsePrometheus(text)
      .samples.filter(({ name }) => name === "serin_proxy_worker_connections")
      .map(({ value }) => value),
  };
}

const children: ChildProcess[] = [];

async function startRole(...args: readonly string[]): Promise<{ readonly child: ChildProcess; readonly port: number }> {
  const child = fork(import.meta.filename, args);
  children.push(child);
  const [port] = (await once(child, "message")) as [number];
  return { child, port };
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

interface Options {
  readonly workers: number;
  readonly seconds: number;
  readonly rounds: number;
  readonly connections: number;
}

async function main(options: Options, json: boolean): Promise<void> {
  const upstream = await startRole("upstream");
  const subjects = new Map<number, Awaited<ReturnType<typeof startRole>>>();
  for (const workers of [1, options.workers])
    subjects.set(workers, await startRole("proxy", String(workers), String(await freePort()), String(upstream.port)));
  const results = new Map<number, Measured[]>([...subjects.keys()].map((workers) => [workers, []]));
  for (let round = 0; round <= options.rounds; round += 1)
    for (const [workers, { child, port }] of subjects) {
      const measured = await measure(child, port, workers, options);
      // The first round only warms up.
      if (round === 0) continue;
      results.get(workers)?.push(measured);
      const percent = measured.busy.map((share) => `${Math.round(share * 100)} %`).join(" and ");
      process.stdout.write(
        `${workers} worker(s)  ${Math.round(measured.requestsPerSecond)} requests/s  ${Math.round(measured.requestsPerCpuSecond)} per CPU second  busy ${percent}  connections ${measured.shares.join(" and ")}\n`,
      );
    }
  const [one = [], several = []] = [...results.values()];
  const ratio = median(
    several.map((measured, round) => measured.requestsPerCpuSecond / (one[round]?.requestsPerCpuSecond ?? Infinity)),
  );
  process.stdout.write(`work per CPU second, ${options.workers} workers to 1: ${ratio.toFixed(2)}\n`);
  if (json) process.stdout.write(`${JSON.stringify({ name: "workers", ...options, ratio, one, several })}\n`);
}

const args = process.argv.slice(2);
// End with the parent process.
process.on("disconnect", () => process.exit());
if (args[0] === "upstream") await runUpstream();
else if (args[0] === "proxy") await runProxy(Number(args[1]), Number(args[2]), Number(args[3]));
else
  try {
    const { json, saturated, ...options } = benchOptions("npm run bench:workers --", {
      workers: 2,
      seconds: 3,
      rounds: 5,
      connections: 256,
      saturated: false,
      json: false,
    });
    if (saturated) {
      const { connections: _, ...given } = options;
      const rows = await benchSaturated(given);
      if (json) process.stdout.write(`${JSON.stringify({ name: "workers, saturated", ...given, rows })}\n`);
    } else await main(options, json);
  } finally {
    for (const child of children) child.kill("SIGKILL");
  }
