import type { DisplayGraph } from "./display-graph.ts";

/** What is emphasised. Everything else is faint. */
export interface Emphasis {
  /** The keys of nodes. If undefined, nothing is emphasised. */
  readonly nodes: ReadonlySet<string> | undefined;
  readonly edges: ReadonlySet<string>;
}

/**
 * Emphasises the nodes that a search has found, with their edges. Without a search, emphasises the node or edge that is
 * selected or under the pointer, with its neighbours.
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
