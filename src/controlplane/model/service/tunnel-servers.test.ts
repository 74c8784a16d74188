import assert from "node:assert/strict";
import { test } from "node:test";
import type { KubernetesObject } from "../../../api/index.ts";
import { config, createModelFixture, namespace, pod, service, slice } from "../../testing/model-fixture.ts";
import { deriveServiceEndpoints, getEndpoints } from "./service-endpoints.ts";
import { deriveServiceRegistry } from "./service-model.ts";

const http = { name: "http", number: 80, protocol: "HTTP" };
const sliceOf = (key: string, addresses: readonly string[]): KubernetesObject =>
  slice(
    key,
    { name: "http", port: 8080 },
    addresses.map((address) => ({ address })),
  );

/** Whether the endpoints of a service use HBONE, and whether ztunnels report for them, by address. */
function reached(registry: "Kubernetes" | "External", hostname: string, objects: readonly KubernetesObject[]) {
  const { graph, inputs, apply } = createModelFixture();
  const services = deriveServiceRegistry(graph, inputs);
  const endpoints = deriveServiceEndpoints(graph, inputs, services);
  const found = graph.derive("found", inputs.mesh, (_mesh, reader) => [
    ["all", getEndpoints(endpoints, { registry, namespace: "shop", hostname }, 80, reader)],
  ]);
  apply(
    namespace("shop"),
    pod("mesh/captured", "10.1.0.1", { labels: { app: "captured" } }),
    pod("mesh/plain", "10.1.0.2", { redirected: false }),
    pod("mesh/native", "10.1.0.3", { redirected: false, labels: { "networking.istio.io/tunnel": "other,http" } }),
    pod("mesh/far", "10.1.0.4", { labels: { "topology.istio.io/network": "far" } }),
    ...objects,
  );
  const all = found.get("all") ?? [];
  return Object.fromEntries(all.map(({ address, hbone, captured }) => [address, [hbone, captured]]));
}

test("endpoints that users list by the address of a pod use HBONE if the pod accepts it in their network", () => {
  const addresses = ["10.1.0.1", "10.1.0.2", "10.1.0.3", "10.1.0.4", "10.9.0.1"];
  const expected = {
    "10.1.0.1": [true, true],
    "10.1.0.2": [false, false],
    "10.1.0.3": [true, true],
    "10.1.0.4": [false, false],
    "10.9.0.1": [false, false],
  };
  const listed = service("shop/web", "10.96.0.1", {}, [{ name: "http", port: 80, targetPort: 8080 }]);
  assert.deepEqual(
    reached("Kubernetes", "web.shop.svc.cluster.local", [listed, sliceOf("shop/web", addresses)]),
    expected,
  );
  const entry = (resolution: string): KubernetesObject =>
    config("ServiceEntry", "shop/web", {
      hosts: ["web.example.com"],
      ports: [http],
      resolution,
      endpoints: addresses.map((address) => ({ address })),
    });
  assert.deepEqual(reached("External", "web.example.com", [entry("STATIC")]), expected);
  assert.deepEqual(
    reached("External", "web.example.com", [entry("DNS")]),
    Object.fromEntries(addresses.map((address) => [address, [false, false]])),
    "a cluster that looks up names has no tunnels",
  );
});

test("WorkloadEntries accept HBONE if their labels or annotations say so, or if they have the address of such a pod", () => {
  const entry = config("ServiceEntry", "shop/web", {
    hosts: ["web.example.com"],
    ports: [http],
    resolution: "STATIC",
    workloadSelector: { labels: { app: "vm" } },
  });
  const vm = (name: string, address: string, labels: object, annotations: object = {}): KubernetesObject =>
    config("WorkloadEntry", `shop/${name}`, { address, labels: { app: "vm", ...labels } }, { annotations });
  const tunnel = { "networking.istio.io/tunnel": "http" };
  assert.deepEqual(
    reached("External", "web.example.com", [
      entry,
      vm("a", "10.9.0.1", tunnel),
      vm("b", "10.9.0.2", {}, { "ambient.istio.io/redirection": "enabled" }),
      vm("c", "10.1.0.1", {}),
      vm("d", "10.9.0.3", {}),
      vm("e", "vm.example.com", tunnel),
    ]),
    {
      "10.9.0.1": [true, true],
      "10.9.0.2": [true, true],
      "10.1.0.1": [true, true],
      "10.9.0.3": [false, false],
    },
  );
});
