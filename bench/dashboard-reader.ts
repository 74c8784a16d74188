// What reading the mesh costs the dashboard: so many workloads with a sidecar each, four calls out of each, all of whose counters move.
// The proxies are a process of their own; the reader's CPU and memory are its own process', while graph, tables and overview are followed.
//   node bench/dashboard-reader.ts [--workloads 500] [--calls 4] [--pods 1] [--seconds 20] [--json]
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:http";
import { setTimeout as delay } from "node:timers/promises";
import { parseArgs } from "node:util";
import { namespaceKind, podKind, serviceKind } from "../src/api/kubernetes/index.ts";
import { giveBackIdleMemory, silentLogger, systemClock, unhurriedShare } from "../src/base/index.ts";
import { askPodDirectly, createDashboardReader, type AskPod } from "../src/dashboard/read/index.ts";
import { SmallCluster } from "../src/dashboard/read/testing/small-cluster.ts";
import { namespace, pod, service } from "../src/dashboard/views/testing/small-mesh.ts";

const { values } = parseArgs({
  options: { proxies: { type: "boolean", default: false }, read: { type: "string" }, workloads: { type: "string", default: "500" }, calls: { type: "string", default: "4" }, pods: { type: "string", default: "1" }, seconds: { type: "string", default: "20" }, json: { type: "boolean", default: false } },
});
const workloads = Number(values.workloads);
const calls = Number(values.calls);
const podsOfEach = Number(values.pods);
const seconds = Number(values.seconds);
const bounds = [0.5, 1, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 30_000, 60_000, 300_000, 600_000, 1_800_000, 3_600_000];

const nameOf = (index: number): string => `app-${((index % workloads) + workloads) % workloads}`;

function edgeText(reporter: string, from: number, to: number, count: number): string {
  const labels = `reporter="${reporter}",source_workload="${nameOf(from)}",source_canonical_service="${nameOf(from)}",source_canonical_revision="v1",source_workload_namespace="shop",source_principal="spiffe://cluster.local/ns/shop/sa/default",source_app="${nameOf(from)}",source_version="v1",source_cluster="Kubernetes",destination_workload="${nameOf(to)}",destination_workload_namespace="shop",destination_principal="spiffe://cluster.local/ns/shop/sa/default",destination_app="${nameOf(to)}",destination_version="v1",destination_service="${nameOf(to)}.shop.svc.cluster.local",destination_canonical_service="${nameOf(to)}",destination_canonical_revision="v1",destination_service_name="${nameOf(to)}",destination_service_namespace="shop",destination_cluster="Kubernetes",request_protocol="http",response_code="200",grpc_response_status="",response_flags="-",connection_security_policy="${reporter === "source" ? "unknown" : "mutual_tls"}"`;
  const buckets = [...bounds.map(String), "+Inf"].map((le, index) => `istio_request_duration_milliseconds_bucket{${labels},le="${le}"} ${index < 3 ? 0 : index === 3 ? Math.floor(count / 2) : count}\n`).join("");
  return `istio_requests_total{${labels}} ${count}\n${buckets}istio_request_bytes_sum{${labels}} ${count * 100}\n`;
}

/** `GET /<index of the workload>`: what its proxy tells. */
async function serveProxies(): Promise<void> {
  const began = Date.now();
  const server = createServer((request, response) => {
    const index = Number(request.url?.slice(1));
    const count = Math.floor((Date.now() - began) / 20);
    const parts: string[] = [];
    for (let call = 1; call <= calls; call += 1) parts.push(edgeText("source", index, index + call, count + index), edgeText("destination", index - call, index, count + index));
    response.end(parts.join(""));
  });
  server.listen(0, "127.0.0.1", () => process.stdout.write(`${(server.address() as { port: number }).port}\n`));
  await once(process, "SIGTERM");
  // Open connections would keep it, and the bench with it.
  process.exit(0);
}

