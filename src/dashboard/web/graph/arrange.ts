import { Graph, layout as dagreLayout } from "@dagrejs/dagre";
import {
  foldColumns,
  layeredLayout,
  placeColumns,
  type Corner,
  type ItemEdge,
  type ItemLayout,
  type LayoutItem,
} from "./layered-layout.ts";
import { packItems } from "./pack-items.ts";

export interface LayoutNode {
  readonly key: string;
  readonly box: string;
  readonly stack: string;
  readonly width: number;
  readonly height: number;
}

export interface LayoutRequest {
  readonly nodes: readonly LayoutNode[];
  readonly edges: readonly ItemEdge[];
}

/** The centres of cards. `frames` computes the boxes and stacks around them. */
export type Places = ReadonlyMap<string, Corner>;

export const gaps = {
  betweenRanks: 88,
  betweenCards: 18,
  inStack: 10,
  stackSide: 10,
  stackTop: 26,
  boxSide: 18,
  boxTop: 36,
  betweenBoxes: 56,
} as const;

/** With more items than this, dagre takes too long. */
const maxDagreItems = 60;
const maxDagreEdges = 140;
const boxAspect = 1.5;
const pageAspect = 2;

/**
 * Arranges the cards within their boxes, and the boxes by the traffic between them. The same request always gives the
 * same places.
 */
export function arrange({ nodes, edges }: LayoutRequest): Places {
  const unitOf = new Map<string, string>();
  const boxOf = new Map<string, string>();
  const boxes = new Map<string, Map<string, LayoutNode[]>>();
  for (const node of nodes.toSorted((a, b) => a.key.localeCompare(b.key))) {
    const box = node.box === "" ? `card ${node.key}` : `box ${node.box}`;
    const unit = node.stack === "" ? `card ${node.key}` : `stack ${node.stack}`;
    unitOf.set(node.key, unit);
    boxOf.set(node.key, box);
    const units = boxes.get(box) ?? new Map<string, LayoutNode[]>();
    boxes.set(box, units);
    units.set(unit, [...(units.get(unit) ?? []), node]);
  }
  const inner = new Map<string, ItemEdge[]>();
  const outer: ItemEdge[] = [];
  for (const { from, to } of edges) {
    const box = boxOf.get(from);
    const other = boxOf.get(to);
    if (box === undefined || other === undefined) continue;
    if (box !== other) outer.push({ from: box, to: other });
    else inner.set(box, [...(inner.get(box) ?? []), { from: unitOf.get(from) ?? "", to: unitOf.get(to) ?? "" }]);
  }
  const layouts = new Map<string, ItemLayout>();
  const items: LayoutItem[] = [];
  for (const [box, units] of boxes) {
    const laid = arrangeBox(
      [...units].map(([key, members]) => unitItem(key, members)),
      distinct(inner.get(box) ?? []),
    );
    layouts.set(box, laid);
    const framed = box.startsWith("box ");
    items.push({
      key: box,
      width: laid.width + (framed ? 2 * gaps.boxSide : 0),
      height: laid.height + (framed ? gaps.boxTop + gaps.boxSide : 0),
    });
  }
  const page = arrangeBoxes(items, distinct(outer));
  const places = new Map<string, Corner>();
  for (const [box, units] of boxes) {
    const corner = page.corners.get(box) ?? { x: 0, y: 0 };
    const framed = box.startsWith("box ");
    const laid = layouts.get(box);
    for (const [unit, members] of units) {
      const at = laid?.corners.get(unit) ?? { x: 0, y: 0 };
      let y = corner.y + at.y + (framed ? gaps.boxTop : 0) + (unit.startsWith("stack ") ? gaps.stackTop : 0);
      const x = corner.x + at.x + (framed ? gaps.boxSide : 0) + (unit.startsWith("stack ") ? gaps.stackSide : 0);
      for (const { key, width, height } of members) {
        places.set(key, { x: x + width / 2, y: y + height / 2 });
        y += height + gaps.inStack;
      }
    }
  }
  return places;
}

