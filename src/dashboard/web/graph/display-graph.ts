import type { GraphEdge, GraphGrouping, GraphNode, GraphView, Health } from "../../../api/dashboard/index.ts";

export interface GraphFilters {
  /** Empty means all. */
  readonly protocols: ReadonlySet<string>;
  /** Empty means all. An edge matches if it or one of its ends has one of these states. */
  readonly health: ReadonlySet<Health>;
  readonly hideIdle: boolean;
  /** The least rate of an edge that is shown: requests per second, or for TCP opened connections per second. */
  readonly minimumRate: number;
  /** Whether to show the connections to and from waypoints. Their requests have edges of their own. */
  readonly showHops: boolean;
}

export interface DisplayNode {
  readonly key: string;
  readonly node: GraphNode;
  readonly title: string;
  readonly subtitle: string;
  /** The card's box: its namespace, or empty. */
  readonly box: string;
  /** The stack that several versions of an app form: `namespace/app`. Empty for a card without other versions. */
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
  /** How many nodes the view has, before any filter. */
  readonly nodeCount: number;
  readonly edgeCount: number;
  readonly protocols: readonly string[];
}

/** The nodes and edges that pass the filters, with their texts. Leaves out edges to nodes that the view lacks. */
export function displayGraph(view: GraphView, by: GraphGrouping, filters: GraphFilters): DisplayGraph {
  const { nodes, edges } = view.tables;
  const versions = by === "versionedApp" ? versionsOfApps(nodes) : new Map<string, number>();
  const all = new Map<string, DisplayNode>();
  for (const [key, node] of Object.entries(nodes)) all.set(key, displayNode(key, node, by, versions));
  const shown: DisplayEdge[] = [];
  const reached = new Set<string>();
  const protocols = new Set<string>();
  const hops = filters.showHops ? new Set<string>() : waypointHops(view.tables);
  let edgeCount = 0;
  for (const [key, edge] of Object.entries(edges)) {
    if (hops.has(key)) continue;
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

/**
 * The keys of the edges to and from waypoints that only repeat other edges. A waypoint counts its requests as traffic
 * from the client to the server, and ztunnels count the connections to and from the waypoint. Unhealthy edges are not
 * among them.
 */
function waypointHops({ nodes, edges }: GraphView["tables"]): ReadonlySet<string> {
  const isWaypoint = (key: string): boolean => nodes[key]?.kind === "waypoint";
  const all = Object.entries(edges);
  const serversOf = new Map<string, string[]>();
  const clientsOf = new Map<string, string[]>();
  const direct = new Set<string>();
  for (const [, { from, to }] of all) {
    if (isWaypoint(from)) serversOf.set(from, [...(serversOf.get(from) ?? []), to]);
    else if (isWaypoint(to)) clientsOf.set(to, [...(clientsOf.get(to) ?? []), from]);
    else direct.add(`${from} ${to}`);
  }
  const isRepeated = ({ from, to, health }: GraphEdge): boolean => {
    if (health !== "healthy" && health !== "idle") return false;
    if (isWaypoint(to)) return (serversOf.get(to) ?? []).some((server) => direct.has(`${from} ${server}`));
    return isWaypoint(from) && (clientsOf.get(from) ?? []).some((client) => direct.has(`${client} ${to}`));
  };
  return new Set(all.filter(([, edge]) => isTcp(edge) && isRepeated(edge)).map(([key]) => key));
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

/** Whether to show a node that has no shown edge. A filter for traffic hides it. */
function loneNodePasses(node: GraphNode, { protocols, health, hideIdle, minimumRate }: GraphFilters): boolean {
  if (protocols.size > 0 || minimumRate > 0 || hideIdle) return false;
  return health.size === 0 || health.has(node.health);
}

export function isMoving(edge: GraphEdge): boolean {
  return edge.requestRate > 0 || edge.openedRate > 0 || edge.byteRate > 0;
}

/** Requests per second, or for TCP opened connections per second. */
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
  // Beside a version, the word "ready" does not fit.
  return `${version}${node.podsReady}/${node.pods}${version === "" ? " ready" : ""}`;
}

/** The keys of the nodes whose names contain every word of a search. Ordered by relevance, then by name. */
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
