import type { GraphEdge, GraphNode, GraphParameters, GraphRoute, GraphView } from "../../api/dashboard/index.ts";
import { edgeNumbers, serviceText } from "./graph-edge.ts";
import { podHealth, trafficHealth, workloadHealth, worst, type Judged } from "./health.ts";
import type { Inventory, Workload } from "./inventory.ts";
import { meshGraph, type MeasuredRule, type RoutedEdge } from "./mesh-graph.ts";
import { routesOf } from "./route-objects.ts";
import type { RouteRule } from "./route-rules.ts";
import { rolloutsByWorkload } from "./moved-workloads.ts";
import { isNamed, shareOf, sumTraffic, type TrafficEdge, type WorkloadEnd } from "./traffic.ts";
import { isVisible, wantedNamespaces, type ViewInput, type VisibleNamespaces } from "./view-input.ts";

/** The maximum size of a graph. Nodes and edges with the least traffic are left out. */
export const maxGraphNodes = 1500;
export const maxGraphEdges = 6000;

interface DraftNode {
  readonly key: string;
  readonly kind: GraphNode["kind"];
  readonly namespace: string;
  readonly name: string;
  readonly app: string;
  readonly version: string;
  readonly workloads: Set<Workload>;
  readonly inbound: TrafficEdge[];
  readonly outbound: TrafficEdge[];
}

const unknownNode = { key: "unknown", kind: "unknown", namespace: "", name: "unknown", app: "", version: "" } as const;

export function graphView(input: ViewInput, parameters: GraphParameters, visible: VisibleNamespaces): GraphView {
  const { inventory, traffic } = input;
  const isLive = parameters.atMs === 0;
  const wanted = wantedNamespaces(parameters.namespaces, visible);
  const nodes = new NodeTable(inventory, parameters, visible);
  // Routes of an earlier time are not stored.
  const graph = meshGraph(traffic.edges, isLive ? routesOf(inventory) : { rules: [], labels: new Map() });
  const drafts = new Map<string, { readonly from: DraftNode; readonly to: DraftNode; readonly parts: RoutedEdge[] }>();
  for (const routed of graph.edges) {
    const { edge } = routed;
    if (
      !isVisible(wanted, edge.source.namespace) &&
      !isVisible(wanted, edge.destination.namespace) &&
      !(parameters.by === "service" && isVisible(wanted, edge.service.namespace))
    )
      continue;
    const from = nodes.ofEnd(edge.source, edge, "source");
    const to = nodes.ofEnd(edge.destination, edge, "destination");
    if (from.key === "unknown" && to.key === "unknown") continue;
    const key = `${from.key} > ${to.key} ${edge.protocol} ${serviceText(edge, visible)}`;
    const draft = drafts.get(key);
    if (draft === undefined) drafts.set(key, { from, to, parts: [routed] });
    else draft.parts.push(routed);
    from.outbound.push(edge);
    to.inbound.push(edge);
  }
  nodes.addIdle(wanted);
  const rollouts = rolloutsByWorkload(inventory);
  const shown = shownOf(nodes.all(), drafts);
  const edges: Record<string, GraphEdge> = {};
  for (const [key, { from, to, parts }] of shown.edges) edges[key] = graphEdge(from, to, parts, visible);
  return {
    head: {
      atMs: input.atMs,
      sources: input.sources,
      windowSeconds: traffic.windowSeconds,
      shownAtMs: traffic.asOfMs,
      live: isLive,
      ...(traffic.oldestMs === undefined ? {} : { oldestMs: traffic.oldestMs }),
      namespaces: [...inventory.namespaces.keys()].filter((name) => isVisible(visible, name)).sort(),
      omitted: shown.omitted,
    },
    tables: {
      nodes: Object.fromEntries(shown.nodes.map((node) => [node.key, graphNode(node, rollouts, visible)])),
      edges,
      routes: Object.fromEntries(
        graph.rules
          .filter(({ rule }) => isVisible(wanted, rule.namespace))
          .map((measured) => [routeKey(measured.rule), graphRoute(measured)]),
      ),
    },
  };
}

class NodeTable {
  readonly #inventory: Inventory;
  readonly #by: GraphParameters["by"];
  readonly #visible: VisibleNamespaces;
  readonly #nodes = new Map<string, DraftNode>();

  constructor(inventory: Inventory, { by }: GraphParameters, visible: VisibleNamespaces) {
    this.#inventory = inventory;
    this.#by = by;
    this.#visible = visible;
  }

