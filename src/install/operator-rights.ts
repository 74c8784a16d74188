import { manage, observe, read, type PolicyRule } from "./components/roles.ts";

const rbac = ["rbac.authorization.k8s.io"];
/**
 * The rights to write roles with rights that the operator lacks (`escalate`) and to bind them (`bind`). Control planes
 * need such rights, for example to read Secrets.
 */
const granting: PolicyRule = { apiGroups: rbac, resources: ["clusterroles", "roles"], verbs: ["escalate", "bind"] };
const keepRoles = ["list", "create", "patch", "delete"] as const;

/** There is no right to delete CRDs, because that would delete users' objects. */
const definitions: PolicyRule = {
  apiGroups: ["apiextensions.k8s.io"],
  resources: ["customresourcedefinitions"],
  verbs: ["get", "create", "patch"],
};

/** The rights of the operator of IstioOperators, which installs and removes every component. */
export const istioOperatorRules: readonly PolicyRule[] = [
  { apiGroups: ["install.istio.io"], resources: ["istiooperators"], verbs: [...observe, "patch"] },
  { apiGroups: ["install.istio.io"], resources: ["istiooperators/status"], verbs: ["patch"] },
  { apiGroups: ["coordination.k8s.io"], resources: ["leases"], verbs: ["get", "create", "update", "patch"] },
  { apiGroups: [""], resources: ["namespaces"], verbs: ["get", "create", "patch"] },
  definitions,
  granting,
  {
    apiGroups: rbac,
    resources: ["clusterroles", "clusterrolebindings", "roles", "rolebindings"],
    verbs: keepRoles,
  },
  { apiGroups: [""], resources: ["serviceaccounts"], verbs: [...observe, "create", "patch", "delete"] },
  { apiGroups: [""], resources: ["configmaps", "services"], verbs: [...manage, "watch"] },
  { apiGroups: ["apps"], resources: ["deployments", "daemonsets"], verbs: [...manage, "watch"] },
  // Installations contain no StatefulSets, but a removal also finds StatefulSets that have the installation's labels.
  { apiGroups: ["apps"], resources: ["statefulsets"], verbs: ["list", "delete"] },
  { apiGroups: [""], resources: ["resourcequotas"], verbs: [...observe, "create", "patch", "delete"] },
  {
    apiGroups: ["networking.k8s.io"],
    resources: ["networkpolicies"],
    verbs: [...observe, "create", "patch", "delete"],
  },
  { apiGroups: ["discovery.k8s.io"], resources: ["endpointslices"], verbs: ["list", "create", "patch", "delete"] },
  {
    apiGroups: ["autoscaling"],
    resources: ["horizontalpodautoscalers"],
    verbs: [...observe, "create", "patch", "delete"],
  },
  { apiGroups: ["policy"], resources: ["poddisruptionbudgets"], verbs: [...observe, "create", "patch", "delete"] },
  {
    apiGroups: ["admissionregistration.k8s.io"],
    resources: ["mutatingwebhookconfigurations"],
    verbs: [...manage, "watch"],
  },
  {
    apiGroups: ["admissionregistration.k8s.io"],
    resources: ["validatingwebhookconfigurations"],
    verbs: [...manage, "watch"],
  },
  // The policy that limits the node agent.
  {
    apiGroups: ["admissionregistration.k8s.io"],
    resources: ["validatingadmissionpolicies", "validatingadmissionpolicybindings"],
    verbs: ["list", "create", "patch", "delete"],
  },
  // The operator reads pods, events and logs to find out why pods do not start.
  { apiGroups: [""], resources: ["pods", "events"], verbs: ["list"] },
  { apiGroups: [""], resources: ["pods/log"], verbs: ["get"] },
];

const banzaiGroup = ["istio.banzaicloud.io"];

/**
 * The rights of Banzai Cloud's operator of one release, and of the proxy in front of its metrics. `lease` is the name
 * of its Lease.
 */
export function banzaiOperatorRules(lease: string): readonly PolicyRule[] {
  return [
    { apiGroups: banzaiGroup, resources: ["istios"], verbs: [...observe, "patch"] },
    { apiGroups: banzaiGroup, resources: ["meshgateways"], verbs: [...manage, "watch"] },
    { apiGroups: banzaiGroup, resources: ["remoteistios"], verbs: observe },
    {
      apiGroups: banzaiGroup,
      resources: ["istios/status", "meshgateways/status", "remoteistios/status"],
      verbs: ["patch"],
    },
    // A cluster may require this right for owner references with `blockOwnerDeletion`.
    { apiGroups: banzaiGroup, resources: ["istios/finalizers", "meshgateways/finalizers"], verbs: ["update"] },
    // RBAC cannot restrict `create` to a name.
    { apiGroups: ["coordination.k8s.io"], resources: ["leases"], verbs: ["create"] },
    { apiGroups: ["coordination.k8s.io"], resources: ["leases"], resourceNames: [lease], verbs: ["get", "update"] },
    { apiGroups: [""], resources: ["events"], verbs: ["create", "patch"] },
    { apiGroups: [""], resources: ["namespaces"], verbs: [...observe, "patch"] },
    definitions,
    granting,
    { apiGroups: rbac, resources: ["clusterroles", "clusterrolebindings"], verbs: keepRoles },
    // There is no right to delete these namespaced objects, because the garbage collector deletes them with their
    // owner.
    { apiGroups: rbac, resources: ["roles", "rolebindings"], verbs: [...observe, "create", "patch"] },
    { apiGroups: [""], resources: ["serviceaccounts", "configmaps"], verbs: [...observe, "create", "patch"] },
    { apiGroups: [""], resources: ["services"], verbs: [...read, "create", "patch"] },
    { apiGroups: ["apps"], resources: ["deployments"], verbs: [...manage, "watch"] },
    // Pods of a moved gateway stay in their old ReplicaSet until the operator deletes it.
    { apiGroups: ["apps"], resources: ["replicasets"], verbs: ["list", "delete"] },
    { apiGroups: ["autoscaling"], resources: ["horizontalpodautoscalers"], verbs: [...observe, "create", "patch"] },
    { apiGroups: ["policy"], resources: ["poddisruptionbudgets"], verbs: [...observe, "create", "patch"] },
    {
      apiGroups: ["admissionregistration.k8s.io"],
      resources: ["mutatingwebhookconfigurations"],
      verbs: [...observe, "create", "patch", "delete"],
    },
    {
      apiGroups: ["admissionregistration.k8s.io"],
      resources: ["validatingwebhookconfigurations"],
      verbs: [...manage, "watch"],
    },
    {
      apiGroups: ["security.istio.io"],
      resources: ["peerauthentications"],
      verbs: ["get", "create", "patch", "delete"],
    },
    // The proxy in front of the metrics authenticates and authorizes their readers.
    { apiGroups: ["authentication.k8s.io"], resources: ["tokenreviews"], verbs: ["create"] },
    { apiGroups: ["authorization.k8s.io"], resources: ["subjectaccessreviews"], verbs: ["create"] },
  ];
}
