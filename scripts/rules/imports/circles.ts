/** What each file or folder imports. */
export type ImportsByUnit = ReadonlyMap<string, { readonly keys: () => Iterable<string> }>;

/**
 * Returns the sets of units that reach each other: strongly connected components of two or more units (Tarjan's
 * algorithm).
 */
export function entangledUnits(graph: ImportsByUnit): string[][] {
  const order = new Map<string, number>();
  const stack: string[] = [];
  const onStack = new Set<string>();
  const sets: string[][] = [];
  /**
   * Returns the smallest number among this unit and the units of the stack that it reaches. Units have numbers in the
   * order of the visits.
   */
  const visit = (unit: string): number => {
    const own = order.size;
    order.set(unit, own);
    let low = own;
    stack.push(unit);
    onStack.add(unit);
    for (const next of graph.get(unit)?.keys() ?? []) {
      const place = order.get(next);
      if (place === undefined) low = Math.min(low, visit(next));
      else if (onStack.has(next)) low = Math.min(low, place);
    }
    if (low === own) {
      const set = stack.splice(stack.indexOf(unit));
      for (const member of set) onStack.delete(member);
      if (set.length > 1) sets.push(set.toSorted());
    }
    return low;
  };
  for (const unit of graph.keys()) if (!order.has(unit)) visit(unit);
  return sets;
}

/** Returns a shortest circle through some of these units, which reach each other. */
export function shortestCircle(graph: ImportsByUnit, entangled: readonly string[]): readonly string[] {
  const circles = entangled.map((unit) => shortestWayBack(graph, unit));
  return circles.reduce((shortest, circle) => (circle.length < shortest.length ? circle : shortest));
}

function shortestWayBack(graph: ImportsByUnit, start: string): readonly string[] {
  const ways: string[][] = [[start]];
  const seen = new Set([start]);
  for (const way of ways) {
    for (const next of graph.get(way.at(-1) ?? "")?.keys() ?? []) {
      if (next === start) return way;
      if (seen.has(next)) continue;
      seen.add(next);
      ways.push([...way, next]);
    }
  }
  return ways[0] ?? [];
}
