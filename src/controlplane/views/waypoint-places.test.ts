import assert from "node:assert/strict";
import { test } from "node:test";
import type { JsonObject } from "@bufbuild/protobuf";
import type { KubernetesObject } from "../../api/index.ts";
import { typeUrls } from "../../wire/xds/index.ts";
import { valueAt } from "../testing/decode-resource.ts";
import { createExtensionFixture, type ProxyResources } from "../testing/extension-fixture.ts";
import { config, namespace, node, pod, service, slice } from "../testing/model-fixture.ts";

const labels = {
  "gateway.networking.k8s.io/gateway-name": "wp",
  "gateway.networking.k8s.io/gateway-class-name": "istio-waypoint",
  "gateway.istio.io/managed": "istio.io-mesh-controller",
};
const proxy = (name: string, address: string, on: string): KubernetesObject =>
  pod(`shop/${name}`, address, { labels, account: "wp", redirected: false, node: on });
const entry = (name: string, useWaypoint: object): KubernetesObject =>
  config(
    "ServiceEntry",
    `shop/${name}`,
    {
      hosts: [`${name}.example.com`],
      addresses: ["192.0.2.7"],
      ports: [{ number: 80, name: "http", protocol: "HTTP" }],
      resolution: "DNS",
      endpoints: [
        { address: "a.test", locality: "r1/z1" },
        { address: "b.test", locality: "r1/z2" },
      ],
    },
    { labels: useWaypoint },
  );
const mesh: readonly KubernetesObject[] = [
  namespace("shop"),
  node("node-1", "z1"),
  node("node-2", "z2"),
  {
    ...config("Gateway", "shop/wp", {
      gatewayClassName: "istio-waypoint",
      listeners: [{ name: "mesh", port: 15_008, protocol: "HBONE" }],
    }),
    apiVersion: "gateway.networking.k8s.io/v1",
  },
  service("shop/wp", "10.96.0.9", labels, [{ name: "mesh", port: 15_008 }], labels),
  proxy("wp-1", "10.244.1.9", "node-1"),
  proxy("wp-2", "10.244.2.9", "node-2"),
  slice("shop/wp", { name: "mesh", port: 15_008 }, [{ address: "10.244.1.9", pod: "wp-1" }]),
  entry("served", { "istio.io/use-waypoint": "wp" }),
  entry("other", {}),
  // Its routes lead to a service that the waypoint does not serve.
  config("VirtualService", "shop/served", {
    hosts: ["served.example.com"],
    http: [
      { match: [{ uri: { prefix: "/other" } }], route: [{ destination: { host: "other.example.com" } }] },
      { route: [{ destination: { host: "served.example.com" } }] },
    ],
  }),
];

type Row = readonly [name: string, weight: number, priority: number];

function localitiesOf(resources: ProxyResources, cluster: string): unknown {
  const found = resources.show(typeUrls.cluster)[cluster];
  return ((valueAt(found, "load_assignment", "endpoints") ?? []) as readonly JsonObject[]).map((locality) => [
    valueAt(locality, "lb_endpoints", 0, "endpoint", "address", "socket_address", "address"),
    locality["load_balancing_weight"],
    locality["priority"] ?? 0,
  ]);
}

test("each pod of a waypoint gets DNS clusters with the weights and priorities of its own locality", () => {
  const { apply, connect } = createExtensionFixture();
  apply(...mesh);
  const pods = ["wp-1", "wp-2"].map((name) => connect({ type: "waypoint", pod: `shop/${name}`, labels }));
  const expect = (trafficPolicy: object, ...expected: readonly (readonly Row[])[]): void => {
    for (const host of ["served", "other"])
      apply(config("DestinationRule", `shop/${host}`, { host: `${host}.example.com`, trafficPolicy }));
    for (const cluster of ["inbound-vip|80|http|served.example.com", "outbound|80||other.example.com"])
      assert.deepEqual(
        pods.map((resources) => localitiesOf(resources, cluster)),
        expected,
        `${cluster} with ${JSON.stringify(trafficPolicy)}`,
      );
  };
  const outlierDetection = { interval: "1s" };
  const everywhere: readonly Row[] = [
    ["a.test", 1, 0],
    ["b.test", 1, 0],
  ];
  expect({}, everywhere, everywhere);
  expect(
    { outlierDetection },
    [
      ["a.test", 1, 0],
      ["b.test", 1, 1],
    ],
    [
      ["a.test", 1, 1],
      ["b.test", 1, 0],
    ],
  );
  const localityLbSetting = { distribute: [{ from: "r1/z2/*", to: { "r1/z1/*": 80, "r1/z2/*": 20 } }] };
  expect({ loadBalancer: { localityLbSetting } }, everywhere, [
    ["a.test", 80, 0],
    ["b.test", 20, 0],
  ]);
  const byZone = { failoverPriority: ["topology.kubernetes.io/zone"] };
  expect(
    { outlierDetection, loadBalancer: { localityLbSetting: byZone } },
    [
      ["a.test", 1, 0],
      ["b.test", 1, 1],
    ],
    [
      ["a.test", 1, 1],
      ["b.test", 1, 0],
    ],
  );
});
