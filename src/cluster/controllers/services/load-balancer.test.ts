import assert from "node:assert/strict";
import { test } from "node:test";
import {
  ipAddressPoolKind,
  l2AdvertisementKind,
  serviceKind,
  type IPAddressPool,
  type Service,
} from "../../../api/kubernetes/index.ts";
import { HandCluster } from "../testing/hand-cluster.ts";
import { addLoadBalancerController } from "./load-balancer.ts";
import { addressesOf } from "./load-balancer-plan.ts";

function start(): HandCluster {
  const cluster = new HandCluster();
  addLoadBalancerController(cluster.context);
  return cluster;
}

function putService(cluster: HandCluster, name: string, spec: Service["spec"] = {}): Service {
  const known = cluster.all(serviceKind).find(({ metadata }) => metadata.name === name);
  return cluster.put(serviceKind, {
    ...known,
    metadata: { name, namespace: "default", ...known?.metadata },
    spec: { type: "LoadBalancer", ports: [{ port: 80 }], ...spec },
  });
}

function putPool(cluster: HandCluster, ...addresses: string[]): IPAddressPool {
  return cluster.put(ipAddressPoolKind, {
    metadata: { name: "main", namespace: "metallb-system" },
    spec: { addresses },
  });
}

/** The addresses of each Service, by its name. */
const held = (cluster: HandCluster): Record<string, string> =>
  Object.fromEntries(
    cluster.all(serviceKind).map((service) => [service.metadata.name ?? "", addressesOf(service).join(" ")]),
  );

test("Services get the lowest free addresses of the lab's range if there is no pool", async () => {
  const cluster = start();
  putService(cluster, "a");
  putService(cluster, "b");
  await cluster.settle();
  assert.deepEqual(held(cluster), { a: "172.18.255.1", b: "172.18.255.2" });
  assert.deepEqual(cluster.events, ["IPAllocated", "IPAllocated"]);
});

test("a pool of MetalLB replaces the lab's range, and an address in use stays when pools change", async () => {
  const cluster = start();
  putService(cluster, "a");
  await cluster.settle();
  putPool(cluster, "192.0.2.0/30");
  putService(cluster, "b");
  await cluster.settle();
  assert.deepEqual(held(cluster), { a: "172.18.255.1", b: "192.0.2.0" });
});

test("a pool outside MetalLB's namespace is ignored", async () => {
  const cluster = start();
  const pool = putPool(cluster, "192.0.2.0/30");
  cluster.remove(ipAddressPoolKind, "metallb-system/main");
  cluster.put(ipAddressPoolKind, { ...pool, metadata: { name: "main", namespace: "default" } });
  putService(cluster, "a");
  await cluster.settle();
  assert.deepEqual(held(cluster), { a: "172.18.255.1" });
});

test("a Service without an address has an event with the reason, and the oldest one gets the first address that becomes free", async () => {
  const cluster = start();
  putPool(cluster, "192.0.2.7/32");
  putService(cluster, "first");
  await cluster.settle();
  await cluster.pass(1_000);
  putService(cluster, "second");
  await cluster.pass(1_000);
  putService(cluster, "third");
  await cluster.settle();
  assert.deepEqual(held(cluster), { first: "192.0.2.7", second: "", third: "" });
  assert.match(cluster.notes.at(-1) ?? "", /^Failed to allocate IP for "default\/third": no available IPs/);
  cluster.remove(serviceKind, "default/first");
  await cluster.settle();
  assert.deepEqual(held(cluster), { second: "192.0.2.7", third: "" });
});

test("a new pool serves the Services that wait", async () => {
  const cluster = start();
  putPool(cluster, "192.0.2.7/32");
  putService(cluster, "a");
  putService(cluster, "b");
  await cluster.settle();
  putPool(cluster, "192.0.2.7/32", "192.0.2.9/32");
  await cluster.settle();
  assert.deepEqual(held(cluster), { a: "192.0.2.7", b: "192.0.2.9" });
});

test("a Service that is no longer a LoadBalancer gives its address back", async () => {
  const cluster = start();
  putPool(cluster, "192.0.2.7/32");
  putService(cluster, "a");
  await cluster.settle();
  putService(cluster, "b");
  putService(cluster, "a", { type: "ClusterIP" });
  await cluster.settle();
  assert.deepEqual(held(cluster), { a: "", b: "192.0.2.7" });
});

test("a Service of another load balancer's class is not changed, and keeps its address", async () => {
  const cluster = start();
  const service = putService(cluster, "a", { loadBalancerClass: "example.com/other" });
  cluster.put(serviceKind, { ...service, status: { loadBalancer: { ingress: [{ ip: "198.51.100.1" }] } } });
  await cluster.settle();
  assert.deepEqual([held(cluster), cluster.writes], [{ a: "198.51.100.1" }, []]);
});

test("a Service that requests another address gets that one", async () => {
  const cluster = start();
  putPool(cluster, "192.0.2.0/28");
  putService(cluster, "a");
  await cluster.settle();
  putService(cluster, "a", { loadBalancerIP: "192.0.2.5" });
  await cluster.settle();
  assert.deepEqual(held(cluster), { a: "192.0.2.5" });
});

test("an address of a pool that no advertisement announces is assigned with a warning", async () => {
  const cluster = start();
  putPool(cluster, "192.0.2.0/28");
  putService(cluster, "a");
  await cluster.settle();
  assert.deepEqual(cluster.events, ["IPAllocated", "NotAdvertised"]);
  cluster.put(l2AdvertisementKind, { metadata: { name: "all", namespace: "metallb-system" } });
  putService(cluster, "b");
  await cluster.settle();
  assert.deepEqual(cluster.events.slice(2), ["IPAllocated"]);
});
