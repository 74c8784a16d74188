import assert from "node:assert/strict";
import { test } from "node:test";
import type { JsonObject } from "@bufbuild/protobuf";
import type { KubernetesObject } from "../../api/index.ts";
import { parseMeshNetworks, type MeshNetworks } from "../../api/istio/index.ts";
import { meshKey, type MeshSettings } from "../model/facts.ts";
import { config, namespace, pod, service, slice, testMesh } from "../testing/model-fixture.ts";
import { createOutboundFixture, type OutboundFixture } from "../testing/outbound-fixture.ts";
import { createRemoteFixture, type RemoteFixture } from "../testing/remote-fixture.ts";

const web = "outbound|80||web.shop.svc.cluster.local";
const ports = [{ name: "http", port: 80, targetPort: 8080 }];
const injected = { "security.istio.io/tlsMode": "istio", app: "web" };

function networkNamespace(network: string): KubernetesObject {
  return namespace("istio-system", { "topology.istio.io/network": network });
}

function eastWest(network: string, ...addresses: readonly string[]): KubernetesObject {
  const gateway = service(
    "istio-system/istio-eastwestgateway",
    "10.96.9.9",
    { istio: "eastwestgateway" },
    [{ name: "tls", port: 15_443, targetPort: 15_443 }],
    { "topology.istio.io/network": network },
  ) as KubernetesObject & { spec: object };
  return {
    ...gateway,
    spec: { ...gateway.spec, type: "LoadBalancer" },
    status: { loadBalancer: { ingress: addresses.map((ip) => ({ ip })) } },
  } as KubernetesObject;
}

function servers(cluster: string, ...addresses: readonly string[]): readonly KubernetesObject[] {
  const pods = addresses.map((address, index) =>
    pod(`shop/web-${index}`, address, { labels: injected, account: "web", redirected: false, node: `${cluster}-node` }),
  );
  return [
    service("shop/web", cluster === "home" ? "10.96.0.1" : "10.100.0.1", { app: "web" }, ports),
    ...pods,
    slice(
      "shop/web",
      { name: "http", port: 8080 },
      addresses.map((address, index) => ({ address, pod: `web-${index}` })),
    ),
  ];
}

interface Mesh {
  readonly fixture: OutboundFixture;
  readonly west: RemoteFixture;
}

function twoClusters(mesh: Partial<MeshSettings> = {}): Mesh {
  const fixture = createOutboundFixture();
  fixture.inputs.mesh.set(meshKey, { ...testMesh, clusterId: "home", ...mesh });
  const west = createRemoteFixture(fixture, "west");
  fixture.apply(namespace("shop"), ...servers("home", "10.1.0.1"));
  west.apply(namespace("shop"), ...servers("west", "10.2.0.1", "10.2.0.2"));
  return { fixture, west };
}

/** `address weight` for each endpoint, of all localities. */
function addressesOf(assignment: JsonObject | undefined): readonly string[] {
  const localities = (assignment?.["endpoints"] ?? []) as {
    lbEndpoints?: {
      endpoint: { address: { socketAddress: { address: string; portValue: number } } };
      loadBalancingWeight: number;
    }[];
  }[];
  return localities.flatMap(({ lbEndpoints = [] }) =>
    lbEndpoints.map(
      ({ endpoint: { address }, loadBalancingWeight }) =>
        `${address.socketAddress.address}:${address.socketAddress.portValue} ${loadBalancingWeight}`,
    ),
  );
}

test("a service of two clusters in one network has the endpoints of both, with the cluster of each", () => {
  const { fixture, west } = twoClusters();
  const proxy = fixture.serve();
  assert.deepEqual(addressesOf(proxy.endpoints()[web]), ["10.1.0.1:8080 1", "10.2.0.1:8080 1", "10.2.0.2:8080 1"]);
  assert.match(
    JSON.stringify(proxy.endpoints()[web]),
    /"workload":"web-0;shop;web;;home".*"workload":"web-0;shop;web;;west"/,
  );
  west.remove(slice("shop/web", { name: "http", port: 8080 }, []));
  assert.deepEqual(addressesOf(proxy.endpoints()[web]), ["10.1.0.1:8080 1"]);
});

