// Sends the same bytes to Serin's proxy and to a stock Envoy with the same configuration. Every difference must have an
// explanation.
//   test/interop/mesh/in-namespace.sh node test/interop/differential/differential-judge.ts [--json] [--suite <name>] [--show <n>]
import { execFileSync, spawn, type ChildProcess } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import type { JsonObject } from "@bufbuild/protobuf";
import { endsWithThis } from "../../../scripts/lab/ends-with-this.ts";
import { numberOption } from "../../../scripts/arguments/number-option.ts";
import { FakeCertificateAuthority } from "../../../src/dataplane/index.ts";
import { TestProxy } from "../../../src/proxy/testing/test-proxy.ts";
import { typeUrls } from "../../../src/wire/xds/index.ts";
import { answerSuite } from "./answer-cases.ts";
import { authorizerSuite } from "./authorizer-cases.ts";
import { compressorSuite } from "./compressor-cases.ts";
import { decompressorSuite } from "./decompressor-cases.ts";
import { clusterOf, listenerOf, type LaneConfig, type LanePorts } from "./configuration.ts";
import { explanations, type JudgedDifference } from "./explained-differences.ts";
import { http1Suite } from "./http1-cases.ts";
import { runHttp1, usualQuietMs } from "./http1-client.ts";
import { http2Suite } from "./http2-cases.ts";
import { runHttp2 } from "./http2-client.ts";
import type { JudgedCase, Suite } from "./judged-case.ts";
import { normalForm, type Outcome } from "./outcome.ts";
import { pathSuite } from "./path-cases.ts";
import { policySuite } from "./policy-cases.ts";
import { RecordingUpstream } from "./recording-upstream.ts";
import { routeSuite } from "./route-cases.ts";
import { tokenSuite } from "./token-cases.ts";

const root = join(import.meta.dirname, "../../..");
const envoyProgram = process.env["ENVOY_BINARY"] ?? join(root, ".cache/interop/envoy");
const readyMs = 30_000;
const lanesAtOnce = 12;
/** How long to wait for an answer when cases that differed run again. */
const patientQuietMs = 1500;
const patientLanes = 6;
/**
 * How long to wait after a case that has no visible end, because the upstream's last bytes may still be on their way.
 */
const settleMs = 5;
/** The first port of each proxy's listeners. It is below those of `freePort`, from which the proxy's own ports come. */
const firstPort = { serin: 10_000, envoy: 15_000 } as const;
const adminPort = 19_999;
const routingTool = "ip";

type Side = "serin" | "envoy";

interface Lane {
  readonly config: LaneConfig;
  readonly ports: Readonly<Record<Side, LanePorts>>;
  readonly upstreams: Readonly<Record<Side, RecordingUpstream>>;
}

const suites: readonly (() => Suite)[] = [
  http1Suite,
  http2Suite,
  answerSuite,
  tokenSuite,
  pathSuite,
  policySuite,
  authorizerSuite,
  routeSuite,
  compressorSuite,
  decompressorSuite,
];

async function openLane(config: LaneConfig, index: number): Promise<Lane> {
  const portsOf = (side: Side): LanePorts => ({
    listener: firstPort[side] + 2 * index,
    upstream: firstPort[side] + 2 * index + 1,
  });
  const ports = { serin: portsOf("serin"), envoy: portsOf("envoy") };
  const upstreams = {
    serin: await RecordingUpstream.listen(ports.serin.upstream),
    envoy: await RecordingUpstream.listen(ports.envoy.upstream),
  };
  return { config, ports, upstreams };
}

async function startSerin(lanes: readonly Lane[]): Promise<TestProxy> {
  const proxy = await TestProxy.start({ name: "judged", role: "router", authority: new FakeCertificateAuthority() });
  const named = (listenerOf: (lane: Lane) => JsonObject): Record<string, JsonObject> =>
    Object.fromEntries(lanes.map((lane) => [lane.config.name, listenerOf(lane)]));
  proxy.ads.push(
    typeUrls.cluster,
    named((lane) => clusterOf(lane.config, lane.ports.serin)),
  );
  proxy.ads.push(
    typeUrls.listener,
    named((lane) => listenerOf(lane.config, lane.ports.serin)),
  );
  for (const type of [typeUrls.cluster, typeUrls.listener]) {
    const { error } = await proxy.ads.acknowledged(type, 0);
    if (error !== undefined) throw new Error(`Serin refuses the configuration: ${error}`);
  }
  await proxy.ready();
  return proxy;
}

