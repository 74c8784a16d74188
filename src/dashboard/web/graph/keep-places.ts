import { gaps, type LayoutNode, type LayoutRequest, type Places } from "./arrange.ts";
import type { Corner } from "./layered-layout.ts";

/** The last layout. Its places include those of some removed cards, which may return. */
export interface KnownLayout {
  readonly places: Places;
  readonly edges: ReadonlySet<string>;
}

/** How many places of removed cards are remembered. */
const maxRemembered = 1000;
const maxNewNodes = 0.3;
const maxNewEdges = 0.4;

export const edgeKey = (from: string, to: string): string => `${from}\n${to}`;

/**
 * Whether the graph has changed so little that the cards can keep their places. If not, everything is arranged again.
 */
export function mayKeepPlaces(known: KnownLayout, { nodes, edges }: LayoutRequest): boolean {
  if (nodes.length === 0) return true;
  const unknown = nodes.filter(({ key }) => !known.places.has(key)).length;
  if (unknown > Math.max(2, nodes.length * maxNewNodes)) return false;
  if (nodes.length < known.places.size * 0.4) return false;
  const unknownEdges = edges.filter(({ from, to }) => !known.edges.has(edgeKey(from, to))).length;
  return unknownEdges <= Math.max(3, edges.length * maxNewEdges);
}

/** What other cards can push down: a card, or a stack of cards with its frame. */
interface Unit {
  readonly key: string;
  readonly members: LayoutNode[];
  left: number;
  top: number;
  right: number;
  bottom: number;
}

/**
 * Leaves known cards in their places, and puts new ones near related cards: below other versions of their app, to the
 * right of their callers, or to the left of cards that they call. A new card without related ones goes to the bottom of
 * its box. Cards that a new one would overlap move down within their column, and boxes that overlap move apart.
 */
export function keepPlaces(known: KnownLayout, request: LayoutRequest): Places {
  const places = new Map<string, Corner>();
  const boxes = new Map<string, LayoutNode[]>();
  const fresh: LayoutNode[] = [];
  for (const node of request.nodes) {
    const box = node.box === "" ? `card ${node.key}` : `box ${node.box}`;
    boxes.set(box, [...(boxes.get(box) ?? []), node]);
    const at = known.places.get(node.key);
    if (at === undefined) fresh.push(node);
    else places.set(node.key, at);
  }
  if (fresh.length > 0) {
    for (const node of fresh.sort((a, b) => a.key.localeCompare(b.key)))
      places.set(node.key, placeNew(node, request, places));
    for (const nodes of boxes.values()) pushApartInBox(nodes, places, new Set(fresh.map(({ key }) => key)));
    pushBoxesApart(
      boxes,
      places,
      new Set(fresh.map((node) => (node.box === "" ? `card ${node.key}` : `box ${node.box}`))),
    );
  }
  for (const [key, at] of known.places) {
    if (places.size >= request.nodes.length + maxRemembered) break;
    if (!places.has(key)) places.set(key, at);
  }
  return places;
}

function placeNew(node: LayoutNode, { nodes, edges }: LayoutRequest, places: Places): Corner {
  const byKey = new Map(nodes.map((node) => [node.key, node]));
  if (node.stack !== "") {
    const mates = nodes.filter((other) => other.stack === node.stack && places.has(other.key));
    const lowest = mates.map((mate) => places.get(mate.key) ?? { x: 0, y: 0 }).sort((a, b) => b.y - a.y)[0];
    if (lowest !== undefined) return { x: lowest.x, y: lowest.y + node.height + gaps.inStack };
  }
  const sameBox = (key: string): Corner | undefined => (byKey.get(key)?.box === node.box ? places.get(key) : undefined);
  const apart = (other: string): number =>
    (node.width + (byKey.get(other)?.width ?? node.width)) / 2 + gaps.betweenRanks;
  for (const { from, to } of edges) {
    const caller = to === node.key && from !== node.key ? sameBox(from) : undefined;
    if (caller !== undefined) return { x: caller.x + apart(from), y: caller.y };
    const called = from === node.key && to !== node.key ? sameBox(to) : undefined;
    if (called !== undefined && node.box === "") return { x: called.x - apart(to), y: called.y };
  }
  const standing = nodes
    .filter((other) => (node.box === "" || other.box === node.box) && places.has(other.key))
    .map((other) => places.get(other.key) ?? { x: 0, y: 0 });
  const left = Math.min(...(standing.length === 0 ? [0] : standing.map(({ x }) => x)));
  const bottom = Math.max(...(standing.length === 0 ? [lowestOf(places)] : standing.map(({ y }) => y)));
  return {
    x: left,
    y:
      bottom +
      node.height +
      (standing.length === 0 || node.box === "" ? gaps.betweenBoxes + gaps.boxTop : gaps.betweenCards),
  };
}

function lowestOf(places: Places): number {
  let lowest = 0;
  for (const { y } of places.values()) lowest = Math.max(lowest, y);
  return lowest;
}

/**
 * Moves down cards and stacks that overlap with others of their box. Of two that overlap, the higher one keeps its
 * place.
 */
function pushApartInBox(nodes: readonly LayoutNode[], places: Map<string, Corner>, fresh: ReadonlySet<string>): void {
  if (!nodes.some(({ key }) => fresh.has(key))) return;
  const inOrder = unitsOf(nodes, places).sort(
    (a, b) => a.top - b.top || Number(isFresh(a, fresh)) - Number(isFresh(b, fresh)) || a.left - b.left,
  );
  const settled: Unit[] = [];
  for (const unit of inOrder) {
    const before = unit.top;
    moveBelowAll(unit, settled);
    settled.push(unit);
    const down = unit.top - before;
    if (down === 0) continue;
    for (const { key } of unit.members) {
      const at = places.get(key);
      if (at !== undefined) places.set(key, { x: at.x, y: at.y + down });
    }
  }
}