test("a service that only a remote cluster has is also served, and disappears with it", () => {
  const { fixture, west } = twoClusters();
  const only = [
    service("shop/only", "10.100.0.7", { app: "only" }, ports),
    slice("shop/only", { name: "http", port: 8080 }, [{ address: "10.2.0.9" }]),
  ];
  west.apply(...only);
  const proxy = fixture.serve();
  const name = "outbound|80||only.shop.svc.cluster.local";
  assert.deepEqual(addressesOf(proxy.endpoints()[name]), ["10.2.0.9:8080 1"]);
  west.remove(...only);
  assert.equal(proxy.clusters()[name], undefined);
});

test("proxies of each cluster listen on the addresses that a service has there", () => {
  const { fixture, west } = twoClusters();
  const tcp = [{ name: "tcp", port: 9000, targetPort: 9000 }];
  fixture.apply(service("shop/db", "10.96.0.2", { app: "db" }, tcp));
  west.apply(service("shop/db", "10.100.0.2", { app: "db" }, tcp));
  assert.ok("10.96.0.2_9000" in fixture.serve().listeners());
  const remote = fixture.serve({ clusterId: "west" }).listeners();
  assert.ok("10.100.0.2_9000" in remote && !("10.96.0.2_9000" in remote));
});

test("gateways represent another network's endpoints and have their weight; endpoints without mutual TLS are left out", () => {
  const { fixture, west } = twoClusters();
  fixture.apply(networkNamespace("net-home"), eastWest("net-home", "192.0.2.1"));
  west.apply(networkNamespace("net-west"), eastWest("net-west", "192.0.2.8", "192.0.2.9"));
  const near = fixture.serve({ network: "net-home" });
  assert.deepEqual(addressesOf(near.endpoints()[web]), ["10.1.0.1:8080 2", "192.0.2.8:15443 2", "192.0.2.9:15443 2"]);
  const far = fixture.serve({ network: "net-west", clusterId: "west" });
  assert.deepEqual(addressesOf(far.endpoints()[web]), ["10.2.0.1:8080 2", "10.2.0.2:8080 2", "192.0.2.1:15443 2"]);
  assert.match(
    JSON.stringify(near.endpoints()[web]),
    /"envoy.transport_socket_match":\{"tlsMode":"istio"\},"istio":\{"workload":";;;;west"\}|"istio":\{"workload":";;;;west"\},"envoy.transport_socket_match":\{"tlsMode":"istio"\}/,
  );
  fixture.apply(config("DestinationRule", "shop/web", { host: "web", trafficPolicy: { tls: { mode: "DISABLE" } } }));
  assert.deepEqual(addressesOf(near.endpoints()[web]), ["10.1.0.1:8080 2"]);
});

test("an endpoint of another network that is not ready gives its gateways no requests", () => {
  const { fixture, west } = twoClusters();
  fixture.apply(networkNamespace("network-1"), eastWest("network-1", "192.0.2.1"));
  west.apply(networkNamespace("network-2"), eastWest("network-2", "192.0.2.7"));
  const proxy = fixture.serve({ network: "network-1" });
  const become = (...ready: readonly boolean[]): void =>
    west.apply(
      slice(
        "shop/web",
        { name: "http", port: 8080 },
        ready.map((one, index) => ({ address: `10.2.0.${index + 1}`, pod: `web-${index}`, ready: one })),
      ),
    );
  become(true, false);
  assert.deepEqual(addressesOf(proxy.endpoints()[web]), ["10.1.0.1:8080 1", "192.0.2.7:15443 1"]);
  become(false, false);
  assert.deepEqual(addressesOf(proxy.endpoints()[web]), ["10.1.0.1:8080 1"]);
});

test("sidecars that also accept HBONE are reached by mutual TLS, and therefore through the gateways of their network", () => {
  const { fixture, west } = twoClusters();
  fixture.apply(networkNamespace("net-home"), eastWest("net-home", "192.0.2.1"));
  west.apply(networkNamespace("net-west"), eastWest("net-west", "192.0.2.8"));
  const tunnelled = { ...injected, "networking.istio.io/tunnel": "http" };
  fixture.apply(
    pod("shop/web-0", "10.1.0.1", { labels: tunnelled, account: "web", redirected: false, node: "home-node" }),
  );
  west.apply(
    ...["10.2.0.1", "10.2.0.2"].map((address, index) =>
      pod(`shop/web-${index}`, address, { labels: tunnelled, account: "web", redirected: false, node: "west-node" }),
    ),
  );
  const proxy = fixture.serve({ network: "net-home", hbone: true });
  const served = proxy.endpoints()[web];
  assert.deepEqual(addressesOf(served), ["10.1.0.1:8080 1", "192.0.2.8:15443 2"]);
  assert.equal(JSON.stringify(served).match(/"tlsMode":"istio"/g)?.length, 2);
  assert.doesNotMatch(JSON.stringify(proxy.clusters()[web]), /disable_mx/, "no tunnel says who asks, so headers must");
});

