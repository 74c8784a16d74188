import assert from "node:assert/strict";
import { test } from "node:test";
import {
  endpointsKind,
  endpointSliceKind,
  nodeKind,
  podKind,
  serviceKind,
  type EndpointSlice,
  type Service,
} from "../../../api/kubernetes/index.ts";
import { transientError } from "../../../base/index.ts";
import { HandCluster } from "../testing/hand-cluster.ts";
import { makePod } from "../testing/make-pod.ts";
import { addEndpointSliceController } from "./endpoint-slice.ts";

const labels = { app: "web" };

/** A cluster with a Service and the pod `a`. */
async function start(spec: Service["spec"] = {}, metadata: Partial<Service["metadata"]> = {}): Promise<HandCluster> {
  const cluster = new HandCluster();
  addEndpointSliceController(cluster.context);
  cluster.put(podKind, makePod("a", { labels, ip: "10.0.0.1", node: "n1" }));
  putService(cluster, spec, metadata);
  await cluster.settle();
  return cluster;
}

function putService(cluster: HandCluster, spec: Service["spec"], metadata: Partial<Service["metadata"]> = {}): void {
  cluster.put(serviceKind, {
    metadata: { name: "web", namespace: "default", ...metadata },
    spec: { selector: labels, ports: [{ port: 80 }], ...spec },
  });
}

const slices = (cluster: HandCluster): EndpointSlice[] => cluster.all(endpointSliceKind);
const addresses = (cluster: HandCluster): string[] =>
  slices(cluster).flatMap(({ endpoints = [] }) => endpoints.flatMap((endpoint) => endpoint.addresses));

test("a Service gets a slice that it owns, with its labels, and an Endpoints object of its name", async () => {
  const cluster = await start({}, { labels: { team: "shop" } });
  const [slice] = slices(cluster);
  assert.deepEqual(slice?.metadata.labels, {
    team: "shop",
    "kubernetes.io/service-name": "web",
    "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
  });
  assert.match(slice.metadata.name ?? "", /^web-[a-z0-9]{5}$/);
  assert.deepEqual(
    slice.metadata.ownerReferences?.map(({ kind, name, controller }) => [kind, name, controller]),
    [["Service", "web", true]],
  );
  assert.deepEqual(addresses(cluster), ["10.0.0.1"]);
  const [endpoints] = cluster.all(endpointsKind);
  assert.deepEqual([endpoints?.metadata.name, endpoints?.subsets?.[0]?.addresses?.[0]?.ip], ["web", "10.0.0.1"]);
});

test("slices follow pods that are added, changed and removed", async () => {
  const cluster = await start();
  cluster.put(podKind, makePod("b", { labels, ip: "10.0.0.2" }));
  await cluster.settle();
  assert.deepEqual(addresses(cluster), ["10.0.0.1", "10.0.0.2"]);
  cluster.put(podKind, makePod("a", { labels: { app: "other" }, ip: "10.0.0.1" }));
  await cluster.settle();
  assert.deepEqual(addresses(cluster), ["10.0.0.2"]);
  cluster.remove(podKind, "default/b");
  await cluster.settle();
  assert.deepEqual([addresses(cluster), slices(cluster).length], [[], 1]);
});

test("a change that does not concern the endpoints writes nothing", async () => {
  const cluster = await start();
  const before = cluster.writes.length;
  cluster.put(podKind, makePod("a", { labels, ip: "10.0.0.1", node: "n1", annotations: { note: "x" } }));
  await cluster.settle();
  assert.equal(cluster.writes.length, before);
});

test("labels that the Service loses are also removed from its slices", async () => {
  const cluster = await start({}, { labels: { team: "shop", tier: "front" } });
  putService(cluster, {}, { labels: { team: "blog" } });
  await cluster.settle();
  const { team, tier } = slices(cluster)[0]?.metadata.labels ?? {};
  assert.deepEqual([team, tier], ["blog", undefined]);
});

test("slices of a headless Service have the label for it", async () => {
  const cluster = await start({ clusterIP: "None" });
  assert.equal(slices(cluster)[0]?.metadata.labels?.["service.kubernetes.io/headless"], "");
});

