import { textAt, valueAt } from "../../base/index.ts";
import type { InstallSettings } from "../settings.ts";
import { observe, read, type PolicyRule } from "./roles.ts";

/** The API groups of Istio's kinds. */
export const istioGroups = [
  "networking.istio.io",
  "security.istio.io",
  "telemetry.istio.io",
  "extensions.istio.io",
] as const;

export const ownReaderAccount = "istio-reader-service-account";

/** The account with which control planes of other clusters read this one. */
export interface ReaderAccount {
  readonly name: string;
  readonly namespace: string;
  /** Whether the account is given, so that the installation does not make it. */
  readonly isGiven: boolean;
}

/**
 * The account for control planes of other clusters. Undefined if `global.enableReaderRBAC` is off. Then there is no
 * account, and there are no rights.
 */
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

/** The rights of other clusters' control planes. `multiClusterGroup` is the group of service exports and imports. */
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
    // A control plane refuses certificates of accounts that no cluster has any more.
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
 * The rights to read exports and imports of services, and to export services automatically. As in Istio, they are
 * granted even if these features are off, because other clusters' control planes switch them on in their own
 * environment.
 */
export function multiClusterRules(group: string): readonly PolicyRule[] {
  return [
    { apiGroups: [group], resources: ["serviceexports"], verbs: [...observe, "create"] },
    { apiGroups: [group], resources: ["serviceimports"], verbs: observe },
  ];
}