test("a proxy with a network view gets no endpoints of other networks", () => {
  const { fixture, west } = twoClusters();
  fixture.apply(networkNamespace("net-home"), eastWest("net-home", "192.0.2.1"));
  west.apply(networkNamespace("net-west"), eastWest("net-west", "192.0.2.8"));
  assert.deepEqual(addressesOf(fixture.serve({ network: "net-home", networkView: ["net-home"] }).endpoints()[web]), [
    "10.1.0.1:8080 1",
  ]);
});

test("a cluster-local host has only the endpoints of the client's cluster", () => {
  const { fixture } = twoClusters({ serviceSettings: [{ hosts: ["*.shop.svc.cluster.local"], clusterLocal: true }] });
  assert.deepEqual(addressesOf(fixture.serve().endpoints()[web]), ["10.1.0.1:8080 1"]);
  assert.deepEqual(addressesOf(fixture.serve({ clusterId: "west" }).endpoints()[web]), [
    "10.2.0.1:8080 1",
    "10.2.0.2:8080 1",
  ]);
});

function meshNetworks(raw: unknown): MeshNetworks {
  const parsed = parseMeshNetworks(raw);
  assert.ok(parsed.value !== undefined, JSON.stringify(parsed.errors));
  return parsed.value;
}

test("the mesh networks assign clusters and address ranges to networks, and name gateways by address or Service", () => {
  const networks = meshNetworks({
    networks: {
      east: { endpoints: [{ fromRegistry: "home" }], gateways: [{ address: "192.0.2.1", port: 443 }] },
      // With several clusters, the Service is looked up in each one.
      west: {
        endpoints: [{ fromRegistry: "west" }],
        gateways: [{ registryServiceName: "gate.istio-system.svc.cluster.local", port: 15_443 }],
      },
    },
  });
  const { fixture, west } = twoClusters({ networks });
  const gate = service("istio-system/gate", "10.100.1.1", {}, [{ name: "tls", port: 15_443 }]) as KubernetesObject & {
    spec: object;
  };
  west.apply({ ...gate, spec: { ...gate.spec, externalIPs: ["192.0.2.7"] } } as KubernetesObject);
  assert.deepEqual(addressesOf(fixture.serve({ network: "east" }).endpoints()[web]), [
    "10.1.0.1:8080 1",
    "192.0.2.7:15443 2",
  ]);
  assert.deepEqual(addressesOf(fixture.serve({ network: "west", clusterId: "west" }).endpoints()[web]), [
    "10.2.0.1:8080 1",
    "10.2.0.2:8080 1",
    "192.0.2.1:443 1",
  ]);
  const ranges = meshNetworks({
    networks: { two: { endpoints: [{ fromCidr: "10.2.0.0/15" }], gateways: [{ address: "192.0.2.2", port: 15_443 }] } },
  });
  fixture.inputs.mesh.set(meshKey, { ...testMesh, clusterId: "home", networks: ranges });
  fixture.graph.settle();
  assert.deepEqual(addressesOf(fixture.serve({ network: "one" }).endpoints()[web]), [
    "10.1.0.1:8080 1",
    "192.0.2.2:15443 2",
  ]);
});

test("a network gateway with a hostname appears once its addresses are known", () => {
  const { fixture, west } = twoClusters();
  fixture.apply(networkNamespace("net-home"));
  const gateway = eastWest("net-west") as KubernetesObject & { status: object };
  west.apply(networkNamespace("net-west"), {
    ...gateway,
    status: { loadBalancer: { ingress: [{ hostname: "gate.example.com" }] } },
  } as KubernetesObject);
  const near = fixture.serve({ network: "net-home" });
  assert.deepEqual(addressesOf(near.endpoints()[web]), ["10.1.0.1:8080 1", "10.2.0.1:8080 1", "10.2.0.2:8080 1"]);
  fixture.inputs.resolvedNames.set("gate.example.com", { addresses: ["192.0.2.8"] });
  fixture.graph.settle();
  assert.deepEqual(addressesOf(near.endpoints()[web]), ["10.1.0.1:8080 1", "192.0.2.8:15443 2"]);
});

