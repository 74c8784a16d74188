import type { DisplayGraph } from "./display-graph.ts";

/** The emphasised parts. All others are faint. */
export interface Emphasis {
  /** The keys of the emphasised nodes. If undefined, all parts look alike. */
  readonly nodes: ReadonlySet<string> | undefined;
  readonly edges: ReadonlySet<string>;
}

/**
 * Emphasises found nodes with their edges. Without a search, emphasises the selected node or edge, or the one under the
 * pointer, with its neighbours.
 */
export function emphasisOf(graph: DisplayGraph, found: readonly string[], searching: boolean, focus: string): Emphasis {
  if (searching) {
    const nodes = new Set(found);
    return {
      nodes,
      edges: new Set(
        graph.edges.filter(({ edge }) => nodes.has(edge.from) || nodes.has(edge.to)).map(({ key }) => key),
      ),
    };
  }
  if (focus === "") return { nodes: undefined, edges: new Set() };
  const nodes = new Set<string>();
  const edges = new Set<string>();
  for (const { key, edge } of graph.edges) {
    if (key !== focus && edge.from !== focus && edge.to !== focus) continue;
    nodes.add(edge.from).add(edge.to);
    edges.add(key);
  }
  if (graph.nodes.has(focus)) nodes.add(focus);
  return nodes.size === 0 ? { nodes: undefined, edges } : { nodes, edges };
}
