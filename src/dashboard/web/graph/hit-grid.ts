import { distanceToCurve, pointOnCurve, type Curve, type Placed, type Point } from "./edge-curve.ts";

export type Hit = { readonly kind: "node" | "edge"; readonly key: string };

/** Finds the node or edge at a point. It uses a grid, so that the cost does not depend on the size of the graph. */
export class HitGrid {
  readonly #cellSize: number;
  readonly #nodes = new Map<string, { readonly key: string; readonly at: Placed }[]>();
  readonly #edges = new Map<string, { readonly key: string; readonly curve: Curve }[]>();

  constructor(nodes: Iterable<readonly [string, Placed]>, edges: Iterable<readonly [string, Curve]>, cellSize = 120) {
    this.#cellSize = cellSize;
    for (const [key, at] of nodes) {
      const entry = { key, at };
      const right = this.#index(at.x + at.width / 2);
      const bottom = this.#index(at.y + at.height / 2);
      for (let column = this.#index(at.x - at.width / 2); column <= right; column += 1) {
        for (let row = this.#index(at.y - at.height / 2); row <= bottom; row += 1)
          put(this.#nodes, `${column},${row}`, entry);
      }
    }
    for (const [key, curve] of edges) {
      const entry = { key, curve };
      const cells = new Set<string>();
      const steps = Math.max(
        4,
        Math.ceil((Math.abs(curve.x3 - curve.x0) + Math.abs(curve.y3 - curve.y0)) / (cellSize / 3)),
      );
      for (let step = 0; step <= steps; step += 1) {
        const { x, y } = pointOnCurve(curve, step / steps);
        cells.add(`${this.#index(x)},${this.#index(y)}`);
      }
      for (const cell of cells) put(this.#edges, cell, entry);
    }
  }

  /** Finds a node at the point, or else the nearest edge within `tolerance`. Undefined if there is neither. */
  at(point: Point, tolerance: number): Hit | undefined {
    const column = this.#index(point.x);
    const row = this.#index(point.y);
    for (const { key, at } of this.#nodes.get(`${column},${row}`) ?? []) {
      if (Math.abs(point.x - at.x) <= at.width / 2 && Math.abs(point.y - at.y) <= at.height / 2)
        return { kind: "node", key };
    }
    let nearest = tolerance;
    let found: Hit | undefined;
    for (let x = column - 1; x <= column + 1; x += 1) {
      for (let y = row - 1; y <= row + 1; y += 1) {
        for (const { key, curve } of this.#edges.get(`${x},${y}`) ?? []) {
          const distance = distanceToCurve(curve, point, 24);
          if (distance > nearest) continue;
          nearest = distance;
          found = { kind: "edge", key };
        }
      }
    }
    return found;
  }

  #index(coordinate: number): number {
    return Math.floor(coordinate / this.#cellSize);
  }
}

function put<Value>(map: Map<string, Value[]>, key: string, value: Value): void {
  const values = map.get(key);
  if (values === undefined) map.set(key, [value]);
  else values.push(value);
}
