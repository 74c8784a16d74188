import { compareClusterNames, managedBy, parseClusterName, type ClusterConfig } from "../../proxy-dump/index.ts";
import { fittedTable } from "../terminal/fitted-table.ts";
import type { TableOptions } from "./table-options.ts";

/** Parts of a cluster's name. A cluster must match all that are given. */
export interface ClusterFilter {
  readonly fqdn?: string;
  readonly port?: number;
  readonly subset?: string;
  readonly direction?: string;
}

export function filterClusters(
  clusters: readonly ClusterConfig[],
  { fqdn = "", port = 0, subset = "", direction = "" }: ClusterFilter,
): readonly ClusterConfig[] {
  return clusters
    .filter(
      ({ name = "" }) =>
        name.includes(fqdn) &&
        name.includes(direction) &&
        name.includes(subset) &&
        (port === 0 || name.includes(`|${port}|`)),
    )
    .toSorted((a, b) => compareClusterNames(a.name, b.name));
}

export function clusterTable(clusters: readonly ClusterConfig[], { columns, named = false }: TableOptions): string {
  const rows = clusters.map(({ name = "", type = "STATIC", metadata }) => {
    const { host, port, subset, direction, isService } = parseClusterName(name);
    const cells = isService ? [host, String(port), subset === "" ? "-" : subset, direction] : [name, "-", "-", "-"];
    return [...(named ? [`cluster/${name}`] : []), ...cells, type, managedBy(metadata)];
  });
  return fittedTable(
    [...(named ? ["NAME"] : []), "SERVICE FQDN", "PORT", "SUBSET", "DIRECTION", "TYPE", "DESTINATION RULE"],
    rows,
    { columns, gap: 5 },
  );
}
