import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate } from "node:timers/promises";
import type { KubernetesObject, OwnerReference } from "../../../api/index.ts";
import { configMapKind, customResourceDefinitionKind, podKind, secretKind } from "../../../api/kubernetes/index.ts";
import { HandCluster } from "../testing/hand-cluster.ts";
import { makePod, namesOf } from "../testing/make-pod.ts";
import { addGarbageCollector } from "./garbage-collector.ts";

interface Stage {
  readonly cluster: HandCluster;
  /** Delivers all changes to the collector, and waits until the collector has acted on them. */
  readonly turn: () => Promise<void>;
}

/**
 * Runs the collector over a cluster with the secrets `first` and `second`, which own the objects that the test adds.
 */
async function withCollector(run: (stage: Stage) => Promise<void>): Promise<void> {
  const cluster = new HandCluster();
  cluster.view(configMapKind);
  cluster.view(customResourceDefinitionKind);
  addGarbageCollector(cluster.context, cluster.context.client);
  for (const name of ["first", "second"]) cluster.put(secretKind, { metadata: { name, namespace: "shop", uid: name } });
  const stop = new AbortController();
  const running = cluster.run(stop.signal);
  const turn = async (): Promise<void> => {
    for (let round = 0; round < 5; round += 1) {
      await setImmediate();
      await cluster.settle();
    }
  };
  await turn();
  await run({ cluster, turn });
  stop.abort();
  await running;
}

const owner = (name: string, more: Partial<OwnerReference> = {}): OwnerReference => ({
  apiVersion: "v1",
  kind: "Secret",
  name,
  uid: name,
  ...more,
});
function putConfig(cluster: HandCluster, name: string, ...ownerReferences: OwnerReference[]): void {
  cluster.put(configMapKind, { metadata: { name, namespace: "shop", ownerReferences } });
}

/**
 * Starts the deletion of a secret. The finalizer, if any, is the one that the server sets for the propagation policy.
 */
function deleteSecret(cluster: HandCluster, name: string, finalizer?: string): void {
  if (finalizer === undefined) cluster.remove(secretKind, `shop/${name}`);
  else {
    const finalizers = [finalizer];
    const deletionTimestamp = "2026-01-01T00:00:00Z";
    cluster.put(secretKind, { metadata: { name, namespace: "shop", uid: name, finalizers, deletionTimestamp } });
  }
}

const configs = (cluster: HandCluster): KubernetesObject[] => cluster.all(configMapKind);
const ownersOf = (cluster: HandCluster): string[][] =>
  configs(cluster).map(({ metadata }) => (metadata.ownerReferences ?? []).map(({ uid }) => uid));

test("an object is deleted with its last owner, and an object without owners stays", async () => {
  await withCollector(async ({ cluster, turn }) => {
    putConfig(cluster, "of-first", owner("first"));
    putConfig(cluster, "free");
    await turn();
    assert.deepEqual(namesOf(configs(cluster)), ["of-first", "free"]);
    deleteSecret(cluster, "first");
    await turn();
    assert.deepEqual(namesOf(configs(cluster)), ["free"]);
  });
});

test("an object that has lost its owner stays, although the watch has not reported it yet", async () => {
  await withCollector(async ({ cluster, turn }) => {
    const metadata = { name: "released", namespace: "shop" };
    const { metadata: stored } = cluster.put(configMapKind, {
      metadata: { ...metadata, ownerReferences: [owner("first")] },
    });
    await turn();
    const { ownerReferences: _lost, ...free } = stored;
    cluster.unseen.set("ConfigMap/shop/released", { metadata: free });
    deleteSecret(cluster, "first");
    await turn();
    assert.deepEqual(cluster.writes, []);
  });
});

test("an object with another owner loses only the reference to the deleted owner", async () => {
  await withCollector(async ({ cluster, turn }) => {
    putConfig(cluster, "shared", owner("first"), owner("second"));
    await turn();
    deleteSecret(cluster, "first");
    await turn();
    assert.deepEqual(ownersOf(cluster), [["second"]]);
  });
});

