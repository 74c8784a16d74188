import assert from "node:assert/strict";
import { test } from "node:test";
import {
  endpointsKind,
  endpointSliceKind,
  serviceKind,
  type Endpoints,
  type EndpointSlice,
} from "../../../api/kubernetes/index.ts";
import { HandCluster } from "../testing/hand-cluster.ts";
import { addEndpointMirror } from "./endpoint-mirror.ts";

const outside: Endpoints = {
  metadata: {
    name: "wikipedia",
    namespace: "default",
    uid: "u1",
    labels: { team: "shop" },
    annotations: { note: "1", "kubectl.kubernetes.io/last-applied-configuration": "{}" },
  },
  subsets: [
    {
      addresses: [{ ip: "198.35.26.96" }, { ip: "2620:0:861:1::1" }],
      notReadyAddresses: [{ ip: "208.80.153.224" }],
      ports: [{ name: "tls", port: 443 }],
    },
  ],
};

/** A cluster with a Service and the Endpoints of the same name. */
async function start(metadata: Endpoints["metadata"] = {}, selector?: Record<string, string>): Promise<HandCluster> {
  const cluster = new HandCluster();
  addEndpointMirror(cluster.context);
  cluster.put(serviceKind, {
    metadata: { name: "wikipedia", namespace: "default" },
    spec: { ports: [{ port: 443 }], ...(selector === undefined ? {} : { selector }) },
  });
  cluster.put(endpointsKind, { ...outside, metadata: { ...outside.metadata, ...metadata } });
  await cluster.settle();
  return cluster;
}

const slices = (cluster: HandCluster): EndpointSlice[] => cluster.all(endpointSliceKind);

test("Endpoints of a Service without a selector get a slice for each address family", async () => {
  const [four, six, ...others] = slices(await start());
  assert.deepEqual(others, []);
  assert.deepEqual(four?.metadata.labels, {
    team: "shop",
    "kubernetes.io/service-name": "wikipedia",
    "endpointslice.kubernetes.io/managed-by": "endpointslicemirroring-controller.k8s.io",
  });
  assert.deepEqual(four.metadata.annotations, { note: "1" });
  assert.deepEqual(four.metadata.ownerReferences?.[0]?.kind, "Endpoints");
  assert.deepEqual(four.endpoints, [
    { addresses: ["198.35.26.96"], conditions: { ready: true } },
    { addresses: ["208.80.153.224"], conditions: { ready: false } },
  ]);
  assert.deepEqual(four.ports, [{ name: "tls", protocol: "TCP", port: 443 }]);
  assert.deepEqual([six?.addressType, six?.endpoints?.[0]?.addresses], ["IPv6", ["2620:0:861:1::1"]]);
});

test("slices follow changed Endpoints, and end with them, with the Service, and with a selector", async () => {
  const cluster = await start();
  const writes = cluster.writes.length;
  cluster.put(endpointsKind, { ...outside, subsets: [{ addresses: [{ ip: "10.9.9.9" }], ports: [{ port: 80 }] }] });
  await cluster.settle();
  assert.deepEqual(
    slices(cluster).map(({ endpoints, ports }) => [endpoints?.[0]?.addresses, ports?.[0]?.port]),
    [[["10.9.9.9"], 80]],
  );
  assert.ok(cluster.writes.length > writes);
  cluster.put(serviceKind, { metadata: { name: "wikipedia", namespace: "default" }, spec: { selector: { a: "b" } } });
  await cluster.settle();
  assert.deepEqual(slices(cluster), []);
});

test("Endpoints of a Service that selects pods, of a lock, and those with the label to skip get no slice", async () => {
  for (const cluster of [
    await start({}, { app: "web" }),
    await start({ labels: { "endpointslice.kubernetes.io/skip-mirror": "true" } }),
    await start({ annotations: { "control-plane.alpha.kubernetes.io/leader": "{}" } }),
  ])
    assert.deepEqual(slices(cluster), []);
});
