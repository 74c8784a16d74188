import assert from "node:assert/strict";
import { test } from "node:test";
import type { UntypedObject } from "../../api/index.ts";
import { fillStore, memoryStore } from "../store/testing/memory-store.ts";
import { aggregatedRules, RbacAuthorizer, ruleAllows, type PolicyRule } from "./rbac.ts";
import { serviceAccountOf, type AccessAttributes, type User } from "./user.ts";

const group = "rbac.authorization.k8s.io";
const [clusterRoles, roles] = [`${group}/clusterroles`, `${group}/roles`];
const [clusterRoleBindings, roleBindings] = [`${group}/clusterrolebindings`, `${group}/rolebindings`];

type Named = readonly [kind: string, name: string, namespace?: string];

const role = (name: string, rules: readonly PolicyRule[], namespace?: string): object => ({
  metadata: { name, ...(namespace === undefined ? {} : { namespace }) },
  rules,
});
const bind = (name: string, to: Named, subjects: readonly Named[], namespace?: string): object => ({
  metadata: { name, ...(namespace === undefined ? {} : { namespace }) },
  roleRef: { kind: to[0], name: to[1] },
  subjects: subjects.map(([kind, subject, where]) => ({
    kind,
    name: subject,
    ...(where === undefined ? {} : { namespace: where }),
  })),
});
const user = (name: string, ...groups: string[]): User => ({ name, groups: [...groups, "system:authenticated"] });
const access = (text: string, more: Partial<AccessAttributes> = {}): AccessAttributes => {
  const [verb = "", whole = ""] = text.split(" ");
  const [resource = "", subresource = ""] = whole.split("/");
  return { verb, group: "", resource, subresource, namespace: "shop", name: "", ...more };
};
const podReader: PolicyRule = { verbs: ["get", "list"], apiGroups: [""], resources: ["pods"] };

test("a RoleBinding gives the rules of a ClusterRole only in its own namespace", async () => {
  const store = await memoryStore({
    [clusterRoles]: [role("reader", [podReader])],
    [roleBindings]: [bind("readers", ["ClusterRole", "reader"], [["User", "ann"]], "shop")],
  });
  const rbac = new RbacAuthorizer(store);
  const may = (attributes: AccessAttributes): boolean => rbac.authorize(user("ann"), attributes).allowed;
  assert.equal(may(access("get pods")), true);
  assert.equal(may(access("get pods", { namespace: "bank" })), false);
  assert.equal(may(access("get pods", { namespace: "" })), false, "all namespaces");
  assert.equal(may(access("delete pods")), false);
  assert.equal(may(access("get secrets")), false);
  assert.equal(rbac.authorize(user("bob"), access("get pods")).allowed, false);
});

test("a ClusterRoleBinding gives them everywhere, and cannot refer to the Role of a namespace", async () => {
  const store = await memoryStore({
    [clusterRoles]: [role("reader", [podReader])],
    [roles]: [role("local", [podReader], "shop")],
    [clusterRoleBindings]: [
      bind("readers", ["ClusterRole", "reader"], [["Group", "staff"]]),
      bind("wrong", ["Role", "local"], [["User", "bob"]]),
    ],
  });
  const rbac = new RbacAuthorizer(store);
  for (const namespace of ["shop", "bank", ""])
    assert.equal(rbac.authorize(user("ann", "staff"), access("list pods", { namespace })).allowed, true, namespace);
  assert.equal(rbac.authorize(user("bob"), access("get pods")).allowed, false);
});

test("the reason of a decision names the binding, its role and the subject by which it applies", async () => {
  const store = await memoryStore({
    [clusterRoles]: [role("reader", [podReader])],
    [roles]: [role("local", [{ ...podReader, resources: ["secrets"] }], "shop")],
    [clusterRoleBindings]: [
      bind(
        "staff",
        ["ClusterRole", "reader"],
        [
          ["User", "zoe"],
          ["Group", "staff"],
        ],
      ),
    ],
    [roleBindings]: [bind("robots", ["Role", "local"], [["ServiceAccount", "robot"]], "shop")],
  });
  const rbac = new RbacAuthorizer(store);
  const reasonOf = (who: User, what: AccessAttributes): string => rbac.authorize(who, what).reason;
  assert.equal(
    reasonOf(user("ann", "staff"), access("get pods")),
    'RBAC: allowed by ClusterRoleBinding "staff" of ClusterRole "reader" to Group "staff"',
  );
  assert.equal(
    reasonOf(user("zoe"), access("get pods")),
    'RBAC: allowed by ClusterRoleBinding "staff" of ClusterRole "reader" to User "zoe"',
  );
  assert.equal(
    reasonOf(user("system:serviceaccount:shop:robot"), access("get secrets")),
    'RBAC: allowed by RoleBinding "robots/shop" of Role "local" to ServiceAccount "robot/shop"',
  );
  assert.equal(reasonOf(user("ann"), access("get pods")), "");
});