test("failover by labels considers the network and the cluster of an endpoint", () => {
  const { fixture } = twoClusters();
  const policy = {
    outlierDetection: {},
    loadBalancer: { localityLbSetting: { failoverPriority: ["topology.istio.io/cluster"] } },
  };
  fixture.apply(config("DestinationRule", "shop/web", { host: "web", trafficPolicy: policy }));
  const priorities = (assignment: JsonObject | undefined) =>
    ((assignment?.["endpoints"] ?? []) as { priority?: number; lbEndpoints: unknown[] }[]).map(
      ({ priority = 0, lbEndpoints }) => [priority, lbEndpoints.length],
    );
  assert.deepEqual(priorities(fixture.serve().endpoints()[web]), [
    [0, 1],
    [1, 2],
  ]);
});

test("networks with many gateways, which any namespace may add, do not make weights that proxies refuse", () => {
  const { fixture } = twoClusters();
  const client = fixture.serve();
  const endpoints = (): readonly string[] =>
    addressesOf(client.endpoints()[web]).map((text) => text.split(" ")[0] ?? "");
  const before = endpoints();
  for (const count of [2, 3, 5, 7, 11, 13, 17, 19, 23, 29]) {
    fixture.apply(
      config(
        "Gateway",
        `evil/g${count}`,
        {
          gatewayClassName: "mine",
          addresses: [{ type: "IPAddress", value: "192.0.2.1" }],
          listeners: Array.from({ length: count }, (_, at) => ({
            name: `l${at}`,
            port: 15_443 + at,
            protocol: "TLS",
            tls: { mode: "Passthrough", options: { "gateway.istio.io/listener-protocol": "auto-passthrough" } },
          })),
        },
        { labels: { "topology.istio.io/network": `n${count}` } },
      ),
    );
  }
  assert.deepEqual(endpoints(), before);
});

test("weights of a ServiceEntry's endpoints that add up to more than 32 bits keep their proportion", () => {
  const fixture = createOutboundFixture();
  fixture.apply(
    namespace("shop"),
    config("ServiceEntry", "shop/heavy", {
      hosts: ["heavy.test"],
      ports: [{ number: 80, name: "http", protocol: "HTTP" }],
      resolution: "STATIC",
      endpoints: [
        { address: "192.0.2.1", weight: 4_294_967_295 },
        { address: "192.0.2.2", weight: 4_294_967_295, locality: "r2" },
        { address: "192.0.2.3", weight: 1 },
      ],
    }),
  );
  const assignment = fixture.serve().endpoints()["outbound|80||heavy.test"];
  assert.deepEqual(addressesOf(assignment), ["192.0.2.1:80 1073741823", "192.0.2.3:80 1", "192.0.2.2:80 1073741823"]);
});

test("objects of a namespace that may not add gateways into networks get no share of the connections", () => {
  const inEvil = (object: KubernetesObject): KubernetesObject => ({
    ...object,
    metadata: { ...object.metadata, namespace: "evil" },
  });
  const described = (namespaceName: string, address: string): KubernetesObject => ({
    ...config(
      "Gateway",
      `${namespaceName}/crossing`,
      {
        gatewayClassName: "istio-remote",
        addresses: [{ type: "IPAddress", value: address }],
        listeners: [{ name: "tls", port: 15_443, protocol: "TLS", tls: { mode: "Passthrough" } }],
      },
      { labels: { "topology.istio.io/network": "net-west" } },
    ),
    apiVersion: "gateway.networking.k8s.io/v1",
  });
  const gatewaysWith = (policy?: MeshSettings["networkGateways"]): readonly string[] => {
    const { fixture, west } = twoClusters(policy === undefined ? {} : { networkGateways: policy });
    fixture.apply(networkNamespace("net-home"), inEvil(eastWest("net-west", "198.51.100.1")));
    fixture.apply(described("evil", "198.51.100.2"), described("istio-system", "192.0.2.2"));
    west.apply(networkNamespace("net-west"));
    return addressesOf(fixture.serve().endpoints()[web]).flatMap((text) => text.match(/^(.*):15443 /)?.[1] ?? []);
  };
  assert.deepEqual(gatewaysWith(), ["192.0.2.2", "198.51.100.1", "198.51.100.2"]);
  const namespaces = ["istio-system"];
  assert.deepEqual(gatewaysWith({ discoversResources: true, namespaces }), ["192.0.2.2"]);
  assert.deepEqual(gatewaysWith({ discoversResources: false, namespaces }), []);
  assert.deepEqual(gatewaysWith({ discoversResources: false, namespaces: undefined }), ["198.51.100.1"]);
});
