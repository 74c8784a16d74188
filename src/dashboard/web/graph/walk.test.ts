import assert from "node:assert/strict";
import { test } from "node:test";
import type { GraphEdge, GraphNode } from "../../../api/dashboard/index.ts";
import type { DisplayGraph, DisplayNode } from "./display-graph.ts";
import { walk } from "./walk.ts";

const node = (key: string): DisplayNode => ({
  key,
  node: {} as GraphNode,
  title: key,
  subtitle: "",
  box: "",
  stack: "",
});
const nodes = new Map(["web", "cart", "ads", "db"].map((key) => [key, node(key)]));
const call = (from: string, to: string, requestRate: number): DisplayGraph["edges"][number] => ({
  key: `${from}>${to}`,
  edge: { from, to, protocol: "http", requestRate } as GraphEdge,
  from: node(from),
  to: node(to),
});
const graph: DisplayGraph = {
  nodes,
  edges: [call("web", "ads", 1), call("web", "cart", 9), call("cart", "db", 3)],
  nodeCount: 4,
  edgeCount: 3,
  protocols: [],
};
const places = new Map([
  ["web", { x: 0, y: 0 }],
  ["cart", { x: 300, y: 0 }],
  ["ads", { x: 300, y: 80 }],
  ["db", { x: 600, y: 10 }],
]);

test("right goes to the busiest callee, left to the caller, up and down to the neighbours", () => {
  assert.equal(walk(graph, places, "web", "right"), "cart");
  assert.equal(walk(graph, places, "cart", "right"), "db");
  assert.equal(walk(graph, places, "db", "left"), "cart");
  assert.equal(walk(graph, places, "cart", "down"), "ads");
  assert.equal(walk(graph, places, "ads", "up"), "cart");
  assert.equal(walk(graph, places, "db", "right"), undefined);
});

test("a walk without a start begins at the left", () => {
  assert.equal(walk(graph, places, "", "right"), "web");
});
