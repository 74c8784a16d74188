import { internalError } from "../base/index.ts";
import type { KindDefinition, KubernetesObject, UntypedObject } from "../api/index.ts";

type Row = readonly [group: string, version: string, kind: string, plural: string, namespaced: boolean];

/**
 * The kinds that an installation writes, in the order of their creation. Removal uses the reverse order. Secrets are
 * not among them, so installers need no right to read Secrets.
 */
const rows: readonly Row[] = [
  ["", "v1", "Namespace", "namespaces", false],
  ["apiextensions.k8s.io", "v1", "CustomResourceDefinition", "customresourcedefinitions", false],
  ["", "v1", "ServiceAccount", "serviceaccounts", true],
  // Policies come first, because they limit the roles.
  ["admissionregistration.k8s.io", "v1", "ValidatingAdmissionPolicy", "validatingadmissionpolicies", false],
  [
    "admissionregistration.k8s.io",
    "v1",
    "ValidatingAdmissionPolicyBinding",
    "validatingadmissionpolicybindings",
    false,
  ],
  ["rbac.authorization.k8s.io", "v1", "ClusterRole", "clusterroles", false],
  ["rbac.authorization.k8s.io", "v1", "ClusterRoleBinding", "clusterrolebindings", false],
  ["rbac.authorization.k8s.io", "v1", "Role", "roles", true],
  ["rbac.authorization.k8s.io", "v1", "RoleBinding", "rolebindings", true],
  ["", "v1", "ConfigMap", "configmaps", true],
  ["", "v1", "Service", "services", true],
  ["", "v1", "ResourceQuota", "resourcequotas", true],
  ["networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies", true],
  ["discovery.k8s.io", "v1", "EndpointSlice", "endpointslices", true],
  ["apps", "v1", "StatefulSet", "statefulsets", true],
  ["apps", "v1", "Deployment", "deployments", true],
  ["apps", "v1", "DaemonSet", "daemonsets", true],
  ["policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets", true],
  ["autoscaling", "v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers", true],
  ["admissionregistration.k8s.io", "v1", "MutatingWebhookConfiguration", "mutatingwebhookconfigurations", false],
  ["admissionregistration.k8s.io", "v1", "ValidatingWebhookConfiguration", "validatingwebhookconfigurations", false],
];

export const installedKinds = rows.map(kindOf);

/** The kinds of objects that may belong to one revision, in the order of their creation. */
export const revisionKinds = installedKinds.filter(
  ({ kind }) => kind !== "Namespace" && kind !== "CustomResourceDefinition",
);

function kindOf([group, version, kind, plural, namespaced]: Row): KindDefinition<UntypedObject> {
  return { group, versions: [version], kind, plural, namespaced };
}

/** Returns the kind of a rendered object. Throws an internal error for an unknown kind. */
export function installedKindOf(object: KubernetesObject): KindDefinition<UntypedObject> {
  const found = installedKinds.find((kind) => kind.kind === object.kind);
  if (found === undefined)
    throw internalError(
      "unexpected",
      `the installer does not know the kind ${object.kind ?? "(none)"} of ${object.metadata.name ?? ""}`,
    );
  return found;
}

/** The kinds whose objects an installer reads one by one, to check their owner, readiness or existence. */
const readKinds: ReadonlySet<string> = new Set([
  "Namespace",
  "CustomResourceDefinition",
  "ConfigMap",
  "Service",
  "Deployment",
  "DaemonSet",
  "MutatingWebhookConfiguration",
  "ValidatingWebhookConfiguration",
]);
const keptKinds: ReadonlySet<string> = new Set(["Namespace", "CustomResourceDefinition"]);

/** The verbs that an installer needs for a kind. Removal needs `delete` in addition. */
export function installVerbs(kind: string): readonly string[] {
  return [...(readKinds.has(kind) ? ["get"] : []), ...(keptKinds.has(kind) ? [] : ["list"]), "create", "patch"];
}
