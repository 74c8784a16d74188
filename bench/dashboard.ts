// What the dashboard's server costs while many look: a mesh that moves every second, and so many open pages, each following the graph
// and a table. The server is a process of its own, whose memory and CPU are read from /proc; a slow page among them reads nothing for a while.
//   npm run bench:dashboard -- [--workloads 500] [--pages 50] [--seconds 20] [--json]
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { request, type IncomingMessage } from "node:http";
import { setTimeout as delay } from "node:timers/promises";
import { parseArgs } from "node:util";
import { applyLiveMessage, type LiveMessage, type View } from "../src/api/dashboard/index.ts";
import { giveBackIdleMemory, silentLogger, systemClock, unhurriedShare } from "../src/base/index.ts";
import { readPageFiles } from "../src/dashboard/bundle/index.ts";
import { AuditLog, DashboardServer, PageAssets } from "../src/dashboard/server/index.ts";
import { syntheticAccess, syntheticIdentity } from "../src/dashboard/server/testing/synthetic-access.ts";
import { syntheticHandlers } from "../src/dashboard/server/testing/synthetic-handlers.ts";
import { SyntheticSource } from "../src/dashboard/server/testing/synthetic-source.ts";

const { values } = parseArgs({
  options: { serve: { type: "boolean", default: false }, workloads: { type: "string", default: "500" }, pages: { type: "string", default: "50" }, seconds: { type: "string", default: "20" }, json: { type: "boolean", default: false } },
});
const workloads = Number(values.workloads);
const pages = Number(values.pages);
const seconds = Number(values.seconds);
const topics = ["graph?by=workload", "workloads"];
const slowMs = 6_000;
const ticksPerSecond = 100;

async function serve(): Promise<void> {
  giveBackIdleMemory(unhurriedShare);
  const clock = systemClock;
  const audit = new AuditLog({ clock, log: silentLogger });
  const page = PageAssets.from(await readPageFiles());
  const server = new DashboardServer({
    page: async () => await Promise.resolve(page),
    root: "",
    access: syntheticAccess({ anonymous: syntheticIdentity({ authentication: "anonymous" }) }),
    sessionIdleMs: Infinity,
    sessionMs: Infinity,
    source: new SyntheticSource({ clock, workloads }),
    handlers: syntheticHandlers({ clock, audit }),
    checkTopic: async () => await Promise.resolve(),
    audit,
    clock,
    log: silentLogger,
    version: "bench",
  });
  await server.run({ host: "127.0.0.1", ports: [0] }, new AbortController().signal, (port) => process.stdout.write(`${port}\n`));
}

async function measure(): Promise<void> {
  const child = spawn(process.execPath, ["--max-semi-space-size=4", import.meta.filename, "--serve", "--workloads", String(workloads)], { stdio: ["ignore", "pipe", "inherit"] });
  try {
    const [line] = (await once(child.stdout, "data")) as [Buffer];
    const port = Number(line.toString("utf8"));
    const pid = child.pid ?? 0;
    await delay(2_000);
    const idleMb = residentMb(pid);
    const began = performance.now();
    const open = await Promise.all(Array.from({ length: pages }, async () => await OpenPage.open(port)));
    while (open.some(({ views }) => views.size < topics.length)) await delay(20);
    const firstMs = performance.now() - began;
    const [slow] = open;
    slow?.pause();
    const [cpuBefore, bytesBefore] = [cpuSeconds(pid), open.reduce((sum, { bytes }) => sum + bytes, 0)];
    let peakMb = 0;
    for (let elapsed = 0; elapsed < seconds * 1_000; elapsed += 250) {
      peakMb = Math.max(peakMb, residentMb(pid));
      if (elapsed >= slowMs) slow?.resume();
      await delay(250);
    }
    const bytes = open.reduce((sum, page) => sum + page.bytes, 0) - bytesBefore;
    const nodes = open.map(({ views }) => Object.keys(views.get(topics[0] ?? "")?.tables["nodes"] ?? {}).length);
    const edges = Object.keys(open[0]?.views.get(topics[0] ?? "")?.tables["edges"] ?? {}).length;
    const result = {
      ok: new Set(nodes).size === 1 && open.every(({ faults }) => faults === 0) && peakMb < 120,
      workloads,
      edges,
      pages,
      firstViewsMs: Math.round(firstMs),
      idleMb: Math.round(idleMb),
      peakMb: Math.round(peakMb),
      cpuShare: Number(((cpuSeconds(pid) - cpuBefore) / seconds).toFixed(3)),
      kilobytesPerPageSecond: Math.round(bytes / 1_024 / pages / seconds),
    };
    process.stdout.write(values.json ? `${JSON.stringify(result)}\n` : `${Object.entries(result).map(([name, value]) => `${name.padEnd(24)}${String(value)}`).join("\n")}\n`);
    if (!result.ok) process.exitCode = 1;
    for (const page of open) page.close();
  } finally {
    child.kill();
  }
}

/** One page: applies every message as the page does. */
class OpenPage {
  readonly views = new Map<string, View>();
  bytes = 0;
  /** Changes of a view that was not there. */
  faults = 0;
  readonly #response: IncomingMessage;
  #rest = "";

  private constructor(response: IncomingMessage) {
    this.#response = response;
    response.setEncoding("utf8");
    response.on("data", (chunk: string) => this.#read(chunk));
    response.on("error", () => undefined);
  }

  static async open(port: number): Promise<OpenPage> {
    const outgoing = request({ host: "127.0.0.1", port, agent: false, path: `/api/live?${topics.map((topic) => `topic=${encodeURIComponent(topic)}`).join("&")}` });
    outgoing.end();
    const [response] = (await once(outgoing, "response")) as [IncomingMessage];
    return new OpenPage(response);
  }

  pause(): void {
    this.#response.pause();
  }

  resume(): void {
    this.#response.resume();
  }

  close(): void {
    this.#response.destroy();
  }

  #read(chunk: string): void {
    this.bytes += Buffer.byteLength(chunk);
    this.#rest += chunk;
    for (let end = this.#rest.indexOf("\n\n"); end !== -1; end = this.#rest.indexOf("\n\n")) {
      const message = JSON.parse(this.#rest.slice("data: ".length, end)) as LiveMessage;
      this.#rest = this.#rest.slice(end + 2);
      if (message.type !== "view" && message.type !== "change") continue;
      const view = applyLiveMessage(this.views.get(message.topic), message);
      if (view === undefined) this.faults += 1;
      else this.views.set(message.topic, view);
    }
  }
}

function residentMb(pid: number): number {
  return Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? 0) / 1_024;
}

function cpuSeconds(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]?.split(" ") ?? [];
  return (Number(fields[11]) + Number(fields[12])) / ticksPerSecond;
}

if (values.serve) await serve();
else await measure();