test("if several bindings allow a request, the reason names a cluster-wide one first", async () => {
  const store = await memoryStore({
    [clusterRoles]: [role("reader", [podReader])],
    [clusterRoleBindings]: [bind("wide", ["ClusterRole", "reader"], [["Group", "staff"]])],
    [roleBindings]: [bind("narrow", ["ClusterRole", "reader"], [["User", "ann"]], "shop")],
  });
  const { reason } = new RbacAuthorizer(store).authorize(user("ann", "staff"), access("get pods"));
  assert.match(reason, /^RBAC: allowed by ClusterRoleBinding "wide"/);
});

test("a service account is itself, and a member of the groups of its namespace only by its user", async () => {
  const store = await memoryStore({
    [clusterRoles]: [role("reader", [podReader])],
    [roleBindings]: [
      bind("same", ["ClusterRole", "reader"], [["ServiceAccount", "robot"]], "shop"),
      bind("other", ["ClusterRole", "reader"], [["ServiceAccount", "robot", "shop"]], "bank"),
    ],
  });
  const rbac = new RbacAuthorizer(store);
  const may = (name: string, namespace: string): boolean =>
    rbac.authorize(user(name), access("get pods", { namespace })).allowed;
  assert.equal(may("system:serviceaccount:shop:robot", "shop"), true);
  assert.equal(may("system:serviceaccount:shop:robot", "bank"), true);
  assert.equal(may("system:serviceaccount:bank:robot", "bank"), false);
  assert.equal(may("robot", "shop"), false);
});

test("rights change as soon as bindings and roles do, and a binding without a role gives nothing", async () => {
  const store = await memoryStore({ [roleBindings]: [bind("b", ["Role", "later"], [["User", "ann"]], "shop")] });
  const rbac = new RbacAuthorizer(store);
  const may = (): boolean => rbac.authorize(user("ann"), access("get pods")).allowed;
  assert.equal(may(), false);
  await fillStore(store, { [roles]: [role("later", [podReader], "shop")] });
  assert.equal(may(), true);
  await fillStore(store, { [roles]: [role("later", [], "shop")] });
  assert.equal(may(), false);
  await fillStore(store, { [roles]: [role("later", [podReader], "shop")] });
  await fillStore(store, { [roleBindings]: [bind("b", ["Role", "later"], [["User", "bob"]], "shop")] });
  assert.equal(may(), false);
});

test("members of system:masters may do everything, whatever the roles say", async () => {
  const rbac = new RbacAuthorizer(await memoryStore());
  const root = user("root", "system:masters");
  assert.equal(rbac.authorize(root, access("delete namespaces", { name: "kube-system" })).allowed, true);
  assert.deepEqual(rbac.rulesFor(root, "shop"), [
    { verbs: ["*"], apiGroups: ["*"], resources: ["*"] },
    { verbs: ["*"], nonResourceURLs: ["*"] },
  ]);
});

