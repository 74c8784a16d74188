import { withoutEnd } from "../../base/index.ts";
import {
  addressText,
  compareClusterNames,
  type Address,
  type EndpointAssignment,
  type LocalityEndpoints,
} from "../../proxy-dump/index.ts";
import { fittedTable } from "../terminal/fitted-table.ts";
import type { EndpointFilter } from "./endpoints.ts";
import type { TableOptions } from "./table-options.ts";

type LbEndpoint = NonNullable<LocalityEndpoints["lbEndpoints"]>[number];

export function filterAssignments(
  assignments: readonly EndpointAssignment[],
  filter: EndpointFilter,
): readonly EndpointAssignment[] {
  return assignments
    .map((assignment) => ({
      ...assignment,
      endpoints: (assignment.endpoints ?? []).map((locality) => ({
        ...locality,
        lbEndpoints: (locality.lbEndpoints ?? []).filter((endpoint) =>
          passes(endpoint, assignment.clusterName ?? "", filter),
        ),
      })),
    }))
    .filter(({ endpoints }) => endpoints.some(({ lbEndpoints }) => lbEndpoints.length > 0))
    .toSorted((a, b) => compareClusterNames(a.clusterName, b.clusterName));
}

export function assignmentTable(
  assignments: readonly EndpointAssignment[],
  { columns, named = false }: TableOptions,
): string {
  const rows = assignments.flatMap(({ clusterName = "", endpoints = [] }) =>
    endpoints.flatMap(({ locality = {}, lbEndpoints = [] }) =>
      lbEndpoints.map((endpoint) => {
        const { region = "", zone = "", subZone = "" } = locality;
        const place = withoutEnd([region, zone, subZone].join("/"), "/");
        return [
          `${named ? "endpoint/" : ""}${addressesOf(endpoint).join(",")}`,
          endpoint.healthStatus ?? "UNKNOWN",
          place,
          clusterName,
        ];
      }),
    ),
  );
  return fittedTable(["NAME", "STATUS", "LOCALITY", "CLUSTER"], rows, { columns, gap: 5 });
}

function passes(
  endpoint: LbEndpoint,
  clusterName: string,
  { address, port = 0, cluster, status }: EndpointFilter,
): boolean {
  const lower = (text: string | undefined): string | undefined => text?.toLowerCase();
  const own = endpoint.endpoint?.address?.socketAddress;
  if (
    address !== undefined &&
    !addressesOf(endpoint).some((known) => lower(known) === lower(address)) &&
    lower(own?.address) !== lower(address)
  )
    return false;
  if (port !== 0 && own?.portValue !== port) return false;
  if (cluster !== undefined && lower(clusterName) !== lower(cluster)) return false;
  return status === undefined || lower(endpoint.healthStatus ?? "UNKNOWN") === lower(status);
}

function addressesOf({ endpoint = {} }: LbEndpoint): readonly string[] {
  return [endpoint.address, ...(endpoint.additionalAddresses ?? []).map(({ address }) => address)].map(withPort);
}

function withPort(address: Address = {}): string {
  const { socketAddress, pipe } = address;
  if (pipe !== undefined) return pipe.path ?? "";
  return socketAddress === undefined
    ? addressText(address)
    : `${socketAddress.address ?? ""}:${socketAddress.portValue ?? 0}`;
}
