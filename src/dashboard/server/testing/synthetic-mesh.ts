import type { GraphEdge, GraphNode, Health } from "../../../api/dashboard/index.ts";
import { seededRandom } from "../../../base/index.ts";

/** A synthetic mesh for developing the page, and for tests and benches. The same options give the same mesh. */
export interface SyntheticMesh {
  readonly namespaces: readonly string[];
  readonly nodes: ReadonlyMap<string, GraphNode>;
  readonly edges: ReadonlyMap<string, GraphEdge>;
}

const names = [
  "frontend",
  "cart",
  "checkout",
  "catalog",
  "payments",
  "shipping",
  "search",
  "reviews",
  "ratings",
  "details",
  "recommendations",
  "accounts",
  "inventory",
  "emails",
  "currency",
  "ads",
  "sessions",
  "orders",
  "audit",
  "gateway-api",
];
const namespaceNames = ["shop", "backoffice", "payments", "platform", "data", "growth", "media", "edge"];
const workloadsOfNamespace = 20;
const edgesOfNode = 4;

export function syntheticMesh(workloads: number): SyntheticMesh {
  const random = seededRandom(workloads);
  const namespaces = Array.from(
    { length: Math.max(1, Math.ceil(workloads / workloadsOfNamespace)) },
    (_unused, index) => namespaceName(index),
  );
  const nodes = new Map<string, GraphNode>([
    ["gateway/edge-gateway", node({ kind: "gateway", namespace: "istio-ingress", name: "edge-gateway" })],
    ["unknown", node({ kind: "unknown", namespace: "", name: "unknown" })],
  ]);
  for (let index = 0; index < workloads; index += 1) {
    const namespace = namespaces[Math.floor(index / workloadsOfNamespace)] ?? "shop";
    const app = names[index % names.length] ?? "app";
    const version = app === "checkout" ? ["v1", "v2"] : ["v1"];
    for (const release of version) {
      const dataPlane = index % 3 === 0 ? "sidecar" : "ambient";
      nodes.set(
        `workload/${namespace}/${app}-${release}`,
        node({
          kind: "workload",
          namespace,
          name: `${app}-${release}`,
          app,
          version: release,
          dataPlane,
          revision: index % 5 === 0 ? "1-31-1" : "1-31-0",
          rollout: app === "checkout" ? `Canary ${namespace}/checkout` : "",
        }),
      );
    }
  }
  nodes.set(
    "waypoint/shop/waypoint",
    node({ kind: "waypoint", namespace: "shop", name: "waypoint", dataPlane: "proxy" }),
  );
  nodes.set("external/api.stripe.com", node({ kind: "external", namespace: "", name: "api.stripe.com" }));
  const keys = [...nodes.keys()].filter((key) => key.startsWith("workload/"));
  const edges = new Map<string, GraphEdge>();
  const add = (from: string, to: string, rate: number): void =>
    void edges.set(`${from}>${to}`, edge(from, to, rate, nodes.get(to)?.app ?? ""));
  add("unknown", "gateway/edge-gateway", 300);
  for (const key of keys.slice(0, 3)) add("gateway/edge-gateway", key, 100);
  for (const [index, from] of keys.entries()) {
    for (let count = 0; count < edgesOfNode; count += 1) {
      const to = keys[Math.min(keys.length - 1, index + 1 + Math.floor(random() * 12))];
      if (to !== undefined && to !== from) add(from, to, 5 + random() * 60);
    }
  }
  const last = keys.at(-1);
  if (last !== undefined) add(last, "external/api.stripe.com", 4);
  return { namespaces: [...namespaces, "istio-system", "istio-ingress"], nodes, edges };
}

/** The mesh at a time. Rates change, and one workload fails for some seconds of each minute. */
export function syntheticMeshAt(mesh: SyntheticMesh, atMs: number): SyntheticMesh {
  const edges = new Map([...mesh.edges].map(([key, before], index) => [key, moved(before, index, atMs)] as const));
  const rates = new Map<string, { rate: number; errors: number }>();
  for (const { to, requestRate, errorShare } of edges.values()) {
    const sum = rates.get(to) ?? { rate: 0, errors: 0 };
    rates.set(to, { rate: sum.rate + requestRate, errors: sum.errors + requestRate * errorShare });
  }
  const nodes = new Map(
    [...mesh.nodes].map(([key, before]) => {
      const { rate = 0, errors = 0 } = rates.get(key) ?? {};
      const errorShare = rate === 0 ? 0 : round(errors / rate);
      const health = healthOf(errorShare, rate);
      return [
        key,
        {
          ...before,
          requestRate: round(rate),
          errorShare,
          health,
          reason:
            health === "healthy" || health === "idle" ? "" : `${(errorShare * 100).toFixed(1)} % of its requests fail`,
        },
      ] as const;
    }),
  );
  return { ...mesh, nodes, edges };
}

const period = 60_000;
const failingMs = 15_000;
/** Seconds between two changes of an edge. Most edges of a real mesh change rarely too. */
const quiet = 4;

function moved(before: GraphEdge, index: number, atMs: number): GraphEdge {
  const second = Math.floor(atMs / 1_000);
  const isFailing = before.to.endsWith("/payments-v1") && atMs % period < failingMs;
  const at = second - ((second + index) % quiet);
  const wave = 1 + 0.3 * Math.sin(at / 9 + index);
  const requestRate = round(before.requestRate * wave);
  const errorShare = isFailing ? 0.12 : before.errorShare;
  const failed = round(requestRate * errorShare);
  return {
    ...before,
    requestRate,
    errorShare,
    responses: failed === 0 ? { "200": requestRate } : { "200": round(requestRate - failed), "503 UF": failed },
    p50Ms: round(4 * wave),
    p95Ms: round(12 * wave),
    p99Ms: round((isFailing ? 400 : 30) * wave),
    byteRate: Math.round(requestRate * 1_800),
    health: healthOf(errorShare, requestRate),
  };
}

function healthOf(errorShare: number, rate: number): Health {
  if (rate === 0) return "idle";
  if (errorShare > 0.05) return "failing";
  return errorShare > 0.005 ? "degraded" : "healthy";
}

function node(given: Partial<GraphNode> & Pick<GraphNode, "kind" | "namespace" | "name">): GraphNode {
  return {
    app: given.name,
    version: "",
    revision: "1-31-0",
    dataPlane: "none",
    health: "healthy",
    reason: "",
    podsReady: 2,
    pods: 2,
    requestRate: 0,
    errorShare: 0,
    rollout: "",
    ...given,
  };
}

function edge(from: string, to: string, requestRate: number, service: string): GraphEdge {
  const isExternal = to.startsWith("external/");
  const weight = to.endsWith("-v2") ? 20 : to.endsWith("checkout-v1") ? 80 : undefined;
  return {
    from,
    to,
    protocol: "http",
    requestRate,
    errorShare: 0,
    clientErrorShare: 0.001,
    responses: { "200": requestRate },
    byteRate: 0,
    openedRate: 0.1,
    mutualTlsShare: isExternal || from === "unknown" ? 0 : 1,
    health: "healthy",
    service,
    ...(weight === undefined ? {} : { configuredWeight: weight, measuredShare: weight / 100 + 0.012 }),
    route: weight === undefined ? "" : "route/shop/checkout",
  };
}

function namespaceName(index: number): string {
  const base = namespaceNames[index % namespaceNames.length] ?? "shop";
  const round = Math.floor(index / namespaceNames.length);
  return round === 0 ? base : `${base}-${round + 1}`;
}

function round(value: number): number {
  return Math.round(value * 1_000) / 1_000;
}