  all(): DraftNode[] {
    return [...this.#nodes.values()];
  }

  ofEnd(end: WorkloadEnd, edge: TrafficEdge, side: "source" | "destination"): DraftNode {
    const { service } = edge;
    const isService = this.#by === "service" && side === "destination" && service.name !== "unknown";
    if (isService && service.namespace !== "unknown" && isVisible(this.#visible, service.namespace))
      return this.#ofService(service.namespace, service.name);
    if (!isNamed(end)) return side === "destination" ? this.#outside(edge) : this.#node(unknownNode);
    if (!isVisible(this.#visible, end.namespace)) return this.#node(unknownNode);
    const workload = this.#inventory.workloads.get(`${end.namespace}/${end.workload}`);
    return workload === undefined ? this.#ofGone(end) : this.#ofWorkload(workload);
  }

  addIdle(wanted: VisibleNamespaces): void {
    for (const workload of this.#inventory.workloads.values()) {
      if (workload.dataPlane === "none" || !isVisible(wanted, workload.namespace)) continue;
      this.#ofWorkload(workload);
    }
  }

  #ofWorkload(workload: Workload): DraftNode {
    const { namespace, name, app, version, role } = workload;
    const services =
      this.#by === "service" && role === "workload" ? this.#inventory.servicesOf.get(workload.key) : undefined;
    const [first] = services ?? [];
    const node =
      first === undefined
        ? this.#node(placeOf({ namespace, name, app, version, role }, this.#by))
        : this.#ofService(namespace, first.slice(namespace.length + 1));
    node.workloads.add(workload);
    return node;
  }

  #ofService(namespace: string, name: string): DraftNode {
    const node = this.#node({
      key: `service ${namespace}/${name}`,
      kind: "service",
      namespace,
      name,
      app: "",
      version: "",
    });
    for (const workload of this.#inventory.services.get(`${namespace}/${name}`)?.workloads ?? [])
      node.workloads.add(workload);
    return node;
  }

  /** The node of a workload that has counted traffic but no longer exists. */
  #ofGone({ namespace, workload, app, version }: WorkloadEnd): DraftNode {
    return this.#node(
      placeOf(
        {
          namespace,
          name: workload,
          app: app === "unknown" ? workload : app,
          version: version === "unknown" ? "" : version,
          role: "workload",
        },
        this.#by === "service" ? "workload" : this.#by,
      ),
    );
  }

  #outside({ service }: TrafficEdge): DraftNode {
    const { host, name, namespace } = service;
    const text = host === "unknown" ? name : host;
    if (text === "unknown" || text === "PassthroughCluster" || text === "BlackHoleCluster")
      return this.#node(
        text === "unknown"
          ? unknownNode
          : { key: `external ${text}`, kind: "external", namespace: "", name: text, app: "", version: "" },
      );
    // A service of the cluster whose workload is unknown is not an external host.
    if (namespace !== "unknown" && this.#inventory.services.has(`${namespace}/${name}`))
      return isVisible(this.#visible, namespace) ? this.#ofService(namespace, name) : this.#node(unknownNode);
    return this.#node({ key: `external ${text}`, kind: "external", namespace: "", name: text, app: "", version: "" });
  }

  #node(place: Pick<DraftNode, "key" | "kind" | "namespace" | "name" | "app" | "version">): DraftNode {
    let node = this.#nodes.get(place.key);
    if (node === undefined)
      this.#nodes.set(place.key, (node = { ...place, workloads: new Set(), inbound: [], outbound: [] }));
    return node;
  }
}

function placeOf(
  { namespace, name, app, version, role }: Pick<Workload, "namespace" | "name" | "app" | "version" | "role">,
  by: GraphParameters["by"],
): Pick<DraftNode, "key" | "kind" | "namespace" | "name" | "app" | "version"> {
  if (role === "gateway" || role === "waypoint" || role === "ztunnel")
    return { key: `${role} ${namespace}/${name}`, kind: role, namespace, name, app, version };
  if (by === "app") return { key: `app ${namespace}/${app}`, kind: "app", namespace, name: app, app, version: "" };
  if (by === "versionedApp")
    return { key: `app ${namespace}/${app} ${version}`, kind: "app", namespace, name: app, app, version };
  return { key: `workload ${namespace}/${name}`, kind: "workload", namespace, name, app, version };
}

function shownOf<
  Draft extends { readonly from: DraftNode; readonly to: DraftNode; readonly parts: readonly RoutedEdge[] },
