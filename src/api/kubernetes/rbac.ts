import { defineKind } from "../kind.ts";
import type { KubernetesObject, LabelSelector } from "../meta.ts";

export interface PolicyRule {
  verbs: string[];
  apiGroups?: string[];
  resources?: string[];
  resourceNames?: string[];
  nonResourceURLs?: string[];
}

export interface ClusterRole extends KubernetesObject {
  rules?: PolicyRule[] | null;
  aggregationRule?: { clusterRoleSelectors?: LabelSelector[] };
}

export const clusterRoleKind = defineKind<ClusterRole>({
  group: "rbac.authorization.k8s.io",
  versions: ["v1"],
  kind: "ClusterRole",
  plural: "clusterroles",
  namespaced: false,
});
