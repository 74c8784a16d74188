// Measures the cost of telemetry for the proxy. It compares the requests per CPU second with metrics, an access log to
// /dev/null and traces of 1 % of the requests to those without any of these.
//   node bench/telemetry.ts [--seconds 0.1] [--rounds 150] [--processes 4] [--connections 32] [--body 1024]
//                           [--parts] [--beside DIR] [--json]
// Proxies with and without telemetry take turns. There are several of each, because no two processes are compiled
// alike. A round's ratio compares the means of both kinds, and the result is the median of the ratios. With --parts,
// there are also proxies with only one part of telemetry each, and proxies with traces of every request. With --beside,
// the same number of proxies of another checkout take turns with these, and the last lines compare both.
import { fork, type ChildProcess } from "node:child_process";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { type JsonValue } from "@bufbuild/protobuf";
import { benchOptions } from "../scripts/arguments/bench-options.ts";
import { benchGateway } from "./bench-gateway.ts";
import { productFlags } from "./bundle-role.ts";
import { systemClock } from "../src/base/index.ts";
import { connectTcp, listenTcp, type ByteStream } from "../src/net/index.ts";
import { standaloneServices } from "../src/proxy/filters/filter-services.ts";
import { edsCluster, httpListener, plainEndpoints } from "../src/proxy/testing/ads-server.ts";
import { CollectorExports } from "../src/proxy/tracing/collector-exports.ts";
import { MetricsRegistry } from "../src/telemetry/index.ts";
import {
  ClusterLoadAssignmentSchema,
  ClusterSchema,
  ListenerSchema,
  RouteConfigurationSchema,
} from "../src/wire/envoy/index.ts";
import { MessageHead, scanRequestHead } from "../src/wire/http1/index.ts";
import { typeUrls } from "../src/wire/xds/index.ts";
import { intervalText, mean, median, medianInterval } from "./median-interval.ts";

const maxCostPercent = 5;
/** The number of requests after which hot code is compiled, even on a slow machine. */
const warmRequests = 150_000;
const warmRounds = 40;
/** Istio's default telemetry, with the access log turned on. */
const telemetry = ["metrics", "log", "traces"] as const;
const parts = [...telemetry, "all-traces"] as const;
type Part = (typeof parts)[number];

interface Options {
  readonly seconds: number;
  readonly rounds: number;
  /** The number of processes of each kind. */
  readonly processes: number;
  readonly connections: number;
  readonly bodyBytes: number;
  readonly parts: boolean;
  /** The directory of another checkout to compare with. Empty for none. */
  readonly beside: string;
  readonly json: boolean;
}

type ChildMessage = { readonly ports: readonly number[] } | { readonly cpuMicros: number };

const filter = (name: string, type: string): JsonValue => ({
  name,
  typedConfig: { "@type": `type.googleapis.com/${type}` },
});
const router = filter("envoy.filters.http.router", "envoy.extensions.filters.http.router.v3.Router");
const stats = filter("istio.stats", "stats.PluginConfig");

const logFormat =
  '[%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" %RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %CONNECTION_TERMINATION_DETAILS% "%UPSTREAM_TRANSPORT_FAILURE_REASON%" ' +
  '%BYTES_RECEIVED% %BYTES_SENT% %DURATION% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% "%REQ(X-FORWARDED-FOR)%" "%REQ(USER-AGENT)%" "%REQ(X-REQUEST-ID)%" "%REQ(:AUTHORITY)%" "%UPSTREAM_HOST%" ' +
  "%UPSTREAM_CLUSTER_RAW% %UPSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_REMOTE_ADDRESS% %REQUESTED_SERVER_NAME% %ROUTE_NAME%\n";
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
const tracing = (percent: number): JsonValue => ({
  randomSampling: { value: percent },
  customTags: [
    { tag: "istio.namespace", literal: { value: "test" } },
    { tag: "istio.canonical_service", literal: { value: "gateway" } },
  ],
  provider: {
    name: "envoy.tracers.opentelemetry",
    typedConfig: {
      "@type": "type.googleapis.com/envoy.config.trace.v3.OpenTelemetryConfig",
      serviceName: "gateway.test",
      httpService: { httpUri: { uri: "collector/v1/traces", cluster: "collector", timeout: "3s" } },
    },
  },
});