async function read(port: number): Promise<void> {
  giveBackIdleMemory(unhurriedShare);
  const cluster = new SmallCluster();
  cluster.set(namespaceKind, namespace("shop", { "istio-injection": "enabled" }));
  for (let index = 0; index < workloads; index += 1) {
    cluster.set(serviceKind, service("shop", nameOf(index), { app: nameOf(index) }));
    for (let number = 0; number < podsOfEach; number += 1) {
      const one = pod("shop", nameOf(index), { labels: { app: nameOf(index), version: "v1", "istio.io/rev": "default" }, containers: ["app", "istio-proxy"], annotations: { "prometheus.io/scrape": "true", "prometheus.io/port": "15020", "prometheus.io/path": `/${index}` } });
      cluster.set(podKind, { ...one, metadata: { ...one.metadata, name: `${nameOf(index)}-1-${number}`, uid: `${index}-${number}` } });
    }
  }
  const { ask } = askPodDirectly();
  const askPod: AskPod = async (address, path, signal) => (address.port === 15_020 ? await ask({ ...address, ip: "127.0.0.1", port }, path, signal) : { status: 404, text: "" });
  const reader = createDashboardReader({ client: cluster.client, clock: systemClock, log: silentLogger, askPod, cluster: "bench" });
  const end = new AbortController();
  void reader.run(end.signal);
  let views = 0;
  let size = { nodes: 0, edges: 0 };
  const me = { key: "me", namespaces: "*" as const, may: async () => await Promise.resolve(true) };
  const sink = {
    view: (view: { tables: Readonly<Record<string, object>> }) => {
      views += 1;
      if ("edges" in view.tables) size = { nodes: Object.keys(view.tables["nodes"] ?? {}).length, edges: Object.keys(view.tables["edges"] ?? {}).length };
    },
    problem: (problem: object) => process.stderr.write(`${JSON.stringify(problem)}\n`),
  };
  void reader.views.follow("graph", { namespaces: "", windowSeconds: 60, atMs: 0, by: "workload" }, me, sink, end.signal);
  void reader.views.follow("workloads", { namespaces: "" }, me, sink, end.signal);
  void reader.views.follow("overview", {}, me, sink, end.signal);
  await delay(10_000);
  const before = process.cpuUsage();
  const beganMs = performance.now();
  views = 0;
  await delay(seconds * 1000);
  const used = process.cpuUsage(before);
  const elapsed = (performance.now() - beganMs) / 1000;
  process.stdout.write(`${JSON.stringify({ workloads, pods: workloads * podsOfEach, ...size, viewsPerSecond: round(views / elapsed), cpuShare: round((used.user + used.system) / 1e6 / elapsed), residentMb: process.memoryUsage().rss >> 20, external: process.memoryUsage().arrayBuffers >> 20, total: process.memoryUsage().heapTotal >> 20, heapMb: process.memoryUsage().heapUsed >> 20 })}\n`);
  end.abort();
  process.exit(0);
}

function round(value: number): number {
  return Math.round(value * 1000) / 1000;
}

async function measure(): Promise<void> {
  const flags = ["--workloads", String(workloads), "--calls", String(calls), "--pods", String(podsOfEach), "--seconds", String(seconds)];
  const proxies = spawn(process.execPath, [import.meta.filename, "--proxies", ...flags], { stdio: ["ignore", "pipe", "inherit"] });
  try {
    const [line] = (await once(proxies.stdout, "data")) as [Buffer];
    const reading = spawn(process.execPath, ["--max-semi-space-size=4", import.meta.filename, "--read", line.toString("utf8").trim(), ...flags], { stdio: ["ignore", "pipe", "inherit"] });
    const [result] = (await once(reading.stdout, "data")) as [Buffer];
    const told = JSON.parse(result.toString("utf8")) as Record<string, number>;
    console.log(values.json ? JSON.stringify(told) : Object.entries(told).map(([name, value]) => `${name} ${value}`).join("  "));
  } finally {
    proxies.kill();
  }
}

if (values.proxies) await serveProxies();
else if (values.read === undefined) await measure();
else await read(Number(values.read));
