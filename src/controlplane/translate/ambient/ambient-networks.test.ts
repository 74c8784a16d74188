import assert from "node:assert/strict";
import { test } from "node:test";
import type { JsonObject } from "@bufbuild/protobuf";
import type { KubernetesObject } from "../../../api/index.ts";
import { AddressSchema } from "../../../wire/workload/index.ts";
import { meshKey, type MeshSettings } from "../../model/facts.ts";
import {
  config,
  createModelFixture,
  namespace,
  pod,
  service,
  testMesh,
  type ModelFixture,
} from "../../testing/model-fixture.ts";
import { createRemoteFixture, type RemoteFixture } from "../../testing/remote-fixture.ts";
import { decodeResource, valueAt } from "../../testing/decode-resource.ts";
import { deriveAmbientResources } from "./ambient-resources.ts";

const ports = [{ name: "http", port: 80, targetPort: 8080 }];
const global = { "istio.io/global": "true" };

interface Mesh {
  readonly fixture: ModelFixture;
  readonly west: RemoteFixture;
  readonly addresses: () => Readonly<Record<string, JsonObject>>;
}

function twoNetworks(settings: Partial<MeshSettings> = {}): Mesh {
  const fixture = createModelFixture();
  fixture.inputs.mesh.set(meshKey, {
    ...testMesh,
    clusterId: "home",
    ambientMultiNetwork: true,
    serviceScopeConfigs: [{ servicesSelector: { matchLabels: global }, scope: "GLOBAL" }],
    ...settings,
  });
  const ambient = deriveAmbientResources(fixture.graph, fixture.inputs);
  const west = createRemoteFixture(fixture, "west");
  fixture.apply(
    namespace("istio-system", { "topology.istio.io/network": "net-home" }),
    namespace("shop"),
    service("shop/web", "10.96.0.1", { app: "web" }, ports, global),
    pod("shop/web-1", "10.1.0.1", { labels: { app: "web" } }),
  );
  west.apply(
    namespace("istio-system", { "topology.istio.io/network": "net-west" }),
    namespace("shop"),
    service("shop/web", "10.100.0.1", { app: "web" }, ports, global),
    pod("shop/web-1", "10.2.0.1", { labels: { app: "web" } }),
    pod("shop/web-2", "10.2.0.2", { labels: { app: "web" } }),
  );
  const addresses = (): Readonly<Record<string, JsonObject>> =>
    Object.fromEntries(
      ambient.addresses
        .flatMap((collection) => [...collection.values()])
        .map((resource) => [resource.name, decodeResource(AddressSchema, resource)] as const)
        .sort(([left], [right]) => (left < right ? -1 : 1)),
    );
  return { fixture, west, addresses };
}

function eastWest(address: string): KubernetesObject {
  return {
    kind: "Gateway",
    metadata: { name: "ew", namespace: "istio-system", labels: { "topology.istio.io/network": "net-west" } },
    spec: {
      gatewayClassName: "istio-east-west",
      listeners: [
        {
          name: "mesh",
          port: 15_008,
          protocol: "HBONE",
          tls: { mode: "Terminate", options: { "gateway.istio.io/tls-terminate-mode": "ISTIO_MUTUAL" } },
        },
      ],
    },
    status: { addresses: [{ type: "IPAddress", value: address }] },
  } as KubernetesObject;
}

const bytes = (address: string): string => Buffer.from(address.split(".").map(Number)).toString("base64");

