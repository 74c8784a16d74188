// Sends HTTP/2 and gRPC through a gateway, and compares its work per CPU second, its slowest answers and its memory
// with those of a stock Envoy in the same rounds.
//   ENVOY=/path/to/envoy node bench/http2.ts [--seconds 1] [--rounds 10] [--only TITLE] [--beside DIR]
//     [--threads 2] [--json]
// Both proxies read the same resources over delta ADS, write an access log to /dev/null and have one thread on the
// first core. Load and upstream have the second core. Serin runs from a bundle, with the flags and the environment of
// bin/serin. With --beside, the proxy of another checkout takes part. With more than one thread, proxies, load and
// upstream share all cores.
import { spawnSync, spawn } from "node:child_process";
import { createServer as createHttpServer } from "node:http";
import { connect, createServer, type Socket } from "node:net";
import { join, resolve } from "node:path";
import { connect as connectTls, createServer as createTlsServer } from "node:tls";
import type { Duplex } from "node:stream";
import { benchOptions } from "../scripts/arguments/bench-options.ts";
import { systemClock } from "../src/base/index.ts";
import { TestAuthority } from "../src/net/testing/index.ts";
import { typeUrls } from "../src/wire/xds/index.ts";
import { answerHttp2, LoadSession, type RequestPlan } from "./http2/frames.ts";
import {
  listenerNames,
  resourcesFor,
  routeResource,
  serverName,
  type Certificates,
  type ListenerName,
  type UpstreamPorts,
} from "./http2/resources.ts";
import { Subjects, type Subject as SubjectOf } from "./http2/subjects.ts";
import { intervalText, median, medianInterval, quantile, type MedianInterval } from "./median-interval.ts";
import { cpuMicros, memoryOf, type ProcessMemory } from "./process-cost.ts";
import { endsWithThis } from "../scripts/lab/ends-with-this.ts";

type Subject = SubjectOf<ListenerName>;

const answerBytes = 1024;
const bulkBytes = 1_048_576;
const messageBytes = 100;
const warmUpSeconds = 1;
/**
 * The number of answers after which hot code is compiled, even on a slow machine. With large bodies, V8 had not
 * compiled all of it after 10,000 answers. The warm-up time is also limited.
 */
const warmUpAnswers = 50_000;
const maxWarmUps = 60;
/**
 * Unmeasured turns before the measured ones. A proxy idles while the others warm up, and V8 then collects the objects
 * of its closed connections. With them, V8 discards the code that it has optimized for these objects, so the proxy has
 * to warm up again.
 */
const unmeasuredTurns = 6;
const settleMs = 200;
/** Slow answers are compared at this share of the rate that the slower proxy can serve. */
const pacedShare = 0.6;
const paceMs = 1;

interface Scenario {
  readonly title: string;
  readonly plan: RequestPlan;
  readonly connections: number;
  readonly streams: number;
  readonly mutualTls?: boolean;
  /** Idle connections that stay open during the measurement. */
  readonly idle?: number;
  /** The interval between two replacements of the routes. */
  readonly changeEveryMs?: number;
}

const get = (path: string): readonly string[] =>
  Object.entries({
    ":method": "GET",
    ":scheme": "http",
    ":path": path,
    ":authority": "bookinfo.example",
    "user-agent": "bench/1",
    accept: "*/*",
    cookie: "session=abcdef0123456789",
  }).flat();
const grpcFields = Object.entries({
  ":method": "POST",
  ":scheme": "http",
  ":path": "/http2.Echo/Call",
  ":authority": "bookinfo.example",
  "content-type": "application/grpc",
  te: "trailers",
  "user-agent": "bench/1",
}).flat();
/** A gRPC message in its frame: a flag, the length and the message. */
const grpcMessage = Buffer.concat([Buffer.from([0, 0, 0, 0, messageBytes]), Buffer.alloc(messageBytes, "x")]);

const scenarios: readonly Scenario[] = [
  { title: "HTTP/2 to HTTP/1.1", plan: { fields: get("/") }, connections: 8, streams: 8 },
  { title: "HTTP/2 to HTTP/2", plan: { fields: get("/http2") }, connections: 8, streams: 8 },
  { title: "gRPC, unary", plan: { fields: grpcFields, body: grpcMessage }, connections: 8, streams: 8 },
  {
    title: "gRPC, messages of open streams",
    plan: { fields: grpcFields, body: grpcMessage, endless: true },
    connections: 8,
    streams: 8,
  },
  {
    title: "mutual TLS on both sides, HTTP/2",
    plan: { fields: get("/mutualTls") },
    connections: 8,
    streams: 8,
    mutualTls: true,
  },
  { title: "bodies of 1 MB", plan: { fields: get("/bulk") }, connections: 4, streams: 2 },
  {
    title: "HTTP/2 to HTTP/1.1 beside 10,000 idle connections",
    plan: { fields: get("/") },
    connections: 8,
    streams: 8,
    idle: 10_000,
  },
  {
    title: "HTTP/2 to HTTP/1.1, routes change every second",
    plan: { fields: get("/") },
    connections: 8,
    streams: 8,
    changeEveryMs: 1000,
  },
];

