// Sends HTTP/1.1 through the gateway's data path on the loopback address. Measures requests per CPU second of the
// proxy, and latency.
//   node bench/http1.ts [--seconds 2] [--rounds 2] [--connections 64] [--body 1024] [--bare] [--beside DIR]
//                       [--processes 1] [--json]
// With ENVOY=/path/to/envoy, Serin and that Envoy get the same load in turns, and the ratio of work per CPU second is
// reported. Both have the same listener: an access log to /dev/null (none with --bare), and no Istio metrics, because a
// stock Envoy lacks their filter. bench/telemetry.ts measures the cost of those metrics. Envoy's own counters cannot be
// turned off, so Serin's stay on too. Serin runs from a bundle, with the flags and the environment of bin/serin.
// With --beside, the proxy of another checkout gets the same load in turns, and the ratio of both costs in each round
// is reported. Short rounds help on an unsteady machine: --seconds 0.5 --rounds 200. No two processes are compiled
// alike, and two processes of one checkout differ by a few per cent. With --processes 4, each checkout has four, and a
// round compares their means.
import { spawn, type ChildProcess } from "node:child_process";
import { rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { type JsonValue } from "@bufbuild/protobuf";
import { benchGateway } from "./bench-gateway.ts";
import { bundleFolder, bundleRole, productEnv, productFlags } from "./bundle-role.ts";
import { benchOptions } from "../scripts/arguments/bench-options.ts";
import { giveBackIdleMemory, systemClock } from "../src/base/index.ts";
import { connectTcp, listenTcp, type ByteStream } from "../src/net/index.ts";
import { edsCluster, httpListener, plainEndpoints } from "../src/proxy/testing/ads-server.ts";
import { MetricsRegistry } from "../src/telemetry/index.ts";
import {
  ClusterLoadAssignmentSchema,
  ClusterSchema,
  ListenerSchema,
  RouteConfigurationSchema,
} from "../src/wire/envoy/index.ts";
import { MessageHead, scanRequestHead } from "../src/wire/http1/index.ts";
import { typeUrls } from "../src/wire/xds/index.ts";
import { intervalText, mean, median, medianInterval, quantile } from "./median-interval.ts";
import { cpuMicros, memoryOf, type ProcessMemory } from "./process-cost.ts";
import { endsWithThis } from "../scripts/lab/ends-with-this.ts";
import { scratchFolder } from "./scratch-folder.ts";

interface Options {
  readonly seconds: number;
  readonly rounds: number;
  readonly connections: number;
  readonly bodyBytes: number;
  readonly bare: boolean;
  readonly beside: string;
  /** The number of processes of each checkout. */
  readonly processes: number;
  readonly json: boolean;
}

interface Measured {
  readonly requests: number;
  readonly failed: number;
  readonly requestsPerSecond: number;
  readonly cpuMicrosPerRequest: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly memory: ProcessMemory;
}

interface Subject {
  readonly name: string;
  readonly port: number;
  readonly pid: number;
}

const logFormat =
  '[%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" %RESPONSE_CODE% %RESPONSE_FLAGS% %BYTES_RECEIVED% %BYTES_SENT% %DURATION% "%REQ(X-FORWARDED-FOR)%" "%REQ(USER-AGENT)%" "%REQ(X-REQUEST-ID)%" "%REQ(:AUTHORITY)%" "%UPSTREAM_HOST%" %UPSTREAM_CLUSTER% %ROUTE_NAME%\n';
const accessLog: JsonValue = [
  {
    name: "envoy.access_loggers.file",
    typedConfig: {
      "@type": "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog",
      path: "/dev/null",
      logFormat: { textFormatSource: { inlineString: logFormat } },
    },
  },
];

/** Returns the routes of a gateway in a small mesh: 60 prefixes, a header match, and a 90/10 split. */
function routes(): JsonValue[] {
  const plain = Array.from({ length: 60 }, (_, index) => ({
    name: `r${index}`,
    match: { prefix: `/api/v1/service${index}/` },
    route: { cluster: "a", timeout: "0s" },
  }));
  return [
    ...plain,
    {
      name: "canary",
      match: { prefix: "/", headers: [{ name: "x-canary", stringMatch: { exact: "1" } }] },
      route: { cluster: "b", timeout: "0s" },
    },
    {
      name: "weights",
      match: { prefix: "/" },
      route: {
        timeout: "0s",
        weightedClusters: {
          clusters: [
            { name: "a", weight: 90 },
            { name: "b", weight: 10 },
          ],
        },
      },
    },
  ];
}

function virtualHosts(): JsonValue {
  return [{ name: "all", domains: ["*"], routes: routes() }];
}

async function runUpstream(bodyBytes: number): Promise<void> {
  const answer = Buffer.from(
    `HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: ${bodyBytes}\r\n\r\n${"x".repeat(bodyBytes)}`,
  );
  const head = new MessageHead();
  const listener = await listenTcp({ address: "127.0.0.1", port: 0 }, (stream) => {
    stream.setHandler({
      data: (chunk) => {
        for (let at = 0; at < chunk.length;) {
          const after = scanRequestHead(head, chunk, at, chunk.length);
          if (after <= 0) return stream.destroy();
          stream.write(answer);
          at = after;
        }
      },
      end: () => stream.end(),
      drain: () => undefined,
      close: () => undefined,
    });
    stream.resume();
  });
  process.stdout.write(`${listener.address.port}\n`);
}

/** Returns the connection manager's configuration for both proxies. */
function managerOf(bare: boolean): Readonly<Record<string, JsonValue>> {
  const router = {
    name: "envoy.filters.http.router",
    typedConfig: { "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router" },
  };
  return { httpFilters: [router], ...(bare ? {} : { accessLog }) };
}

async function runProxy(upstreamPort: number, bare: boolean): Promise<void> {
  giveBackIdleMemory();
  const { apply, port } = benchGateway(new MetricsRegistry());
  for (const name of ["a", "b"]) {
    apply(typeUrls.cluster, ClusterSchema, name, edsCluster(name));
    apply(typeUrls.endpoint, ClusterLoadAssignmentSchema, name, plainEndpoints(name, [upstreamPort]));
  }
  apply(typeUrls.route, RouteConfigurationSchema, "http", { name: "http", virtualHosts: virtualHosts() });
  apply(typeUrls.listener, ListenerSchema, "listener_0", httpListener(0, "http", managerOf(bare)));
  process.stdout.write(`${await port()}\n`);
}

function envoyConfig(port: number, upstreamPort: number, bare: boolean): JsonValue {
  const listener = httpListener(port, "unused", managerOf(bare)) as {
    filterChains: { filters: { typedConfig: Record<string, JsonValue> }[] }[];
  };
  const manager = listener.filterChains[0]?.filters[0]?.typedConfig ?? {};
  delete manager["rds"];
  manager["routeConfig"] = { name: "http", virtualHosts: virtualHosts() };
  const cluster = (name: string): JsonValue => ({
    name,
    type: "STATIC",
    connectTimeout: "2s",
    lbPolicy: "LEAST_REQUEST",
    loadAssignment: {
      clusterName: name,
      endpoints: [
        {
          lbEndpoints: [
            { endpoint: { address: { socketAddress: { address: "127.0.0.1", portValue: upstreamPort } } } },
          ],
        },
      ],
    },
  });
  return { staticResources: { listeners: [listener], clusters: [cluster("a"), cluster("b")] } };
}

const children: ChildProcess[] = [];

interface Role {
  readonly name: string;
  readonly args: readonly string[];
  readonly core: number;
  /** The command that runs a program with the roles of this file. Absent means this file itself. */
  readonly command?: readonly string[];
}

async function startRole(role: "upstream" | "proxy", options: Role): Promise<Subject> {
  const { name, args, core, command = [process.execPath, import.meta.filename] } = options;
  const child = spawn(...endsWithThis("taskset", "-c", String(core), ...command, role, ...args), {
    stdio: ["ignore", "pipe", "inherit"],
    env: role === "proxy" ? { ...process.env, ...productEnv } : process.env,
  });
  children.push(child);
  const port = await new Promise<number>((done, reject) => {
    child.stdout.once("data", (chunk: Buffer) => done(Number(chunk.toString())));
    child.once("exit", (code) => reject(new Error(`${role} ended with ${code}`)));
  });
  return { name, port, pid: child.pid ?? 0 };
}

async function startEnvoy(program: string, upstreamPort: number, bare: boolean): Promise<Subject> {
  const port = 20_000 + Math.floor(Math.random() * 20_000);
  const directory = scratchFolder();
  const file = join(directory, "envoy.json");
  writeFileSync(file, JSON.stringify(envoyConfig(port, upstreamPort, bare)));
  const child = spawn(
    ...endsWithThis(
      "taskset",
      "-c",
      "0",
      program,
      "-c",
      file,
      "--concurrency",
      "1",
      "--log-level",
      "error",
      "--use-dynamic-base-id",
    ),
    { stdio: ["ignore", "inherit", "inherit"] },
  );
  child.once("exit", () => rmSync(directory, { recursive: true, force: true }));
  children.push(child);
  for (let attempt = 0; attempt < 100; attempt += 1) {
    const stream = await connectTcp({ address: "127.0.0.1", port, timeoutMs: 1000 }).catch(() => undefined);
    if (stream !== undefined) {
      stream.destroy();
      return { name: "envoy", port, pid: child.pid ?? 0 };
    }
    await systemClock.sleep(50);
  }
  throw new Error("envoy does not listen");
}

class LoadConnection {
  readonly #stream: ByteStream;
  readonly #request: Buffer;
  readonly #bodyBytes: number;
  readonly #done: (latencyMs: number, ok: boolean) => void;
  #left = 0;
  #startedMs = 0;
  #stopped = false;

  constructor(stream: ByteStream, bodyBytes: number, done: (latencyMs: number, ok: boolean) => void) {
    this.#stream = stream;
    this.#bodyBytes = bodyBytes;
    this.#done = done;
    this.#request = Buffer.from(
      "GET /productpage?u=normal HTTP/1.1\r\nhost: bookinfo.example\r\nuser-agent: bench/1\r\naccept: */*\r\naccept-encoding: gzip, br\r\ncookie: session=abcdef0123456789\r\n\r\n",
    );
    stream.setHandler({
      data: (chunk) => this.#data(chunk),
      end: () => undefined,
      drain: () => undefined,
      close: () => this.#done(0, this.#stopped),
    });
    stream.resume();
  }

  send(): void {
    this.#startedMs = performance.now();
    this.#left = -1;
    this.#stream.write(this.#request);
  }

  stop(): void {
    this.#stopped = true;
    this.#stream.destroy();
  }

  #data(chunk: Buffer): void {
    if (this.#left < 0) {
      const head = chunk.indexOf("\r\n\r\n");
      if (head < 0 || chunk[9] !== 50) return this.#done(0, false);
      this.#left = this.#bodyBytes - (chunk.length - head - 4);
    } else this.#left -= chunk.length;
    if (this.#left > 0 || this.#stopped) return;
    this.#done(performance.now() - this.#startedMs, true);
    this.send();
  }
}

