import assert from "node:assert/strict";
import { test } from "node:test";
import type { GraphEdge, GraphNode, GraphView } from "../../../api/dashboard/index.ts";
import { displayGraph, searchNodes, type GraphFilters } from "./display-graph.ts";

const noFilters: GraphFilters = {
  protocols: new Set(),
  health: new Set(),
  hideIdle: false,
  minimumRate: 0,
  showHops: false,
};

function node(name: string, more: Partial<GraphNode> = {}): GraphNode {
  return {
    kind: "workload",
    namespace: "shop",
    name,
    app: name.replace(/-v\d$/, ""),
    version: /-(v\d)$/.exec(name)?.[1] ?? "",
    revision: "default",
    dataPlane: "sidecar",
    health: "healthy",
    reason: "",
    podsReady: 1,
    pods: 1,
    requestRate: 1,
    errorShare: 0,
    rollout: "",
    ...more,
  };
}

function edge(from: string, to: string, more: Partial<GraphEdge> = {}): GraphEdge {
  return {
    from,
    to,
    protocol: "http",
    requestRate: 5,
    errorShare: 0,
    clientErrorShare: 0,
    responses: {},
    byteRate: 0,
    openedRate: 0,
    health: "healthy",
    service: "",
    route: "",
    ...more,
  };
}

function view(nodes: readonly GraphNode[], edges: readonly GraphEdge[]): GraphView {
  return {
    head: { atMs: 0, sources: [], windowSeconds: 60, shownAtMs: 0, live: true, namespaces: ["shop"], omitted: 0 },
    tables: {
      nodes: Object.fromEntries(nodes.map((one) => [one.name, one])),
      edges: Object.fromEntries(edges.map((one) => [`${one.from}>${one.to}`, one])),
      routes: {},
    },
  };
}

const shop = view(
  [
    node("web"),
    node("cart-v1"),
    node("cart-v2", { health: "failing" }),
    node("queue", { requestRate: 0, health: "idle" }),
    node("db.example", { kind: "external", namespace: "" }),
  ],
  [
    edge("web", "cart-v1"),
    edge("web", "cart-v2", { requestRate: 0.2 }),
    edge("cart-v1", "db.example", { protocol: "tcp", requestRate: 0, openedRate: 2, byteRate: 900 }),
    edge("web", "queue", { requestRate: 0, health: "idle" }),
  ],
);

test("several versions of an app form one stack", () => {
  const { nodes } = displayGraph(shop, "versionedApp", noFilters);
  assert.deepEqual(
    [...nodes.values()].map(({ key, title, stack, box }) => [key, title, stack, box]),
    [
      ["web", "web", "", "shop"],
      ["cart-v1", "v1", "shop/cart", "shop"],
      ["cart-v2", "v2", "shop/cart", "shop"],
      ["queue", "queue", "", "shop"],
      ["db.example", "db.example", "", ""],
    ],
  );
  assert.equal(displayGraph(shop, "workload", noFilters).nodes.get("cart-v2")?.stack, "");
});

test("hiding idle nodes keeps TCP that moves bytes, and removes unreachable nodes", () => {
  const { nodes, edges, nodeCount } = displayGraph(shop, "workload", { ...noFilters, hideIdle: true });
  assert.deepEqual([...nodes.keys()], ["web", "cart-v1", "cart-v2", "db.example"]);
  assert.equal(edges.length, 3);
  assert.equal(nodeCount, 5);
});

test("a filter by health keeps the edges of an unhealthy node with their other ends", () => {
  const { nodes, edges } = displayGraph(shop, "workload", { ...noFilters, health: new Set(["failing"]) });
  assert.deepEqual([...nodes.keys()], ["web", "cart-v2"]);
  assert.deepEqual(
    edges.map(({ key }) => key),
    ["web>cart-v2"],
  );
});

test("the minimum rate counts connections for TCP, and the protocol list covers the whole view", () => {
  const { edges, protocols } = displayGraph(shop, "workload", { ...noFilters, minimumRate: 1 });
  assert.deepEqual(
    edges.map(({ key }) => key),
    ["web>cart-v1", "cart-v1>db.example"],
  );
  assert.deepEqual(protocols, ["http", "tcp"]);
});

test("connections through a waypoint are left out if their requests have edges of their own", () => {
  const tcp = { protocol: "tcp", requestRate: 0, openedRate: 1 };
  const ambient = view(
    [node("web"), node("cart"), node("queue"), node("waypoint", { kind: "waypoint" })],
    [edge("web", "cart"), edge("web", "waypoint", tcp), edge("waypoint", "cart", tcp), edge("waypoint", "queue", tcp)],
  );
  const keys = (showHops: boolean): string[] =>
    displayGraph(ambient, "workload", { ...noFilters, showHops }).edges.map(({ key }) => key);
  assert.deepEqual(keys(false), ["web>cart", "waypoint>queue"]);
  assert.equal(keys(true).length, 4);
  const unwell = view(Object.values(ambient.tables.nodes), [
    edge("web", "cart"),
    edge("web", "waypoint", { ...tcp, health: "failing" }),
    edge("waypoint", "cart", tcp),
  ]);
  assert.equal(displayGraph(unwell, "workload", noFilters).edges.length, 2);
});

test("an edge to a node outside the view is not drawn", () => {
  assert.equal(displayGraph(view([node("web")], [edge("web", "gone")]), "workload", noFilters).edges.length, 0);
});

test("a search matches every word, exact names first", () => {
  const graph = displayGraph(shop, "workload", noFilters);
  assert.deepEqual(searchNodes(graph, "cart"), ["cart-v1", "cart-v2"]);
  assert.deepEqual(searchNodes(graph, "shop v2"), ["cart-v2"]);
  assert.deepEqual(searchNodes(graph, "web"), ["web"]);
  assert.deepEqual(searchNodes(graph, "  "), []);
});
