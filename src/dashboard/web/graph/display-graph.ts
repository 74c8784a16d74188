import type { GraphEdge, GraphGrouping, GraphNode, GraphView, Health } from "../../../api/dashboard/index.ts";

/** What the user wants to see of a graph. */
export interface GraphFilters {
  /** Empty: all. */
  readonly protocols: ReadonlySet<string>;
  /** Empty: all. An edge is of a health when it, or one of its ends, is. */
  readonly health: ReadonlySet<Health>;
  readonly hideIdle: boolean;
  /** Requests (of TCP: opened connections) per second that an edge must have. */
  readonly minimumRate: number;
}

export interface DisplayNode {
  readonly key: string;
  readonly node: GraphNode;
  readonly title: string;
  readonly subtitle: string;
  /** The box it stands in: its namespace; empty when it is of none. */
  readonly box: string;
  /** `namespace/app` where several versions of one app are shown, which then stand together; empty otherwise. */
  readonly stack: string;
}

export interface DisplayEdge {
  readonly key: string;
  readonly edge: GraphEdge;
  readonly from: DisplayNode;
  readonly to: DisplayNode;
}

export interface DisplayGraph {
  readonly nodes: ReadonlyMap<string, DisplayNode>;
  readonly edges: readonly DisplayEdge[];
  /** Of the whole view, before the filters. */
  readonly nodeCount: number;
  readonly edgeCount: number;
  /** Protocols that occur in the view, in order. */
  readonly protocols: readonly string[];
}

/** Edges and nodes that pass the filters, with what is written on them. Edges to nodes that the view does not have are left out. */
export function displayGraph(view: GraphView, by: GraphGrouping, filters: GraphFilters): DisplayGraph {
  const { nodes, edges } = view.tables;
  const versions = by === "versionedApp" ? versionsOfApps(nodes) : new Map<string, number>();
  const all = new Map<string, DisplayNode>();
  for (const [key, node] of Object.entries(nodes)) all.set(key, displayNode(key, node, by, versions));
  const shown: DisplayEdge[] = [];
  const reached = new Set<string>();
  const protocols = new Set<string>();
  let edgeCount = 0;
  for (const [key, edge] of Object.entries(edges)) {
    const from = all.get(edge.from);
    const to = all.get(edge.to);
    if (from === undefined || to === undefined) continue;
    edgeCount += 1;
    protocols.add(edge.protocol);
    if (!edgePasses(edge, from.node, to.node, filters)) continue;
    shown.push({ key, edge, from, to });
    reached.add(edge.from).add(edge.to);
  }
  const kept = new Map<string, DisplayNode>();
  for (const [key, node] of all) if (reached.has(key) || loneNodePasses(node.node, filters)) kept.set(key, node);
  return { nodes: kept, edges: shown, nodeCount: all.size, edgeCount, protocols: [...protocols].sort() };
}

function edgePasses(
  edge: GraphEdge,
  from: GraphNode,
  to: GraphNode,
  { protocols, health, hideIdle, minimumRate }: GraphFilters,
): boolean {
  if (protocols.size > 0 && !protocols.has(edge.protocol)) return false;
  if (health.size > 0 && !health.has(edge.health) && !health.has(from.health) && !health.has(to.health)) return false;
  if (hideIdle && !isMoving(edge)) return false;
  return minimumRate <= 0 || edgeRate(edge) >= minimumRate;
}

/** A node that no shown edge reaches is shown while nothing is asked that only traffic can answer. */
function loneNodePasses(node: GraphNode, { protocols, health, hideIdle, minimumRate }: GraphFilters): boolean {
  if (protocols.size > 0 || minimumRate > 0 || hideIdle) return false;
  return health.size === 0 || health.has(node.health);
}

export function isMoving(edge: GraphEdge): boolean {
  return edge.requestRate > 0 || edge.openedRate > 0 || edge.byteRate > 0;
}

/** Requests per second, and of TCP opened connections. */
export function edgeRate(edge: GraphEdge): number {
  return isTcp(edge) ? edge.openedRate : edge.requestRate;
}

export function isTcp(edge: GraphEdge): boolean {
  return edge.protocol.toLowerCase() === "tcp";
}

function versionsOfApps(nodes: Readonly<Record<string, GraphNode>>): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  for (const node of Object.values(nodes)) {
    if (node.app === "" || !hasVersions(node)) continue;
    const app = `${node.namespace}/${node.app}`;
    counts.set(app, (counts.get(app) ?? 0) + 1);
  }
  return counts;
}

const hasVersions = (node: GraphNode): boolean => node.kind === "workload" || node.kind === "app";

function displayNode(
  key: string,
  node: GraphNode,
  by: GraphGrouping,
  versions: ReadonlyMap<string, number>,
): DisplayNode {
  const app = `${node.namespace}/${node.app}`;
  const stack = by === "versionedApp" && hasVersions(node) && (versions.get(app) ?? 0) > 1 ? app : "";
  const title =
    stack !== "" && node.version !== ""
      ? node.version
      : by === "versionedApp" && hasVersions(node) && node.app !== ""
        ? node.app
        : node.name === ""
          ? node.kind
          : node.name;
  return {
    key,
    node,
    title,
    subtitle: subtitleOf(node, title),
    box: node.kind === "external" || node.kind === "unknown" ? "" : node.namespace,
    stack,
  };
}

function subtitleOf(node: GraphNode, title: string): string {
  if (node.kind !== "workload" && node.kind !== "app") return node.kind;
  const version =
    node.version !== "" && node.version !== title && !title.endsWith(`-${node.version}`) ? `${node.version} · ` : "";
  if (node.pods === 0) return `${version}no pods`;
  // Beside a version the word would be cut off by the rate.
  return `${version}${node.podsReady}/${node.pods}${version === "" ? " ready" : ""}`;
}

/** Keys of the nodes that a search matches: every word of it occurs in the node's names. In the order of relevance, then of names. */
export function searchNodes(graph: DisplayGraph, text: string): readonly string[] {
  const words = text
    .toLowerCase()
    .split(/\s+/)
    .filter((word) => word !== "");
  if (words.length === 0) return [];
  const found: { key: string; rank: number; name: string }[] = [];
  for (const { key, node } of graph.nodes.values()) {
    const name = node.name.toLowerCase();
    const haystack = `${name} ${node.namespace} ${node.app} ${node.version} ${node.kind} ${node.rollout}`.toLowerCase();
    if (!words.every((word) => haystack.includes(word))) continue;
    const first = words[0] ?? "";
    found.push({ key, name, rank: name === first ? 0 : name.startsWith(first) ? 1 : name.includes(first) ? 2 : 3 });
  }
  return found
    .sort((a, b) => a.rank - b.rank || a.name.localeCompare(b.name) || a.key.localeCompare(b.key))
    .map(({ key }) => key);
}