function unitItem(key: string, members: readonly LayoutNode[]): LayoutItem {
  const stacked = key.startsWith("stack ");
  const height = members.reduce((sum, node) => sum + node.height + gaps.inStack, -gaps.inStack);
  return {
    key,
    width: Math.max(...members.map(({ width }) => width)) + (stacked ? 2 * gaps.stackSide : 0),
    height: height + (stacked ? gaps.stackTop + gaps.stackSide : 0),
  };
}

/**
 * Arranges connected cards along their edges. Groups without a connection to each other, and single cards, are placed
 * side by side.
 */
function arrangeBox(items: readonly LayoutItem[], edges: readonly ItemEdge[]): ItemLayout {
  const parts = connectedParts(items, edges);
  const corners = new Map<string, Corner>();
  const laid = parts.filter((part) => part.length > 1).map((part) => layoutPart(part, edges));
  const alone = parts.flatMap((part) => (part.length === 1 ? part : []));
  if (alone.length > 0) laid.push(packItems(alone, gaps.betweenCards, gaps.betweenCards, boxAspect));
  const packed = packItems(
    laid.map(({ width, height }, index) => ({ key: String(index), width, height })),
    gaps.betweenRanks / 2,
    gaps.betweenCards * 1.5,
    boxAspect,
  );
  for (const [index, part] of laid.entries()) {
    const offset = packed.corners.get(String(index)) ?? { x: 0, y: 0 };
    for (const [key, corner] of part.corners) corners.set(key, { x: corner.x + offset.x, y: corner.y + offset.y });
  }
  return { corners, width: packed.width, height: packed.height };
}

function layoutPart(part: readonly LayoutItem[], edges: readonly ItemEdge[]): ItemLayout {
  const keys = new Set(part.map(({ key }) => key));
  const own = edges.filter(({ from, to }) => keys.has(from) && keys.has(to));
  if (part.length > maxDagreItems || own.length > maxDagreEdges)
    return layeredLayout(part, own, gaps.betweenRanks, gaps.betweenCards);
  return byDagre(part, own, gaps.betweenRanks, gaps.betweenCards);
}

function arrangeBoxes(items: readonly LayoutItem[], edges: readonly ItemEdge[]): ItemLayout {
  const connected = new Set(edges.flatMap(({ from, to }) => [from, to]));
  const linked = items.filter(({ key }) => connected.has(key));
  const alone = items.filter(({ key }) => !connected.has(key));
  let laid =
    linked.length === 0 ? { corners: new Map<string, Corner>(), width: 0, height: 0 } : layoutPartOfPage(linked, edges);
  const covered = linked.reduce((sum, { width, height }) => sum + width * height, 0);
  // If every card calls every other, the edges have no direction. An arrangement along them would only waste space.
  if (
    linked.length > 4 &&
    (laid.width > laid.height * 3.2 || laid.height > laid.width * 2 || covered < laid.width * laid.height * 0.3)
  ) {
    const corners = laid.corners;
    const order = linked.toSorted(
      (a, b) => (corners.get(a.key)?.x ?? 0) - (corners.get(b.key)?.x ?? 0) || a.key.localeCompare(b.key),
    );
    laid = packItems(order, gaps.betweenBoxes, gaps.betweenBoxes, pageAspect);
  }
  if (alone.length === 0) return laid;
  const rest = packItems(alone, gaps.betweenBoxes / 2, gaps.betweenBoxes / 2, Math.max(pageAspect, 3));
  const top = laid.height === 0 ? 0 : laid.height + gaps.betweenBoxes;
  const corners = new Map(laid.corners);
  for (const [key, { x, y }] of rest.corners) corners.set(key, { x, y: y + top });
  return { corners, width: Math.max(laid.width, rest.width), height: top + rest.height };
}

