// CPU that a change costs, without any network.
//   node bench/controlplane/in-process.ts [--services 1000] [--pods 5] [--sidecars 200] [--kind sidecar|vhds|ztunnel] [--rounds 5]
import { parseArgs } from "node:util";
import { silentLogger, systemClock } from "../../src/base/index.ts";
import { meshKey } from "../../src/controlplane/model/index.ts";
import { ServedMesh } from "../../src/controlplane/served-mesh.ts";
import { testMesh } from "../../src/controlplane/testing/model-fixture.ts";
import { MetricsRegistry } from "../../src/telemetry/index.ts";
import { typeUrls } from "../../src/wire/xds/index.ts";
import { GeneratedMesh } from "./generated-mesh.ts";
import { SilentClient, type Script } from "./silent-client.ts";

const { values: options } = parseArgs({ options: { services: { type: "string", default: "1000" }, pods: { type: "string", default: "5" }, sidecars: { type: "string", default: "200" }, kind: { type: "string", default: "sidecar" }, rounds: { type: "string", default: "5" } } });
const rounds = Number(options.rounds);
const mesh = new ServedMesh({ revision: "default", metrics: new MetricsRegistry(), clock: systemClock, log: silentLogger, settled: () => undefined });
mesh.inputs.mesh.set(meshKey, testMesh);
const generated = new GeneratedMesh(mesh, { services: Number(options.services), podsPerService: Number(options.pods), namespaces: 20, routedEvery: 10 });
const script: Script = { endpoints: [], routes: ["80"] };
const clients: SilentClient[] = [];

function cpuMs(run: () => void): number {
  const before = process.cpuUsage();
  run();
  const used = process.cpuUsage(before);
  return (used.user + used.system) / 1000;
}
function settle(): void {
  while (clients.filter((client) => client.acknowledge()).length > 0);
}
function bytes(): number {
  return clients.reduce((sum, client) => sum + client.received.bytes, 0);
}
function report(what: string, costs: readonly number[], sent: number): void {
  const sorted = costs.toSorted((left, right) => left - right);
  console.log(`${what.padEnd(24)} CPU median ${sorted[sorted.length >> 1]?.toFixed(1)} ms (${sorted.map((cost) => cost.toFixed(0)).join(" ")}), ${(sent / clients.length / costs.length).toFixed(0)} B a client`);
}
function probe(what: string, change: (round: number) => void): void {
  const before = bytes();
  const costs = Array.from({ length: rounds }, (_, round) => cpuMs(() => {
    change(round);
    settle();
  }));
  report(what, costs, bytes() - before);
}

report("fill", [cpuMs(() => generated.fill())], 0);
report("connect", [cpuMs(() => {
  for (let index = 0; index < Number(options.sidecars); index += 1) {
    const proxy = generated.proxyOf(index);
    const ztunnel = options.kind === "ztunnel";
    const node = ztunnel ? { id: `ztunnel~10.250.0.1~z-${index}.istio-system~istio-system.svc.cluster.local`, metadata: {} } : { ...proxy, metadata: { ...proxy.metadata, ...(options.kind === "vhds" ? { VIRTUAL_HOST_DISCOVERY: "true" } : {}) } };
    const client = new SilentClient(mesh.discovery, node, script);
    clients.push(client);
    if (ztunnel) for (const typeUrl of [typeUrls.address, typeUrls.authorization]) client.subscribe(typeUrl);
    else client.subscribe(typeUrls.cluster);
  }
  settle();
})], bytes());
console.log(`memory ${(process.memoryUsage().rss / 1e6).toFixed(0)} MB`);
probe("endpoint", (round) => generated.changeEndpoint(round % 2 === 0));
if (options.kind === "ztunnel") probe("pod", (round) => generated.changePod(`name-${round}`));
else {
  probe("weight", (round) => generated.changeWeight(round % 2 === 0 ? 50 : 90));
  probe("new service", (round) => generated.addService(`new-${round}`));
}
console.log(`memory ${(process.memoryUsage().rss / 1e6).toFixed(0)} MB`);
process.exit(0);
