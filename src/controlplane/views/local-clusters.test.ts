import assert from "node:assert/strict";
import { test } from "node:test";
import type { JsonObject } from "@bufbuild/protobuf";
import type { KubernetesObject } from "../../api/index.ts";
import { typeUrls } from "../../wire/xds/index.ts";
import { createExtensionFixture, type ProxyResources } from "../testing/extension-fixture.ts";
import { config, namespace, node, pod, service, slice } from "../testing/model-fixture.ts";

/** A pod of the Deployment `web` whose sidecar requests the endpoints of its own workload. */
function sidecar(name: string, address: string, on: string, hash = "a1", selfDiscovers = true): KubernetesObject {
  const made = pod(`shop/${name}`, address, {
    labels: { app: "web", "pod-template-hash": hash, "service.istio.io/workload-name": "web" },
    node: on,
    redirected: false,
  }) as KubernetesObject & { spec: { containers: object[] } };
  const env = selfDiscovers ? [{ name: "ISTIO_META_ENABLE_SELF_DISCOVERY", value: "true" }] : [];
  made.spec.containers.push({ name: "istio-proxy", args: ["proxy", "sidecar"], env });
  return made;
}

function farNode(name: string): KubernetesObject {
  return {
    kind: "Node",
    metadata: { name, labels: { "topology.kubernetes.io/region": "r2", "topology.kubernetes.io/zone": "z9" } },
  };
}

const http = { name: "http", port: 80, targetPort: 8080 };
const webService = service("shop/web", "10.96.0.5", { app: "web" }, [http]);
const endpoints = (...pods: readonly (readonly [name: string, address: string, on: string])[]): KubernetesObject =>
  slice(
    "shop/web",
    { name: "http", port: 8080 },
    pods.map(([name, address, on]) => ({ address, pod: name, node: on })),
  );
const base: readonly KubernetesObject[] = [
  namespace("shop"),
  node("node-1", "z1"),
  node("node-2", "z2"),
  farNode("node-3"),
  webService,
];

function zonesOf(proxy: ProxyResources): Readonly<Record<string, readonly string[]>> {
  const shown = proxy.show(typeUrls.endpoint)["local_cluster"];
  const groups = (shown?.["endpoints"] ?? []) as unknown as readonly {
    readonly locality?: { readonly zone?: string };
    readonly lb_endpoints: readonly { endpoint: { address: { socket_address: { address: string } } } }[];
  }[];
  return Object.fromEntries(
    groups.map(({ locality, lb_endpoints: found }) => [
      locality?.zone ?? "",
      found.map(({ endpoint }) => endpoint.address.socket_address.address),
    ]),
  );
}

const selfDiscovery = { metadata: { ENABLE_SELF_DISCOVERY: "true" } };

test("a sidecar with self-discovery gets the endpoints of its own roll-out in its own region, by zone", () => {
  const { apply, connect } = createExtensionFixture();
  apply(
    ...base,
    sidecar("web-1", "10.244.1.1", "node-1"),
    sidecar("web-2", "10.244.2.1", "node-2"),
    sidecar("web-3", "10.244.2.2", "node-2"),
    sidecar("web-4", "10.244.3.1", "node-3"),
    sidecar("next-1", "10.244.1.9", "node-1", "b2"),
    endpoints(
      ["web-1", "10.244.1.1", "node-1"],
      ["web-2", "10.244.2.1", "node-2"],
      ["web-3", "10.244.2.2", "node-2"],
      ["web-4", "10.244.3.1", "node-3"],
      ["next-1", "10.244.1.9", "node-1"],
    ),
  );
  const nearby = { z1: ["10.244.1.1"], z2: ["10.244.2.1", "10.244.2.2"] };
  assert.deepEqual(zonesOf(connect({ pod: "shop/web-1", ...selfDiscovery })), nearby);
  assert.deepEqual(zonesOf(connect({ pod: "shop/web-2", ...selfDiscovery })), nearby);
  assert.deepEqual(zonesOf(connect({ pod: "shop/web-4", ...selfDiscovery })), { z9: ["10.244.3.1"] });
  assert.deepEqual(zonesOf(connect({ pod: "shop/next-1", ...selfDiscovery })), { z1: ["10.244.1.9"] });
});

