// Access rights: other users, anonymous requests, reviews, tokens and impersonation.
import { get, patch, post, remove, type Exchange } from "../exchange.ts";
import { configMap, core, namespace, rbac } from "./places.ts";

const as = (user: string, ...groups: string[]): { headers: Readonly<Record<string, string>> } => ({
  headers: { "impersonate-user": user, ...(groups.length === 0 ? {} : { "impersonate-group": groups.join(",") }) },
});
const review = (spec: object): object => ({
  apiVersion: "authorization.k8s.io/v1",
  kind: "SelfSubjectAccessReview",
  spec,
});
const authorization = "/apis/authorization.k8s.io/v1";

export const access: readonly Exchange[] = [
  get("as nobody in particular", core("pods"), { anonymous: true }),
  get("the version as nobody in particular", "/version", { anonymous: true }),
  get("health as nobody in particular", "/readyz", { anonymous: true }),
  get("a path as nobody in particular", "/metrics", { anonymous: true }),
  get("by a token that is none", core("pods"), { anonymous: true, headers: { authorization: "Bearer nonsense" } }),
  get("as a reader, what may be read", `${core("pods")}?labelSelector=none`, as("jane")),
  get("as a reader, one that may be read", core("pods/none"), as("jane")),
  get("as a reader, another kind", core("secrets"), as("jane")),
  get("as a reader, one of another kind", core("secrets/plain"), as("jane")),
  get("as a reader, another namespace", core("pods", "default"), as("jane")),
  get("as a reader, all namespaces", "/api/v1/pods", as("jane")),
  get("as a reader, a kind of a group", "/apis/apps/v1/deployments", as("jane")),
  get("as a reader, a subresource", core("pods/plain/log"), as("jane")),
  get("as a reader, a kind that is not there", core("nothings"), as("jane")),
  get("as a reader, a path", "/metrics", as("jane")),
  post(
    "as a reader, a creation",
    core("pods"),
    { apiVersion: "v1", kind: "Pod", metadata: { name: "jane" } },
    as("jane"),
  ),
  patch("merge", "as a reader, a patch", core("pods/plain"), {}, as("jane")),
  patch(
    "apply",
    "as a reader, an apply that would create",
    `${core("pods/new")}?fieldManager=a`,
    JSON.stringify({ apiVersion: "v1", kind: "Pod", metadata: { name: "new" } }),
    as("jane"),
  ),
  remove("as a reader, a deletion", core("pods/plain"), undefined, as("jane")),
  remove("as a reader, a collection", core("pods"), undefined, as("jane")),
  get("as a reader who imitates another", core("pods"), { headers: { "impersonate-group": "system:masters" } }),
  get("as an account", `${core("pods")}?labelSelector=none`, as(`system:serviceaccount:${namespace}:default`)),
  get("as an account, another kind", core("secrets"), as(`system:serviceaccount:${namespace}:default`)),
  post(
    "a review of oneself",
    `${authorization}/selfsubjectaccessreviews`,
    review({ resourceAttributes: { namespace, verb: "delete", resource: "pods" } }),
  ),
  post(
    "a reader's review of oneself",
    `${authorization}/selfsubjectaccessreviews`,
    review({ resourceAttributes: { namespace, verb: "delete", resource: "pods" } }),
    as("jane"),
  ),
  post(
    "a reader's review of what is allowed",
    `${authorization}/selfsubjectaccessreviews`,
    review({ resourceAttributes: { namespace, verb: "get", resource: "pods" } }),
    as("jane"),
  ),
  post(
    "a reader's rules",
    `${authorization}/selfsubjectrulesreviews`,
    { apiVersion: "authorization.k8s.io/v1", kind: "SelfSubjectRulesReview", spec: { namespace } },
    as("jane"),
  ),
  post("a review of another", `${authorization}/subjectaccessreviews`, {
    apiVersion: "authorization.k8s.io/v1",
    kind: "SubjectAccessReview",
    spec: { user: "jane", resourceAttributes: { namespace, verb: "list", resource: "pods" } },
  }),
  post("a review of nobody", `${authorization}/subjectaccessreviews`, {
    apiVersion: "authorization.k8s.io/v1",
    kind: "SubjectAccessReview",
    spec: { resourceAttributes: { verb: "list", resource: "pods" } },
  }),
  post(
    "a review of a path",
    `${authorization}/selfsubjectaccessreviews`,
    review({ nonResourceAttributes: { path: "/metrics", verb: "get" } }),
  ),
  post("a review of nothing", `${authorization}/selfsubjectaccessreviews`, review({})),
  post("a review in a namespace", `${authorization}/namespaces/${namespace}/localsubjectaccessreviews`, {
    apiVersion: "authorization.k8s.io/v1",
    kind: "LocalSubjectAccessReview",
    metadata: { namespace },
    spec: { user: "jane", resourceAttributes: { namespace, verb: "list", resource: "pods" } },
  }),
  post(
    "who one is",
    "/apis/authentication.k8s.io/v1/selfsubjectreviews",
    { apiVersion: "authentication.k8s.io/v1", kind: "SelfSubjectReview" },
    as("jane", "readers"),
  ),
  post("a token", core("serviceaccounts/default/token"), {
    apiVersion: "authentication.k8s.io/v1",
    kind: "TokenRequest",
    spec: { audiences: ["corpus"], expirationSeconds: 3600 },
  }),
  post("a token of too short a life", core("serviceaccounts/default/token"), {
    apiVersion: "authentication.k8s.io/v1",
    kind: "TokenRequest",
    spec: { expirationSeconds: 5 },
  }),
  post("a token of nobody", core("serviceaccounts/none/token"), {
    apiVersion: "authentication.k8s.io/v1",
    kind: "TokenRequest",
    spec: {},
  }),
  post("a token's review", "/apis/authentication.k8s.io/v1/tokenreviews", (earlier) => ({
    apiVersion: "authentication.k8s.io/v1",
    kind: "TokenReview",
    spec: { token: earlier("a token").status.token, audiences: ["corpus"] },
  })),
  post("a token's review for another", "/apis/authentication.k8s.io/v1/tokenreviews", (earlier) => ({
    apiVersion: "authentication.k8s.io/v1",
    kind: "TokenReview",
    spec: { token: earlier("a token").status.token, audiences: ["other"] },
  })),
  post("a review of no token", "/apis/authentication.k8s.io/v1/tokenreviews", {
    apiVersion: "authentication.k8s.io/v1",
    kind: "TokenReview",
    spec: { token: "nonsense" },
  }),
  get("by a token for another", core("pods"), {
    anonymous: true,
    headers: (earlier) => ({ authorization: `Bearer ${earlier("a token").status.token}` }),
  }),
  post("a token for the server", core("serviceaccounts/default/token"), {
    apiVersion: "authentication.k8s.io/v1",
    kind: "TokenRequest",
    spec: {},
  }),
  get("by a token", `${core("pods")}?labelSelector=none`, {
    anonymous: true,
    headers: (earlier) => ({ authorization: `Bearer ${earlier("a token for the server").status.token}` }),
  }),
  get("by a token, another kind", core("secrets"), {
    anonymous: true,
    headers: (earlier) => ({ authorization: `Bearer ${earlier("a token for the server").status.token}` }),
  }),
  post(
    "more rights than one's own",
    rbac("roles"),
    {
      apiVersion: "rbac.authorization.k8s.io/v1",
      kind: "Role",
      metadata: { name: "escalated" },
      rules: [{ apiGroups: [""], resources: ["secrets"], verbs: ["*"] }],
    },
    as("jane"),
  ),
  post("rights to give rights", rbac("roles"), {
    apiVersion: "rbac.authorization.k8s.io/v1",
    kind: "Role",
    metadata: { name: "giver" },
    rules: [
      { apiGroups: ["rbac.authorization.k8s.io"], resources: ["roles", "rolebindings"], verbs: ["create"] },
      { apiGroups: [""], resources: ["configmaps"], verbs: ["create"] },
    ],
  }),
  post("a giver of rights", rbac("rolebindings"), {
    apiVersion: "rbac.authorization.k8s.io/v1",
    kind: "RoleBinding",
    metadata: { name: "givers" },
    roleRef: { kind: "Role", name: "giver", apiGroup: "rbac.authorization.k8s.io" },
    subjects: [{ kind: "User", name: "bob" }],
  }),
  post(
    "a role above one's own",
    rbac("roles"),
    {
      apiVersion: "rbac.authorization.k8s.io/v1",
      kind: "Role",
      metadata: { name: "escalated" },
      rules: [{ apiGroups: ["example.com"], resources: ["widgets"], verbs: ["get"] }],
    },
    as("bob"),
  ),
  post(
    "a binding above one's own",
    rbac("rolebindings"),
    {
      apiVersion: "rbac.authorization.k8s.io/v1",
      kind: "RoleBinding",
      metadata: { name: "escalated" },
      roleRef: { kind: "ClusterRole", name: "cluster-admin", apiGroup: "rbac.authorization.k8s.io" },
      subjects: [{ kind: "User", name: "bob" }],
    },
    as("bob"),
  ),
  post("a giver of rights, a creation", core("configmaps"), configMap("bobs", { a: "b" }), as("bob")),
];