function unitsOf(nodes: readonly LayoutNode[], places: Places): Unit[] {
  const units = new Map<string, Unit>();
  for (const node of nodes) {
    const at = places.get(node.key);
    if (at === undefined) continue;
    const isStacked = node.stack !== "";
    const key = isStacked ? `stack ${node.stack}` : `card ${node.key}`;
    const unit = units.get(key) ?? emptyUnit(key);
    units.set(key, unit);
    unit.members.push(node);
    const [side, top] = isStacked ? [gaps.stackSide, gaps.stackTop] : [0, 0];
    unit.left = Math.min(unit.left, at.x - node.width / 2 - side);
    unit.right = Math.max(unit.right, at.x + node.width / 2 + side);
    unit.top = Math.min(unit.top, at.y - node.height / 2 - top);
    unit.bottom = Math.max(unit.bottom, at.y + node.height / 2 + side);
  }
  return [...units.values()];
}

function emptyUnit(key: string): Unit {
  return { key, members: [], left: Infinity, top: Infinity, right: -Infinity, bottom: -Infinity };
}

function moveBelowAll(unit: Unit, others: readonly Unit[]): void {
  const height = unit.bottom - unit.top;
  for (let moved = true; moved;) {
    moved = false;
    for (const other of others) {
      if (!overlap(unit, other)) continue;
      unit.top = other.bottom + gaps.betweenCards;
      unit.bottom = unit.top + height;
      moved = true;
    }
  }
}

function overlap(unit: Unit, other: Unit): boolean {
  return (
    unit.left < other.right &&
    unit.right > other.left &&
    unit.top < other.bottom + gaps.inStack &&
    unit.bottom + gaps.inStack > other.top
  );
}

const isFresh = (unit: Unit, fresh: ReadonlySet<string>): boolean => unit.members.some(({ key }) => fresh.has(key));

function pushBoxesApart(
  boxes: ReadonlyMap<string, readonly LayoutNode[]>,
  places: Map<string, Corner>,
  grown: ReadonlySet<string>,
): void {
  const rectangles = [...boxes].map(([key, nodes]) => ({ key, nodes, ...boxRectangle(key, nodes, places) }));
  // A box that has grown keeps its place, because the user probably looks at it. Its neighbours move.
  const inOrder = rectangles.sort(
    (a, b) =>
      Number(grown.has(b.key) && b.nodes.length > 1) - Number(grown.has(a.key) && a.nodes.length > 1) ||
      a.top - b.top ||
      a.left - b.left,
  );
  const settled: typeof rectangles = [];
  for (const box of inOrder) {
    let down = 0;
    for (let moved = true; moved;) {
      moved = false;
      for (const other of settled) {
        if (
          box.left >= other.right ||
          box.right <= other.left ||
          box.top + down >= other.bottom ||
          box.bottom + down <= other.top
        )
          continue;
        down = other.bottom + gaps.betweenBoxes / 2 - box.top;
        moved = true;
      }
    }
    settled.push({ ...box, top: box.top + down, bottom: box.bottom + down });
    if (down === 0) continue;
    for (const { key } of box.nodes) {
      const at = places.get(key);
      if (at !== undefined) places.set(key, { x: at.x, y: at.y + down });
    }
  }
}

function boxRectangle(
  key: string,
  nodes: readonly LayoutNode[],
  places: Places,
): { left: number; top: number; right: number; bottom: number } {
  const framed = key.startsWith("box ");
  let left = Infinity;
  let top = Infinity;
  let right = -Infinity;
  let bottom = -Infinity;
  for (const node of nodes) {
    const at = places.get(node.key);
    if (at === undefined) continue;
    const stacked = node.stack !== "";
    left = Math.min(left, at.x - node.width / 2 - (framed ? gaps.boxSide : 0) - (stacked ? gaps.stackSide : 0));
    right = Math.max(right, at.x + node.width / 2 + (framed ? gaps.boxSide : 0) + (stacked ? gaps.stackSide : 0));
    top = Math.min(top, at.y - node.height / 2 - (framed ? gaps.boxTop : 0) - (stacked ? gaps.stackTop : 0));
    bottom = Math.max(bottom, at.y + node.height / 2 + (framed ? gaps.boxSide : 0) + (stacked ? gaps.stackSide : 0));
  }
  return { left, top, right, bottom };
}

export interface Rectangle {
  readonly key: string;
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

export function frames(
  nodes: readonly LayoutNode[],
  places: Places,
): { readonly boxes: readonly Rectangle[]; readonly stacks: readonly Rectangle[] } {
  const boxes = new Map<string, LayoutNode[]>();
  const stacks = new Map<string, LayoutNode[]>();
  for (const node of nodes) {
    if (node.box !== "") boxes.set(node.box, [...(boxes.get(node.box) ?? []), node]);
    if (node.stack !== "") stacks.set(node.stack, [...(stacks.get(node.stack) ?? []), node]);
  }
  const rectangle = (key: string, edges: { left: number; top: number; right: number; bottom: number }): Rectangle => ({
    key,
    x: edges.left,
    y: edges.top,
    width: edges.right - edges.left,
    height: edges.bottom - edges.top,
  });
  return {
    boxes: [...boxes].map(([key, members]) => rectangle(key, boxRectangle("box ", members, places))),
    stacks: [...stacks].map(([key, members]) => rectangle(key, boxRectangle("", members, places))),
  };
}
