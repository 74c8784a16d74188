import { edgeRate, type DisplayGraph } from "./display-graph.ts";
import type { Point } from "./edge-curve.ts";

export type WalkDirection = "right" | "left" | "up" | "down";

/**
 * The node to which an arrow key leads. Right leads to the node that this one calls most, and left to its busiest
 * caller. Up and down lead to the nearest node above or below. Undefined if there is none.
 */
export function walk(
  graph: DisplayGraph,
  places: ReadonlyMap<string, Point>,
  from: string,
  direction: WalkDirection,
): string | undefined {
  const here = places.get(from);
  if (here === undefined) return firstNode(graph, places);
  if (direction === "up" || direction === "down")
    return nearestVertically(graph, places, from, here, direction === "down" ? 1 : -1);
  const neighbours = graph.edges
    .filter(
      (edge) => (direction === "right" ? edge.edge.from : edge.edge.to) === from && edge.edge.from !== edge.edge.to,
    )
    .sort((a, b) => edgeRate(b.edge) - edgeRate(a.edge) || a.key.localeCompare(b.key));
  const [next] = neighbours;
  if (next !== undefined) return direction === "right" ? next.edge.to : next.edge.from;
  return undefined;
}

function nearestVertically(
  graph: DisplayGraph,
  places: ReadonlyMap<string, Point>,
  from: string,
  here: Point,
  sign: 1 | -1,
): string | undefined {
  let best: string | undefined;
  let least = Infinity;
  for (const key of graph.nodes.keys()) {
    const there = places.get(key);
    if (there === undefined || key === from) continue;
    const away = (there.y - here.y) * sign;
    if (away <= 1) continue;
    const cost = away + Math.abs(there.x - here.x) * 2;
    if (cost >= least) continue;
    least = cost;
    best = key;
  }
  return best;
}

/** Where keyboard navigation begins: at the leftmost node, or the topmost of several. */
export function firstNode(graph: DisplayGraph, places: ReadonlyMap<string, Point>): string | undefined {
  let best: string | undefined;
  let least = Infinity;
  for (const key of graph.nodes.keys()) {
    const at = places.get(key);
    if (at === undefined) continue;
    const cost = at.x + at.y / 4;
    if (cost >= least) continue;
    least = cost;
    best = key;
  }
  return best;
}
