import assert from "node:assert/strict";
import { test } from "node:test";
import type { Pod } from "../../api/kubernetes/index.ts";
import { fakePod, fakeView } from "./checks/testing/fake-mesh.ts";
import { isServedElsewhere, type EndpointShards } from "./remote-endpoints.ts";

const version = { namespace: "shop", service: "web", podLabels: { version: "v2" } };

/** An istiod with this cluster name, or without one. */
function istiod(cluster?: string): Pod {
  const pod = fakePod({
    name: "istiod-1",
    namespace: "istio-system",
    labels: { app: "istiod" },
    status: { conditions: [{ type: "Ready", status: "True" }] },
  });
  const env = cluster === undefined ? [] : [{ name: "CLUSTER_ID", value: cluster }];
  return { ...pod, spec: { containers: [{ name: "discovery", image: "x", env }] } };
}

async function isServed(
  shards: Readonly<Record<string, readonly object[]>>,
  { cluster, host = "web.shop.svc.cluster.local" }: { readonly cluster?: string; readonly host?: string } = {},
): Promise<boolean> {
  const answer = { [host]: { shop: { Shards: shards } } } as EndpointShards;
  return await isServedElsewhere(fakeView([istiod(cluster)]), version, async () => await Promise.resolve(answer));
}

test("a version serves elsewhere if another cluster has a healthy endpoint with its labels", async () => {
  const v1 = { Labels: { version: "v1" }, HealthStatus: 1 };
  const v2 = { Labels: { version: "v2", app: "web" }, HealthStatus: 1 };
  assert.equal(await isServed({ "Kubernetes/Kubernetes": [v1], "Kubernetes/west": [v1, v2] }), true);
  assert.equal(await isServed({ "Kubernetes/Kubernetes": [v2], "Kubernetes/west": [v1] }), false, "only here");
  assert.equal(await isServed({ "Kubernetes/east": [v2] }, { cluster: "east" }), false, "the own cluster has a name");
  assert.equal(await isServed({ "Kubernetes/east": [v2] }), true);
  assert.equal(await isServed({ "Kubernetes/west": [{ ...v2, HealthStatus: 2 }] }), false);
  assert.equal(await isServed({ "Kubernetes/west": [{ Labels: null }] }), false);
  assert.equal(await isServed({ "Kubernetes/west": [{ ...v2, ClusterLocal: true }] }), false, "only its own clients");
  assert.equal(await isServed({ "Kubernetes/west": [v2] }, { host: "web-2.shop.svc.cluster.local" }), false);
});

test("without an answer nothing is known of other clusters", async () => {
  const silent = async (): Promise<never> => await Promise.reject(new Error("no answer"));
  assert.equal(await isServedElsewhere(fakeView([istiod()]), version, silent), false);
  assert.equal(await isServedElsewhere(fakeView([]), version, silent), false);
});
