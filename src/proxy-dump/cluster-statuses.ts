import { isTree, userError } from "../base/index.ts";
import { withFieldTypes } from "../base/field-types/index.ts";
import type { Address } from "./address-text.ts";
import { clusterStatusFields } from "./dump-fields.ts";

/** The fields that are read from Envoy's `/clusters?format=json`, with JSON's names. */
export interface ClusterStatuses {
  readonly clusterStatuses?: readonly ClusterStatus[];
}

interface ClusterStatus {
  readonly name?: string;
  readonly hostStatuses?: readonly HostStatus[];
}

export interface HostStatus {
  readonly address?: Address;
  readonly healthStatus?: { readonly edsHealthStatus?: string; readonly failedOutlierCheck?: boolean };
}

/**
 * Checks an answer to `/clusters?format=json` whose fields have JSON's names. Throws a user error for anything else.
 */
export function parseClusterStatuses(raw: unknown, where: string): ClusterStatuses {
  // A proxy without clusters answers with an empty object.
  if (!isTree(raw) || (Object.keys(raw).length > 0 && raw["clusterStatuses"] === undefined))
    throw userError("dump-invalid", `${where} is not a list of a proxy's clusters: it has no cluster_statuses`, {
      hint: "curl localhost:15000/clusters?format=json",
    });
  return withFieldTypes(raw, clusterStatusFields).value;
}