function layoutPartOfPage(items: readonly LayoutItem[], edges: readonly ItemEdge[]): ItemLayout {
  if (items.length > maxDagreItems || edges.length > maxDagreEdges)
    return layeredLayout(items, edges, gaps.betweenRanks, gaps.betweenBoxes);
  return byDagre(items, edges, gaps.betweenRanks, gaps.betweenBoxes);
}

function byDagre(items: readonly LayoutItem[], edges: readonly ItemEdge[], gapX: number, gapY: number): ItemLayout {
  const graph = new Graph<
    { rankdir: string; nodesep: number; ranksep: number; ranker: string },
    { width: number; height: number; x?: number; y?: number },
    object
  >();
  graph.setGraph({ rankdir: "LR", nodesep: gapY, ranksep: gapX, ranker: "tight-tree" });
  graph.setDefaultEdgeLabel(() => ({}));
  for (const { key, width, height } of items) graph.setNode(key, { width, height });
  for (const { from, to } of edges) if (from !== to) graph.setEdge(from, to);
  dagreLayout(graph);
  const sizes = new Map(items.map((item) => [item.key, item]));
  const corners = new Map<string, Corner>();
  const columns = new Map<number, string[]>();
  for (const { key, width, height } of items) {
    const { x = 0, y = 0 } = graph.node(key);
    corners.set(key, { x: x - width / 2, y: y - height / 2 });
    const column = Math.round(x);
    columns.set(column, [...(columns.get(column) ?? []), key]);
  }
  const laid = fromOrigin(corners, sizes);
  if (laid.height < 1000 || laid.height < laid.width * 1.6) return laid;
  const inOrder = [...columns]
    .sort(([a], [b]) => a - b)
    .map(([, keys]) => keys.sort((a, b) => (corners.get(a)?.y ?? 0) - (corners.get(b)?.y ?? 0)));
  return placeColumns(foldColumns(inOrder, sizes, Math.max(700, laid.height / 3), gapY), sizes, gapX, gapY);
}

function fromOrigin(corners: ReadonlyMap<string, Corner>, sizes: ReadonlyMap<string, LayoutItem>): ItemLayout {
  let left = Infinity;
  let top = Infinity;
  let right = 0;
  let bottom = 0;
  for (const [key, { x, y }] of corners) {
    const size = sizes.get(key);
    left = Math.min(left, x);
    top = Math.min(top, y);
    right = Math.max(right, x + (size?.width ?? 0));
    bottom = Math.max(bottom, y + (size?.height ?? 0));
  }
  return {
    corners: new Map([...corners].map(([key, { x, y }]) => [key, { x: x - left, y: y - top }])),
    width: right - left,
    height: bottom - top,
  };
}

function connectedParts(items: readonly LayoutItem[], edges: readonly ItemEdge[]): readonly (readonly LayoutItem[])[] {
  const parent = new Map(items.map(({ key }) => [key, key]));
  const rootOf = (key: string): string => {
    let root = key;
    for (let up = parent.get(root) ?? root; up !== root; up = parent.get(root) ?? root) root = up;
    parent.set(key, root);
    return root;
  };
  for (const { from, to } of edges) parent.set(rootOf(from), rootOf(to));
  const parts = new Map<string, LayoutItem[]>();
  for (const item of items) {
    const root = rootOf(item.key);
    parts.set(root, [...(parts.get(root) ?? []), item]);
  }
  return [...parts.values()].sort((a, b) => b.length - a.length || (a[0]?.key ?? "").localeCompare(b[0]?.key ?? ""));
}

function distinct(edges: readonly ItemEdge[]): readonly ItemEdge[] {
  const seen = new Map<string, ItemEdge>();
  for (const edge of edges) if (edge.from !== edge.to) seen.set(`${edge.from}\n${edge.to}`, edge);
  return [...seen.values()].sort((a, b) => a.from.localeCompare(b.from) || a.to.localeCompare(b.to));
}