interface Load {
  readonly seconds: number;
  /**
   * The number of requests per second, however fast the answers come. If it is absent, a number of streams is kept open
   * instead.
   */
  readonly rate?: number;
}

interface Measured {
  readonly answers: number;
  readonly failed: number;
  readonly cpuMicros: number;
  readonly p50Ms: number;
  readonly p999Ms: number;
  readonly memory: ProcessMemory;
}

async function listening(server: {
  listen(port: number, host: string, done: () => void): unknown;
  address(): unknown;
}) {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return (server.address() as { port: number }).port;
}

/** Runs the upstream of all scenarios, as one process that prints its ports. */
async function runUpstream(certificates: Certificates): Promise<void> {
  const answer = Buffer.alloc(answerBytes, "x");
  const bulk = Buffer.alloc(bulkBytes, "x");
  const http1 = (body: Buffer) =>
    createHttpServer((_, response) => {
      response.writeHead(200, { "content-type": "text/plain", "content-length": body.length });
      response.end(body);
    });
  const tls = { cert: certificates.certificateChain, key: certificates.privateKey, ca: certificates.roots };
  const ports: UpstreamPorts = {
    http1: await listening(http1(answer)),
    bulk: await listening(http1(bulk)),
    http2: await listening(createServer((socket) => answerHttp2(socket.setNoDelay(), answer))),
    mutualTls: await listening(
      createTlsServer({ ...tls, requestCert: true, ALPNProtocols: ["h2"] }, (socket) => answerHttp2(socket, answer)),
    ),
  };
  process.stdout.write(`${JSON.stringify(ports)}\n`);
}

function open(port: number, certificates?: Certificates): Promise<Duplex> {
  return new Promise((resolve, reject) => {
    const socket: Socket =
      certificates === undefined
        ? connect({ port, host: "127.0.0.1", noDelay: true }, () => resolve(socket))
        : connectTls(
            {
              port,
              host: "127.0.0.1",
              servername: serverName,
              ALPNProtocols: ["h2"],
              cert: certificates.certificateChain,
              key: certificates.privateKey,
              ca: certificates.roots,
            },
            () => resolve(socket),
          );
    socket.once("error", reject);
  });
}

async function measure(
  subject: Subject,
  scenario: Scenario,
  certificates: Certificates,
  { seconds, rate }: Load,
): Promise<Measured> {
  const { connections, streams, plan, mutualTls = false, changeEveryMs } = scenario;
  const port = mutualTls ? subject.ports.mutualTls : subject.ports.plain;
  const latencies: number[] = [];
  let failed = 0;
  let counting = false;
  const sessions = await Promise.all(
    Array.from(
      { length: connections },
      async () =>
        new LoadSession(await open(port, mutualTls ? certificates : undefined), plan, (latencyMs, ok) => {
          if (!counting) return;
          if (ok) latencies.push(latencyMs);
          else failed += 1;
        }),
    ),
  );
  let version = 1;
  const changes =
    changeEveryMs === undefined
      ? undefined
      : setInterval(() => subject.push(typeUrls.route, routeResource((version += 1))), changeEveryMs);
  if (rate === undefined) for (const session of sessions) session.begin(streams);
  using _pace = rate === undefined ? undefined : pace(sessions, rate);
  await systemClock.sleep(settleMs);
  counting = true;
  const before = cpuMicros(subject.pid);
  await systemClock.sleep(seconds * 1000);
  counting = false;
  const spent = cpuMicros(subject.pid) - before;
  const memory = memoryOf(subject.pid);
  clearInterval(changes);
  for (const session of sessions) session.stop();
  await systemClock.sleep(settleMs);
  return {
    answers: latencies.length,
    failed,
    cpuMicros: spent / Math.max(1, latencies.length),
    p50Ms: median(latencies),
    p999Ms: quantile(latencies, 0.999),
    memory,
  };
}

/** Sends requests at this rate over all sessions in turn. A late timer does not lower the rate. */
function pace(sessions: readonly LoadSession[], rate: number): Disposable {
  const startedMs = performance.now();
  let sent = 0;
  let next = 0;
  const timer = setInterval(() => {
    const due = Math.floor(((performance.now() - startedMs) * rate) / 1000) - sent;
    const each = Math.ceil(due / sessions.length);
    for (let left = due; left > 0; left -= each, next += 1)
      sessions[next % sessions.length]?.send(Math.min(left, each));
    sent += Math.max(0, due);
  }, paceMs);
  return { [Symbol.dispose]: () => clearInterval(timer) };
}

