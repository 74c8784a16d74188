import assert from "node:assert/strict";
import { test } from "node:test";
import {
  configMapKind,
  customResourceDefinitionKind,
  namespaceKind,
  podKind,
  secretKind,
  type Namespace,
} from "../../../api/kubernetes/index.ts";
import { userError } from "../../../base/index.ts";
import { HandCluster } from "../testing/hand-cluster.ts";
import { makePod, namesOf } from "../testing/make-pod.ts";
import { addNamespaceController } from "./namespace.ts";

/** A cluster whose namespace `shop` is being deleted. */
function start(): HandCluster {
  const cluster = new HandCluster();
  addNamespaceController(cluster.context);
  putNamespace(cluster, { deletionTimestamp: "2026-01-01T00:00:00Z" });
  return cluster;
}

function putNamespace(cluster: HandCluster, metadata: Partial<Namespace["metadata"]> = {}): void {
  cluster.put(namespaceKind, {
    metadata: { name: "shop", ...metadata },
    spec: { finalizers: ["kubernetes", "example.com/audit"] },
  });
}

function putConfig(cluster: HandCluster, name: string, namespace = "shop", finalizers: string[] = []): void {
  cluster.put(configMapKind, { metadata: { name, namespace, finalizers } });
}

function putPod(cluster: HandCluster, finalizers: string[] = []): void {
  const pod = makePod("web");
  cluster.put(podKind, { ...pod, metadata: { ...pod.metadata, namespace: "shop", finalizers } });
}

const finalizersOf = (cluster: HandCluster): string[] | undefined => cluster.all(namespaceKind)[0]?.spec?.finalizers;

test("a namespace that is being deleted loses its contents, and then its finalizer", async () => {
  const cluster = start();
  putConfig(cluster, "settings");
  putConfig(cluster, "settings", "other");
  putPod(cluster);
  cluster.put(customResourceDefinitionKind, { metadata: { name: "wide.example.com" } });
  await cluster.settle();
  assert.deepEqual(cluster.all(podKind), []);
  assert.deepEqual(
    cluster.all(configMapKind).map(({ metadata }) => metadata.namespace),
    ["other"],
  );
  assert.deepEqual(namesOf(cluster.all(customResourceDefinitionKind)), ["wide.example.com"]);
  assert.deepEqual(finalizersOf(cluster), ["example.com/audit"]);
  assert.equal(cluster.writes.at(-1), "update finalize of Namespace/shop");
});

test("a namespace that is not being deleted is left alone", async () => {
  const cluster = new HandCluster();
  addNamespaceController(cluster.context);
  putNamespace(cluster);
  putConfig(cluster, "settings");
  await cluster.settle();
  assert.deepEqual([cluster.writes, cluster.all(configMapKind).length], [[], 1]);
});

test("a namespace stays while an object in it has a finalizer, and is removed soon after the finalizer", async () => {
  const cluster = start();
  putConfig(cluster, "kept", "shop", ["example.com/keep"]);
  await cluster.settle();
  assert.deepEqual(finalizersOf(cluster), ["kubernetes", "example.com/audit"]);
  cluster.remove(configMapKind, "shop/kept");
  await cluster.pass(15_000);
  assert.deepEqual(finalizersOf(cluster), ["example.com/audit"]);
});

test("the wait for objects begins anew when fewer are left, and ends soon after one of them has ended", async () => {
  const cluster = new HandCluster();
  const ended = addNamespaceController(cluster.context);
  putNamespace(cluster, { deletionTimestamp: "2026-01-01T00:00:00Z" });
  for (const name of ["a", "b", "c"]) putConfig(cluster, name, "shop", ["example.com/keep"]);
  await cluster.settle();
  await cluster.pass(60_000);
  const left = (): string => conditions(cluster)["NamespaceContentRemaining"] ?? "";
  cluster.remove(configMapKind, "shop/a");
  while (!left().includes("has 2 resource instances")) await cluster.pass(250);
  cluster.remove(configMapKind, "shop/b");
  await cluster.pass(500);
  assert.match(left(), /has 1 resource instances/);
  await cluster.pass(60_000);
  cluster.remove(configMapKind, "shop/c");
  ended("shop");
  ended("other");
  await cluster.pass(50);
  await cluster.settle();
  assert.deepEqual(finalizersOf(cluster), ["example.com/audit"]);
});

test("the end of a pod is noticed at once", async () => {
  const cluster = start();
  putPod(cluster, ["example.com/keep"]);
  await cluster.settle();
  assert.deepEqual(finalizersOf(cluster), ["kubernetes", "example.com/audit"]);
  cluster.remove(podKind, "shop/web");
  await cluster.settle();
  assert.deepEqual(finalizersOf(cluster), ["example.com/audit"]);
});

test("pods are deleted before all other objects in the namespace", async () => {
  const cluster = start();
  putPod(cluster, ["example.com/keep"]);
  putConfig(cluster, "settings");
  await cluster.settle();
  assert.deepEqual(namesOf(cluster.all(configMapKind)), ["settings"]);
  cluster.remove(podKind, "shop/web");
  await cluster.settle();
  assert.deepEqual(cluster.all(configMapKind), []);
});

const conditions = (cluster: HandCluster): Record<string, string> =>
  Object.fromEntries(
    (cluster.all(namespaceKind)[0]?.status?.conditions ?? []).map(({ type, status, reason, message }) => [
      type,
      status === "True" ? `${reason}: ${message}` : "",
    ]),
  );

test("the conditions name the remaining objects and their finalizers", async () => {
  const cluster = start();
  putConfig(cluster, "kept", "shop", ["example.com/keep"]);
  await cluster.settle();
  assert.deepEqual(conditions(cluster), {
    NamespaceDeletionDiscoveryFailure: "",
    NamespaceDeletionGroupVersionParsingFailure: "",
    NamespaceDeletionContentFailure: "",
    NamespaceContentRemaining:
      "SomeResourcesRemain: Some resources are remaining: configmaps. has 1 resource instances",
    NamespaceFinalizersRemaining:
      "SomeFinalizersRemain: Some content in the namespace has finalizers remaining: example.com/keep in 1 resource instances",
  });
});

test("a refused deletion is reported by a condition, and does not delay other kinds", async () => {
  const cluster = start();
  putConfig(cluster, "settings");
  cluster.put(secretKind, { metadata: { name: "token", namespace: "shop" } });
  cluster.refusals.set("delete ConfigMap", userError("forbidden", "a webhook says no"));
  await assert.rejects(cluster.settle(), /says no/);
  assert.equal(
    conditions(cluster)["NamespaceDeletionContentFailure"],
    "ContentDeletionFailed: Failed to delete all resource types, 1 remaining: a webhook says no",
  );
  assert.deepEqual([cluster.all(secretKind), cluster.all(configMapKind).length], [[], 1]);
});

test("conditions of others stay, and those that do not change keep their time", async () => {
  const cluster = start();
  const [namespace] = cluster.all(namespaceKind);
  const other = {
    type: "Example",
    status: "True" as const,
    reason: "R",
    message: "",
    lastTransitionTime: "2026-01-01T00:00:00Z",
  };
  cluster.put(namespaceKind, { ...(namespace as Namespace), status: { conditions: [other] } });
  putConfig(cluster, "kept", "shop", ["example.com/keep"]);
  await cluster.settle();
  const before = cluster.all(namespaceKind)[0]?.status?.conditions;
  assert.deepEqual(before?.[0], other);
  await cluster.pass(15_000);
  assert.deepEqual(cluster.all(namespaceKind)[0]?.status?.conditions, before);
});
