import type { UntypedObject } from "../../api/index.ts";
import { rbacGroup, type PolicyRule } from "./rbac.ts";

const metricsGroup = "metrics.k8s.io";
const read = ["get", "list", "watch"];
const write = ["create", "delete", "deletecollection", "patch", "update"];
const all = [...read, ...write];

function rule(verbs: readonly string[], group: string | readonly string[], ...resources: string[]): PolicyRule {
  return { verbs, apiGroups: typeof group === "string" ? [group] : group, resources };
}

const labels = { "kubernetes.io/bootstrapping": "rbac-defaults" };
const annotations = { "rbac.authorization.kubernetes.io/autoupdate": "true" };

function clusterRole(
  name: string,
  rules: readonly PolicyRule[],
  moreLabels: Record<string, string> = {},
): UntypedObject {
  return {
    apiVersion: `${rbacGroup}/v1`,
    kind: "ClusterRole",
    metadata: { name, labels: { ...labels, ...moreLabels }, annotations: { ...annotations } },
    rules,
  };
}

function aggregated(name: string, label: string, moreLabels: Record<string, string> = {}): UntypedObject {
  const selector = { matchLabels: { [`rbac.authorization.k8s.io/aggregate-to-${label}`]: "true" } };
  return { ...clusterRole(name, [], moreLabels), aggregationRule: { clusterRoleSelectors: [selector] } };
}

function binding(
  name: string,
  role: string,
  ...subjects: { kind: "User" | "Group" | "ServiceAccount"; name: string; namespace?: string }[]
): UntypedObject {
  return {
    apiVersion: `${rbacGroup}/v1`,
    kind: "ClusterRoleBinding",
    metadata: { name, labels: { ...labels }, annotations: { ...annotations } },
    roleRef: { apiGroup: rbacGroup, kind: "ClusterRole", name: role },
    subjects: subjects.map((subject) =>
      subject.kind === "ServiceAccount" ? subject : { apiGroup: rbacGroup, ...subject },
    ),
  };
}

const viewed: readonly PolicyRule[] = [
  rule(
    read,
    "",
    "configmaps",
    "endpoints",
    "persistentvolumeclaims",
    "persistentvolumeclaims/status",
    "pods",
    "replicationcontrollers",
    "replicationcontrollers/scale",
    "serviceaccounts",
    "services",
    "services/status",
  ),
  rule(
    read,
    "",
    "bindings",
    "events",
    "limitranges",
    "namespaces/status",
    "pods/log",
    "pods/status",
    "replicationcontrollers/status",
    "resourcequotas",
    "resourcequotas/status",
    "namespaces",
  ),
  rule(read, "discovery.k8s.io", "endpointslices"),
  rule(read, "events.k8s.io", "events"),
  rule(
    read,
    "apps",
    "controllerrevisions",
    "daemonsets",
    "daemonsets/status",
    "deployments",
    "deployments/scale",
    "deployments/status",
    "replicasets",
    "replicasets/scale",
    "replicasets/status",
    "statefulsets",
    "statefulsets/scale",
    "statefulsets/status",
  ),
  rule(read, "autoscaling", "horizontalpodautoscalers", "horizontalpodautoscalers/status"),
  rule(read, "batch", "cronjobs", "cronjobs/status", "jobs", "jobs/status"),
  rule(read, "policy", "poddisruptionbudgets", "poddisruptionbudgets/status"),
  rule(read, "networking.k8s.io", "ingresses", "ingresses/status", "networkpolicies"),
];

const edited: readonly PolicyRule[] = [
  rule(read, "", "pods/attach", "pods/exec", "pods/portforward", "pods/proxy", "secrets", "services/proxy"),
  rule(["impersonate"], "", "serviceaccounts"),
  rule(write, "", "pods", "pods/attach", "pods/exec", "pods/portforward", "pods/proxy"),
  rule(["create"], "", "pods/eviction"),
  rule(
    write,
    "",
    "configmaps",
    "events",
    "persistentvolumeclaims",
    "replicationcontrollers",
    "replicationcontrollers/scale",
    "secrets",
    "serviceaccounts",
    "services",
    "services/proxy",
  ),
  rule(["create"], "", "serviceaccounts/token"),
  rule(write, "events.k8s.io", "events"),
  rule(
    write,
    "apps",
    "daemonsets",
    "deployments",
    "deployments/rollback",
    "deployments/scale",
    "replicasets",
    "replicasets/scale",
    "statefulsets",
    "statefulsets/scale",
  ),
  rule(write, "autoscaling", "horizontalpodautoscalers"),
  rule(write, "batch", "cronjobs", "jobs"),
  rule(write, "policy", "poddisruptionbudgets"),
  rule(write, "networking.k8s.io", "ingresses", "networkpolicies"),
  rule([...all], "coordination.k8s.io", "leases"),
];

