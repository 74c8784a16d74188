import assert from "node:assert/strict";
import { test } from "node:test";
import { arrange, type LayoutNode, type LayoutRequest, type Places } from "./arrange.ts";
import { edgeKey, frames, keepPlaces, mayKeepPlaces, type KnownLayout, type Rectangle } from "./keep-places.ts";

const size = { width: 168, height: 40 };
const card = (box: string, name: string, stack = ""): LayoutNode => ({ key: `${box}/${name}`, box, stack, ...size });
const link = (from: string, to: string): { from: string; to: string } => ({ from, to });

const shop: LayoutRequest = {
  nodes: [
    card("edge", "gateway"),
    card("shop", "web"),
    card("shop", "cart-v1", "shop/cart"),
    card("shop", "cart-v2", "shop/cart"),
    card("shop", "lone"),
    card("data", "db"),
    { key: "unknown", box: "", stack: "", ...size },
  ],
  edges: [
    link("unknown", "edge/gateway"),
    link("edge/gateway", "shop/web"),
    link("shop/web", "shop/cart-v1"),
    link("shop/web", "shop/cart-v2"),
    link("shop/cart-v1", "data/db"),
    link("shop/cart-v2", "data/db"),
    link("data/db", "shop/web"),
  ],
};

function mesh(namespaces: number, cards: number, calls: number): LayoutRequest {
  const nodes = Array.from({ length: namespaces * cards }, (_, index) =>
    card(`ns-${index % namespaces}`, `app-${index}`),
  );
  const edges = Array.from({ length: calls }, (_, index) => {
    const from = (index * 7919) % nodes.length;
    const to = (from + 1 + ((index * 104_729) % 37)) % nodes.length;
    return link(nodes[from]?.key ?? "", nodes[to]?.key ?? "");
  });
  return { nodes, edges };
}

function known(request: LayoutRequest): KnownLayout {
  return { places: arrange(request), edges: new Set(request.edges.map(({ from, to }) => edgeKey(from, to))) };
}

function overlaps(rectangles: readonly Rectangle[]): string[] {
  return rectangles.flatMap((a, index) =>
    rectangles
      .slice(index + 1)
      .flatMap((b) =>
        a.x < b.x + b.width && b.x < a.x + a.width && a.y < b.y + b.height && b.y < a.y + a.height
          ? [`${a.key} and ${b.key}`]
          : [],
      ),
  );
}

function assertTidy({ nodes }: LayoutRequest, places: Places): void {
  const cards = nodes.map(({ key, width, height }) => ({
    key,
    x: (places.get(key)?.x ?? NaN) - width / 2,
    y: (places.get(key)?.y ?? NaN) - height / 2,
    width,
    height,
  }));
  assert.deepEqual(
    cards.filter(({ x, y }) => Number.isNaN(x) || Number.isNaN(y)).map(({ key }) => key),
    [],
  );
  assert.deepEqual(overlaps(cards), []);
  const { boxes, stacks } = frames(nodes, places);
  assert.deepEqual(overlaps(boxes), []);
  assert.deepEqual(overlaps(stacks), []);
}

test("cards, stacks and boxes do not overlap, and calls run from left to right", () => {
  const places = arrange(shop);
  assertTidy(shop, places);
  const x = (key: string): number => places.get(key)?.x ?? NaN;
  assert.ok(x("unknown") < x("edge/gateway") && x("edge/gateway") < x("shop/web") && x("shop/web") < x("shop/cart-v1"));
  assert.equal(x("shop/cart-v1"), x("shop/cart-v2"));
});

test("the layout of a mesh does not depend on the order of its rows", () => {
  const shuffled: LayoutRequest = { nodes: shop.nodes.toReversed(), edges: shop.edges.toReversed() };
  assert.deepEqual(Object.fromEntries(arrange(shuffled)), Object.fromEntries(arrange(shop)));
});

test("500 workloads in 20 namespaces, and 300 in one, are laid out without overlap", () => {
  for (const request of [mesh(20, 25, 2000), mesh(1, 300, 900)]) assertTidy(request, arrange(request));
});

test("a new version stands below its predecessor, and moves only what is below it", () => {
  const before = known(shop);
  const request: LayoutRequest = {
    nodes: [...shop.nodes, card("shop", "cart-v3", "shop/cart")],
    edges: [...shop.edges, link("shop/web", "shop/cart-v3")],
  };
  assert.ok(mayKeepPlaces(before, request));
  const places = keepPlaces(before, request);
  assertTidy(request, places);
  const two = before.places.get("shop/cart-v2");
  assert.equal(places.get("shop/cart-v3")?.x, two?.x);
  assert.ok((places.get("shop/cart-v3")?.y ?? 0) > (two?.y ?? 0));
  for (const key of ["edge/gateway", "shop/web", "shop/cart-v1", "shop/cart-v2", "data/db"])
    assert.deepEqual(places.get(key), before.places.get(key), key);
});

test("the second version of an app creates a stack around the first, which stays in place", () => {
  const alone: LayoutRequest = {
    nodes: [card("shop", "web"), card("shop", "cart-v1"), card("shop", "other")],
    edges: [link("shop/web", "shop/cart-v1"), link("shop/web", "shop/other")],
  };
  const request: LayoutRequest = {
    nodes: [
      card("shop", "web"),
      card("shop", "cart-v1", "shop/cart"),
      card("shop", "cart-v2", "shop/cart"),
      card("shop", "other"),
    ],
    edges: alone.edges,
  };
  const before = known(alone);
  const places = keepPlaces(before, request);
  assertTidy(request, places);
  assert.equal(places.get("shop/cart-v1")?.x, before.places.get("shop/cart-v1")?.x);
});

test("a node that disappears and returns gets its old place", () => {
  const before = known(shop);
  const without: LayoutRequest = { nodes: shop.nodes.filter(({ key }) => key !== "shop/lone"), edges: shop.edges };
  const between: KnownLayout = { places: keepPlaces(before, without), edges: before.edges };
  assert.deepEqual(keepPlaces(between, shop).get("shop/lone"), before.places.get("shop/lone"));
});

test("a large mesh with a few new cards keeps every other card within its column", () => {
  const request = mesh(20, 25, 2000);
  const before = known(request);
  const next: LayoutRequest = {
    nodes: [...request.nodes, card("ns-3", "new-a"), card("ns-9", "new-b")],
    edges: [...request.edges, link("ns-3/app-3", "ns-3/new-a")],
  };
  const places = keepPlaces(before, next);
  assertTidy(next, places);
  const moved = request.nodes.filter(({ key }) => places.get(key)?.y !== before.places.get(key)?.y).length;
  assert.ok(request.nodes.every(({ key }) => places.get(key)?.x === before.places.get(key)?.x));
  assert.ok(moved < 150, `${moved} moved`);
});

test("many new nodes cause a new layout", () => {
  const before = known(shop);
  assert.equal(mayKeepPlaces(before, mesh(3, 5, 20)), false);
  assert.equal(mayKeepPlaces(before, { nodes: shop.nodes.slice(0, 2), edges: [] }), false);
  assert.equal(mayKeepPlaces(before, { nodes: shop.nodes, edges: shop.edges.slice(1) }), true);
});
