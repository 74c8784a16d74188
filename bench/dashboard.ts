// Measures the cost of the dashboard's server under many viewers. It runs `serin kiali` of the built package, as a user
// would. Each workload of the mesh has a sidecar, and all counters of the sidecars change. Each open page follows the
// graph and a table. A tenth of the pages also follows the overview and the ladder. One page reads nothing for a while.
// The mesh, the server and the pages are separate processes. Memory and CPU are the server's, from /proc.
//   npm run build && npm run bench:dashboard -- [--workloads 500] [--calls 4] [--pods 1] [--pages 50]
//                                               [--seconds 30] [--source] [--json]
// With --source, the sources of the checkout run. Then the cost includes removing the types from them.
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { copyFileSync, existsSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { benchOptions } from "../scripts/arguments/bench-options.ts";
import { freePort } from "../src/net/testing/index.ts";
import { OpenPage } from "./dashboard/open-page.ts";
import { serveMesh, type ServedMesh } from "./dashboard/serve-mesh.ts";
import { endsWithThis } from "../scripts/lab/ends-with-this.ts";
import { scratchFolder } from "./scratch-folder.ts";

const values = benchOptions("npm run bench:dashboard --", {
  mesh: false,
  source: false,
  workloads: 500,
  calls: 4,
  pods: 1,
  pages: 50,
  seconds: 30,
  json: false,
});
const size = { workloads: values.workloads, calls: values.calls, pods: values.pods };
const { pages, seconds } = values;
const root = "/kiali";
const topics = ["graph?by=workload", "workloads"];
const topicsOfTenth = ["overview", "ladder"];
const pagesThatLook = 4;
const slowMs = 6_000;
const settleMs = 15_000;
const firstViewsMs = 60_000;
const ticksPerSecond = 100;
/**
 * The memory limit in MB after all pages have opened. While all pages are opening at once, the server needs more, which
 * is reported separately.
 */
const lastingMb = 120;
const checkout = join(import.meta.dirname, "..");

/** Creates the package as npm installs it, without sources. */
function layPackage(directory: string): string {
  if (!existsSync(join(checkout, "dist/cmd/main.js"))) throw new Error("there is no dist/: npm run build, or --source");
  const tree = join(directory, "serin");
  mkdirSync(join(tree, "bin"), { recursive: true });
  copyFileSync(join(checkout, "bin/serin"), join(tree, "bin/serin"));
  for (const name of ["dist", "generated", "manifests", "node_modules", "package.json"])
    symlinkSync(join(checkout, name), join(tree, name));
  return tree;
}

async function startServer(directory: string, mesh: ServedMesh, port: number): Promise<ChildProcess> {
  const tree = values.source ? checkout : layPackage(directory);
  const [kubeconfig, config] = [join(directory, "kubeconfig"), join(directory, "config.yaml")];
  const cluster = { server: mesh.server, "certificate-authority-data": Buffer.from(mesh.authority).toString("base64") };
  writeFileSync(
    kubeconfig,
    JSON.stringify({
      apiVersion: "v1",
      kind: "Config",
      "current-context": "bench",
      clusters: [{ name: "bench", cluster }],
      users: [{ name: "bench", user: { token: "bench" } }],
      contexts: [{ name: "bench", context: { cluster: "bench", user: "bench" } }],
    }),
  );
  writeFileSync(
    config,
    JSON.stringify({
      auth: { strategy: "anonymous" },
      server: { port, web_root: root, metrics_port: await freePort("127.0.0.1") },
    }),
  );
  const started = spawn(...endsWithThis(join(tree, "bin/serin"), "kiali", "-config", config), {
    stdio: ["ignore", "ignore", "inherit"],
    env: { ...process.env, KUBECONFIG: kubeconfig, NODE_COMPILE_CACHE: join(directory, "compiled") },
  });
  for (let left = firstViewsMs; left > 0; left -= 100) {
    if (
      await fetch(`http://127.0.0.1:${port}${root}/healthz`).then(
        ({ ok }) => ok,
        () => false,
      )
    )
      return started;
    if (started.exitCode !== null) throw new Error("the server has ended");
    await delay(100);
  }
  throw new Error("the server does not answer");
}

async function measure(): Promise<void> {
  const directory = scratchFolder();
  const mesh = spawn(
    ...endsWithThis(
      process.execPath,
      import.meta.filename,
      "--mesh",
      ...Object.entries(size).flatMap(([name, value]) => [`--${name}`, String(value)]),
    ),
    { stdio: ["ignore", "pipe", "inherit"] },
  );
  let server: ChildProcess | undefined;
  try {
    let output = "";
    while (!output.endsWith("\n")) output += String(((await once(mesh.stdout, "data")) as [Buffer])[0]);
    const port = await freePort("127.0.0.1");
    const served = JSON.parse(output) as ServedMesh;
    // The first start fills the compile cache for later ones.
    const first = await startServer(directory, served, port);
    await delay(4_000);
    first.kill();
    await once(first, "exit");
    rmSync(join(directory, "serin"), { recursive: true, force: true });
    server = await startServer(directory, served, port);
    await report(server.pid ?? 0, port);
  } finally {
    for (const child of [mesh, server])
      if (child?.exitCode === null && child.signalCode === null) child.kill("SIGKILL");
    rmSync(directory, { recursive: true, force: true });
  }
}

async function report(pid: number, port: number): Promise<void> {
  const began = performance.now();
  const open = await Promise.all(
    Array.from(
      { length: pages },
      async (_, index) =>
        await OpenPage.open(
          port,
          root,
          index % 10 === 0 ? [...topics, ...topicsOfTenth] : topics,
          index < pagesThatLook,
        ),
    ),
  );
  while (open.some(({ changes }) => changes < topics.length)) {
    if (performance.now() - began > firstViewsMs) throw new Error("a page was not sent its views");
    await delay(20);
  }
  const firstMs = performance.now() - began;
  let peakMb = 0;
  const watch = async (lengthMs: number, each: (elapsedMs: number) => void = () => undefined): Promise<void> => {
    for (const began = performance.now(); performance.now() - began < lengthMs;) {
      peakMb = Math.max(peakMb, statusMb(pid, "VmRSS"));
      each(performance.now() - began);
      await delay(250);
    }
  };
  await watch(settleMs);
  const settledMb = peakMb;
  const [slow] = open;
  slow?.pause();
  peakMb = 0;
  const [cpuBefore, bytesBefore, changesBefore] = [cpuSeconds(pid), sumOf(open, "bytes"), sumOf(open, "changes")];
  await watch(seconds * 1_000, (elapsed) => {
    if (elapsed >= slowMs) slow?.resume();
  });
  const [cpu, bytes, changes] = [
    cpuSeconds(pid) - cpuBefore,
    sumOf(open, "bytes") - bytesBefore,
    sumOf(open, "changes") - changesBefore,
  ];
  const graph = open.slice(0, pagesThatLook).map(({ views }) => views.get(topics[0] ?? "")?.tables);
  const nodes = new Set(graph.map((tables) => Object.keys(tables?.["nodes"] ?? {}).length));
  const edges = Object.keys(graph[0]?.["edges"] ?? {}).length;
  const mostMbSeen = statusMb(pid, "VmHWM");
  const result = {
    ok:
      nodes.size === 1 &&
      edges >= size.workloads * size.calls &&
      sumOf(open, "faults") === 0 &&
      open.every(({ changes }) => changes > seconds / 2) &&
      peakMb < lastingMb,
    ...size,
    nodes: [...nodes][0] ?? 0,
    edges,
    pages,
    firstViewsMs: Math.round(firstMs),
    atStartMb: Math.round(settledMb),
    lastingMb: Math.round(peakMb),
    mostMb: Math.round(mostMbSeen),
    cpuShare: Number((cpu / seconds).toFixed(3)),
    changesPerPageSecond: Number((changes / pages / seconds).toFixed(2)),
    kilobytesPerPageSecond: Math.round(bytes / 1_024 / pages / seconds),
  };
  process.stdout.write(
    values.json
      ? `${JSON.stringify(result)}\n`
      : `${Object.entries(result)
          .map(([name, value]) => `${name.padEnd(24)}${String(value)}`)
          .join("\n")}\n`,
  );
  if (!result.ok) process.exitCode = 1;
  for (const page of open) page.close();
}

function sumOf(open: readonly OpenPage[], field: "bytes" | "changes" | "faults"): number {
  return open.reduce((sum, page) => sum + page[field], 0);
}

function statusMb(pid: number, field: "VmRSS" | "VmHWM"): number {
  return (
    Number(new RegExp(`${field}:\\s+(\\d+) kB`).exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? 0) / 1_024
  );
}

function cpuSeconds(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]?.split(" ") ?? [];
  return (Number(fields[11]) + Number(fields[12])) / ticksPerSecond;
}

if (values.mesh) process.stdout.write(`${JSON.stringify(await serveMesh(size))}\n`);
else await measure();