/** Returns routes with 20 prefixes, and one with a 90/10 split. */
function virtualHosts(): JsonValue {
  const plain = Array.from({ length: 20 }, (_, index) => ({
    name: `r${index}`,
    match: { prefix: `/api/v1/service${index}/` },
    route: { cluster: "a", timeout: "0s" },
  }));
  return [
    {
      name: "all",
      domains: ["*"],
      routes: [
        ...plain,
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
      ],
    },
  ];
}

/** Runs an application, and a trace collector that accepts everything. */
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
  const collector = createServer((request, response) => {
    request.resume();
    request.on("end", () => response.end());
  });
  await new Promise<void>((resolve) => collector.listen(0, "127.0.0.1", resolve));
  process.send?.({ ports: [listener.address.port, (collector.address() as AddressInfo).port] } satisfies ChildMessage);
}

async function runProxy(wanted: ReadonlySet<string>, appPort: number, collectorPort: number): Promise<void> {
  const registry = new MetricsRegistry({ clock: systemClock });
  const standalone = standaloneServices();
  const { apply, port: listeningPort } = benchGateway(registry, (callCluster) => ({
    ...standalone,
    callCluster,
    exports: new CollectorExports({
      node: { id: "router~127.0.0.1~gateway.test~test", service: "gateway.test", address: "127.0.0.1", zone: "" },
      callCluster,
      statistics: standalone.statistics,
      clock: systemClock,
    }),
  }));
  for (const [name, port] of [
    ["a", appPort],
    ["b", appPort],
    ["collector", collectorPort],
  ] as const) {
    apply(typeUrls.cluster, ClusterSchema, name, edsCluster(name));
    apply(typeUrls.endpoint, ClusterLoadAssignmentSchema, name, plainEndpoints(name, [port]));
  }
  apply(typeUrls.route, RouteConfigurationSchema, "http", { name: "http", virtualHosts: virtualHosts() });
  const more = {
    httpFilters: wanted.has("metrics") ? [stats, router] : [router],
    ...(wanted.has("log") ? { accessLog } : {}),
    ...(wanted.has("traces") ? { tracing: tracing(1) } : wanted.has("all-traces") ? { tracing: tracing(100) } : {}),
  };
  apply(typeUrls.listener, ListenerSchema, "listener_0", httpListener(0, "http", more));
  const port = await listeningPort();
  process.on("message", () => {
    const { user, system } = process.cpuUsage();
    process.send?.({ cpuMicros: user + system } satisfies ChildMessage);
  });
  process.send?.({ ports: [port] } satisfies ChildMessage);
}

const children: ChildProcess[] = [];

/** Returns the next message of a child process. Rejects if the process ends before that. */
async function nextMessage(child: ChildProcess): Promise<ChildMessage> {
  return await new Promise((resolve, reject) => {
    const ended = (code: number | null): void => reject(new Error(`a process of the run ended with ${code}`));
    child.once("exit", ended);
    child.once("message", (message) => {
      child.off("exit", ended);
      resolve(message as ChildMessage);
    });
  });
}

/** Starts a child process with the flags of a data plane. */
async function start(
  role: string,
  args: readonly (string | number)[],
  directory = join(import.meta.dirname, ".."),
): Promise<{ readonly child: ChildProcess; readonly ports: readonly number[] }> {
  const child = fork(join(directory, "bench/telemetry.ts"), [role, ...args.map(String)], {
    stdio: ["ignore", "inherit", "inherit", "ipc"],
    execArgv: [...productFlags],
  });
  children.push(child);
  const first = await nextMessage(child);
  return { child, ports: "ports" in first ? first.ports : [] };
}

