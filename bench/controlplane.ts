// Measures the cost of a change for the control plane, and compares it with a real istiod if the variable ISTIOD names
// a pilot-discovery binary.
//   npm run bench:controlplane -- [--services 1000] [--pods 5] [--clients 200] [--many 1000] [--rounds 10]
//                                 [--only start,sidecars,...] [--json]
//   npm run bench:controlplane -- --beside DIR [--pairs 4] [--clients 100] [--rounds 10] [--changes ep,vs,svc] [--json]
// Both serve from a real kube-apiserver (scripts/fetch/kube-apiserver.sh) on the loopback address. Clients of
// bench/xdsload receive their responses. With --beside, the control planes of this and another checkout get the same
// changes at the same moment (bench/controlplane/beside.ts).
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { promisify } from "node:util";
import { benchOptions } from "../scripts/arguments/bench-options.ts";
import { buildLoadClient, startApiServer, xdsload, type ApiServer } from "./controlplane/api-server.ts";
import { compareCheckouts } from "./controlplane/beside.ts";
import { ownProgram, startSubject, type Program } from "./controlplane/subject.ts";
import { intervalText, median } from "./median-interval.ts";

const options = benchOptions("npm run bench:controlplane --", {
  services: 1000,
  pods: 5,
  clients: 200,
  many: 1000,
  rounds: 10,
  starts: 5,
  only: "start,sidecars,vhds,many,ztunnels,manyztunnels",
  beside: "",
  pairs: 4,
  changes: "ep,vs,svc",
  json: false,
});

interface Series {
  readonly last_ms: { readonly med: number };
  readonly server_cpu_ms_per_change: number;
  readonly per_change_per_client: Readonly<Record<string, string>>;
}

interface Report {
  readonly storm: {
    readonly server_cpu_s: number;
    readonly last_ms: number;
    readonly bytes_per_client: number;
    readonly stream_retries: number;
  };
  readonly idle_cpu_pct: number;
  readonly rss_MB: number;
  readonly rss_peak_MB: number;
  readonly endpointslice?: Series;
  readonly virtualservice?: Series;
  readonly service?: Series;
  readonly pod?: Series;
}

/** The values in the table. Less is better. */
type Figures = Record<string, number>;

interface Scenario {
  readonly name: string;
  readonly ambient: boolean;
  readonly clients: number;
  readonly arguments: readonly string[];
  /** Whether only Serin is measured, because upstream has nothing comparable. */
  readonly ownOnly?: boolean;
  readonly figures: (report: Report) => Figures;
}

const { clients, many } = options;
const loadTimeoutMs = 1_200_000;

function changeFigures(name: string, series: Series | undefined): Figures {
  if (series === undefined) return {};
  const bytes = Object.values(series.per_change_per_client).reduce(
    (sum, text) => sum + Number(/, (\d+) B/.exec(text)?.[1] ?? 0),
    0,
  );
  return {
    [`${name}: CPU ms`]: series.server_cpu_ms_per_change,
    [`${name}: last client ms`]: series.last_ms.med,
    [`${name}: bytes a client`]: bytes,
  };
}

function connectFigures(name: string, { storm, rss_MB: memory, rss_peak_MB: peak }: Report): Figures {
  return {
    [`${name}: CPU s`]: storm.server_cpu_s,
    [`${name}: last synced s`]: storm.last_ms / 1000,
    [`${name}: memory after MB`]: memory,
    [`${name}: memory peak MB`]: peak,
  };
}

const scenarios: readonly Scenario[] = [
  {
    name: "sidecars",
    ambient: false,
    clients,
    arguments: ["-kind", "sidecar", "-probes", "ep,vs,svc"],
    figures: (report) => ({
      ...changeFigures("endpoint", report.endpointslice),
      ...changeFigures("weight", report.virtualservice),
      ...changeFigures("new service", report.service),
      ...connectFigures(`${clients} connect`, report),
    }),
  },
  {
    name: "vhds",
    ambient: false,
    clients,
    ownOnly: true,
    arguments: ["-kind", "sidecar", "-vhds", "-probes", "vs"],
    figures: (report) => changeFigures("weight, virtual host discovery", report.virtualservice),
  },
  {
    name: "many",
    ambient: false,
    clients: many,
    arguments: ["-kind", "sidecar", "-probes", "vs"],
    figures: (report) => ({
      [`${many} connect: CPU s`]: report.storm.server_cpu_s,
      [`${many} clients, weight: CPU ms`]: report.virtualservice?.server_cpu_ms_per_change ?? Number.NaN,
    }),
  },
  {
    name: "ztunnels",
    ambient: true,
    clients: 50,
    arguments: ["-kind", "ztunnel", "-probes", "pod"],
    figures: (report) => ({
      "50 ztunnels: snapshot CPU s": report.storm.server_cpu_s,
      ...changeFigures("50 ztunnels, pod", report.pod),
    }),
  },
  {
    name: "manyztunnels",
    ambient: true,
    clients: 500,
    arguments: ["-kind", "ztunnel", "-probes", "pod"],
    figures: (report) => ({
      "500 ztunnels: snapshot CPU s": report.storm.server_cpu_s,
      ...changeFigures("500 ztunnels, pod", report.pod),
    }),
  },
];

