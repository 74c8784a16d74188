import type {
  ConfigRow,
  ConfigView,
  GraphEdge,
  GraphNode,
  GraphView,
  LadderView,
  OverviewView,
  PeerRow,
  RolloutView,
  ServiceRow,
  ServiceView,
  SourceState,
  TopicName,
  Topics,
  View,
  WorkloadRow,
  WorkloadView,
} from "../../../api/dashboard/index.ts";
import type { Clock } from "../../../base/index.ts";
import { refusal, problemOf } from "../problem.ts";
import type { ViewReader, ViewSink, ViewSource } from "../view-source.ts";
import { syntheticRollout, syntheticRolloutRow } from "./synthetic-rollout.ts";
import { syntheticMesh, syntheticMeshAt, type SyntheticMesh } from "./synthetic-mesh.ts";

const tickMs = 1_000;
const windowOfStoreMs = 7_200_000;

/**
 * Views of a changing synthetic mesh. Its sources fail for some seconds of every third minute, so that pages show
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

  /** The current view. Throws `not-found` for an object that the mesh does not have. */
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
      ladder: () => ladder(mesh, head),
      rollouts: () => ({
        head,
        tables: {
          rollouts: { "Canary/shop/checkout": syntheticRolloutRow(nowMs) },
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
      workload: () => workload(nodes, edges, head, given),
      services: () => ({ head, tables: { services: Object.fromEntries(servicesOf(nodes)) } }),
      service: () => service(nodes, edges, head, given),
      configs: () => ({
        head,
        tables: {
          configs: Object.fromEntries(
            configs.filter(({ namespace }) => isShown(namespace)).map((row) => [configKey(row), row]),
          ),
        },
      }),
      config: () => config(head, given),
    };
    return make[name]();
  }
}

type Head = { readonly atMs: number; readonly sources: readonly SourceState[] };
type Given = Readonly<Record<string, string | number>>;
type Nodes = ReadonlyMap<string, GraphNode>;
type Edges = ReadonlyMap<string, GraphEdge>;

