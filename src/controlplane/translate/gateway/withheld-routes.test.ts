import assert from "node:assert/strict";
import { test } from "node:test";
import type { JsonObject } from "@bufbuild/protobuf";
import type { KubernetesObject } from "../../../api/index.ts";
import { RouteConfigurationSchema } from "../../../wire/envoy/index.ts";
import { intersectHosts } from "../../model/service/service-hostname.ts";
import { decodeResource } from "../../testing/decode-resource.ts";
import { config, createModelFixture, namespace, service } from "../../testing/model-fixture.ts";
import { deriveMeshModel } from "../mesh-model.ts";
import { deriveClassicGatewayResources } from "./gateway-classic-resources.ts";

const many = <Item>(count: number, make: (index: number) => Item): readonly Item[] =>
  Array.from({ length: count }, (_, index) => make(index));

/** The number of routes in each table of an ingress gateway. */
function routesOf(...objects: readonly KubernetesObject[]): readonly number[] {
  const { graph, inputs, apply } = createModelFixture();
  const model = deriveMeshModel(graph, inputs);
  const { routes } = deriveClassicGatewayResources(graph, model);
  const locality = { region: "", zone: "", subzone: "" };
  const labels = { istio: "ingressgateway" };
  const place = { locality, node: "", network: "", hbone: false, dnsCapture: false };
  model.scopes.groups.set("edge", { kind: "router", namespace: "edge", labels, ...place });
  apply(namespace("shop"), service("shop/web", "10.96.0.1", {}, [{ name: "http", port: 80 }]), ...objects);
  graph.settle();
  return [...routes.values()].map(({ resource }) => {
    const { virtualHosts } = decodeResource(RouteConfigurationSchema, resource) as unknown as {
      virtualHosts: readonly JsonObject[];
    };
    return virtualHosts.reduce(
      (sum, host) => sum + ((host["routes"] as readonly object[] | undefined) ?? []).length,
      0,
    );
  });
}

const gateway = (servers: readonly object[]): KubernetesObject => ({
  ...config("Gateway", "shop/many", { selector: { istio: "ingressgateway" }, servers }),
  apiVersion: "networking.istio.io/v1",
});
const server = (port: number): object => ({
  port: { number: port, name: `http-${port}`, protocol: "HTTP" },
  hosts: ["*"],
});

/** Routes of as many hosts, which share a virtual host, so that few are encoded. */
function routes(count: number): KubernetesObject {
  const hosts = many(count, (index) => `h${index}.example`);
  const http = many(count, (index) => ({
    match: [{ uri: { prefix: `/${index}` } }],
    route: [{ destination: { host: "web" } }],
  }));
  return config("VirtualService", "shop/all", { hosts, gateways: ["many"], http });
}

test("a VirtualService has routes at the first servers of its Gateways, up to a limit for each proxy", () => {
  assert.deepEqual(routesOf(gateway(many(30, (index) => server(8_000 + index))), routes(100)), [
    ...many(20, () => 100),
    ...many(10, () => 0),
  ]);
});

test("servers that share a port count one by one", () => {
  const servers = many(30, (index) => ({
    port: { number: 8_000, name: `http-${index}`, protocol: "HTTP" },
    hosts: ["*.example"],
  }));
  assert.deepEqual(routesOf(gateway(servers), routes(100)), [20 * 100]);
});

test("hosts of long lists meet as in a comparison of all pairs", () => {
  const names = ["a.x", "b.x", "c.y", "*.x", "*.b.x", "q.b.x", "*", "*x", "z.b.x", "d.y", "*.z"];
  const longer = (start: number): string[] => [
    ...names.filter((_, index) => (index * 7 + start) % 3 !== 0),
    ...many(40, (index) => `${start}-${index}.other`),
  ];
  for (const start of [0, 1, 2])
    for (const end of [0, 1, 2]) {
      const [left, right] = [longer(start), longer(end)];
      const pairs = left.flatMap((one) => right.flatMap((other) => intersectHosts([one], [other])));
      assert.deepEqual([...intersectHosts(left, right)].sort(), [...new Set(pairs)].sort());
    }
});