async function measure(api: ApiServer, program: Program, scenario: Scenario): Promise<Figures> {
  await using subject = await startSubject(api, program);
  const args = [
    "bench",
    "-kube",
    api.url,
    "-ktoken",
    api.token,
    "-addr",
    subject.address,
    "-pid",
    String(subject.pid),
    "-n",
    String(options.services),
    "-m",
    String(options.pods),
    "-k",
    String(scenario.clients),
    "-r",
    String(options.rounds),
    "-gap",
    "500ms",
    ...scenario.arguments,
  ];
  const { stdout } = await promisify(execFile)(xdsload, args, { timeout: loadTimeoutMs, maxBuffer: 1 << 26 });
  const report = JSON.parse(stdout.trim().split("\n").at(-1) ?? "{}") as Report;
  const found = scenario.figures(report);
  // A run takes long, so print intermediate results in case it is interrupted.
  process.stderr.write(`${JSON.stringify({ ...found, "CPU while idle, %": report.idle_cpu_pct })}\n`);
  return found;
}

/**
 * Returns, for each program, the medians of starts that alternate between the programs. The first start of each program
 * is left out, because the API server's first answers are slow.
 */
async function measureStarts(api: ApiServer, programs: readonly Program[]): Promise<Figures[]> {
  const rounds = programs.map((): { readyS: number; cpuS: number }[] => []);
  for (let round = 0; round <= options.starts; round += 1) {
    for (const [at, program] of programs.entries()) {
      await using subject = await startSubject(api, program);
      if (round > 0) rounds[at]?.push({ readyS: subject.readyMs / 1000, cpuS: cpuSeconds(subject.pid) });
    }
  }
  const figures = rounds.map((ofOne): Figures => ({
    "start to ready: s": median(ofOne.map(({ readyS }) => readyS)),
    "start to ready: CPU s": median(ofOne.map(({ cpuS }) => cpuS)),
  }));
  for (const ofOne of figures) process.stderr.write(`${JSON.stringify(ofOne)}\n`);
  return figures;
}

/** Returns the user and system time of all threads in seconds. In proc(5), it is in ticks of 10 ms. */
function cpuSeconds(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]?.split(" ") ?? [];
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

function shown(value: number | undefined): string {
  if (value === undefined || Number.isNaN(value)) return "–";
  return value >= 100 ? value.toFixed(0) : value.toPrecision(3);
}

async function compareAll(): Promise<void> {
  const { services, pods } = options;
  const wanted = new Set(options.only.split(","));
  const istiod =
    process.env["ISTIOD"] === undefined || process.env["ISTIOD"] === ""
      ? undefined
      : { discovery: process.env["ISTIOD"] };
  const found: { serin: Figures; istiod: Figures } = { serin: {}, istiod: {} };
  for (const ambient of [false, true]) {
    const chosen = scenarios.filter((scenario) => scenario.ambient === ambient && wanted.has(scenario.name));
    const starts = !ambient && wanted.has("start");
    if (chosen.length === 0 && !starts) continue;
    await using api = await startApiServer({ services, pods, ambient });
    if (starts) {
      process.stderr.write("start: in turns\n");
      const [own, other] = await measureStarts(api, istiod === undefined ? [ownProgram] : [ownProgram, istiod]);
      Object.assign(found.serin, own);
      Object.assign(found.istiod, other);
    }
    for (const scenario of chosen) {
      process.stderr.write(`${scenario.name}: Serin\n`);
      Object.assign(found.serin, await measure(api, ownProgram, scenario));
      if (istiod === undefined || scenario.ownOnly === true) continue;
      process.stderr.write(`${scenario.name}: istiod\n`);
      Object.assign(found.istiod, await measure(api, istiod, scenario));
    }
  }
  if (istiod === undefined) process.stderr.write("ISTIOD names no pilot-discovery: nothing to compare with\n");
  process.stdout.write("| | istiod | Serin | ratio |\n| --- | --- | --- | --- |\n");
  for (const [name, own] of Object.entries(found.serin)) {
    const other = found.istiod[name];
    process.stdout.write(
      `| ${name} | ${shown(other)} | ${shown(own)} | ${shown(other === undefined ? undefined : own / other)} |\n`,
    );
  }
  if (options.json) process.stdout.write(`${JSON.stringify(found)}\n`);
}

await buildLoadClient();
if (options.beside === "") await compareAll();
else {
  const { services, pods, beside, pairs, rounds, changes } = options;
  await using api = await startApiServer({ services, pods, ambient: false });
  const ratios = await compareCheckouts(api, beside, { services, pods, clients, pairs, rounds, changes });
  for (const [what, interval] of Object.entries(ratios))
    process.stdout.write(`CPU of ${what}, to ${beside}: ${intervalText(interval)}\n`);
  if (options.json) process.stdout.write(`${JSON.stringify({ name: "controlplane", costToBeside: ratios })}\n`);
}
