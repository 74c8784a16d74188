import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import type { DescMessage, JsonObject } from "@bufbuild/protobuf";
import { deriveMeshModel } from "../mesh-model.ts";
import type { KubernetesObject } from "../../../api/index.ts";
import type { Collection } from "../../../kube/index.ts";
import { ClusterLoadAssignmentSchema, ClusterSchema, ListenerSchema } from "../../../wire/envoy/index.ts";
import { meshKey, type MeshSettings } from "../../model/facts.ts";
import type { ProxyGroup } from "../../model/scope-choice.ts";
import { CollectionView, NamedView } from "../../serve/resource-views/resource-view.ts";
import { ScopeClusterView } from "../../serve/resource-views/scope-cluster-view.ts";
import { decodeResource, valueAt } from "../../testing/decode-resource.ts";
import { config, createModelFixture, namespace, pod, service, slice, testMesh } from "../../testing/model-fixture.ts";
import { createRemoteFixture } from "../../testing/remote-fixture.ts";
import { deriveClassicGatewayResources } from "../gateway/gateway-classic-resources.ts";
import { deriveOutboundResources, fixedClusterNames } from "../outbound/outbound-resources.ts";
import type { EncodedResource, ScopedEncodedResource } from "../resource.ts";
import { deriveWaypointResources } from "./waypoint-resources.ts";

// A mesh of two networks with one cluster each. The file contains the resources that a waypoint and an ingress gateway
// of the first network get. UPDATE_GOLDEN=1 writes the file again.
const golden = new URL("../golden/networks/waypoint.json", import.meta.url);
const labels = {
  "gateway.networking.k8s.io/gateway-name": "wp",
  "gateway.networking.k8s.io/gateway-class-name": "istio-waypoint",
  "gateway.istio.io/managed": "istio.io-mesh-controller",
};
const host = "web.shop.svc.cluster.local";
const vip = `inbound-vip|80|http|${host}`;
const outbound = `outbound|80||${host}`;

function cluster(network: string, prefix: string): readonly KubernetesObject[] {
  const ports = [{ name: "http", port: 80, targetPort: 8080 }];
  return [
    namespace("istio-system", { "topology.istio.io/network": network }),
    namespace("shop"),
    service("shop/web", `${prefix}.96.0.1`, { app: "web" }, ports, {
      "istio.io/global": "true",
      "istio.io/use-waypoint": "wp",
    }),
    pod("shop/web-1", `${prefix}.1.0.1`, { labels: { app: "web" }, account: "web" }),
    slice("shop/web", { name: "http", port: 8080 }, [{ address: `${prefix}.1.0.1`, pod: "web-1" }]),
  ];
}

/** The Service of a Gateway of class `istio-east-west`, as it is deployed. */
function eastWest(name: string, address: string): KubernetesObject {
  const object = service(`istio-system/${name}`, "20.96.0.8", {}, [{ name: "mesh", port: 15_008 }], {
    "topology.istio.io/network": "network-2",
  }) as KubernetesObject & { spec: object };
  return {
    ...object,
    spec: { ...object.spec, type: "LoadBalancer" },
    status: { loadBalancer: { ingress: [{ ip: address }] } },
  } as KubernetesObject;
}

function networks(
  settings: Partial<MeshSettings> = {},
  gateways: readonly KubernetesObject[] = [eastWest("hbone", "192.0.2.3")],
) {
  const fixture = createModelFixture();
  const { graph, inputs } = fixture;
  inputs.mesh.set(meshKey, {
    ...testMesh,
    clusterId: "cluster-1",
    ambientMultiNetwork: true,
    serviceScopeConfigs: [{ servicesSelector: { matchLabels: { "istio.io/global": "true" } }, scope: "GLOBAL" }],
    ...settings,
  });
  const model = deriveMeshModel(graph, inputs);
  const { clusters, fixedClusters } = deriveOutboundResources(graph, model);
  const classic = deriveClassicGatewayResources(graph, model);
  const resources = deriveWaypointResources(graph, model);
  const group: ProxyGroup = {
    kind: "router",
    namespace: "istio-system",
    labels: { istio: "ingressgateway" },
    locality: { region: "", zone: "", subzone: "" },
    node: "",
    network: "network-1",
    hbone: true,
    dnsCapture: false,
  };
  model.scopes.groups.set("ingress", group);
  fixture.apply(
    ...cluster("network-1", "10"),
    config("Gateway", "shop/wp", {
      gatewayClassName: "istio-waypoint",
      listeners: [{ name: "mesh", port: 15_008, protocol: "HBONE" }],
    }),
    service(
      "shop/wp",
      "10.96.0.9",
      { "gateway.networking.k8s.io/gateway-name": "wp" },
      [{ name: "mesh", port: 15_008 }],
      labels,
    ),
    pod("shop/wp-1", "10.1.0.9", { labels, account: "wp", redirected: false }),
    {
      apiVersion: "networking.istio.io/v1",
      ...config("Gateway", "istio-system/ingress", {
        selector: { istio: "ingressgateway" },
        servers: [{ port: { number: 80, name: "http", protocol: "HTTP" }, hosts: ["*"] }],
      }),
    },
  );
  createRemoteFixture(fixture, "cluster-2").apply(...cluster("network-2", "20"), ...gateways);
  graph.settle();
  const shown = (schema: DescMessage, found: Iterable<EncodedResource>): Readonly<Record<string, JsonObject>> =>
    Object.fromEntries([...found].map((resource) => [resource.name, decodeResource(schema, resource)]));
  const scoped = (
    scope: string,
    collections: readonly Collection<ScopedEncodedResource>[],
  ): readonly EncodedResource[] =>
    collections
      .flatMap((collection) => [...collection.values()])
      .flatMap((item) => (item.scope === scope ? item.resource : []));
  const ingressScope = model.scopes.choices.get("ingress")?.scope ?? "";
  return {
    waypoint: {
      listeners: shown(ListenerSchema, scoped("shop/wp", resources.listeners)),
      clusters: shown(ClusterSchema, scoped("shop/wp", resources.clusters)),
      endpoints: shown(ClusterLoadAssignmentSchema, scoped("shop/wp", resources.endpoints)),
    },
    ingress: {
      listeners: shown(ListenerSchema, scoped("ingress", [classic.listeners])),
      clusters: shown(
        ClusterSchema,
        new NamedView(new CollectionView([fixedClusters]), fixedClusterNames("router", true)).all(),
      ),
      endpoints: shown(ClusterLoadAssignmentSchema, new ScopeClusterView(clusters, "endpoints", ingressScope).all()),
    },
  };
}