async function startEnvoy(lanes: readonly Lane[], directory: string): Promise<ChildProcess> {
  const bootstrap = {
    admin: { address: { socketAddress: { address: "127.0.0.1", portValue: adminPort } } },
    staticResources: {
      listeners: lanes.map(({ config, ports }) => listenerOf(config, ports.envoy)),
      clusters: lanes.map(({ config, ports }) => clusterOf(config, ports.envoy)),
    },
    // Istio's own bootstrap of Envoy has this setting too.
    layeredRuntime: {
      layers: [{ name: "istio", staticLayer: { "envoy.reloadable_features.http_reject_path_with_fragment": false } }],
    },
  };
  const file = join(directory, "envoy.json");
  writeFileSync(file, JSON.stringify(bootstrap));
  const shown = process.env["INTEROP_LOGS"] === undefined ? "ignore" : "inherit";
  const envoy = spawn(
    ...endsWithThis(envoyProgram, "-c", file, "--concurrency", "1", "--log-level", "warning", "--use-dynamic-base-id"),
    { stdio: ["ignore", shown, shown] },
  );
  const deadline = Date.now() + readyMs;
  while ((await fetch(`http://127.0.0.1:${adminPort}/ready`).catch(() => undefined))?.status !== 200) {
    if (envoy.exitCode !== null || Date.now() > deadline)
      throw new Error("Envoy is not ready; INTEROP_LOGS=1 shows what it says");
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return envoy;
}

async function outcomeOf(judged: JudgedCase, lane: Lane, side: Side, quietMs: number): Promise<Outcome> {
  const upstream = lane.upstreams[side];
  upstream.reset(judged.upstreamAnswer?.bytes, judged.upstreamAnswer?.closes);
  const { listener } = lane.ports[side];
  const { send } = judged;
  const result =
    send.protocol === "http1"
      ? await runHttp1(listener, { ...send, quietMs })
      : await runHttp2(listener, { ...send, quietMs });
  if (result.connection !== "goes on") await new Promise((resolve) => setTimeout(resolve, settleMs));
  const requests = upstream.requests.filter(({ line }) => !line.startsWith("GET /probe "));
  return {
    answers: result.answers,
    connection: result.connection,
    upstream: requests,
    ...(judged.comparesAnswer === true ? { answer: result.answer } : {}),
  };
}

async function differenceOf(
  suite: string,
  judged: JudgedCase,
  lane: Lane | undefined,
  quietMs: number,
): Promise<JudgedDifference | undefined> {
  if (lane === undefined) throw new Error(`no lane ${judged.lane}`);
  const [serin = {}, envoy = {}] = (
    await Promise.all((["serin", "envoy"] as const).map((side) => outcomeOf(judged, lane, side, quietMs)))
  ).map(normalForm);
  return JSON.stringify(serin) === JSON.stringify(envoy) ? undefined : { suite, judged, serin, envoy };
}

interface Report {
  readonly cases: number;
  readonly differences: readonly JudgedDifference[];
}

function copyName(lane: string, copy: number): string {
  return `${lane}.${copy}`;
}

/** Runs each lane's cases in their order, on both proxies at the same time. Several lanes run side by side. */
async function judgeSuite(suite: Suite, lanes: ReadonlyMap<string, Lane>): Promise<Report> {
  const { copies = 1 } = suite;
  const byLane = [...Map.groupBy(suite.cases, ({ lane }) => lane)].flatMap(([name, cases]) =>
    Array.from({ length: copies }, (_, copy): [string, JudgedCase[]] => [
      copyName(name, copy),
      cases.filter((_case, index) => index % copies === copy),
    ]),
  );
  const judgeAll = async (
    work: readonly (readonly [string, readonly JudgedCase[]])[],
    quietMs: number,
    atOnce: number,
  ) => {
    const queue = [...work];
    const differences: (readonly [lane: string, difference: JudgedDifference])[] = [];
    const worker = async (): Promise<void> => {
      for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
        const [name, cases] = next;
        for (const judged of cases) {
          const difference = await differenceOf(suite.name, judged, lanes.get(name), quietMs);
          if (difference !== undefined) differences.push([name, difference]);
        }
      }
    };
    await Promise.all(Array.from({ length: atOnce }, worker));
    return differences;
  };
  // A late answer may have caused the difference. It counts only if it comes again with more time and fewer lanes.
  const suspected = await judgeAll(byLane, usualQuietMs, lanesAtOnce);
  const again = [...Map.groupBy(suspected, ([lane]) => lane)].map(
    ([lane, results]) => [lane, results.map(([, { judged }]) => judged)] as const,
  );
  const differences = (await judgeAll(again, patientQuietMs, patientLanes)).map(([, difference]) => difference);
  return { cases: suite.cases.length, differences };
}