const administered: readonly PolicyRule[] = [
  rule(["create"], "authorization.k8s.io", "localsubjectaccessreviews"),
  rule(all, rbacGroup, "rolebindings", "roles"),
];

/** The rights of every node. The Node authorizer limits some of them to objects of the node's own pods. */
export const nodeRules: readonly PolicyRule[] = [
  rule(["create"], "authentication.k8s.io", "tokenreviews"),
  rule(["create"], "authorization.k8s.io", "localsubjectaccessreviews", "subjectaccessreviews"),
  rule(read, "", "services", "configmaps", "secrets", "persistentvolumeclaims"),
  rule(["get"], "", "endpoints"),
  rule(["create", "get", "list", "watch", "update", "patch"], "", "nodes"),
  rule(["update", "patch"], "", "nodes/status", "pods/status"),
  rule(["get", "list", "watch", "create", "delete", "update", "patch"], "", "pods"),
  rule(["create"], "", "pods/eviction", "serviceaccounts/token"),
  rule(["create", "patch", "update"], ["", "events.k8s.io"], "events"),
  rule(["get", "create", "update", "patch", "delete"], "coordination.k8s.io", "leases"),
  rule(read, ["storage.k8s.io", "node.k8s.io"], "csidrivers", "csinodes", "runtimeclasses", "volumeattachments"),
  rule(["create", "get", "list", "watch"], "certificates.k8s.io", "certificatesigningrequests"),
];

const kubeSystem = "kube-system";

/** The ClusterRoles that every cluster has from the start. The server fills in the rules of aggregated ones. */
export function defaultClusterRoles(): UntypedObject[] {
  return [...userRoles(), ...apiRoles(), ...componentRoles()];
}

function userRoles(): UntypedObject[] {
  const aggregate = (name: string): Record<string, string> => ({
    [`rbac.authorization.k8s.io/aggregate-to-${name}`]: "true",
  });
  return [
    clusterRole("cluster-admin", [rule(["*"], "*", "*"), { verbs: ["*"], nonResourceURLs: ["*"] }]),
    aggregated("admin", "admin"),
    aggregated("edit", "edit", aggregate("admin")),
    aggregated("view", "view", aggregate("edit")),
    clusterRole("system:aggregate-to-admin", administered, aggregate("admin")),
    clusterRole("system:aggregate-to-edit", edited, aggregate("edit")),
    clusterRole("system:aggregate-to-view", viewed, aggregate("view")),
    // metrics-server installs this role in other clusters.
    clusterRole("system:aggregated-metrics-reader", [rule(read, metricsGroup, "nodes", "pods")], {
      ...aggregate("view"),
      ...aggregate("edit"),
      ...aggregate("admin"),
    }),
  ];
}

/**
 * The roles for requests about the API itself and about the caller. Some are for all users, some even for anonymous
 * ones.
 */
function apiRoles(): UntypedObject[] {
  return [
    clusterRole("system:discovery", [
      {
        verbs: ["get"],
        nonResourceURLs: [
          "/api",
          "/api/*",
          "/apis",
          "/apis/*",
          "/healthz",
          "/livez",
          "/openapi",
          "/openapi/*",
          "/readyz",
          "/version",
          "/version/",
        ],
      },
    ]),
    clusterRole("system:public-info-viewer", [
      { verbs: ["get"], nonResourceURLs: ["/healthz", "/livez", "/readyz", "/version", "/version/"] },
    ]),
    clusterRole("system:basic-user", [
      rule(["create"], "authorization.k8s.io", "selfsubjectaccessreviews", "selfsubjectrulesreviews"),
      rule(["create"], "authentication.k8s.io", "selfsubjectreviews"),
    ]),
    clusterRole("system:auth-delegator", [
      rule(["create"], "authentication.k8s.io", "tokenreviews"),
      rule(["create"], "authorization.k8s.io", "subjectaccessreviews"),
    ]),
    clusterRole("system:service-account-issuer-discovery", [
      {
        verbs: ["get"],
        nonResourceURLs: [
          "/.well-known/openid-configuration",
          "/.well-known/openid-configuration/",
          "/openid/v1/jwks",
          "/openid/v1/jwks/",
        ],
      },
    ]),
  ];
}