async function cpuMicros(child: ChildProcess): Promise<number> {
  child.send("cpu");
  const answer = await nextMessage(child);
  return "cpuMicros" in answer ? answer.cpuMicros : 0;
}

/** Sends requests over one connection, one directly after another, until it is paused. */
class LoadConnection {
  readonly #stream: ByteStream;
  readonly #bodyBytes: number;
  readonly #request = Buffer.from(
    "GET /productpage?u=normal HTTP/1.1\r\nhost: bookinfo.example\r\nuser-agent: bench/1\r\naccept: */*\r\naccept-encoding: gzip, br\r\ncookie: session=abcdef0123456789\r\n\r\n",
  );
  #left = -1;
  #isPaused = true;
  #settle: () => void = () => undefined;
  answered = 0;
  failed = 0;

  constructor(stream: ByteStream, bodyBytes: number) {
    this.#stream = stream;
    this.#bodyBytes = bodyBytes;
    stream.setHandler({
      data: (chunk) => this.#data(chunk),
      end: () => undefined,
      drain: () => undefined,
      close: () => this.#fail(),
    });
    stream.resume();
  }

  start(): void {
    this.#isPaused = false;
    this.#send();
  }

  /** Resolves when the response to the current request has arrived. */
  async pause(): Promise<void> {
    this.#isPaused = true;
    await new Promise<void>((resolve) => (this.#settle = resolve));
  }

  #send(): void {
    this.#left = -1;
    this.#stream.write(this.#request);
  }

  #fail(): void {
    this.failed += 1;
    this.#settle();
  }

  #data(chunk: Buffer): void {
    if (this.#left < 0) {
      const head = chunk.indexOf("\r\n\r\n");
      if (head < 0 || chunk[9] !== 50) {
        this.#fail();
        return;
      }
      this.#left = this.#bodyBytes - (chunk.length - head - 4);
    } else this.#left -= chunk.length;
    if (this.#left > 0) return;
    this.answered += 1;
    if (this.#isPaused) this.#settle();
    else this.#send();
  }
}

interface Measured {
  readonly requests: number;
  readonly cpuMicros: number;
}

interface Subject {
  readonly child: ChildProcess;
  readonly loads: readonly LoadConnection[];
}

async function measure({ child, loads }: Subject, seconds: number): Promise<Measured> {
  const answeredBy = (): number => loads.reduce((sum, { answered }) => sum + answered, 0);
  const [cpuBefore, answeredBefore] = [await cpuMicros(child), answeredBy()];
  for (const load of loads) load.start();
  await systemClock.sleep(seconds * 1000);
  await Promise.all(loads.map(async (load) => await load.pause()));
  return { requests: answeredBy() - answeredBefore, cpuMicros: (await cpuMicros(child)) - cpuBefore };
}

const nothing: Measured = { requests: 0, cpuMicros: 0 };
const microsOf = ({ requests, cpuMicros: micros }: Measured): number => micros / Math.max(1, requests);