>(
  all: readonly DraftNode[],
  drafts: ReadonlyMap<string, Draft>,
): { nodes: readonly DraftNode[]; edges: readonly (readonly [string, Draft])[]; omitted: number } {
  if (all.length <= maxGraphNodes && drafts.size <= maxGraphEdges)
    return { nodes: all, edges: [...drafts], omitted: 0 };
  const weightOf = (edges: readonly TrafficEdge[]): number =>
    edges.reduce((sum, { requestRate, byteRate }) => sum + requestRate + byteRate / 1024, 0);
  const heaviest = <Item>(items: readonly Item[], weigh: (item: Item) => number, most: number): Item[] =>
    items
      .map((item) => ({ item, weight: weigh(item) }))
      .sort((a, b) => b.weight - a.weight)
      .slice(0, most)
      .map(({ item }) => item);
  const nodes = heaviest(all, ({ inbound, outbound }) => weightOf(inbound) + weightOf(outbound), maxGraphNodes);
  const kept = new Set(nodes);
  const candidates = [...drafts].filter(([, { from, to }]) => kept.has(from) && kept.has(to));
  const edges = heaviest(candidates, ([, { parts }]) => weightOf(parts.map(({ edge }) => edge)), maxGraphEdges);
  return { nodes, edges, omitted: all.length - nodes.length + drafts.size - edges.length };
}

function graphNode(node: DraftNode, rollouts: ReadonlyMap<string, string>, visible: VisibleNamespaces): GraphNode {
  const workloads = [...node.workloads];
  const own = sumTraffic(node.inbound.length > 0 || node.kind === "unknown" ? node.inbound : node.outbound);
  const errorShare = shareOf(own.failureRate, own.requestRate);
  const traffic = trafficHealth(own.requestRate, errorShare, own.byteRate + own.openedRate);
  const pods = workloads.map((workload): Judged =>
    podHealth(workload.readyPods, workload.wantedPods, workload.pods.length),
  );
  const judged =
    workloads.length === 0
      ? {
          ...traffic,
          health:
            node.kind === "external" || node.kind === "unknown" || traffic.health !== "healthy"
              ? traffic.health
              : ("unknown" as const),
        }
      : workloadHealth(worst(pods), traffic);
  const [first] = workloads;
  return {
    kind: node.kind,
    namespace: node.namespace,
    name: node.name,
    app: node.app,
    version: node.version,
    revision: [...new Set(workloads.map(({ revision }) => revision))]
      .filter((revision) => revision !== "")
      .sort()
      .join(", "),
    dataPlane: first?.dataPlane ?? "none",
    health: judged.health,
    reason: judged.reason,
    podsReady: workloads.reduce((sum, { readyPods }) => sum + readyPods, 0),
    pods: workloads.reduce((sum, { wantedPods }) => sum + wantedPods, 0),
    requestRate: own.requestRate,
    errorShare,
    rollout:
      workloads
        .map(({ key }) => rollouts.get(key))
        .find((text) => text !== undefined && isVisible(visible, rolloutNamespace(text))) ?? "",
  };
}

function rolloutNamespace(text: string): string {
  return text.slice(text.indexOf(" ") + 1, text.indexOf("/"));
}

function graphEdge(
  from: DraftNode,
  to: DraftNode,
  parts: readonly RoutedEdge[],
  visible: VisibleNamespaces,
): GraphEdge {
  const [first] = parts;
  const weighted = parts.find(({ configured }) => configured.some(({ rule }) => rule.destinations.length > 1));
  const found = weighted?.configured.find(({ rule: one }) => one.destinations.length > 1);
  // The name and weights of a route in a hidden namespace are not shown.
  const rule = found !== undefined && isVisible(visible, found.rule.namespace) ? found : undefined;
  const shares = parts.flatMap(({ share }) => share ?? []);
  return {
    from: from.key,
    to: to.key,
    protocol: first?.edge.protocol ?? "",
    ...edgeNumbers(parts.map(({ edge }) => edge)),
    service: first === undefined ? "" : serviceText(first.edge, visible),
    ...(rule === undefined ? {} : { configuredWeight: rule.weight * 100 }),
    ...(rule === undefined || shares.length === 0
      ? {}
      : { measuredShare: parts.length === 1 ? (shares[0] ?? 0) : (weighted?.share ?? 0) }),
    route: rule === undefined ? "" : routeKey(rule.rule),
  };
}

function routeKey({ kind, namespace, name, number }: RouteRule): string {
  return `${kind} ${namespace}/${name} ${number}`;
}

function graphRoute({ rule, destinations }: MeasuredRule): GraphRoute {
  const names = new Set(destinations.map(({ service }) => service));
  return {
    object: `${rule.kind} ${rule.namespace}/${rule.name}`,
    namespace: rule.namespace,
    service: names.size === 1 ? ([...names][0] ?? "") : "",
    match: rule.condition === "all requests" || rule.condition === "all connections" ? "all" : rule.condition,
    destinations: destinations.map(({ text, weight, share, requestRate }) => ({
      name: text,
      weight: weight * 100,
      ...(share === undefined ? {} : { share }),
      requestRate,
    })),
  };
}
