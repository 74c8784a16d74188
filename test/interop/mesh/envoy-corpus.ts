// Applies every configuration of the corpus, one after another, to three stock Envoys: sidecar, gateway and waypoint.
//   test/interop/mesh/in-namespace.sh node test/interop/mesh/envoy-corpus.ts [--only <part of a name>] [--json]
// The exit code is 1 if an Envoy did not accept one. With --json, the last line is a JSON object:
// {"configurations":n,"nacks":n,"failed":n,…}.
import { describeError } from "../../../src/base/index.ts";
import { readCorpus, type CorpusCase } from "./corpus.ts";
import { startEnvoy, type EnvoyProcess } from "./envoy-process.ts";
import { fetchFresh } from "./fetch-fresh.ts";
import { routerNode, sidecarNode, waypointNode } from "./nodes.ts";
import type { StoredObject } from "./object-store.ts";
import { applyCase, removeCase, startTestMesh, type TestMesh } from "./test-mesh.ts";

interface Outcome {
  readonly name: string;
  /** The rejections by Envoys, in the form `<proxy> <type>: <reason>`. */
  readonly nacks: readonly string[];
  readonly faults: readonly string[];
}

interface ConnectedProxy {
  readonly id: string;
  readonly types: Readonly<
    Record<string, { readonly sent: string; readonly acked: string; readonly reason: string | null }>
  >;
}

interface Acknowledged {
  readonly processed: boolean;
  readonly proxies: readonly {
    readonly id: string;
    readonly acknowledged: boolean;
    readonly rejected: { readonly reason: string } | null;
  }[];
}

const answerMs = 20_000;
const lookMs = 15;
const warmMs = 8000;
/** After this time, a pilot has read a changed file with the MeshConfig. */
const meshConfigMs = 1300;
const unread = /does not read/;

class Corpus {
  readonly #mesh: TestMesh;
  readonly #envoys: readonly EnvoyProcess[];
  /** By Envoy, the sum of its counters of refused resources when its last dump was read. */
  readonly #refused = new Map<string, number>();

  constructor(mesh: TestMesh, envoys: readonly EnvoyProcess[]) {
    this.#mesh = mesh;
    this.#envoys = envoys;
  }