async function warmUp(subject: Subject, scenario: Scenario, certificates: Certificates): Promise<void> {
  let answers = 0;
  for (let times = 0; times < maxWarmUps && answers < warmUpAnswers; times += 1)
    answers += (await measure(subject, scenario, certificates, { seconds: warmUpSeconds })).answers;
  if (answers === 0)
    throw new Error(
      `${scenario.title}: ${subject.name} sent no answer in ${maxWarmUps * warmUpSeconds} s; is the machine too busy?`,
    );
}

/**
 * Opens idle connections in a separate process, because a process may have only a limited number of file descriptors.
 * Returns a function that closes them.
 */
async function openIdle(subject: Subject, count: number): Promise<() => void> {
  if (count === 0) return () => undefined;
  const child = spawn(
    ...endsWithThis(process.execPath, import.meta.filename, "idle", `${subject.ports.plain} ${count}`),
    {
      stdio: ["ignore", "pipe", "inherit"],
    },
  );
  await new Promise<void>((resolve, reject) => {
    child.stdout.once("data", () => resolve());
    child.once("exit", (code) => reject(new Error(`the process of idle connections ended with ${code}`)));
  });
  return () => child.kill("SIGKILL");
}

/** Holds connections until the process is killed or the bench has ended. */
async function holdIdle([port = 0, count = 0]: readonly number[]): Promise<void> {
  const batch = 200;
  for (let opened = 0; opened < count; opened += batch)
    await Promise.all(
      Array.from({ length: Math.min(batch, count - opened) }, async () => {
        const socket = await open(port);
        socket.on("error", () => undefined).resume();
      }),
    );
  process.stdout.write("ready\n");
  const parent = process.ppid;
  setInterval(() => {
    if (process.ppid !== parent) process.exit();
  }, 1000);
}

interface Row {
  readonly title: string;
  readonly results: Readonly<Record<string, readonly Measured[]>>;
  /** The slow answers at one rate that every proxy can serve. Empty for scenarios without this measurement. */
  readonly paced: Readonly<Record<string, readonly Measured[]>>;
  /** The ratio of this checkout's work per CPU second to the named proxy's. */
  readonly ratios: Readonly<Record<string, MedianInterval>>;
}

interface Options {
  readonly seconds: number;
  readonly rounds: number;
}

async function play(
  scenario: Scenario,
  subjects: readonly Subject[],
  certificates: Certificates,
  { seconds, rounds }: Options,
): Promise<Row> {
  const { title, idle = 0 } = scenario;
  const closers = await Promise.all(subjects.map(async (subject) => await openIdle(subject, idle)));
  for (const subject of subjects) await warmUp(subject, scenario, certificates);
  const inTurns = async (load: Load, turns = rounds): Promise<Record<string, Measured[]>> =>
    await takeTurns(subjects, turns, async (subject) => await measure(subject, scenario, certificates, load));
  if (subjects.length > 1) await inTurns({ seconds }, unmeasuredTurns);
  const results = await inTurns({ seconds });
  const rate = rateFor(scenario, results, seconds);
  const paced = rate === undefined ? {} : await inTurns({ seconds, rate });
  for (const close of closers) close();
  process.stdout.write(`${title}\n`);
  for (const [name, measured] of Object.entries(results)) process.stdout.write(describe(name, measured, seconds));
  for (const [name, measured] of Object.entries(paced))
    process.stdout.write(
      `  ${name.padEnd(7)} at ${rate} a second: p99.9 ${median(measured.map(({ p999Ms }) => p999Ms)).toFixed(2)} ms\n`,
    );
  const own = results["serin"] ?? [];
  const ratios = Object.fromEntries(
    Object.entries(results)
      .filter(([name]) => name !== "serin")
      .map(([name, theirs]) => [
        name,
        medianInterval(theirs.map((one, round) => one.cpuMicros / (own[round]?.cpuMicros ?? Number.NaN))),
      ]),
  );
  for (const [name, interval] of Object.entries(ratios))
    process.stdout.write(`  work per CPU second, Serin to ${name}: ${intervalText(interval)}\n`);
  return { title, results, paced, ratios };
}

/** Measures all proxies in each round. The order alternates, so that none is always the first one. */
async function takeTurns(
  subjects: readonly Subject[],
  rounds: number,
  run: (subject: Subject) => Promise<Measured>,
): Promise<Record<string, Measured[]>> {
  const results: Record<string, Measured[]> = Object.fromEntries(subjects.map(({ name }) => [name, []]));
  for (let round = 0; round < rounds; round += 1)
    for (const subject of round % 2 === 0 ? subjects : subjects.toReversed())
      results[subject.name]?.push(await run(subject));
  return results;
}