/** Endpoints as text: `address weight` for pods, and `gateway>requested authority weight` for gateways. */
function reached(assignment: JsonObject | undefined): readonly string[] {
  const localities = (assignment?.["endpoints"] ?? []) as { lbEndpoints?: JsonObject[] }[];
  return localities.flatMap(({ lbEndpoints = [] }) =>
    lbEndpoints.map((endpoint) => {
      const target = valueAt(
        endpoint,
        "metadata",
        "filterMetadata",
        "istio",
        "double_hbone",
        "hbone_target_address",
      ) as string | undefined;
      const local = valueAt(endpoint, "metadata", "filterMetadata", "envoy.filters.listener.original_dst", "local") as
        | string
        | undefined;
      return `${local ?? "?"}${target === undefined ? "" : `>${target}`} ${endpoint["loadBalancingWeight"] as number}`;
    }),
  );
}

const tunnels = ["inner_connect_originate", "outer_connect_originate"];
const tunnelsOf = (found: Readonly<Record<string, JsonObject>>): readonly string[] =>
  Object.keys(found)
    .filter((name) => tunnels.includes(name))
    .toSorted();

test("a waypoint's double tunnel into another network equals the recorded resources", () => {
  const { listeners, clusters, endpoints } = networks().waypoint;
  const own = (all: Readonly<Record<string, JsonObject>>) =>
    Object.fromEntries(tunnels.map((name) => [name, all[name]]));
  const found: unknown = JSON.parse(
    JSON.stringify({ listeners: own(listeners), clusters: own(clusters), endpoints: { [vip]: endpoints[vip] } }),
  );
  if (process.env["UPDATE_GOLDEN"] === "1") writeFileSync(golden, `${JSON.stringify(found, undefined, 1)}\n`);
  assert.deepEqual(found, JSON.parse(readFileSync(golden, "utf8")));
});

test("a waypoint reaches another network's endpoints by service name, through each gateway with HBONE", () => {
  assert.deepEqual(reached(networks().waypoint.endpoints[vip]), ["10.1.0.1:8080 1", `192.0.2.3:15008>${host}:80 1`]);
  const two = networks({}, [eastWest("a", "192.0.2.3"), eastWest("b", "192.0.2.4")]);
  assert.deepEqual(reached(two.waypoint.endpoints[vip]), [
    "10.1.0.1:8080 2",
    `192.0.2.3:15008>${host}:80 1`,
    `192.0.2.4:15008>${host}:80 1`,
  ]);
});

test("a waypoint stays in its network if there is no gateway, if so configured, or if the mesh has one network", () => {
  assert.deepEqual(reached(networks({}, []).waypoint.endpoints[vip]), ["10.1.0.1:8080 1"]);
  const kept = networks({ ambientNetworkCrossing: { waypoints: false, ingress: false } });
  assert.deepEqual(
    [reached(kept.waypoint.endpoints[vip]), tunnelsOf(kept.waypoint.listeners), tunnelsOf(kept.waypoint.clusters)],
    [["10.1.0.1:8080 1"], [], []],
  );
  const one = networks({ ambientMultiNetwork: false });
  assert.deepEqual(
    [reached(one.waypoint.endpoints[vip]), tunnelsOf(one.waypoint.listeners)],
    [["10.1.0.1:8080 1"], []],
  );
});

test("an ingress gateway stays in its network, unless the environment enables crossing", () => {
  const kept = networks().ingress;
  assert.deepEqual(
    [reached(kept.endpoints[outbound]), tunnelsOf(kept.listeners), tunnelsOf(kept.clusters)],
    [["10.1.0.1:8080 1"], [], []],
  );
  const { listeners, clusters, endpoints } = networks({
    ambientNetworkCrossing: { waypoints: true, ingress: true },
  }).ingress;
  assert.deepEqual(
    [reached(endpoints[outbound]), tunnelsOf(listeners), tunnelsOf(clusters)],
    [["10.1.0.1:8080 1", `192.0.2.3:15008>${host}:80 1`], tunnels, tunnels],
  );
  const gateway = valueAt(endpoints[outbound] ?? {}, "endpoints", 0, "lbEndpoints", 1) as JsonObject;
  assert.deepEqual(valueAt(gateway, "metadata", "filterMetadata", "envoy.transport_socket_match"), { tunnel: "http" });
  assert.match(JSON.stringify(listeners["outer_connect_originate"]), /"x-istio-source","value":"gateway"/);
});

test("a waypoint discovers endpoints of other clusters only where their cluster exports them", () => {
  const { waypoint } = networks({
    multiClusterServices: { group: "multicluster.x-k8s.io", host: true, clusterLocal: false },
  });
  assert.deepEqual(reached(waypoint.endpoints[vip]), ["10.1.0.1:8080 1"]);
});
