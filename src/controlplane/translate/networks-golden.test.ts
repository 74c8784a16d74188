import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import type { DescMessage, JsonObject } from "@bufbuild/protobuf";
import { deriveMeshModel } from "./mesh-model.ts";
import type { KubernetesObject } from "../../api/index.ts";
import type { Collection } from "../../kube/index.ts";
import { ClusterLoadAssignmentSchema, ClusterSchema, ListenerSchema } from "../../wire/envoy/index.ts";
import { AddressSchema } from "../../wire/workload/index.ts";
import { meshKey } from "../model/facts.ts";
import type { ProxyGroup } from "../model/scope-choice.ts";
import { ScopeClusterView } from "../serve/resource-views/scope-cluster-view.ts";
import { decodeResource } from "../testing/decode-resource.ts";
import { config, createModelFixture, namespace, pod, service, slice, testMesh } from "../testing/model-fixture.ts";
import { createRemoteFixture } from "../testing/remote-fixture.ts";
import { deriveAmbientResources } from "./ambient/ambient-resources.ts";
import { deriveClassicGatewayResources } from "./gateway/gateway-classic-resources.ts";
import { deriveOutboundResources } from "./outbound/outbound-resources.ts";
import type { EncodedResource, ScopedEncodedResource } from "./resource.ts";

// A mesh of two networks with one cluster each. The files contain the resources that a sidecar, an east-west gateway
// and a ztunnel of the first network get. UPDATE_GOLDEN=1 writes the files again.
const folder = new URL("golden/networks/", import.meta.url);
const ports = [{ name: "http", port: 80, targetPort: 8080 }];

function balancer(object: KubernetesObject, address: string): KubernetesObject {
  const { spec } = object as KubernetesObject & { spec: object };
  return {
    ...object,
    spec: { ...spec, type: "LoadBalancer" },
    status: { loadBalancer: { ingress: [{ ip: address }] } },
  } as KubernetesObject;
}

function cluster(network: string, prefix: string, gateway: string): readonly KubernetesObject[] {
  const labels = { app: "web", "security.istio.io/tlsMode": "istio", "service.istio.io/canonical-name": "web" };
  const eastWest = service(
    "istio-system/eastwest",
    `${prefix}.96.0.9`,
    { istio: "eastwest" },
    [{ name: "tls", port: 15_443, targetPort: 15_443 }],
    { "topology.istio.io/network": network },
  );
  return [
    namespace("istio-system", { "topology.istio.io/network": network }),
    namespace("shop"),
    balancer(eastWest, gateway),
    service("shop/web", `${prefix}.96.0.1`, { app: "web" }, ports, { "istio.io/global": "true" }),
    pod("shop/web-1", `${prefix}.1.0.1`, { labels, account: "web" }),
    pod("shop/web-2", `${prefix}.1.0.2`, { labels, account: "web" }),
    slice("shop/web", { name: "http", port: 8080 }, [
      { address: `${prefix}.1.0.1`, pod: "web-1" },
      { address: `${prefix}.1.0.2`, pod: "web-2" },
    ]),
  ];
}

const place = {
  labels: {},
  locality: { region: "", zone: "", subzone: "" },
  node: "",
  network: "network-1",
  hbone: false,
  dnsCapture: false,
};
const sidecar: ProxyGroup = { ...place, kind: "sidecar", namespace: "shop" };
const gateway: ProxyGroup = {
  ...place,
  kind: "router",
  namespace: "istio-system",
  labels: { istio: "eastwest" },
  networkView: ["network-1"],
};

const fixture = createModelFixture();
const { graph, inputs } = fixture;
inputs.mesh.set(meshKey, {
  ...testMesh,
  clusterId: "cluster-1",
  ambientMultiNetwork: true,
  serviceScopeConfigs: [{ servicesSelector: { matchLabels: { "istio.io/global": "true" } }, scope: "GLOBAL" }],
});
const model = deriveMeshModel(graph, inputs);
const { clusters } = deriveOutboundResources(graph, model);
const classic = deriveClassicGatewayResources(graph, model);
const ambient = deriveAmbientResources(graph, inputs);
model.scopes.groups.set("sidecar", sidecar);
model.scopes.groups.set("gateway", gateway);
fixture.apply(...cluster("network-1", "10", "192.0.2.1"));
fixture.apply({
  apiVersion: "networking.istio.io/v1",
  ...config("Gateway", "istio-system/cross-network", {
    selector: { istio: "eastwest" },
    servers: [
      { port: { number: 15_443, name: "tls", protocol: "TLS" }, hosts: ["*.local"], tls: { mode: "AUTO_PASSTHROUGH" } },
    ],
  }),
});
createRemoteFixture(fixture, "cluster-2").apply(...cluster("network-2", "20", "192.0.2.2"), {
  kind: "Gateway",
  metadata: { name: "hbone", namespace: "istio-system", labels: { "topology.istio.io/network": "network-2" } },
  spec: {
    gatewayClassName: "istio-east-west",
    listeners: [{ name: "mesh", port: 15_008, protocol: "HBONE", tls: { mode: "Terminate" } }],
  },
  status: { addresses: [{ type: "IPAddress", value: "192.0.2.3" }] },
} as KubernetesObject);

function shown(schema: DescMessage, resources: Iterable<EncodedResource>): Readonly<Record<string, JsonObject>> {
  return Object.fromEntries(
    [...resources]
      .map((resource) => [resource.name, decodeResource(schema, resource)] as const)
      .sort(([left], [right]) => (left < right ? -1 : 1)),
  );
}

function scoped(collection: Collection<ScopedEncodedResource>): readonly EncodedResource[] {
  return [...collection.values()].filter(({ scope }) => scope === "gateway").map(({ resource }) => resource);
}

const golden: Readonly<Record<string, () => unknown>> = {
  "sidecar-endpoints": () => {
    const scope = model.scopes.choices.get("sidecar")?.scope ?? "";
    const all = shown(ClusterLoadAssignmentSchema, new ScopeClusterView(clusters, "endpoints", scope).all());
    return Object.fromEntries(Object.entries(all).filter(([name]) => name.includes("web.shop")));
  },
  "east-west-gateway": () => ({
    listeners: shown(ListenerSchema, scoped(classic.listeners)),
    clusters: shown(ClusterSchema, scoped(classic.clusters)),
    endpoints: shown(ClusterLoadAssignmentSchema, scoped(classic.endpoints)),
  }),
  "ztunnel-addresses": () =>
    shown(
      AddressSchema,
      ambient.addresses.flatMap((collection) => [...collection.values()]),
    ),
};

for (const [name, show] of Object.entries(golden)) {
  test(`a mesh of two networks gives its proxies the recorded resources: ${name}`, () => {
    const found: unknown = JSON.parse(JSON.stringify(show()));
    const file = new URL(`${name}.json`, folder);
    if (process.env["UPDATE_GOLDEN"] === "1") writeFileSync(file, `${JSON.stringify(found, undefined, 1)}\n`);
    assert.deepEqual(found, JSON.parse(readFileSync(file, "utf8")));
  });
}