  async tryCase(one: CorpusCase): Promise<Outcome> {
    const nacks: string[] = [];
    const faults: string[] = [];
    try {
      const stored = await applyCase(this.#mesh, one);
      if (one.meshConfig !== undefined) await new Promise((resolve) => setTimeout(resolve, meshConfigMs));
      faults.push(...(await this.#settled(stored)));
      nacks.push(...(await this.#rejections()));
      if (nacks.length === 0) faults.push(...(await this.#inactive()));
    } catch (error) {
      faults.push(describeError(error));
    }
    await removeCase(this.#mesh, one).catch((error: unknown) => faults.push(`taking it away: ${describeError(error)}`));
    for (const envoy of this.#envoys) if (!envoy.alive()) faults.push(`Envoy ${envoy.id} has ended`);
    return { name: one.name, nacks, faults };
  }

  /** Waits until every Envoy has acknowledged what follows from these objects. */
  async #settled(stored: readonly StoredObject[]): Promise<string[]> {
    const deadline = Date.now() + answerMs;
    for (const { group, kind, namespace, name, resourceVersion } of stored) {
      const query = new URLSearchParams({ group, kind, namespace, name, resourceVersion });
      for (;;) {
        const response = await fetchFresh(
          `http://127.0.0.1:${this.#mesh.pilot.ports.http}/debug/serin/acknowledged?${query.toString()}`,
        );
        const text = await response.text();
        if (response.status === 400 && unread.test(text)) break;
        const answer = JSON.parse(text) as Acknowledged;
        const open = answer.proxies.filter(({ acknowledged, rejected }) => !acknowledged && rejected === null);
        if (answer.processed && open.length === 0) break;
        if (Date.now() > deadline)
          return [
            `${kind} ${namespace}/${name}: ${answer.processed ? `not acknowledged by ${open.map(({ id }) => id).join(", ")}` : "not taken into the control plane's model"}`,
          ];
        await new Promise((resolve) => setTimeout(resolve, lookMs));
      }
    }
    return [];
  }

  async #rejections(): Promise<string[]> {
    const proxies = (await (
      await fetchFresh(`http://127.0.0.1:${this.#mesh.pilot.ports.http}/debug/serin/proxies`)
    ).json()) as ConnectedProxy[];
    return proxies.flatMap(({ id, types }) =>
      Object.entries(types).flatMap(([type, { reason }]) =>
        reason === null ? [] : [`${id} ${type.slice(type.lastIndexOf(".") + 1)}: ${reason}`],
      ),
    );
  }

  /**
   * The resources that an Envoy has received and does not use: those in error, and those that warm up. A dump of all
   * configuration costs Envoy 0.03 s, and reading it takes as long. So it is read only if a counter shows that there
   * are such resources.
   */
  async #inactive(): Promise<string[]> {
    const deadline = Date.now() + warmMs;
    for (;;) {
      const found = (
        await Promise.all(
          this.#envoys.map(async (envoy) => {
            const { warming, refused } = countsIn(await envoy.read(countsPath));
            if (warming === 0 && this.#refused.get(envoy.id) === refused) return [];
            const dump = await envoy.read("/config_dump");
            const inactive = inactiveKeys.test(dump) ? inactiveIn(envoy.id, JSON.parse(dump)) : [];
            if (inactive.length === 0) this.#refused.set(envoy.id, refused);
            return inactive;
          }),
        )
      ).flat();
      if (found.length === 0 || Date.now() > deadline) return found;
      await new Promise((resolve) => setTimeout(resolve, 10 * lookMs));
    }
  }
}

/** The path of the gauges of resources that warm up, and of the counters of refused ones. */
const countsPath = `/stats?filter=${encodeURIComponent(
  "(total_listeners_warming|warming_clusters|[lcr]ds.*update_rejected|config_fail|config_conflict)$",
)}`;

const warmingGauges = ["listener_manager.total_listeners_warming", "cluster_manager.warming_clusters"] as const;

interface Counts {
  readonly warming: number;
  readonly refused: number;
}

/** Adds up the lines `<name>: <number>` in Envoy's statistics. */
function countsIn(text: string): Counts {
  const counts = { warming: 0, refused: 0 };
  for (const gauge of warmingGauges) if (!text.includes(`${gauge}: `)) throw new Error(`Envoy has no gauge ${gauge}`);
  for (const line of text.trim().split("\n")) {
    const [name = "", value = ""] = line.split(": ");
    if (!/^\d+$/.test(value)) throw new Error(`an unexpected line of ${countsPath}: ${line}`);
    counts[name.includes("warming") ? "warming" : "refused"] += Number(value);
  }
  return counts;
}

/** A dump without these keys need not be parsed. */
const inactiveKeys = /error_state|warming_state|dynamic_warming_clusters/;

type Json = string | number | boolean | null | Json[] | { [name: string]: Json };

function inactiveIn(id: string, dump: unknown): string[] {
  const found: string[] = [];
  const walk = (value: Json, name: string): void => {
    if (Array.isArray(value)) for (const item of value) walk(item, name);
    else if (typeof value === "object" && value !== null) {
      const own = nameOf(value) ?? name;
      for (const [key, inner] of Object.entries(value)) {
        if (key === "error_state")
          found.push(`${id} ${own}: ${JSON.stringify((inner as { details?: string }).details ?? inner).slice(0, 300)}`);
        else if (key === "warming_state" || key === "dynamic_warming_clusters")
          found.push(`${id} warms ${own} ${warmingNames(inner)}`);
        else if (key !== "active_state" && key !== "bootstrap") walk(inner, own);
      }
    }
  };
  walk(dump as Json, "");
  return found;
}

function warmingNames(value: Json): string {
  return Array.isArray(value)
    ? value.map((item) => (item as { cluster?: { name?: string } }).cluster?.name ?? "").join(", ")
    : "";
}

function nameOf(value: Readonly<Record<string, Json>>): string | undefined {
  return typeof value["name"] === "string" ? value["name"] : undefined;
}

async function main(args: readonly string[]): Promise<number> {
  const startedMs = performance.now();
  const onlyAt = args.indexOf("--only");
  const cases = readCorpus(onlyAt < 0 ? "" : (args[onlyAt + 1] ?? ""));
  const mesh = await startTestMesh();
  const envoys: EnvoyProcess[] = [];
  const outcomes: Outcome[] = [];
  try {
    envoys.push(
      ...(await Promise.all([sidecarNode, routerNode, waypointNode].map(async (node) => await startEnvoy(mesh, node)))),
    );
    const corpus = new Corpus(mesh, envoys);
    const base = await corpus.tryCase({ name: "base", objects: [], meshConfig: undefined });
    outcomes.push(base);
    for (const one of cases) {
      const outcome = await corpus.tryCase(one);
      outcomes.push(outcome);
      if (args.includes("--verbose"))
        process.stderr.write(
          `${one.name}: ${outcome.nacks.length + outcome.faults.length === 0 ? "taken" : [...outcome.nacks, ...outcome.faults].join("; ")}\n`,
        );
    }
  } finally {
    for (const envoy of envoys) envoy.stop();
    mesh.stop();
  }
  const bad = outcomes.filter(({ nacks, faults }) => nacks.length + faults.length > 0);
  for (const { name, nacks, faults } of bad)
    process.stdout.write(
      `${name}\n${[...nacks.map((nack) => `  refused: ${nack}`), ...faults.map((fault) => `  ${fault}`)].join("\n")}\n`,
    );
  const summary = {
    configurations: cases.length,
    nacks: outcomes.reduce((sum, { nacks }) => sum + nacks.length, 0),
    failed: bad.length,
    seconds: Math.round((performance.now() - startedMs) / 1000),
  };
  process.stdout.write(
    `${summary.configurations} configurations, ${summary.nacks} refusals, ${summary.failed} failed, ${summary.seconds} s\n`,
  );
  if (args.includes("--json")) process.stdout.write(`${JSON.stringify(summary)}\n`);
  return bad.length === 0 ? 0 : 1;
}

process.exit(await main(process.argv.slice(2)));
