// What a change costs with 100, 1,000 and 10,000 services, without any network: CPU of this process, clients included.
//   npm run bench:controlplane:growth -- [--services 100,1000,10000] [--pods 5] [--sidecars 50] [--kinds sidecar,vhds,ztunnel] [--rounds 9] [--no-ambient]
// Each size and kind of client runs in a process of its own.
import { execFileSync } from "node:child_process";
import { parseArgs } from "node:util";
import { silentLogger, systemClock } from "../../src/base/index.ts";
import { meshKey } from "../../src/controlplane/model/index.ts";
import { ServedMesh } from "../../src/controlplane/served-mesh.ts";
import { testMesh } from "../../src/controlplane/testing/model-fixture.ts";
import { MetricsRegistry } from "../../src/telemetry/index.ts";
import { typeUrls } from "../../src/wire/xds/index.ts";
import { GeneratedMesh } from "./generated-mesh.ts";
import { SilentClient, type Script } from "./silent-client.ts";

const { values: options } = parseArgs({
  allowNegative: true,
  options: {
    services: { type: "string", default: "100,1000,10000" },
    pods: { type: "string", default: "5" },
    sidecars: { type: "string", default: "50" },
    kinds: { type: "string", default: "sidecar,vhds,ztunnel" },
    rounds: { type: "string", default: "9" },
    /** The mesh is one of ambient; ztunnels may ask in any. */
    ambient: { type: "boolean", default: true },
    kind: { type: "string" },
  },
});
const rounds = Number(options.rounds);
const warmUpRounds = 4;

interface Cost {
  readonly what: string;
  readonly cpuMs: number;
  readonly bytesPerClient: number;
}

function cpuMs(run: () => void): number {
  const before = process.cpuUsage();
  run();
  const used = process.cpuUsage(before);
  return (used.user + used.system) / 1000;
}

function median(values: readonly number[]): number {
  return values.toSorted((left, right) => left - right)[values.length >> 1] ?? Number.NaN;
}

/** One size and one kind of client. */
class Run {
  readonly #mesh: ServedMesh;
  readonly #generated: GeneratedMesh;
  readonly #clients: SilentClient[] = [];
  readonly #kind: string;
  readonly costs: Cost[] = [];

  constructor(services: number, kind: string) {
    this.#kind = kind;
    this.#mesh = new ServedMesh({ revision: "default", metrics: new MetricsRegistry(), clock: systemClock, log: silentLogger, settled: () => undefined });
    this.#mesh.inputs.mesh.set(meshKey, testMesh);
    this.#generated = new GeneratedMesh(this.#mesh, { services, podsPerService: Number(options.pods), namespaces: 20, routedEvery: 10, ambient: options.ambient });
  }

  measure(): void {
    this.costs.push({ what: "fill", cpuMs: cpuMs(() => this.#generated.fill()), bytesPerClient: 0 });
    const connect = cpuMs(() => this.#connect());
    this.costs.push({ what: `${options.sidecars} connect`, cpuMs: connect, bytesPerClient: this.#bytes() / this.#clients.length });
    this.#probe("endpoint", (round) => this.#generated.changeEndpoint(round % 2 === 0));
    if (this.#kind === "ztunnel") {
      this.#probe("pod", (round) => this.#generated.changePod(`name-${round}`));
      return;
    }
    this.#probe("weight", (round) => this.#generated.changeWeight(round % 2 === 0 ? 50 : 90));
    this.#probe("new service", (round) => this.#generated.addService(`new-${round}`));
  }

  #connect(): void {
    const script: Script = { endpoints: [], routes: ["80"] };
    for (let index = 0; index < Number(options.sidecars); index += 1) {
      const client = new SilentClient(this.#mesh.discovery, this.#nodeOf(index), script);
      this.#clients.push(client);
      if (this.#kind === "ztunnel") for (const typeUrl of [typeUrls.address, typeUrls.authorization]) client.subscribe(typeUrl);
      else client.subscribe(typeUrls.cluster);
    }
    this.#settle();
  }

  #nodeOf(index: number): ReturnType<GeneratedMesh["proxyOf"]> {
    if (this.#kind === "ztunnel") return { id: `ztunnel~10.250.0.1~z-${index}.istio-system~istio-system.svc.cluster.local`, metadata: {} };
    const proxy = this.#generated.proxyOf(index);
    return { ...proxy, metadata: { ...proxy.metadata, ...(this.#kind === "vhds" ? { VIRTUAL_HOST_DISCOVERY: "true" } : {}) } };
  }

  #probe(what: string, change: (round: number) => void): void {
    const once = (round: number): number =>
      cpuMs(() => {
        change(round);
        this.#settle();
      });
    for (let round = 0; round < warmUpRounds; round += 1) once(round);
    const before = this.#bytes();
    const costs = Array.from({ length: rounds }, (_, round) => once(warmUpRounds + round));
    this.costs.push({ what, cpuMs: median(costs), bytesPerClient: (this.#bytes() - before) / this.#clients.length / rounds });
  }

  #settle(): void {
    while (this.#clients.filter((client) => client.acknowledge()).length > 0);
  }

  #bytes(): number {
    return this.#clients.reduce((sum, client) => sum + client.received.bytes, 0);
  }
}

if (options.kind === undefined) {
  process.stdout.write("| clients | services | change | CPU ms | bytes a client |\n| --- | --- | --- | --- | --- |\n");
  for (const kind of options.kinds.split(",")) {
    for (const services of options.services.split(",")) {
      const args = [import.meta.filename, "--kind", kind, "--services", services, "--pods", options.pods, "--sidecars", options.sidecars, "--rounds", options.rounds, options.ambient ? "--ambient" : "--no-ambient"];
      const costs = JSON.parse(execFileSync(process.execPath, args, { encoding: "utf8" })) as readonly Cost[];
      for (const { what, cpuMs: cost, bytesPerClient } of costs) process.stdout.write(`| ${kind} | ${services} | ${what} | ${cost.toFixed(1)} | ${bytesPerClient.toFixed(0)} |\n`);
    }
  }
} else {
  const run = new Run(Number(options.services), options.kind);
  run.measure();
  process.stdout.write(`${JSON.stringify(run.costs)}\n`);
  // Timers of groups that linger.
  process.exit(0);
}
