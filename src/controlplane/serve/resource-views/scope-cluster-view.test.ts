import assert from "node:assert/strict";
import { test } from "node:test";
import { CollectionGraph } from "../../../kube/index.ts";
import type { ClientService, EncodedResource, OutboundClusters, SharedCluster } from "../../translate/index.ts";
import { ScopeClusterView } from "./scope-cluster-view.ts";

const host = "web.shop.svc.cluster.local";

/** Counts how often the name of one of the subsets' clusters is read. */
function manySubsets(count: number) {
  let reads = 0;
  const list = Array.from({ length: count }, (_, index): SharedCluster => {
    const name = `outbound|80|v${String(index).padStart(6, "0")}|${host}`;
    const variant = {
      get name() {
        reads += 1;
        return name;
      },
    };
    return { variant, cluster: `${name}#`, endpoints: undefined } as unknown as SharedCluster;
  });
  const graph = new CollectionGraph();
  const scopes = graph.source<{ scope: string; services: readonly ClientService[] }>("scopes");
  const services = graph.source<{ hostname: string; clusters: readonly SharedCluster[] }>("services");
  const clusters = graph.source<EncodedResource>("clusters");
  const found = { key: "web", service: { hostname: host } } as unknown as ClientService;
  graph.batch(() => {
    scopes.set("shop", { scope: "shop", services: [found] });
    services.set("web", { hostname: host, clusters: list });
    for (const { cluster } of list)
      clusters.set(cluster, { name: cluster.slice(0, -1), version: "1", any: nothing, delta: nothing });
  });
  const shared = { scopes, services, clusters, assignments: clusters } as unknown as OutboundClusters;
  reads = 0;
  return { view: new ScopeClusterView(shared, "clusters", "shop"), reads: () => reads };
}

const nothing = new Uint8Array(0);

test("a view finds each cluster of a service with thousands of subsets by a few comparisons", () => {
  const { view, reads } = manySubsets(4096);
  for (const index of [0, 1, 2000, 4095]) {
    const name = `outbound|80|v${String(index).padStart(6, "0")}|${host}`;
    assert.equal(view.get(name)?.name, name);
  }
  assert.ok(reads() <= 4 * 14, `${reads()} names were read for 4 lookups`);
  assert.equal(view.get(`outbound|80|v9|${host}`), undefined, "a subset that does not exist");
});