test("a Service of two address families has a slice of each, and loses the slice of a family that it no longer has", async () => {
  const cluster = await start({ ipFamilies: ["IPv4", "IPv6"] });
  const types = (): string[] => slices(cluster).map(({ addressType }) => addressType);
  assert.deepEqual(types(), ["IPv4", "IPv6"]);
  putService(cluster, { ipFamilies: ["IPv4"] });
  await cluster.settle();
  assert.deepEqual(types(), ["IPv4"]);
});

test("the controller recreates a slice that somebody deletes", async () => {
  const cluster = await start();
  cluster.remove(endpointSliceKind, `default/${slices(cluster)[0]?.metadata.name ?? ""}`);
  await cluster.settle();
  assert.deepEqual(addresses(cluster), ["10.0.0.1"]);
});

test("a Service without a selector and an ExternalName Service get no endpoints", async () => {
  for (const spec of [{ selector: {} }, { type: "ExternalName" as const, externalName: "example.com" }]) {
    const cluster = await start(spec);
    assert.deepEqual(cluster.writes, []);
  }
});

test("slices that others manage stay as they are", async () => {
  const cluster = new HandCluster();
  addEndpointSliceController(cluster.context);
  const foreign = {
    "kubernetes.io/service-name": "web",
    "endpointslice.kubernetes.io/managed-by": "somebody",
  };
  cluster.put(endpointSliceKind, {
    metadata: { name: "web-foreign", namespace: "default", labels: foreign },
    addressType: "IPv4",
    endpoints: [{ addresses: ["192.0.2.1"] }],
  });
  putService(cluster, {});
  await cluster.settle();
  assert.deepEqual(addresses(cluster), ["192.0.2.1"]);
});

test("the Endpoints object of a Service is deleted with it, and the garbage collector deletes the slices", async () => {
  const cluster = await start();
  cluster.remove(serviceKind, "default/web");
  await cluster.settle();
  assert.deepEqual([cluster.all(endpointsKind).length, slices(cluster).length], [0, 1]);
});

test("the deletion of Endpoints is tried again after the server has refused it, unless the Service exists again", async () => {
  for (const comesBack of [false, true]) {
    const cluster = await start();
    cluster.refusals.set("delete Endpoints", transientError("conflict", "try later"));
    cluster.remove(serviceKind, "default/web");
    await assert.rejects(cluster.settle(), /try later/);
    cluster.refusals.clear();
    if (comesBack) putService(cluster, {});
    await cluster.settle();
    assert.equal(cluster.all(endpointsKind).length, comesBack ? 1 : 0);
  }
});

test("a Service that loses its selector keeps its endpoints, which others may then manage", async () => {
  const cluster = await start();
  const before = cluster.writes.length;
  putService(cluster, { selector: {} });
  cluster.put(podKind, makePod("b", { labels, ip: "10.0.0.2" }));
  await cluster.settle();
  assert.deepEqual([addresses(cluster), cluster.writes.length], [["10.0.0.1"], before]);
});

test("the Endpoints object has the labels of the Service, and the label of a headless one", async () => {
  const cluster = await start({ clusterIP: "None" }, { labels: { team: "shop", tier: "front" } });
  const labelsOf = (): Record<string, string> | undefined => cluster.all(endpointsKind)[0]?.metadata.labels;
  const managed = { "endpoints.kubernetes.io/managed-by": "endpoint-controller" };
  assert.deepEqual(labelsOf(), {
    team: "shop",
    tier: "front",
    "service.kubernetes.io/headless": "",
    ...managed,
  });
  putService(cluster, { clusterIP: "None" }, { labels: { team: "blog" } });
  await cluster.settle();
  assert.deepEqual(labelsOf(), { team: "blog", "service.kubernetes.io/headless": "", ...managed });
});

test("an endpoint is in the zone of its node, and follows its label", async () => {
  const cluster = await start();
  const zones = (): (string | undefined)[] =>
    slices(cluster).flatMap(({ endpoints = [] }) => endpoints.map(({ zone }) => zone));
  assert.deepEqual(zones(), [undefined]);
  const label = (zone: string): void =>
    void cluster.put(nodeKind, { metadata: { name: "n1", labels: { "topology.kubernetes.io/zone": zone } } });
  label("a");
  await cluster.settle();
  assert.deepEqual(zones(), ["a"]);
  label("b");
  await cluster.settle();
  assert.deepEqual(zones(), ["b"]);
});
