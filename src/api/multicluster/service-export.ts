import { defineKind, type KindDefinition } from "../kind.ts";
import type { KubernetesObject } from "../meta.ts";
import type { MultiClusterApi } from "./multi-cluster-api.ts";

/** Offers the Service of the same name and namespace to the other clusters. Only its name matters. */
export type ServiceExport = KubernetesObject;

/** The kind ServiceExport in the group and version that the cluster's MCS API has. */
export function serviceExportKind({ group, version }: MultiClusterApi): KindDefinition<ServiceExport> {
  return defineKind<ServiceExport>({
    group,
    versions: [version],
    kind: "ServiceExport",
    plural: "serviceexports",
    namespaced: true,
  });
}