test("a sidecar gets an update when the endpoints of its own workload change, and only then", () => {
  const { apply, connect } = createExtensionFixture();
  apply(...base, sidecar("web-1", "10.244.1.1", "node-1"), endpoints(["web-1", "10.244.1.1", "node-1"]));
  const proxy = connect({ pod: "shop/web-1", ...selfDiscovery });
  const changedNames: string[] = [];
  using _following = proxy.view(typeUrls.endpoint).subscribe((names) => void changedNames.push(...names));
  apply(service("shop/db", "10.96.0.6", { app: "db" }, [http]));
  assert.ok(!changedNames.includes("local_cluster"));
  apply(
    sidecar("web-2", "10.244.2.1", "node-2"),
    endpoints(["web-1", "10.244.1.1", "node-1"], ["web-2", "10.244.2.1", "node-2"]),
  );
  assert.ok(changedNames.includes("local_cluster"));
  assert.deepEqual(zonesOf(proxy), { z1: ["10.244.1.1"], z2: ["10.244.2.1"] });
});

test("without a service there are no endpoints, and without self-discovery there is no such cluster", () => {
  const { apply, connect } = createExtensionFixture();
  apply(namespace("shop"), node("node-1", "z1"), sidecar("web-1", "10.244.1.1", "node-1"));
  const shown = (proxy: ProxyResources): JsonObject | undefined => proxy.show(typeUrls.endpoint)["local_cluster"];
  assert.deepEqual(shown(connect({ pod: "shop/web-1", ...selfDiscovery })), { cluster_name: "local_cluster" });
  assert.equal(shown(connect({ pod: "shop/web-1" })), undefined);
});

test("a WorkloadEntry with the pod's address stands in for the pod, with the workload name of its label", () => {
  const { apply, connect } = createExtensionFixture();
  const entry = (name: string, address: string, zone: string): KubernetesObject =>
    config(
      "WorkloadEntry",
      `shop/${name}`,
      { address, locality: `r1/${zone}`, labels: { role: "local", "pod-template-hash": "a1" } },
      { labels: { "service.istio.io/workload-name": "web" } },
    );
  apply(
    ...base,
    sidecar("web-1", "10.244.1.1", "node-1"),
    endpoints(["web-1", "10.244.1.1", "node-1"]),
    config("ServiceEntry", "shop/local", {
      hosts: ["local.example.com"],
      ports: [{ number: 80, name: "http", protocol: "HTTP" }],
      resolution: "STATIC",
      workloadSelector: { labels: { role: "local" } },
    }),
    entry("one", "10.244.1.1", "z1"),
    entry("two", "10.244.7.7", "z7"),
  );
  const proxy = connect({ pod: "shop/web-1", ...selfDiscovery });
  assert.deepEqual(zonesOf(proxy), { z1: ["10.244.1.1"], z7: ["10.244.7.7"] });
});

test("a sidecar gets its own endpoints when the same change gives it another scope", () => {
  const { apply, remove, connect } = createExtensionFixture();
  apply(...base, sidecar("web-1", "10.244.1.1", "node-1"), endpoints(["web-1", "10.244.1.1", "node-1"]));
  const proxy = connect({ pod: "shop/web-1", ...selfDiscovery });
  const changedNames: string[] = [];
  using _following = proxy.view(typeUrls.endpoint).subscribe((names) => void changedNames.push(...names));
  const zoneAware = config("DestinationRule", "shop/zones", {
    host: "web.shop.svc.cluster.local",
    trafficPolicy: { loadBalancer: { zoneAwareLbSetting: { enabled: true } } },
  });
  apply(
    zoneAware,
    endpoints(["web-1", "10.244.1.1", "node-1"], ["web-2", "10.244.2.1", "node-2"]),
    sidecar("web-2", "10.244.2.1", "node-2"),
  );
  assert.deepEqual(zonesOf(proxy), { z1: ["10.244.1.1"], z2: ["10.244.2.1"] });
  assert.ok(changedNames.includes("local_cluster"));
  changedNames.length = 0;
  apply(endpoints(["web-1", "10.244.1.1", "node-1"]));
  assert.ok(changedNames.includes("local_cluster"));
  changedNames.length = 0;
  remove(zoneAware, endpoints());
  assert.deepEqual(zonesOf(proxy), {});
  assert.ok(changedNames.includes("local_cluster"));
});
