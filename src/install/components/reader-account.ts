import { textAt, valueAt } from "../../base/index.ts";
import type { InstallSettings } from "../settings.ts";
import { observe, read, type PolicyRule } from "./roles.ts";

export const istioGroups = [
  "networking.istio.io",
  "security.istio.io",
  "telemetry.istio.io",
  "extensions.istio.io",
] as const;

export const ownReaderAccount = "istio-reader-service-account";

/** The account with which control planes of other clusters read this cluster. */
export interface ReaderAccount {
  readonly name: string;
  readonly namespace: string;
  /** Whether the user gives the account. Otherwise the installation creates it. */
  readonly isGiven: boolean;
}

/** Returns the account for control planes of other clusters, or undefined if `global.enableReaderRBAC` is off. */
export function readerAccount({ values, namespace }: InstallSettings): ReaderAccount | undefined {
  if (String(valueAt(values, "global", "enableReaderRBAC")) === "false") return undefined;
  const name = textAt(values, "global", "readerServiceAccount", "name");
  if (name === undefined) return { name: ownReaderAccount, namespace, isGiven: false };
  return {
    name,
    namespace: textAt(values, "global", "readerServiceAccount", "namespace") ?? namespace,
    isGiven: true,
  };
}

/** The rights of control planes of other clusters. `multiClusterGroup` is the API group of ServiceExports. */
export function readerRules(multiClusterGroup: string): readonly PolicyRule[] {
  return [
    { apiGroups: [...istioGroups, "config.istio.io", "gateway.networking.k8s.io"], resources: ["*"], verbs: read },
    {
      apiGroups: [""],
      resources: [
        "endpoints",
        "pods",
        "services",
        "nodes",
        "replicationcontrollers",
        "namespaces",
        "secrets",
        "configmaps",
      ],
      verbs: read,
    },
    // A control plane refuses certificates of deleted accounts, so it looks accounts up in all clusters.
    { apiGroups: [""], resources: ["serviceaccounts"], verbs: ["get"] },
    { apiGroups: ["networking.istio.io"], resources: ["workloadentries"], verbs: ["get", "watch", "list"] },
    { apiGroups: ["apiextensions.k8s.io"], resources: ["customresourcedefinitions"], verbs: read },
    { apiGroups: ["discovery.k8s.io"], resources: ["endpointslices"], verbs: read },
    ...multiClusterRules(multiClusterGroup),
    { apiGroups: ["apps"], resources: ["replicasets"], verbs: read },
    { apiGroups: ["authentication.k8s.io"], resources: ["tokenreviews"], verbs: ["create"] },
    { apiGroups: ["authorization.k8s.io"], resources: ["subjectaccessreviews"], verbs: ["create"] },
  ];
}

/**
 * The rights to read ServiceExports and ServiceImports, and to create ServiceExports. As in Istio, they are always
 * granted, because other clusters' control planes enable these features in their own environment.
 */
export function multiClusterRules(group: string): readonly PolicyRule[] {
  return [
    { apiGroups: [group], resources: ["serviceexports"], verbs: [...observe, "create"] },
    { apiGroups: [group], resources: ["serviceimports"], verbs: observe },
  ];
}
