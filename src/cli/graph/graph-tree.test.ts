import assert from "node:assert/strict";
import { test } from "node:test";
import type { GraphEdge, GraphNode, GraphView } from "../../api/dashboard/index.ts";
import { renderDot, renderGraph } from "./graph-tree.ts";

const node = (name: string, more: Partial<GraphNode> = {}): GraphNode => ({
  kind: "workload",
  namespace: "shop",
  name,
  app: name,
  version: "",
  revision: "",
  dataPlane: "ambient",
  health: "healthy",
  reason: "",
  podsReady: 1,
  pods: 1,
  requestRate: 0,
  errorShare: 0,
  rollout: "",
  ...more,
});
const edge = (from: string, to: string, more: Partial<GraphEdge> = {}): GraphEdge => ({
  from,
  to,
  protocol: "http",
  requestRate: 10,
  errorShare: 0,
  clientErrorShare: 0,
  responses: {},
  p50Ms: 3,
  p99Ms: 25,
  byteRate: 0,
  openedRate: 0,
  mutualTlsShare: 1,
  health: "healthy",
  service: `shop/${to}`,
  route: "",
  ...more,
});

function view(nodes: Record<string, GraphNode>, edges: readonly GraphEdge[]): GraphView {
  return {
    head: { atMs: 0, sources: [], windowSeconds: 60, shownAtMs: 0, live: true, namespaces: [], omitted: 0 },
    tables: { nodes, edges: Object.fromEntries(edges.map((one, index) => [String(index), one])), routes: {} },
  };
}

const shop = view(
  {
    gate: node("gate", { kind: "gateway" }),
    web: node("web"),
    v1: node("cart-v1"),
    v2: node("cart-v2", { health: "failing" }),
    idle: node("report"),
  },
  [
    edge("gate", "web"),
    edge("web", "v1", { requestRate: 9, configuredWeight: 90, measuredShare: 0.9 }),
    edge("web", "v2", {
      requestRate: 1,
      configuredWeight: 10,
      measuredShare: 0.1,
      errorShare: 0.25,
      health: "failing",
    }),
  ],
);

test("called workloads are listed below their caller, with measured and configured shares", () => {
  const lines = renderGraph(shop, { columns: undefined, colour: false }).split("\n");
  assert.match(lines[0] ?? "", /^WHO +NAMESPACE +RATE +ERRORS +P50 +P99 +SECURED +SHARE +OF +BY$/);
  assert.match(lines[1] ?? "", /^✔ gate \(gateway\) +shop$/);
  assert.match(lines[2] ?? "", /^└─ ✔ web +shop +10\.0\/s +0 % +3 ms +25 ms +mTLS +shop\/web$/);
  assert.match(lines[3] ?? "", /^ {3}├─ ✔ cart-v1 .* 90 % +90 % /);
  assert.match(lines[4] ?? "", /^ {3}└─ ✘ cart-v2 .* 1\.00\/s +25 % .* 10 % +10 % /);
  assert.equal(lines[6], "without traffic: shop/report");
});

test("no line is wider than the terminal, and the least important columns are dropped first", () => {
  for (const columns of [50, 80, 100]) {
    const text = renderGraph(shop, { columns, colour: false });
    assert.ok(
      text.split("\n").every((line) => line.length <= columns),
      text,
    );
    assert.match(text, /RATE +ERRORS/);
  }
  assert.doesNotMatch(renderGraph(shop, { columns: 80, colour: false }), / BY$/m);
});

test("a cycle is followed once, and its sign explained", () => {
  const ring = view({ a: node("a"), b: node("b") }, [edge("a", "b"), edge("b", "a")]);
  const lines = renderGraph(ring, { columns: undefined, colour: false }).trimEnd().split("\n").slice(1);
  assert.deepEqual(
    lines.map((line) => line.split(/ {2,}(?=shop)/)[0]?.trimEnd()),
    ["✔ a", "└─ ✔ b", "   └─ ✔ a ↺", "↺ cycle"],
  );
});

test("the output for a mesh without traffic says so", () => {
  assert.match(
    renderGraph(view({ a: node("a") }, []), { columns: 80, colour: false }),
    /^the proxies have not reported any traffic yet\n\nwithout traffic: shop\/a\n$/,
  );
});

test("names in Graphviz output are quoted", () => {
  assert.match(
    renderDot(view({ 'a"b': node('a"b'), c: node("c") }, [edge('a"b', "c")])),
    /"a\\"b" -> "c" \[label="10\.0\/s, p99 25 ms"\];/,
  );
});

test("in a narrow terminal, only names of another namespace than the caller's show it", () => {
  const two = view(
    {
      a: node("load", { namespace: "one" }),
      b: node("load", { namespace: "two" }),
      web: node("web", { namespace: "two" }),
    },
    [edge("a", "web"), edge("b", "web")],
  );
  const text = renderGraph(two, { columns: 48, colour: false });
  assert.doesNotMatch(text, /NAMESPACE/);
  assert.match(text, /^✔ load, one$/m);
  assert.match(text, /^└─ ✔ web, two /m);
  assert.match(text, /^✔ load, two$/m);
  assert.match(text, /^└─ ✔ web {2,}/m);
});

test("an unknown caller, such as a client outside the mesh, is explained below the tree", () => {
  const unknown = node("unknown", { kind: "unknown", namespace: "" });
  const called = view({ unknown, web: node("web") }, [edge("unknown", "web")]);
  const lines = renderGraph(called, { columns: 50, colour: false }).trimEnd().split("\n");
  assert.match(lines[1] ?? "", /^✔ unknown$/);
  assert.equal(lines.at(-1), "unknown: outside the mesh, or hidden from you");
  assert.doesNotMatch(renderGraph(shop, { columns: 50, colour: false }), /^unknown:/m);
});