test("a rule matches verb, group, resource and name, with * for any", () => {
  const rule = (text: string, names?: string[]): PolicyRule => {
    const [verbs = "", groups = "", resources = ""] = text.split(" ");
    return {
      verbs: verbs.split(","),
      apiGroups: groups.split(",").map((name) => (name === "core" ? "" : name)),
      resources: resources.split(","),
      ...(names === undefined ? {} : { resourceNames: names }),
    };
  };
  for (const [given, wanted, isAllowed] of [
    [rule("get core pods"), access("get pods"), true],
    [rule("* * *"), access("delete deployments/scale", { group: "apps" }), true],
    [rule("get apps pods"), access("get pods"), false],
    [rule("get core pods"), access("get pods/log"), false],
    [rule("get core pods/log"), access("get pods/log"), true],
    [rule("get core pods/log"), access("get pods"), false],
    [rule("get core pods/*"), access("get pods/log"), false],
    [rule("get core */log"), access("get pods/log"), true],
    [rule("get core */log"), access("get pods"), false],
    [rule("get core *"), access("get pods/log"), true],
    [rule("GET core pods"), access("get pods"), false],
    [rule("get core Pods"), access("get pods"), false],
    [rule("get core secrets", ["a"]), access("get secrets", { name: "a" }), true],
    [rule("get core secrets", ["a"]), access("get secrets", { name: "b" }), false],
    [rule("list core secrets", ["a"]), access("list secrets"), false],
    [rule("get core secrets", ["*"]), access("get secrets", { name: "b" }), false],
    [rule("create core secrets", []), access("create secrets"), true],
    [{ verbs: ["get"], nonResourceURLs: ["*"] }, access("get pods"), false],
    [{ verbs: [], apiGroups: ["*"], resources: ["*"] }, access("get pods"), false],
  ] as const)
    assert.equal(ruleAllows(given, wanted), isAllowed, `${JSON.stringify(given)} ${JSON.stringify(wanted)}`);
});

test("a rule for paths matches them whole, or by their beginning before a final *", () => {
  const path = (of: string): AccessAttributes => ({ ...access("get "), path: of });
  for (const [pattern, asked, isAllowed] of [
    ["/healthz", "/healthz", true],
    ["/healthz", "/healthz/etcd", false],
    ["/healthz/*", "/healthz/etcd", true],
    ["/healthz/*", "/healthz", false],
    ["/healthz*", "/healthz", true],
    ["*", "/metrics", true],
    ["/*/x", "/a/x", false],
    ["/metrics", "/metrics/", false],
  ] as const)
    assert.equal(ruleAllows({ verbs: ["get"], nonResourceURLs: [pattern] }, path(asked)), isAllowed, pattern);
  assert.equal(ruleAllows({ verbs: ["post"], nonResourceURLs: ["*"] }, path("/metrics")), false);
  assert.equal(ruleAllows({ verbs: ["*"], apiGroups: ["*"], resources: ["*"] }, path("/metrics")), false);
});

test("an aggregated role has the rules of all roles that one of its selectors selects, each once and not its own", () => {
  const labelled = (name: string, label: string, rules: readonly PolicyRule[]): UntypedObject => ({
    ...role(name, rules),
    metadata: { name, labels: { [label]: "true" } },
  });
  const secrets = { ...podReader, resources: ["secrets"] };
  const all = [
    labelled("a", "to-view", [podReader]),
    labelled("b", "to-edit", [podReader, secrets]),
    labelled("c", "unrelated", [{ ...podReader, resources: ["nodes"] }]),
    labelled("own", "to-view", [{ ...podReader, resources: ["old"] }]),
  ];
  const own = {
    ...all[3],
    aggregationRule: {
      clusterRoleSelectors: [{ matchLabels: { "to-view": "true" } }, { matchLabels: { "to-edit": "true" } }],
    },
  } as unknown as UntypedObject;
  assert.deepEqual(aggregatedRules(own, all), [podReader, secrets]);
  assert.equal(aggregatedRules(all[0] as UntypedObject, all), undefined);
});

test("only a user name with exactly a namespace and a name belongs to a service account", () => {
  assert.deepEqual(serviceAccountOf("system:serviceaccount:shop:robot"), { namespace: "shop", name: "robot" });
  assert.deepEqual(serviceAccountOf("system:serviceaccount:shop:a.b"), { namespace: "shop", name: "a.b" });
  for (const name of [
    "system:serviceaccount:shop:robot:more",
    "system:serviceaccount:shop",
    "system:serviceaccount:shop:",
    "system:serviceaccount::robot",
    "system:serviceaccount:Shop:robot",
    "system:serviceaccounts:shop:robot",
    "x:system:serviceaccount:shop:robot",
    "ann",
  ])
    assert.equal(serviceAccountOf(name), undefined, name);
});