async function measure(subject: Subject, options: Options, seconds: number): Promise<Measured> {
  const latencies: number[] = [];
  let failed = 0;
  let counting = true;
  const connections = await Promise.all(
    Array.from({ length: options.connections }, async () => {
      const stream = await connectTcp({ address: "127.0.0.1", port: subject.port, timeoutMs: 5000 });
      return new LoadConnection(stream, options.bodyBytes, (latencyMs, ok) => {
        if (!counting) return;
        if (ok) latencies.push(latencyMs);
        else failed += 1;
      });
    }),
  );
  const cpuBefore = cpuMicros(subject.pid);
  const startedMs = performance.now();
  for (const connection of connections) connection.send();
  await systemClock.sleep(seconds * 1000);
  counting = false;
  const elapsedSeconds = (performance.now() - startedMs) / 1000;
  const cpu = cpuMicros(subject.pid) - cpuBefore;
  for (const connection of connections) connection.stop();
  return {
    requests: latencies.length,
    failed,
    requestsPerSecond: latencies.length / elapsedSeconds,
    cpuMicrosPerRequest: cpu / Math.max(1, latencies.length),
    p50Ms: median(latencies),
    p99Ms: quantile(latencies, 0.99),
    memory: memoryOf(subject.pid),
  };
}

function describe(name: string, measured: Measured): string {
  const { requestsPerSecond, cpuMicrosPerRequest, p50Ms, p99Ms, failed, memory } = measured;
  return `${name.padEnd(6)} ${requestsPerSecond.toFixed(0).padStart(7)} requests/s  ${cpuMicrosPerRequest.toFixed(1).padStart(6)} µs CPU each  p50 ${p50Ms.toFixed(2)} ms  p99 ${p99Ms.toFixed(2)} ms  ${memory.shareMb.toFixed(0)} MB (${memory.residentMb.toFixed(0)} resident)  ${failed} failed\n`;
}

