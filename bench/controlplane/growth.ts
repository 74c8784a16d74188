// Measures the CPU time of a change with 100, 1,000 and 10,000 services, without any network. The time includes the
// clients, which run in the same process.
//   npm run bench:controlplane:growth -- [--services 100,1000,10000] [--pods 5] [--sidecars 20] [--kinds sidecar,vhds,ztunnel] [--changes endpoint,weight] [--rounds 41] [--no-ambient]
// Each size has its own process. They take turns after each change, so that other load on the machine affects all of
// them alike.
import { fork, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { parseArgs } from "node:util";
import { numberOption } from "../../scripts/arguments/number-option.ts";
import type { ServedMesh } from "../../src/controlplane/served-mesh.ts";
import { typeUrls } from "../../src/wire/xds/index.ts";
import { GeneratedMesh } from "./generated-mesh.ts";
import { cpuMs, measuredMesh } from "./measured-mesh.ts";
import { SilentClient, type Script } from "./silent-client.ts";

const { values: options } = parseArgs({
  allowNegative: true,
  options: {
    services: { type: "string", default: "100,1000,10000" },
    pods: { type: "string", default: "5" },
    sidecars: { type: "string", default: "20" },
    kinds: { type: "string", default: "sidecar,vhds,ztunnel" },
    changes: { type: "string", default: "endpoint,pod,weight,new service" },
    rounds: { type: "string", default: "41" },
    /** Whether the mesh is ambient. ztunnels may connect to any mesh. */
    ambient: { type: "boolean", default: true },
    kind: { type: "string" },
  },
});
const rounds = numberOption("--rounds", options.rounds, { isWhole: true });
const podsPerService = numberOption("--pods", options.pods, { isWhole: true });
const sidecars = numberOption("--sidecars", options.sidecars, { isWhole: true });
const serviceCounts = options.services.split(",").map((text) => numberOption("--services", text, { isWhole: true }));
const warmUpRounds = 10;

interface Cost {
  readonly cpuMs: number;
  readonly bytesPerClient: number;
}

/** Returns the value below which the share `part` of the values lies. */
function quantile(values: readonly number[], part: number): number {
  return values.toSorted((left, right) => left - right)[Math.floor(values.length * part)] ?? Number.NaN;
}

/** The measurements of one size and one kind of client. */
class Run {
  readonly #mesh: ServedMesh;
  readonly #generated: GeneratedMesh;
  readonly #clients: SilentClient[] = [];
  readonly #kind: string;

  constructor(services: number, kind: string) {
    this.#kind = kind;
    this.#mesh = measuredMesh();
    this.#generated = new GeneratedMesh(this.#mesh, {
      services,
      podsPerService,
      namespaces: 20,
      routedEvery: 10,
      ambient: options.ambient,
    });
  }

  step({ change, round }: Step): Cost {
    const before = this.#bytes();
    const cost = cpuMs(() => this.#do(change, round));
    return { cpuMs: cost, bytesPerClient: (this.#bytes() - before) / Math.max(1, this.#clients.length) };
  }

  #do(change: string, round: number): void {
    if (change === "fill") this.#generated.fill();
    else if (change === "connect") this.#connect();
    else if (change === "endpoint") this.#generated.changeEndpoint(round % 2 === 0);
    else if (change === "pod") this.#generated.changePod(`name-${round}`);
    else if (change === "weight") this.#generated.changeWeight(round % 2 === 0 ? 50 : 90);
    else if (change === "new service") this.#generated.addService(`new-${round}`);
    else throw new Error(`there is no change "${change}": endpoint, pod, weight and new service are known`);
    this.#settle();
  }

  #connect(): void {
    const script: Script = { endpoints: [], routes: ["80"] };
    for (let index = 0; index < sidecars; index += 1) {
      const client = new SilentClient(this.#mesh.discovery, this.#nodeOf(index), script);
      this.#clients.push(client);
      if (this.#kind === "ztunnel")
        for (const typeUrl of [typeUrls.address, typeUrls.authorization]) client.subscribe(typeUrl);
      else client.subscribe(typeUrls.cluster);
    }
  }

  #nodeOf(index: number): ReturnType<GeneratedMesh["proxyOf"]> {
    if (this.#kind === "ztunnel")
      return { id: `ztunnel~10.250.0.1~z-${index}.istio-system~istio-system.svc.cluster.local`, metadata: {} };
    const proxy = this.#generated.proxyOf(index);
    return {
      ...proxy,
      metadata: { ...proxy.metadata, ...(this.#kind === "vhds" ? { VIRTUAL_HOST_DISCOVERY: "true" } : {}) },
    };
  }

  #settle(): void {
    while (this.#clients.filter((client) => client.acknowledge()).length > 0);
  }

  #bytes(): number {
    return this.#clients.reduce((sum, client) => sum + client.received.bytes, 0);
  }
}

interface Step {
  readonly change: string;
  readonly round: number;
}

/** One mesh size in its own process. */
class Size {
  readonly #child: ChildProcess;

  constructor(services: string, kind: string) {
    this.#child = fork(import.meta.filename, [
      "--kind",
      kind,
      "--services",
      services,
      "--pods",
      options.pods,
      "--sidecars",
      options.sidecars,
      options.ambient ? "--ambient" : "--no-ambient",
    ]);
  }

  async step(step: Step): Promise<Cost> {
    const ended = new AbortController();
    const exited = once(this.#child, "exit", ended).then(() => {
      throw new Error("a process of the bench has ended");
    });
    try {
      const answered = once(this.#child, "message", ended) as Promise<[Cost]>;
      this.#child.send(step);
      const [cost] = await Promise.race([answered, exited]);
      return cost;
    } finally {
      exited.catch(() => undefined);
      ended.abort();
    }
  }

  end(): void {
    this.#child.kill("SIGKILL");
  }
}

/** Formats the median, and the lower quartile in parentheses, because a busy machine makes the upper half larger. */
function shown(values: readonly number[]): string {
  return `${quantile(values, 0.5).toFixed(2)} (${quantile(values, 0.25).toFixed(2)})`;
}

async function compare(kind: string, services: readonly string[]): Promise<void> {
  const sizes = services.map((count) => new Size(count, kind));
  const row = (change: string, costs: readonly (readonly Cost[])[]): void => {
    const least = costs.map((list) =>
      quantile(
        list.map(({ cpuMs: cost }) => cost),
        0.25,
      ),
    );
    const bytes = costs.map((list) =>
      quantile(
        list.map(({ bytesPerClient }) => bytesPerClient),
        0.5,
      ).toFixed(0),
    );
    process.stdout.write(
      `| ${kind} | ${change} | ${costs.map((list) => shown(list.map(({ cpuMs: cost }) => cost))).join(" | ")} | ${((least.at(-1) ?? Number.NaN) / (least[0] ?? Number.NaN)).toFixed(2)} | ${bytes.join(", ")} |\n`,
    );
  };
  const turn = async (step: Step): Promise<Cost[]> => {
    const costs: Cost[] = [];
    for (const size of sizes) costs.push(await size.step(step));
    return costs;
  };
  try {
    for (const change of ["fill", "connect"])
      row(
        change,
        (await turn({ change, round: 0 })).map((cost) => [cost]),
      );
    for (const change of options.changes.split(",")) {
      if (change === "pod" ? kind !== "ztunnel" : change !== "endpoint" && kind === "ztunnel") continue;
      const costs: Cost[][] = sizes.map(() => []);
      for (let round = 0; round < warmUpRounds + rounds; round += 1) {
        const taken = await turn({ change, round });
        if (round >= warmUpRounds) for (const [index, cost] of taken.entries()) costs[index]?.push(cost);
      }
      row(change, costs);
    }
  } finally {
    for (const size of sizes) size.end();
  }
}

if (options.kind === undefined) {
  const services = options.services.split(",");
  process.stdout.write(
    `CPU ms: median (lower quartile); growth: of the lower quartiles, ${services.at(-1) ?? ""} to ${services[0] ?? ""} services\n`,
  );
  process.stdout.write(
    `| clients | change | ${services.join(" | ")} | growth | bytes a client |\n| --- | --- | ${services.map(() => "---").join(" | ")} | --- | --- |\n`,
  );
  for (const kind of options.kinds.split(",")) await compare(kind, services);
} else {
  const run = new Run(serviceCounts[0] ?? 1, options.kind);
  // End with the parent process.
  process.on("disconnect", () => process.exit());
  process.on("message", (step: Step) => process.send?.(run.step(step)));
}