function sourcesAt(nowMs: number): readonly SourceState[] {
  const isAway = nowMs % 180_000 > 170_000;
  return [
    isAway
      ? {
          name: "kubernetes",
          ok: false,
          asOfMs: nowMs - (nowMs % 180_000) + 170_000,
          problem: "the API server does not answer; it is asked again every few seconds",
        }
      : { name: "kubernetes", ok: true, asOfMs: nowMs },
    { name: "metrics", ok: true, asOfMs: nowMs - (nowMs % 2_000) },
    { name: "pilot istiod-1-31-0-abc", ok: true, asOfMs: nowMs - (nowMs % 5_000) },
  ];
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

function ladder(mesh: SyntheticMesh, head: Head): LadderView {
  const revision = (name: string, version: string, tags: readonly string[], proxies: number) => ({
    name,
    version,
    tags,
    podsReady: 2,
    pods: 2,
    root: "3f9a0c27be11",
    proxies,
  });
  const rungs = mesh.namespaces.map((name, index) => {
    const share = index % 3 === 0 ? 1 : index % 3 === 1 ? 0.5 : 0;
    return [
      `namespace/${name}`,
      {
        kind: "namespace" as const,
        namespace: "",
        name,
        at: { "1-31-0": 1 - share, "1-31-1": share },
        pods: { "1-31-0": Math.round(20 * (1 - share)), "1-31-1": Math.round(20 * share) },
        wanted: "1-31-1",
        goingTo: share === 1 ? "" : "1-31-1",
        blockedBy: index % 3 === 1 ? [`pod cart-v1-5d9c of ${name} is not ready`] : [],
        waitsFor: [],
      },
    ] as const;
  });
  const proxies = [...mesh.nodes.values()]
    .filter(({ dataPlane }) => dataPlane === "sidecar")
    .map((node, index) => {
      const state =
        index % 11 === 3 ? ("stale" as const) : index % 13 === 5 ? ("rejected" as const) : ("synced" as const);
      const reason =
        state === "rejected"
          ? "Listener: error adding listener '0.0.0.0_8080': filter chain without a match"
          : state === "stale"
            ? "routes were sent 14 s ago"
            : "";
      return [
        `${node.namespace}/${node.name}-7d4b9`,
        {
          pod: `${node.name}-7d4b9`,
          namespace: node.namespace,
          type: "sidecar" as const,
          revision: node.revision,
          version: "1.31.0",
          node: `worker-${index % 4}`,
          state,
          reason,
          connectedAtMs: 1_700_000_000_000,
        },
      ] as const;
    });
  return {
    head: { ...head, upgrade: "to-1-31-1" },
    tables: {
      revisions: {
        "1-31-0": revision("1-31-0", "1.31.0", ["default"], 120),
        "1-31-1": revision("1-31-1", "1.31.1", ["canary"], 34),
      },
      rungs: Object.fromEntries(rungs),
      proxies: Object.fromEntries(proxies),
    },
  };
}

function workloadsOf(nodes: Nodes): ReadonlyMap<string, WorkloadRow> {
  const rows = [...nodes.values()].filter(({ kind }) => kind === "workload");
  return new Map(
    rows.map(
      ({
        namespace,
        name,
        app,
        version,
        revision,
        dataPlane,
        podsReady,
        pods,
        health,
        reason,
        requestRate,
        errorShare,
      }) =>
        [
          `${namespace}/${name}`,
          {
            namespace,
            name,
            kind: "Deployment",
            app,
            version,
            revision,
            dataPlane,
            podsReady,
            pods,
            restarts: 0,
            health,
            reason,
            requestRate,
            errorShare,
            p99Ms: 31.5,
          },
        ] as const,
    ),
  );
}

function servicesOf(nodes: Nodes): ReadonlyMap<string, ServiceRow> {
  return new Map(
    [...workloadsOf(nodes).values()].map(
      ({ namespace, app, health, reason, requestRate, errorShare }) =>
        [
          `${namespace}/${app}`,
          {
            namespace,
            name: app,
            type: "ClusterIP",
            clusterIp: "10.96.14.7",
            ports: ["http 80", "grpc 9090"],
            endpointsReady: 2,
            endpoints: 2,
            health,
            reason,
            requestRate,
            errorShare,
            p99Ms: 31.5,
            waypoint: namespace === "shop" ? "waypoint" : "",
          },
        ] as const,
    ),
  );
}

function peersOf(edges: Edges, nodes: Nodes, key: string, side: "from" | "to"): Readonly<Record<string, PeerRow>> {
  const other = side === "from" ? "to" : "from";
  return Object.fromEntries(
    [...edges.values()]
      .filter((edge) => edge[side] === key)
      .map((edge) => [
        edge[other],
        {
          ...edge,
          peer: edge[other],
          peerNamespace: nodes.get(edge[other])?.namespace ?? "",
          peerName: nodes.get(edge[other])?.name ?? edge[other],
        },
      ]),
  );
}

function eventsAt(
  atMs: number,
  object: string,
): Readonly<
  Record<
    string,
    { atMs: number; type: "Normal" | "Warning"; reason: string; message: string; count: number; object: string }
  >
> {
  const at = atMs - (atMs % 60_000);
  return {
    a: { atMs: at, type: "Normal", reason: "Pulled", message: "the image was there already", count: 1, object },
    b: {
      atMs: at - 600_000,
      type: "Warning",
      reason: "Unhealthy",
      message: "Readiness probe failed: connection refused",
      count: 3,
      object,
    },
  };
}

function workload(nodes: Nodes, edges: Edges, head: Head, given: Given): WorkloadView {
  const { namespace = "", name = "" } = given;
  const row = workloadsOf(nodes).get(`${namespace}/${name}`);
  if (row === undefined) throw refusal("not-found", `there is no workload ${name} in ${namespace}`);
  const key = `workload/${namespace}/${name}`;
  const pod = (index: number) => ({
    name: `${name}-7d4b9-${index}`,
    node: `worker-${index}`,
    ip: `10.244.1.${index + 4}`,
    state: "Running",
    ready: "2/2",
    restarts: index,
    startedAtMs: 1_700_000_000_000,
    containers: ["app", "istio-proxy"],
    revision: row.revision,
    ztunnel: row.dataPlane === "ambient" ? "ztunnel-x7k2p" : "",
  });
  return {
    head: {
      ...head,
      row,
      podCount: 2,
      labels: { app: row.app, version: row.version },
      createdAtMs: 1_700_000_000_000,
      images: [`registry.example/${row.app}:${row.version}`],
      serviceAccount: row.app,
    },
    tables: {
      pods: { [pod(0).name]: pod(0), [pod(1).name]: pod(1) },
      inbound: peersOf(edges, nodes, key, "to"),
      outbound: peersOf(edges, nodes, key, "from"),
      services: Object.fromEntries([...servicesOf(nodes)].filter(([one]) => one === `${namespace}/${row.app}`)),
      configs: Object.fromEntries(configs.map((one) => [configKey(one), one])),
      proxies: {},
      events: eventsAt(head.atMs, `Pod ${namespace}/${pod(0).name}`),
    },
  };
}

function service(nodes: Nodes, edges: Edges, head: Head, given: Given): ServiceView {
  const { namespace = "", name = "" } = given;
  const row = servicesOf(nodes).get(`${namespace}/${name}`);
  if (row === undefined) throw refusal("not-found", `there is no service ${name} in ${namespace}`);
  const own = [...workloadsOf(nodes)].filter(([, one]) => one.namespace === namespace && one.app === name);
  return {
    head: { ...head, row, labels: { app: String(name) }, selector: { app: String(name) } },
    tables: {
      workloads: Object.fromEntries(own),
      endpoints: {
        "10.244.1.4": { address: "10.244.1.4:8080", pod: `${name}-v1-7d4b9-0`, ready: true, node: "worker-0" },
        "10.244.1.5": { address: "10.244.1.5:8080", pod: `${name}-v1-7d4b9-1`, ready: true, node: "worker-1" },
      },
      inbound: Object.assign({}, ...own.map(([key]) => peersOf(edges, nodes, `workload/${key}`, "to"))) as Record<
        string,
        PeerRow
      >,
      configs: {},
      events: eventsAt(head.atMs, `Service ${namespace}/${name}`),
    },
  };
}

const configs: readonly ConfigRow[] = [
  {
    apiVersion: "networking.istio.io/v1",
    kind: "VirtualService",
    namespace: "shop",
    name: "checkout",
    errors: 0,
    warnings: 0,
    firstMessage: "",
  },
  {
    apiVersion: "networking.istio.io/v1",
    kind: "DestinationRule",
    namespace: "shop",
    name: "checkout",
    errors: 1,
    warnings: 1,
    firstMessage: 'Referenced host not found: "chekout"',
  },
  {
    apiVersion: "security.istio.io/v1",
    kind: "AuthorizationPolicy",
    namespace: "payments",
    name: "only-checkout",
    errors: 0,
    warnings: 1,
    firstMessage: "the policy selects no workload",
  },
  {
    apiVersion: "gateway.networking.k8s.io/v1",
    kind: "HTTPRoute",
    namespace: "shop",
    name: "checkout",
    errors: 0,
    warnings: 0,
    firstMessage: "",
  },
];

function configKey({ kind, namespace, name }: ConfigRow): string {
  return `${kind}/${namespace}/${name}`;
}

function config(head: Head, given: Given): ConfigView {
  const row = configs.find(
    ({ kind, namespace, name }) => kind === given["kind"] && namespace === given["namespace"] && name === given["name"],
  );
  if (row === undefined)
    throw refusal(
      "not-found",
      `there is no ${given["kind"]} ${given["namespace"]}/${given["name"]}`,
      "it may have been deleted",
    );
  const yaml = `apiVersion: ${row.apiVersion}\nkind: ${row.kind}\nmetadata:\n  name: ${row.name}\n  namespace: ${row.namespace}\nspec:\n  host: chekout\n  subsets:\n    - name: v1\n      labels:\n        version: v1\n`;
  return {
    head: {
      ...head,
      row,
      yaml,
      resourceVersion: "4711",
      conditions: [
        {
          type: "Reconciled",
          status: "True",
          reason: "Acknowledged",
          message: "12 of 12 proxies have it",
          lastTransitionTime: "2026-01-01T00:00:00Z",
        },
      ],
      mayWrite: true,
    },
    tables: {
      messages:
        row.errors === 0
          ? {}
          : {
              "0": {
                code: "IST0101",
                level: "Error",
                message: row.firstMessage,
                path: "spec.host",
                line: 7,
                column: 9,
              },
            },
      references: Object.fromEntries(configs.slice(0, 1).map((one) => [configKey(one), one])),
    },
  };
}