async function main(options: Options): Promise<void> {
  const { connections, bodyBytes, seconds, rounds, processes } = options;
  const { ports } = await start("upstream", [bodyBytes]);
  const subjectWith = async (wanted: readonly Part[], directory?: string): Promise<Subject> => {
    const proxy = await start("proxy", [wanted.join(",") || "-", ...ports], directory);
    const loads = await Promise.all(
      Array.from(
        { length: connections },
        async () =>
          new LoadConnection(
            await connectTcp({ address: "127.0.0.1", port: proxy.ports[0] ?? 0, timeoutMs: 5000 }),
            bodyBytes,
          ),
      ),
    );
    return { child: proxy.child, loads };
  };
  const subjects = new Map<string, Subject>();
  for (let process = 1; process <= processes; process += 1) {
    subjects.set(`off ${process}`, await subjectWith([]));
    subjects.set(`on ${process}`, await subjectWith(telemetry));
    if (options.beside === "") continue;
    subjects.set(`off beside ${process}`, await subjectWith([], options.beside));
    subjects.set(`on beside ${process}`, await subjectWith(telemetry, options.beside));
  }
  if (options.parts) for (const part of parts) subjects.set(part, await subjectWith([part]));
  for (const subject of subjects.values()) {
    let requests = 0;
    for (let round = 0; round < warmRounds && requests < warmRequests; round += 1)
      requests += (await measure(subject, 1)).requests;
  }
  const results = new Map<string, Measured[]>([...subjects.keys()].map((name) => [name, []]));
  for (let round = 0; round < rounds; round += 1) {
    // Swap the order every round, so that neither kind is always first.
    const order = round % 2 === 0 ? [...subjects] : [...subjects].toReversed();
    for (const [name, subject] of order) results.get(name)?.push(await measure(subject, seconds));
  }
  const listOf = (name: string): readonly Measured[] => results.get(name) ?? [];
  /** Returns, for each round, the mean CPU time of a request in µs over all processes of one kind. */
  const meansOf = (kind: string): number[] =>
    Array.from({ length: rounds }, (_, round) =>
      mean(
        Array.from({ length: processes }, (__, process) =>
          microsOf(listOf(`${kind} ${process + 1}`)[round] ?? nothing),
        ),
      ),
    );
  const offMicros = meansOf("off");
  const ratiosOf = (list: readonly number[]): number[] => list.map((one, round) => one / (offMicros[round] ?? 1));
  const costOf = (ratios: readonly number[]): number => median(ratios) * 100 - 100;
  const micros = Object.fromEntries([...results].map(([name, list]) => [name, median(list.map(microsOf))]));
  for (const [name, each] of Object.entries(micros)) {
    process.stdout.write(
      `${name.padEnd(10)} ${each.toFixed(2).padStart(7)} µs CPU a request  ${(1e6 / each).toFixed(0).padStart(6)} requests a CPU second  ${costOf(
        ratiosOf(listOf(name).map(microsOf)),
      )
        .toFixed(1)
        .padStart(5)} % more CPU\n`,
    );
  }
  if (options.beside !== "")
    for (const kind of ["off", "on"]) {
      const besideMicros = meansOf(`${kind} beside`);
      const ratios = meansOf(kind).map((one, round) => one / (besideMicros[round] ?? 1));
      process.stdout.write(
        `telemetry ${kind}: CPU of this tree to that beside ${intervalText(medianInterval(ratios))}\n`,
      );
    }
  const cost = costOf(ratiosOf(meansOf("on")));
  // The loss is in requests per CPU second, so 5 % more time for each request means 4.8 % fewer requests.
  const lostPercent = 100 - 100 / (1 + cost / 100);
  const failed = [...subjects.values()].flatMap(({ loads }) => loads).reduce((sum, one) => sum + one.failed, 0);
  const ok = lostPercent <= maxCostPercent && failed === 0;
  process.stdout.write(
    `telemetry costs ${lostPercent.toFixed(1)} % of the requests per CPU second, ${maxCostPercent} % may be; ${failed} failed\n`,
  );
  if (options.json)
    process.stdout.write(
      `${JSON.stringify({ name: "telemetry", ok, lostPercent, failed, cpuMicrosPerRequest: micros })}\n`,
    );
  process.exitCode = ok ? 0 : 1;
}

const [role, ...args] = process.argv.slice(2);
// End with the parent process.
process.on("disconnect", () => process.exit());
if (role === "upstream") await runUpstream(Number(args[0]));
else if (role === "proxy") await runProxy(new Set((args[0] ?? "").split(",")), Number(args[1]), Number(args[2]));
else {
  try {
    const { body: bodyBytes, ...options } = benchOptions("npm run bench:telemetry --", {
      seconds: 0.1,
      rounds: 150,
      processes: 4,
      connections: 32,
      body: 1024,
      parts: false,
      beside: "",
      json: false,
    });
    await main({ ...options, bodyBytes });
  } finally {
    for (const child of children) child.disconnect();
  }
}
