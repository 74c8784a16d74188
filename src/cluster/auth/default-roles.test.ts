import assert from "node:assert/strict";
import { test } from "node:test";
import { defaultClusterRoleBindings, defaultClusterRoles } from "./default-roles.ts";
import { aggregatedRules, ruleAllows, rulesOf, type PolicyRule } from "./rbac.ts";

/** The roles, each with the rules that it collects: `edit` contains `view`, and `admin` contains `edit`. */
const all = ["view", "edit", "admin"].reduce(
  (roles) => roles.map((role) => ({ ...role, rules: aggregatedRules(role, roles) ?? rulesOf(role) })),
  defaultClusterRoles(),
);

function rulesOfRole(name: string): readonly PolicyRule[] {
  const found = all.find(({ metadata }) => metadata.name === name);
  assert.ok(found !== undefined, name);
  return rulesOf(found);
}

/** Whether a role allows `verb group/resource`. */
function allows(role: string, text: string): boolean {
  const [verb = "", whole = ""] = text.split(" ");
  const [group = "", resource = "", subresource = ""] = whole.split("/");
  const asked = { verb, group, resource, subresource, namespace: "shop", name: "any" };
  return rulesOfRole(role).some((rule) => ruleAllows(rule, asked));
}

test("viewers read workloads, Services and Events, and neither Secrets nor roles", () => {
  for (const text of [
    "get /pods",
    "watch /pods/log",
    "list apps/deployments",
    "get apps/deployments/scale",
    "list /events",
    "list events.k8s.io/events",
    "get discovery.k8s.io/endpointslices",
    "list networking.k8s.io/ingresses",
    "get /namespaces",
    "get metrics.k8s.io/pods",
  ])
    assert.equal(allows("view", text), true, text);
  for (const text of [
    "get /secrets",
    "list rbac.authorization.k8s.io/roles",
    "create /pods",
    "get /pods/exec",
    "create /pods/exec",
    "create /serviceaccounts/token",
    "get /nodes",
  ])
    assert.equal(allows("view", text), false, text);
});

test("editors also write workloads and read Secrets, and change neither roles, quotas nor endpoints", () => {
  for (const text of [
    "create /pods",
    "create /pods/exec",
    "create /pods/eviction",
    "get /secrets",
    "deletecollection apps/deployments",
    "patch apps/statefulsets/scale",
    "update events.k8s.io/events",
    "create coordination.k8s.io/leases",
    "create /serviceaccounts/token",
    "impersonate /serviceaccounts",
  ])
    assert.equal(allows("edit", text), true, text);
  for (const text of [
    "create rbac.authorization.k8s.io/rolebindings",
    "update /resourcequotas",
    "create /endpoints",
    "create discovery.k8s.io/endpointslices",
    "update /pods/status",
    "update /namespaces",
    "delete /nodes",
  ])
    assert.equal(allows("edit", text), false, text);
});

test("administrators of a namespace also grant roles, and cannot lead a Service's traffic to foreign endpoints", () => {
  for (const text of [
    "create rbac.authorization.k8s.io/rolebindings",
    "update rbac.authorization.k8s.io/roles",
    "create authorization.k8s.io/localsubjectaccessreviews",
    "get /secrets",
  ])
    assert.equal(allows("admin", text), true, text);
  for (const text of [
    "create discovery.k8s.io/endpointslices",
    "patch discovery.k8s.io/endpointslices",
    "update /endpoints",
    "update /resourcequotas",
    "escalate rbac.authorization.k8s.io/roles",
    "create rbac.authorization.k8s.io/clusterroles",
  ])
    assert.equal(allows("admin", text), false, text);
});

test("the role for the kubelet's own API cannot delete nodes", () => {
  for (const text of ["get /nodes", "proxy /nodes", "get /nodes/metrics", "create /nodes/proxy", "get /nodes/pods"])
    assert.equal(allows("system:kubelet-api-admin", text), true, text);
  for (const text of ["delete /nodes", "update /nodes", "update /nodes/status", "get /pods"])
    assert.equal(allows("system:kubelet-api-admin", text), false, text);
  assert.equal(allows("system:monitoring", "get /nodes/metrics"), true);
});

test("anonymous users see that the server lives and its version, and no other role is theirs", () => {
  const groups = ["system:unauthenticated", "system:anonymous"];
  const open = defaultClusterRoleBindings()
    .filter((binding) => (binding["subjects"] as { name: string }[]).some(({ name }) => groups.includes(name)))
    .map((binding) => (binding["roleRef"] as { name: string }).name);
  assert.deepEqual(open, ["system:public-info-viewer"]);
  const paths = rulesOfRole("system:public-info-viewer").flatMap(({ nonResourceURLs = [] }) => nonResourceURLs);
  assert.deepEqual(paths, ["/healthz", "/livez", "/readyz", "/version", "/version/"]);
});

test("every binding refers to a role that exists", () => {
  const names = new Set(all.map(({ metadata }) => metadata.name));
  const missing = defaultClusterRoleBindings().filter(
    (binding) => !names.has((binding["roleRef"] as { name: string }).name),
  );
  assert.deepEqual(missing, []);
});
