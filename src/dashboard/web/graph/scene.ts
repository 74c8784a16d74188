import type { Health } from "../../../api/dashboard/index.ts";
import type { LayoutNode, Places } from "./arrange.ts";
import { edgeRate, isMoving, type DisplayEdge, type DisplayGraph, type DisplayNode } from "./display-graph.ts";
import { curveLength, edgeCurve, pointOnCurve, type Curve, type Placed } from "./edge-curve.ts";
import { HitGrid } from "./hit-grid.ts";
import { frames, type Rectangle } from "./keep-places.ts";

const cardHeight = 42;
const cardWidths = { least: 172, greatest: 244 } as const;
/** The assumed widths of a letter in a title, and of what is beside the title. The layout does not know the fonts. */
const letterWidth = 8.4;
const besideTitle = 48;

function cardSize(title: string): { readonly width: number; readonly height: number } {
  return {
    width: Math.round(
      Math.min(cardWidths.greatest, Math.max(cardWidths.least, besideTitle + title.length * letterWidth)),
    ),
    height: cardHeight,
  };
}

export interface SceneNode extends Placed {
  readonly key: string;
  readonly display: DisplayNode;
}

export interface SceneEdge {
  readonly key: string;
  readonly display: DisplayEdge;
  readonly curve: Curve;
  readonly length: number;
  readonly health: Health;
  readonly width: number;
  readonly moving: boolean;
}

export interface Scene {
  readonly nodes: ReadonlyMap<string, SceneNode>;
  readonly edges: readonly SceneEdge[];
  readonly boxes: readonly Rectangle[];
  readonly stacks: readonly Rectangle[];
  readonly bounds: { readonly left: number; readonly top: number; readonly right: number; readonly bottom: number };
  /** The grid that finds what is at a point. It is built when it is first needed. */
  hits(): HitGrid;
}

export function layoutNodes(graph: DisplayGraph): readonly LayoutNode[] {
  return [...graph.nodes.values()].map(({ key, box, stack, title }) => ({ key, box, stack, ...cardSize(title) }));
}

/** Builds the scene. Leaves out cards that have no place yet, and their edges. */
export function buildScene(graph: DisplayGraph, places: Places): Scene {
  const nodes = new Map<string, SceneNode>();
  for (const display of graph.nodes.values()) {
    const at = places.get(display.key);
    if (at !== undefined)
      nodes.set(display.key, { key: display.key, display, x: at.x, y: at.y, ...cardSize(display.title) });
  }
  const edges: SceneEdge[] = [];
  for (const display of graph.edges) {
    const from = nodes.get(display.edge.from);
    const to = nodes.get(display.edge.to);
    if (from === undefined || to === undefined) continue;
    const curve = edgeCurve(from, to);
    const moving = isMoving(display.edge);
    edges.push({
      key: display.key,
      display,
      curve,
      length: curveLength(curve),
      health: moving ? display.edge.health : "idle",
      width: edgeWidth(edgeRate(display.edge)),
      moving,
    });
  }
  const { boxes, stacks } = frames(
    layoutNodes(graph).filter(({ key }) => nodes.has(key)),
    places,
  );
  let grid: HitGrid | undefined;
  return {
    nodes,
    edges,
    boxes,
    stacks,
    bounds: boundsOf(nodes.values(), boxes),
    hits: () =>
      (grid ??= new HitGrid(
        nodes,
        edges.map(({ key, curve }) => [key, curve] as const),
      )),
  };
}

/**
 * An edge's width. Ten times the rate adds almost a pixel. Widths are rounded, because edges of the same width are
 * drawn together.
 */
function edgeWidth(rate: number): number {
  return 1 + Math.max(0, Math.min(2.5, Math.round(Math.log10(Math.max(rate, 0.1)) * 2) / 2.5 + 0.2));
}

function boundsOf(nodes: Iterable<SceneNode>, boxes: readonly Rectangle[]): Scene["bounds"] {
  let left = Infinity;
  let top = Infinity;
  let right = -Infinity;
  let bottom = -Infinity;
  const take = (x: number, y: number, width: number, height: number): void => {
    left = Math.min(left, x);
    top = Math.min(top, y);
    right = Math.max(right, x + width);
    bottom = Math.max(bottom, y + height);
  };
  for (const { x, y, width, height } of nodes) take(x - width / 2, y - height / 2, width, height);
  for (const { x, y, width, height } of boxes) take(x, y, width, height);
  return left === Infinity ? { left: 0, top: 0, right: 1, bottom: 1 } : { left, top, right, bottom };
}

const wayPoints = 24;

/**
 * Points along a curve at equal distances: `x, y, x, y, …`. Moving dots use them, because computing the curve for each
 * dot would be too slow.
 */
export function wayAlong(curve: Curve): Float32Array {
  const way = new Float32Array((wayPoints + 1) * 2);
  for (let index = 0; index <= wayPoints; index += 1) {
    const { x, y } = pointOnCurve(curve, index / wayPoints);
    way[index * 2] = x;
    way[index * 2 + 1] = y;
  }
  return way;
}

/** The point at the share `t` of a way from {@link wayAlong}. */
export function pointOnWay(way: Float32Array, t: number): { readonly x: number; readonly y: number } {
  const at = Math.max(0, Math.min(1, t)) * wayPoints;
  const index = Math.min(wayPoints - 1, Math.floor(at));
  const rest = at - index;
  const x = way[index * 2] ?? 0;
  const y = way[index * 2 + 1] ?? 0;
  return { x: x + ((way[index * 2 + 2] ?? x) - x) * rest, y: y + ((way[index * 2 + 3] ?? y) - y) * rest };
}
