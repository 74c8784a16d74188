import { defineKind, type KindDefinition } from "../kind.ts";
import type { KubernetesObject } from "../meta.ts";
import type { MultiClusterApi } from "./multi-cluster-api.ts";

/** Offers the Service of the same name and namespace to the other clusters. Nothing but its name has a meaning here. */
export type ServiceExport = KubernetesObject;

export function serviceExportKind({ group, version }: MultiClusterApi): KindDefinition<ServiceExport> {
  return defineKind<ServiceExport>({
    group,
    versions: [version],
    kind: "ServiceExport",
    plural: "serviceexports",
    namespaced: true,
  });
}