async function main(options: Options, bundles: string): Promise<void> {
  const { bare } = options;
  const upstream = await startRole("upstream", { name: "upstream", args: [String(options.bodyBytes)], core: 1 });
  const args = [String(upstream.port), ...(bare ? ["--bare"] : [])];
  const checkouts: [name: string, directory: string][] = [["serin", join(import.meta.dirname, "..")]];
  if (options.beside !== "") checkouts.push(["beside", resolve(options.beside)]);
  const commands = new Map<string, readonly string[]>();
  for (const [name, directory] of checkouts) {
    const entry = await bundleRole("bench/http1.ts", directory, join(bundles, name));
    commands.set(name, [process.execPath, ...productFlags, entry]);
  }
  const subjects: Subject[] = [];
  for (let count = 0; count < options.processes; count += 1)
    for (const [name, command] of commands) subjects.push(await startRole("proxy", { name, args, core: 0, command }));
  const program = process.env["ENVOY"];
  const envoy = program === undefined ? undefined : await startEnvoy(program, upstream.port, bare);
  if (envoy !== undefined) subjects.push(envoy);
  for (const subject of subjects) await measure(subject, options, Math.min(1, options.seconds));
  const results: Record<string, Measured[]> = {};
  for (let round = 0; round < options.rounds; round += 1) {
    // Swap the order every round, so that no proxy is always the first one.
    for (const subject of round % 2 === 0 ? subjects : subjects.toReversed()) {
      const measured = await measure(subject, options, options.seconds);
      (results[subject.name] ??= []).push(measured);
      process.stdout.write(describe(subject.name, measured));
    }
  }
  const own = median((results["serin"] ?? []).map((one) => one.cpuMicrosPerRequest));
  /** Returns the mean cost of a request in each round, over the processes of one name. */
  const meansOf = (name: string): number[] => {
    const list = results[name] ?? [];
    const perRound = list.length / options.rounds;
    return Array.from({ length: options.rounds }, (_, round) =>
      mean(list.slice(round * perRound, (round + 1) * perRound).map((one) => one.cpuMicrosPerRequest)),
    );
  };
  const ownMeans = meansOf("serin");
  const costsTo = (name: string): number[] => meansOf(name).map((cost, round) => cost / (ownMeans[round] ?? Infinity));
  const ratios = envoy === undefined ? [] : costsTo("envoy");
  const costToBeside =
    options.beside === "" ? undefined : medianInterval(costsTo("beside").map((inverse) => 1 / inverse));
  if (costToBeside !== undefined)
    process.stdout.write(`CPU for a request, to ${options.beside}: ${intervalText(costToBeside)}\n`);
  process.stdout.write(
    envoy === undefined
      ? "envoy  peer not run (set ENVOY to its path)\n"
      : `work per CPU second, Serin to Envoy, both ${bare ? "without an access log" : "with an access log"}: ${median(ratios).toFixed(2)}\n`,
  );
  if (options.json)
    process.stdout.write(
      `${JSON.stringify({ name: "http1", accessLog: !bare, cpuMicrosPerRequest: own, ratioToEnvoy: envoy === undefined ? null : median(ratios), costToBeside, results })}\n`,
    );
}

const [role, argument, more] = process.argv.slice(2);
if (role === "upstream") await runUpstream(Number(argument));
else if (role === "proxy") await runProxy(Number(argument), more === "--bare");
else {
  const bundles = bundleFolder();
  try {
    const { body: bodyBytes, ...options } = benchOptions("npm run bench:http1 --", {
      seconds: 2,
      rounds: 2,
      connections: 64,
      body: 1024,
      bare: false,
      beside: "",
      processes: 1,
      json: false,
    });
    await main({ ...options, bodyBytes }, bundles);
  } finally {
    for (const child of children) child.kill("SIGKILL");
    rmSync(bundles, { recursive: true, force: true });
  }
}
