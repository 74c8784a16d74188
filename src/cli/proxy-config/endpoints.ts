import { addressText, compare, type ClusterStatuses, type HostStatus } from "../../proxy-dump/index.ts";
import { fittedTable } from "../terminal/fitted-table.ts";
import type { TableOptions } from "./table-options.ts";

/** An endpoint must match all conditions that are given. Names are compared without case. */
export interface EndpointFilter {
  readonly address?: string;
  readonly port?: number;
  readonly cluster?: string;
  readonly status?: string;
}

export function filterEndpointClusters(
  { clusterStatuses = [] }: ClusterStatuses,
  filter: EndpointFilter,
): NonNullable<ClusterStatuses["clusterStatuses"]> {
  return clusterStatuses.filter(({ name = "", hostStatuses = [] }) =>
    hostStatuses.some((host) => passes(host, name, filter)),
  );
}

export function endpointTable(
  { clusterStatuses = [] }: ClusterStatuses,
  filter: EndpointFilter,
  { columns }: TableOptions,
): string {
  const found = clusterStatuses.flatMap(({ name = "", hostStatuses = [] }) =>
    hostStatuses.filter((host) => passes(host, name, filter)).map((host) => ({ name, host })),
  );
  const sorted = found.toSorted(
    (a, b) =>
      compare(addressText(a.host.address), addressText(b.host.address)) ||
      portOf(a.host) - portOf(b.host) ||
      compare(a.name, b.name),
  );
  const rows = sorted.map(({ name, host }) => {
    const port = portOf(host);
    const endpoint = port === 0 ? addressText(host.address) : `${addressText(host.address)}:${port}`;
    return [
      endpoint,
      host.healthStatus?.edsHealthStatus ?? "UNKNOWN",
      host.healthStatus?.failedOutlierCheck === true ? "FAILED" : "OK",
      name,
    ];
  });
  return fittedTable(["ENDPOINT", "STATUS", "OUTLIER CHECK", "CLUSTER"], rows, { columns, gap: 5 });
}

function passes(host: HostStatus, cluster: string, filter: EndpointFilter): boolean {
  if (filter.address !== undefined && !equal(addressText(host.address), filter.address)) return false;
  if (filter.port !== undefined && filter.port !== 0 && portOf(host) !== filter.port) return false;
  if (filter.cluster !== undefined && !equal(cluster, filter.cluster)) return false;
  return filter.status === undefined || equal(host.healthStatus?.edsHealthStatus ?? "UNKNOWN", filter.status);
}

function portOf({ address }: HostStatus): number {
  return address?.socketAddress?.portValue ?? 0;
}

function equal(left: string, right: string): boolean {
  return left.toLowerCase() === right.toLowerCase();
}
