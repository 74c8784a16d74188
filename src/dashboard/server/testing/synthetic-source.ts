import type { GraphView, OverviewView, RolloutView, TopicName, Topics, View } from "../../../api/dashboard/index.ts";
import type { Clock } from "../../../base/index.ts";
import { problemOf } from "../../problem.ts";
import type { ViewReader, ViewSink, ViewSource } from "../view-source.ts";
import { configKey, configs, syntheticConfig } from "./synthetic-configs.ts";
import { syntheticLadder } from "./synthetic-ladder.ts";
import { syntheticMesh, syntheticMeshAt, type SyntheticMesh } from "./synthetic-mesh.ts";
import { syntheticRollbackRow, syntheticRollout, syntheticRolloutRow } from "./synthetic-rollout.ts";
import { sourcesAt, type Edges, type Given, type Head, type Nodes } from "./synthetic-view.ts";
import { servicesOf, syntheticService, syntheticWorkload, workloadsOf } from "./synthetic-workloads.ts";

const tickMs = 1_000;
const windowOfStoreMs = 7_200_000;

/**
 * Views of a synthetic mesh that changes. Its sources fail for some seconds in every third minute, so that pages show
 * failures.
 */
export class SyntheticSource implements ViewSource {
  readonly #clock: Clock;
  readonly #mesh: SyntheticMesh;

  constructor({ clock, workloads }: { readonly clock: Clock; readonly workloads: number }) {
    this.#clock = clock;
    this.#mesh = syntheticMesh(workloads);
  }

  async follow<Name extends TopicName>(
    name: Name,
    parameters: Topics[Name]["parameters"],
    reader: ViewReader,
    sink: ViewSink,
    signal: AbortSignal,
  ): Promise<void> {
    while (!signal.aborted) {
      try {
        sink.view(this.view(name, parameters, reader));
      } catch (error) {
        sink.problem(problemOf(error));
      }
      await this.#clock.sleep(tickMs, signal).catch(() => undefined);
    }
  }

  /** Returns the present view. Throws `not-found` for an object that the mesh lacks. */
  view<Name extends TopicName>(name: Name, parameters: Topics[Name]["parameters"], { namespaces }: ViewReader): View {
    const nowMs = this.#clock.nowMs();
    const mesh = syntheticMeshAt(this.#mesh, nowMs);
    const given = parameters as Readonly<Record<string, string | number>>;
    const asked = String(given["namespaces"] ?? "")
      .split(",")
      .filter((one) => one !== "");
    const isShown = (namespace: string): boolean =>
      namespace === "" ||
      ((namespaces === "*" || namespaces.has(namespace)) && (asked.length === 0 || asked.includes(namespace)));
    const head = { atMs: nowMs, sources: sourcesAt(nowMs) };
    const nodes = new Map([...mesh.nodes].filter(([, node]) => isShown(node.namespace)));
    const edges = new Map([...mesh.edges].filter(([, { from, to }]) => nodes.has(from) && nodes.has(to)));
    const make: Readonly<Record<TopicName, () => View>> = {
      overview: () => overview(nodes, head),
      graph: () => graph(mesh, nodes, edges, head, given),
      ladder: () => syntheticLadder(mesh, head),
      rollouts: () => ({
        head,
        tables: {
          rollouts: {
            "Canary/shop/checkout": syntheticRolloutRow(nowMs),
            "Canary/shop/refunds": syntheticRollbackRow(nowMs),
          },
          freezes: {
            "black-friday": {
              name: "black-friday",
              reason: "the busiest week",
              active: false,
              nextAtMs: nowMs + 86_400_000,
            },
          },
        },
      }),
      rollout: (): RolloutView => syntheticRollout(given, head),
      workloads: () => ({ head, tables: { workloads: Object.fromEntries(workloadsOf(nodes)) } }),
      workload: () => syntheticWorkload(nodes, edges, head, given),
      services: () => ({ head, tables: { services: Object.fromEntries(servicesOf(nodes)) } }),
      service: () => syntheticService(nodes, edges, head, given),
      configs: () => ({
        head,
        tables: {
          configs: Object.fromEntries(
            configs.filter(({ namespace }) => isShown(namespace)).map((row) => [configKey(row), row]),
          ),
        },
      }),
      config: () => syntheticConfig(head, given),
    };
    return make[name]();
  }
}

function graph(mesh: SyntheticMesh, nodes: Nodes, edges: Edges, head: Head, given: Given): GraphView {
  const atMs = Number(given["atMs"] ?? 0);
  const live = atMs === 0;
  return {
    head: {
      ...head,
      windowSeconds: Number(given["windowSeconds"] ?? 60),
      shownAtMs: live ? head.atMs : atMs,
      live,
      oldestMs: head.atMs - windowOfStoreMs,
      namespaces: mesh.namespaces,
      omitted: 0,
    },
    tables: {
      nodes: Object.fromEntries(nodes),
      edges: Object.fromEntries(edges),
      routes: {
        "route/shop/checkout": {
          object: "HTTPRoute shop/checkout",
          namespace: "shop",
          service: "checkout",
          match: "all",
          destinations: [
            { name: "checkout-v1", weight: 80, share: 0.812, requestRate: 81.2 },
            { name: "checkout-v2", weight: 20, share: 0.188, requestRate: 18.8 },
          ],
        },
      },
    },
  };
}

function overview(nodes: Nodes, head: Head): OverviewView {
  const all = [...workloadsOf(nodes).values()];
  const namespaces = [...new Set(all.map(({ namespace }) => namespace))];
  const rows = namespaces.map((name) => {
    const own = all.filter(({ namespace }) => namespace === name);
    const requestRate = own.reduce((sum, row) => sum + row.requestRate, 0);
    const errors = own.reduce((sum, row) => sum + row.requestRate * row.errorShare, 0);
    const failing = own.filter(({ health }) => health === "failing" || health === "degraded").length;
    const health = own.some((row) => row.health === "failing")
      ? ("failing" as const)
      : failing > 0
        ? ("degraded" as const)
        : ("healthy" as const);
    return [
      name,
      {
        name,
        revision: "1-31-0",
        dataPlane: "ambient" as const,
        workloads: own.length,
        health,
        reason: failing === 0 ? "" : `${failing} of ${own.length} workloads fail`,
        requestRate,
        errorShare: requestRate === 0 ? 0 : errors / requestRate,
        p99Ms: 31.5,
        mutualTlsShare: 1,
        configErrors: name === "shop" ? 1 : 0,
        configWarnings: 1,
      },
    ] as const;
  });
  const requestRate = rows.reduce((sum, [, row]) => sum + row.requestRate, 0);
  const errors = rows.reduce((sum, [, row]) => sum + row.requestRate * row.errorShare, 0);
  return {
    head: {
      ...head,
      cluster: "synthetic",
      requestRate,
      errorShare: requestRate === 0 ? 0 : errors / requestRate,
      p99Ms: 31.5,
      proxies: { synced: 40, stale: 1, rejected: 1, missing: 0 },
      workloads: all.length,
      rolloutsUnderWay: 1,
    },
    tables: {
      namespaces: Object.fromEntries(rows),
      attention: {
        "0-rejected": { level: "error", text: "1 proxy rejects its configuration", page: "#/ladder" },
        "1-approval": {
          level: "warning",
          text: "Canary shop/checkout waits for an approval",
          page: "#/rollouts/Canary/shop/checkout",
        },
      },
    },
  };
}
