import assert from "node:assert/strict";
import { test } from "node:test";
import { clusterRoleKind, type PolicyRule } from "../../../api/kubernetes/index.ts";
import { HandCluster } from "../testing/hand-cluster.ts";
import { addClusterRoleAggregation } from "./cluster-role-aggregation.ts";

const rule = (resource: string): PolicyRule => ({ apiGroups: [""], resources: [resource], verbs: ["get"] });
const toView = { "rbac.authorization.k8s.io/aggregate-to-view": "true" };

/**
 * A cluster with the role `view`, which aggregates all labelled roles, and with these roles. Each role grants the
 * resources in its list.
 */
async function clusterWith(roles: Readonly<Record<string, readonly string[]>>): Promise<HandCluster> {
  const cluster = new HandCluster();
  addClusterRoleAggregation(cluster.context);
  cluster.put(clusterRoleKind, {
    metadata: { name: "view" },
    aggregationRule: { clusterRoleSelectors: [{ matchLabels: toView }] },
    rules: [],
  });
  for (const [name, resources] of Object.entries(roles))
    cluster.put(clusterRoleKind, { metadata: { name, labels: toView }, rules: resources.map(rule) });
  await cluster.settle();
  return cluster;
}

const resourcesOf = (cluster: HandCluster, name = "view"): string[] =>
  (cluster.view(clusterRoleKind).at(name)?.rules ?? []).flatMap(({ resources }) => resources ?? []);

test("a role has the rules of all that it selects, in the order of their names, and each rule once", async () => {
  const cluster = await clusterWith({ second: ["b", "a"], first: ["a", "c"] });
  assert.deepEqual(resourcesOf(cluster), ["a", "c", "b"]);
});

test("roles that are not selected add nothing, and a role without an aggregation rule keeps its own", async () => {
  const cluster = await clusterWith({});
  cluster.put(clusterRoleKind, { metadata: { name: "other" }, rules: [rule("secrets")] });
  await cluster.settle();
  assert.deepEqual([resourcesOf(cluster), resourcesOf(cluster, "other")], [[], ["secrets"]]);
});

test("rules that somebody writes into an aggregated role are replaced", async () => {
  const cluster = await clusterWith({ first: ["a"] });
  const view = cluster.view(clusterRoleKind).at("view");
  assert.ok(view !== undefined);
  cluster.put(clusterRoleKind, { ...view, rules: [rule("secrets")] });
  await cluster.settle();
  assert.deepEqual(resourcesOf(cluster), ["a"]);
});

test("a new rule of a selected role is added, and the rules of a deleted role are removed", async () => {
  const cluster = await clusterWith({ first: ["a"], second: ["b"] });
  cluster.put(clusterRoleKind, { metadata: { name: "first", labels: toView }, rules: [rule("a"), rule("c")] });
  cluster.remove(clusterRoleKind, "second");
  await cluster.settle();
  assert.deepEqual(resourcesOf(cluster), ["a", "c"]);
});

test("a role that is up to date is not written again", async () => {
  const cluster = await clusterWith({ first: ["a"] });
  const before = cluster.writes.length;
  cluster.put(clusterRoleKind, { metadata: { name: "first", labels: { ...toView, more: "x" } }, rules: [rule("a")] });
  await cluster.settle();
  assert.equal(cluster.writes.length, before);
});

test("if a role loses its label, its rules are removed from the aggregated role", async () => {
  const cluster = await clusterWith({ first: ["a"], second: ["b"] });
  cluster.put(clusterRoleKind, { metadata: { name: "second", labels: {} }, rules: [rule("b")] });
  await cluster.settle();
  assert.deepEqual(resourcesOf(cluster), ["a"]);
});

test("a role that matches its own selector does not keep outdated rules because of that", async () => {
  const cluster = await clusterWith({ first: ["a"] });
  const view = cluster.view(clusterRoleKind).at("view");
  assert.ok(view !== undefined);
  cluster.put(clusterRoleKind, { ...view, metadata: { name: "view", labels: toView }, rules: [rule("secrets")] });
  await cluster.settle();
  assert.deepEqual(resourcesOf(cluster), ["a"]);
});