test("a global service has its addresses in every network, and the pods of another network are reached through its gateway", () => {
  const { west, addresses } = twoNetworks();
  west.apply(eastWest("192.0.2.8"));
  const found = addresses();
  assert.deepEqual(Object.keys(found), [
    "NetworkGateway/net-west/192.0.2.8/0",
    "home//Pod/shop/web-1",
    "net-west/SplitHorizonWorkload/istio-system/ew/192.0.2.8/shop/web.shop.svc.cluster.local",
    "shop/web.shop.svc.cluster.local",
  ]);
  const { service: told } = found["shop/web.shop.svc.cluster.local"] as { service: { addresses: unknown } };
  assert.deepEqual(told.addresses, [
    { network: "net-home", address: bytes("10.96.0.1") },
    { network: "net-west", address: bytes("10.100.0.1") },
  ]);
  assert.deepEqual(found["net-west/SplitHorizonWorkload/istio-system/ew/192.0.2.8/shop/web.shop.svc.cluster.local"], {
    workload: {
      uid: "net-west/SplitHorizonWorkload/istio-system/ew/192.0.2.8/shop/web.shop.svc.cluster.local",
      name: "net-west/SplitHorizonWorkload/istio-system/ew/192.0.2.8/shop/web.shop.svc.cluster.local",
      namespace: "shop",
      network: "net-west",
      tunnelProtocol: "HBONE",
      networkGateway: { address: { network: "net-west", address: bytes("192.0.2.8") }, hboneMtlsPort: 15_008 },
      workloadType: "POD",
      services: { "shop/web.shop.svc.cluster.local": { ports: [{ servicePort: 80, targetPort: 8080 }] } },
      clusterId: "west",
      capacity: 2,
    },
  });
  const { workload } = found["home//Pod/shop/web-1"] as { workload: { network: string } };
  assert.equal(workload.network, "net-home");
});

test("a service that is not global stays in its own cluster, and other networks' resources are hidden if multi-network is off", () => {
  const { fixture, west, addresses } = twoNetworks({ serviceScopeConfigs: [] });
  west.apply(eastWest("192.0.2.8"));
  const own = ["home//Pod/shop/web-1", "shop/web.shop.svc.cluster.local"];
  assert.deepEqual(
    Object.keys(addresses()).filter((name) => !name.startsWith("NetworkGateway/")),
    own,
  );
  fixture.inputs.mesh.set(meshKey, { ...testMesh, clusterId: "home", serviceScopeConfigs: [{ scope: "GLOBAL" }] });
  fixture.graph.settle();
  assert.deepEqual(Object.keys(addresses()), own);
});

function describedIn(namespaceName: string, day: number, address: string): KubernetesObject {
  return {
    ...config(
      "Gateway",
      `${namespaceName}/machines`,
      {
        gatewayClassName: "istio-remote",
        addresses: [{ type: "IPAddress", value: address }],
        listeners: [{ name: "hbone", port: 15_008, protocol: "HBONE" }],
      },
      { labels: { "topology.istio.io/network": "machines" } },
    ),
    metadata: {
      name: "machines",
      namespace: namespaceName,
      labels: { "topology.istio.io/network": "machines" },
      creationTimestamp: new Date(Date.UTC(2026, 0, day)).toISOString(),
    },
  };
}

test("if several Gateways describe a network's gateway, that of the root namespace is used, or else the oldest", () => {
  const gatewayWith = (settings: Partial<MeshSettings>, ...described: readonly KubernetesObject[]): unknown => {
    const { fixture, addresses } = twoNetworks(settings);
    fixture.apply(
      namespace("evil"),
      ...described,
      config("WorkloadEntry", "shop/vm", { address: "10.9.0.1", network: "machines" }),
    );
    const found = addresses();
    const accounts = Object.entries(found).flatMap(([name, value]) =>
      name.startsWith("NetworkGateway/") ? `${name} ${JSON.stringify(valueAt(value, "workload", "namespace"))}` : [],
    );
    const uid = "home/networking.istio.io/WorkloadEntry/shop/vm";
    return [valueAt(found[uid] ?? {}, "workload", "networkGateway", "address", "address"), ...accounts];
  };
  const own = describedIn("istio-system", 3, "192.0.2.5");
  const at = (address: string, ...owners: readonly string[]): readonly string[] => [
    bytes(address),
    ...owners.map((owner) => `NetworkGateway/machines/${owner}`),
  ];
  for (const turned of [false, true]) {
    const both = (...pair: readonly KubernetesObject[]): readonly KubernetesObject[] =>
      turned ? pair.toReversed() : pair;
    assert.deepEqual(
      gatewayWith({}, ...both(describedIn("evil", 1, "192.0.2.66"), own)),
      at("192.0.2.5", '192.0.2.5/15008 "istio-system"', '192.0.2.66/15008 "evil"'),
    );
    assert.deepEqual(
      gatewayWith({}, ...both(describedIn("evil", 1, "192.0.2.5"), own)),
      at("192.0.2.5", '192.0.2.5/15008 "istio-system"'),
      "the account of a gateway is not that of another Gateway with its address",
    );
    assert.deepEqual(
      gatewayWith({}, ...both(describedIn("evil", 2, "192.0.2.66"), describedIn("shop", 1, "192.0.2.7"))),
      at("192.0.2.7", '192.0.2.66/15008 "evil"', '192.0.2.7/15008 "shop"'),
    );
  }
  const networkGateways = { discoversResources: true, namespaces: ["istio-system"] };
  assert.deepEqual(gatewayWith({ networkGateways }, describedIn("evil", 1, "192.0.2.66")), [undefined]);
});