function componentRoles(): UntypedObject[] {
  return [
    clusterRole("system:node", nodeRules),
    // A lab node also enforces network policies and provisions volumes, which other clusters leave to plugins.
    clusterRole("lab:policy-enforcer", [
      rule(["list", "watch"], "networking.k8s.io", "networkpolicies"),
      rule(["list", "watch"], "", "namespaces", "pods"),
    ]),
    clusterRole("lab:volume-provisioner", [rule([...read, "delete"], "", "persistentvolumes")]),
    ...["kube-apiserver-client", "kube-apiserver-client-kubelet", "kubelet-serving"].map((signer) =>
      clusterRole(`system:certificates.k8s.io:${signer}-approver`, [
        {
          verbs: ["approve"],
          apiGroups: ["certificates.k8s.io"],
          resources: ["signers"],
          resourceNames: [`kubernetes.io/${signer}`],
        },
      ]),
    ),
    clusterRole("system:node-proxier", [
      rule(["list", "watch"], "", "services", "endpoints"),
      rule(read, "", "nodes"),
      rule(["create", "patch", "update"], ["", "events.k8s.io"], "events"),
      rule(["list", "watch"], "discovery.k8s.io", "endpointslices"),
    ]),
    clusterRole("system:kube-scheduler", [rule(all, "*", "*")]),
    clusterRole("system:kube-controller-manager", [rule(["*"], "*", "*"), { verbs: ["*"], nonResourceURLs: ["*"] }]),
    clusterRole("system:kubelet-api-admin", [
      rule([...read, "proxy"], "", "nodes"),
      rule(
        ["*"],
        "",
        ...["configz", "healthz", "log", "metrics", "pods", "proxy", "stats"].map((part) => `nodes/${part}`),
      ),
    ]),
    clusterRole("system:monitoring", [
      rule(["get"], "", "nodes/metrics"),
      {
        verbs: ["get"],
        nonResourceURLs: [
          "/flagz",
          "/healthz",
          "/healthz/*",
          "/livez",
          "/livez/*",
          "/metrics",
          "/metrics/slis",
          "/readyz",
          "/readyz/*",
          "/statusz",
        ],
      },
    ]),
  ];
}

export function defaultClusterRoleBindings(): UntypedObject[] {
  return [
    binding("cluster-admin", "cluster-admin", { kind: "Group", name: "system:masters" }),
    binding("system:discovery", "system:discovery", { kind: "Group", name: "system:authenticated" }),
    binding("system:basic-user", "system:basic-user", { kind: "Group", name: "system:authenticated" }),
    binding(
      "system:public-info-viewer",
      "system:public-info-viewer",
      { kind: "Group", name: "system:authenticated" },
      { kind: "Group", name: "system:unauthenticated" },
    ),
    binding("system:service-account-issuer-discovery", "system:service-account-issuer-discovery", {
      kind: "Group",
      name: "system:serviceaccounts",
    }),
    // This binding has no subjects, because the Node authorizer gives nodes the rights of the role.
    binding("system:node", "system:node"),
    binding("lab:policy-enforcer", "lab:policy-enforcer", { kind: "Group", name: "system:nodes" }),
    binding("lab:volume-provisioner", "lab:volume-provisioner", { kind: "Group", name: "system:nodes" }),
    binding(
      "system:node-proxier",
      "system:node-proxier",
      { kind: "User", name: "system:kube-proxy" },
      { kind: "Group", name: "system:nodes" },
    ),
    binding("system:kube-scheduler", "system:kube-scheduler", { kind: "User", name: "system:kube-scheduler" }),
    binding("system:kube-controller-manager", "system:kube-controller-manager", {
      kind: "User",
      name: "system:kube-controller-manager",
    }),
    binding("system:monitoring", "system:monitoring", { kind: "Group", name: "system:monitoring" }),
    binding("kubeadm:cluster-admins", "cluster-admin", { kind: "Group", name: "kubeadm:cluster-admins" }),
    binding("system:controller:generic-garbage-collector", "system:kube-controller-manager", {
      kind: "ServiceAccount",
      name: "generic-garbage-collector",
      namespace: kubeSystem,
    }),
  ];
}
