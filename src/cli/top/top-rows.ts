import type {
  GraphNode,
  GraphView,
  Health,
  NamespaceRow,
  OverviewView,
  ServiceRow,
  ServicesView,
  WorkloadRow,
  WorkloadsView,
} from "../../api/dashboard/index.ts";

export const topSubjects = ["workloads", "services", "namespaces"] as const;
export type TopSubject = (typeof topSubjects)[number];
export const topSorts = ["rate", "errors", "p99", "name", "restarts"] as const;
export type TopSort = (typeof topSorts)[number];

export interface TopRow {
  readonly namespace: string;
  readonly name: string;
  readonly health: Health;
  readonly reason: string;
  readonly revision: string;
  readonly ready: string;
  readonly restarts: number;
  readonly requestRate: number;
  readonly errorShare: number;
  readonly p99Ms?: number;
  readonly byteRate: number;
  readonly mutualTlsShare?: number;
}

/**
 * The rows of the view. They take measurements that the view lacks from the graph, which must be grouped by `service`
 * for services, and otherwise by `workload`.
 */
export function topRows(view: WorkloadsView | ServicesView | OverviewView, graph: GraphView): TopRow[] {
  const { tables } = view;
  // Workloads outside the mesh have no measurements.
  if ("workloads" in tables)
    return Object.values(tables.workloads)
      .filter(({ dataPlane, requestRate }) => dataPlane !== "none" || requestRate > 0)
      .map((row) =>
        workloadRow(
          row,
          measurementsOf(graph, (node) => isSame(node, row)),
        ),
      );
  if ("services" in tables)
    return Object.values(tables.services).map((row) =>
      serviceRow(
        row,
        measurementsOf(graph, (node) => isSame(node, row)),
      ),
    );
  return Object.values(tables.namespaces).map((row) =>
    namespaceRow(
      row,
      measurementsOf(graph, ({ namespace }) => namespace === row.name),
    ),
  );
}

type Named = Pick<TopRow, "namespace" | "name">;

function isSame(node: Named, row: Named): boolean {
  return node.namespace === row.namespace && node.name === row.name;
}

interface Measurements {
  readonly byteRate: number;
  readonly mutualTlsShare?: number;
}

/** Adds up the proxies' measurements of the traffic to these nodes of the graph. */
function measurementsOf({ tables }: GraphView, isWanted: (node: GraphNode) => boolean): Measurements {
  const wanted = new Set(Object.entries(tables.nodes).flatMap(([key, node]) => (isWanted(node) ? key : [])));
  return sumOf(Object.values(tables.edges).filter(({ to }) => wanted.has(to)));
}

function sumOf(edges: readonly GraphView["tables"]["edges"][string][]): Measurements {
  let [byteRate, secured, seen] = [0, 0, 0];
  for (const edge of edges) {
    byteRate += edge.byteRate;
    if (edge.mutualTlsShare === undefined) continue;
    const weight = edge.requestRate + edge.openedRate + edge.byteRate;
    secured += edge.mutualTlsShare * weight;
    seen += weight;
  }
  return { byteRate, ...(seen > 0 ? { mutualTlsShare: secured / seen } : {}) };
}

function workloadRow(row: WorkloadRow, measurements: Measurements): TopRow {
  const { namespace, name, health, reason, revision, restarts, requestRate, errorShare, p99Ms } = row;
  return {
    namespace,
    name,
    health,
    reason,
    revision: row.dataPlane === "none" ? "" : revision,
    ready: `${row.podsReady}/${row.pods}`,
    restarts,
    requestRate,
    errorShare,
    ...(p99Ms === undefined ? {} : { p99Ms }),
    ...measurements,
  };
}

function serviceRow(
  { namespace, name, health, reason, endpointsReady, endpoints, requestRate, errorShare, p99Ms }: ServiceRow,
  measurements: Measurements,
): TopRow {
  return {
    namespace,
    name,
    health,
    reason,
    revision: "",
    ready: `${endpointsReady}/${endpoints}`,
    restarts: 0,
    requestRate,
    errorShare,
    ...(p99Ms === undefined ? {} : { p99Ms }),
    ...measurements,
  };
}

function namespaceRow(
  { name, health, reason, revision, workloads, requestRate, errorShare, p99Ms, mutualTlsShare }: NamespaceRow,
  { byteRate }: Measurements,
): TopRow {
  return {
    namespace: "",
    name,
    health,
    reason,
    revision,
    ready: String(workloads),
    restarts: 0,
    requestRate,
    errorShare,
    ...(p99Ms === undefined ? {} : { p99Ms }),
    byteRate,
    ...(mutualTlsShare === undefined ? {} : { mutualTlsShare }),
  };
}

/** Sorts by the key, the highest value first. Rows with equal values are sorted by name. */
export function sortedRows(rows: readonly TopRow[], sort: TopSort): TopRow[] {
  const byName = (a: TopRow, b: TopRow): number => (`${a.namespace}/${a.name}` < `${b.namespace}/${b.name}` ? -1 : 1);
  const valueOf = (row: TopRow): number => {
    switch (sort) {
      case "rate":
        // Rows without requests come after those with requests, ordered by their bytes.
        return row.requestRate === 0 ? row.byteRate / 1e12 : row.requestRate;
      case "errors":
        return row.errorShare * row.requestRate;
      case "p99":
        return row.p99Ms ?? -1;
      case "restarts":
        return row.restarts;
      case "name":
        return 0;
    }
  };
  return rows.toSorted((a, b) => valueOf(b) - valueOf(a) || byName(a, b));
}