test("an object whose owner never existed, or has another uid, is collected", async () => {
  await withCollector(async ({ cluster, turn }) => {
    putConfig(cluster, "lost", owner("nobody"));
    putConfig(cluster, "outdated", owner("first", { uid: "predecessor" }));
    await turn();
    assert.deepEqual(configs(cluster), []);
  });
});

test("an object whose owner is of a kind that the server does not serve stays", async () => {
  await withCollector(async ({ cluster, turn }) => {
    putConfig(cluster, "waiting", owner("first", { apiVersion: "example.com/v1", kind: "Widget" }));
    await turn();
    assert.deepEqual(namesOf(configs(cluster)), ["waiting"]);
  });
});

test("an owner in foreground deletion is removed after the objects that block it", async () => {
  await withCollector(async ({ cluster, turn }) => {
    putConfig(cluster, "blocking", owner("first", { blockOwnerDeletion: true }));
    await turn();
    deleteSecret(cluster, "first", "foregroundDeletion");
    await turn();
    assert.deepEqual([configs(cluster), namesOf(cluster.all(secretKind))], [[], ["second"]]);
    assert.deepEqual(cluster.writes, ["delete ConfigMap/shop/blocking", "patch Secret/shop/first"]);
  });
});

test("if an owner is deleted without its dependents, they lose the reference to it", async () => {
  await withCollector(async ({ cluster, turn }) => {
    putConfig(cluster, "kept", owner("first"));
    await turn();
    deleteSecret(cluster, "first", "orphan");
    await turn();
    assert.deepEqual([ownersOf(cluster), namesOf(cluster.all(secretKind))], [[[]], ["second"]]);
  });
});

test("a chain of owners is deleted from the top to the end", async () => {
  await withCollector(async ({ cluster, turn }) => {
    cluster.put(configMapKind, {
      metadata: { name: "middle", namespace: "shop", uid: "middle", ownerReferences: [owner("first")] },
    });
    const pod = makePod("end");
    const ownerReferences = [owner("middle", { kind: "ConfigMap" })];
    cluster.put(podKind, { ...pod, metadata: { ...pod.metadata, namespace: "shop", ownerReferences } });
    await turn();
    deleteSecret(cluster, "first");
    await turn();
    assert.deepEqual([configs(cluster), cluster.all(podKind)], [[], []]);
  });
});

test("the kinds are read again only if a definition changes what the server serves", async () => {
  await withCollector(async ({ cluster, turn }) => {
    let reads = 0;
    const { client } = cluster.context;
    const raw = client.raw.bind(client);
    Object.assign(client, { raw: (...request: Parameters<typeof raw>) => ((reads += 1), raw(...request)) });
    const define = async (generation: number, status: object): Promise<number> => {
      const metadata = { name: "widgets.example.com", generation };
      cluster.put(customResourceDefinitionKind, { metadata, status });
      await turn();
      await cluster.pass(300);
      await turn();
      return reads;
    };
    cluster.view({ ...configMapKind, group: "example.com", kind: "Widget", plural: "widgets" });
    const first = await define(1, {});
    assert.ok(first > 0);
    assert.equal(await define(1, { storedVersions: ["v1"] }), first);
    assert.ok((await define(2, {})) > first);
  });
});

test("a kind that is defined later is followed too", async () => {
  await withCollector(async ({ cluster, turn }) => {
    const widgetKind = { ...configMapKind, group: "example.com", kind: "Widget", plural: "widgets" };
    cluster.put(widgetKind, { metadata: { name: "lost", namespace: "shop", ownerReferences: [owner("nobody")] } });
    cluster.put(customResourceDefinitionKind, { metadata: { name: "widgets.example.com" } });
    await turn();
    assert.equal(cluster.all(widgetKind).length, 1);
    await cluster.pass(300);
    await turn();
    assert.deepEqual(cluster.all(widgetKind), []);
  });
});
