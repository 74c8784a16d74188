import { compareClusterNames, managedBy, parseClusterName, type ClusterConfig } from "../../proxy-dump/index.ts";
import { renderTable } from "../terminal/table.ts";

/** Parts of a cluster's name. All given ones must match. */
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

/** `named` adds a first column `cluster/<name>`, for several tables in one output. */
export function clusterTable(clusters: readonly ClusterConfig[], named = false): string {
  const rows = clusters.map(({ name = "", type = "STATIC", metadata }) => {
    const { host, port, subset, direction, isService } = parseClusterName(name);
    const columns = isService ? [host, String(port), subset === "" ? "-" : subset, direction] : [name, "-", "-", "-"];
    return [...(named ? [`cluster/${name}`] : []), ...columns, type, managedBy(metadata)];
  });
  return renderTable(
    [...(named ? ["NAME"] : []), "SERVICE FQDN", "PORT", "SUBSET", "DIRECTION", "TYPE", "DESTINATION RULE"],
    rows,
    5,
  );
}