function shown({ suite, judged, serin, envoy }: JudgedDifference): string {
  const lines = Object.keys(serin)
    .filter((key) => serin[key] !== envoy[key])
    .map((key) => `    ${key}\n      serin: ${JSON.stringify(serin[key])}\n      envoy: ${JSON.stringify(envoy[key])}`);
  return `${suite} ${judged.lane}: ${judged.title}\n${lines.join("\n")}\n`;
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: { json: { type: "boolean" }, suite: { type: "string" }, show: { type: "string" } },
  });
  const chosen = suites
    .map((suite) => suite())
    .filter(({ name }) => values.suite === undefined || name === values.suite);
  if (chosen.length === 0) throw new Error(`--suite ${values.suite ?? ""}: there is no such suite`);
  const shownCount = numberOption("--show", values.show ?? "40", { isWhole: true, minimum: 0 });
  for (const { name, cases, least } of chosen)
    if (cases.length < least) throw new Error(`${name} has ${cases.length} cases, expected ${least}`);
  execFileSync(routingTool, ["route", "add", "local", "203.0.113.0/24", "dev", "lo"]);
  const directory = mkdtempSync(join(tmpdir(), "differential-"));
  const configs = chosen.flatMap(({ lanes, copies = 1 }) =>
    lanes.flatMap((lane) =>
      Array.from({ length: copies }, (_, copy) => ({ ...lane, name: copyName(lane.name, copy) })),
    ),
  );
  const names = configs.map(({ name }) => name);
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice !== undefined) throw new Error(`two suites have a lane "${twice}": name one of them differently`);
  const lanes = await Promise.all(configs.map(openLane));
  const serin = await startSerin(lanes);
  const envoy = await startEnvoy(lanes, directory);
  let cases = 0;
  let worse = 0;
  let explained = 0;
  const counted = new Map<string, number>();
  try {
    for (const suite of chosen) {
      const startedMs = Date.now();
      const report = await judgeSuite(suite, new Map(lanes.map((lane) => [lane.config.name, lane])));
      cases += report.cases;
      for (const difference of report.differences) {
        const explanation = explanations.find((one) => one.covers(difference));
        if (explanation === undefined) {
          worse += 1;
          if (worse <= shownCount) process.stdout.write(`${shown(difference)}\n`);
        } else {
          explained += 1;
          counted.set(explanation.why, (counted.get(explanation.why) ?? 0) + 1);
        }
      }
      process.stdout.write(
        `${suite.name}: ${report.cases} cases, ${report.differences.length} differ, ${Date.now() - startedMs} ms\n`,
      );
    }
    for (const [why, count] of counted) process.stdout.write(`explained ${count}: ${why}\n`);
    if (values.suite === undefined)
      for (const { why } of explanations) if (!counted.has(why)) process.stdout.write(`no longer needed: ${why}\n`);
    process.stdout.write(
      values.json === true
        ? `${JSON.stringify({ cases, worse, explained })}\n`
        : `${cases} cases, ${worse} worse, ${explained} explained\n`,
    );
    if (worse > 0) process.exitCode = 1;
  } finally {
    envoy.kill("SIGKILL");
    await serin[Symbol.asyncDispose]();
    for (const { upstreams } of lanes) for (const upstream of Object.values(upstreams)) upstream.close();
    rmSync(directory, { recursive: true, force: true });
  }
}

await main();