/**
 * Returns the rate at which slow answers are compared. Returns undefined for streams that never end, and if there is
 * only one proxy.
 */
function rateFor(
  { plan }: Scenario,
  results: Readonly<Record<string, readonly Measured[]>>,
  seconds: number,
): number | undefined {
  const rates = Object.values(results).map((measured) => median(measured.map(({ answers }) => answers)) / seconds);
  return plan.endless === true || rates.length < 2 ? undefined : Math.floor(Math.min(...rates) * pacedShare);
}

function describe(name: string, measured: readonly Measured[], seconds: number): string {
  const middle = (pick: (one: Measured) => number): number => median(measured.map(pick));
  const failed = measured.reduce((sum, one) => sum + one.failed, 0);
  return `  ${name.padEnd(7)} ${(middle(({ answers }) => answers) / seconds).toFixed(0).padStart(7)} a second  ${middle(({ cpuMicros: cost }) => cost).toFixed(1)} µs CPU each  p50 ${middle(({ p50Ms }) => p50Ms).toFixed(2)} ms  p99.9 ${middle(({ p999Ms }) => p999Ms).toFixed(2)} ms  ${middle(({ memory }) => memory.shareMb).toFixed(0)} MB (${middle(({ memory }) => memory.residentMb).toFixed(0)} resident)  ${failed} failed\n`;
}

async function main(): Promise<void> {
  const options = benchOptions("npm run bench:http2 --", {
    seconds: 1,
    rounds: 10,
    only: "",
    beside: "",
    threads: 1,
    json: false,
  });
  const chosen = scenarios.filter(({ title }) => title.includes(options.only));
  if (chosen.length === 0) throw new Error(`no scenario's title has "${options.only}" in it`);
  const authority = await TestAuthority.create();
  const certificates = await authority.issue({ dns: serverName });
  // The upstream and the processes that hold idle connections inherit this core.
  if (options.threads === 1) spawnSync("taskset", ["-cp", "1", String(process.pid)]);
  const upstream = spawn(...endsWithThis(process.execPath, import.meta.filename, "upstream"), {
    stdio: ["pipe", "pipe", "inherit"],
  });
  upstream.stdin.end(JSON.stringify(certificates));
  const ports = await new Promise<UpstreamPorts>((resolve, reject) => {
    upstream.stdout.once("data", (chunk: Buffer) => resolve(JSON.parse(chunk.toString()) as UpstreamPorts));
    upstream.once("exit", (code) => reject(new Error(`the upstream ended with ${code}`)));
  });
  const subjects = new Subjects({
    listeners: listenerNames,
    resources: (own) => resourcesFor(own, ports, certificates),
    firstCoreOnly: options.threads === 1,
  });
  try {
    await subjects.startSerin("serin", join(import.meta.dirname, ".."), options.threads);
    if (options.beside !== "") await subjects.startSerin("beside", resolve(options.beside), options.threads);
    const envoy = process.env["ENVOY"];
    if (envoy === undefined) process.stdout.write("envoy  peer not run (set ENVOY to its path)\n");
    else await subjects.startEnvoy(envoy, options.threads);
    const rows: Row[] = [];
    for (const scenario of chosen) rows.push(await play(scenario, subjects.all, certificates, options));
    if (options.json)
      process.stdout.write(
        `${JSON.stringify({ name: "http2", threads: options.threads, rows: rows.map(summaryOf) })}\n`,
      );
  } finally {
    await subjects.stop();
    upstream.kill("SIGKILL");
  }
}

function summaryOf({ title, results, paced, ratios }: Row): object {
  const medians = (pick: (one: Measured) => number, from = results): object =>
    Object.fromEntries(Object.entries(from).map(([name, measured]) => [name, median(measured.map(pick))]));
  return {
    title,
    ratios,
    cpuMicros: medians((one) => one.cpuMicros),
    p999Ms: medians((one) => one.p999Ms),
    pacedP999Ms: medians((one) => one.p999Ms, paced),
    memoryMb: medians(({ memory }) => memory.shareMb),
    residentMb: medians(({ memory }) => memory.residentMb),
    failed: Object.values(results)
      .flat()
      .reduce((sum, one) => sum + one.failed, 0),
  };
}

async function textOf(stream: AsyncIterable<Buffer>): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks).toString("utf8");
}

const [role, argument = ""] = process.argv.slice(2);
if (role === "upstream") await runUpstream(JSON.parse(await textOf(process.stdin)) as Certificates);
else if (role === "idle") await holdIdle(argument.split(" ").map(Number));
else await main();