test("workloads of a network whose gateway a Gateway describes are behind that gateway, even if multi-network is off", () => {
  const described = (address: object, network: string, name: string): KubernetesObject => ({
    ...config("Gateway", `istio-system/${name}`, {
      gatewayClassName: "istio-remote",
      addresses: [address],
      listeners: [{ name: "hbone", port: 15_009, protocol: "HBONE" }],
    }),
    metadata: { name, namespace: "istio-system", labels: { "topology.istio.io/network": network } },
  });
  for (const ambientMultiNetwork of [false, true]) {
    const { fixture, addresses } = twoNetworks({ ambientMultiNetwork });
    fixture.apply(
      described({ type: "IPAddress", value: "192.0.2.5" }, "machines", "machines"),
      described({ type: "Hostname", value: "gw.example.com" }, "net-home", "home"),
      config("WorkloadEntry", "shop/vm", { address: "10.9.0.1", network: "machines" }),
      config("WorkloadEntry", "shop/nowhere", { address: "10.9.0.3", network: "unknown" }),
      config("ServiceEntry", "shop/db", {
        hosts: ["db.example.com"],
        ports: [{ number: 80, name: "http", protocol: "HTTP" }],
        resolution: "STATIC",
        endpoints: [{ address: "10.9.0.2", network: "machines" }],
      }),
    );
    const found = addresses();
    const gatewayOf = (uid: string): unknown => valueAt(found[uid] ?? {}, "workload", "networkGateway");
    const machines = {
      address: { network: "machines", address: bytes("192.0.2.5") },
      hboneMtlsPort: 15_009,
    };
    assert.deepEqual(gatewayOf("home/networking.istio.io/WorkloadEntry/shop/vm"), machines);
    assert.deepEqual(gatewayOf("home/networking.istio.io/ServiceEntry/shop/db/10.9.0.2"), machines);
    assert.deepEqual(gatewayOf("home/networking.istio.io/WorkloadEntry/shop/nowhere"), undefined);
    assert.deepEqual(gatewayOf("home//Pod/shop/web-1"), {
      hostname: { namespace: "istio-system", hostname: "gw.example.com" },
      hboneMtlsPort: 15_009,
    });
    assert.deepEqual(
      Object.keys(found).filter((name) => name.startsWith("NetworkGateway/")),
      ["NetworkGateway/machines/192.0.2.5/15009", "NetworkGateway/net-home/gw.example.com/15009"],
    );
  }
});

test("pods of another cluster in the same network are workloads, and services that only it has are known", () => {
  const { west, addresses } = twoNetworks();
  west.apply(
    namespace("istio-system", { "topology.istio.io/network": "net-home" }),
    service("shop/only", "10.100.0.2", { app: "web" }, ports, global),
  );
  const found = addresses();
  assert.deepEqual(Object.keys(found), [
    "home//Pod/shop/web-1",
    "shop/only.shop.svc.cluster.local",
    "shop/web.shop.svc.cluster.local",
    "west//Pod/shop/web-1",
    "west//Pod/shop/web-2",
  ]);
  const { workload } = found["west//Pod/shop/web-1"] as {
    workload: { services: object; network: string; clusterId: string };
  };
  assert.deepEqual(
    [Object.keys(workload.services), workload.network, workload.clusterId],
    [["shop/only.shop.svc.cluster.local", "shop/web.shop.svc.cluster.local"], "net-home", "west"],
  );
});
