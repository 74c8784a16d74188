import assert from "node:assert/strict";
import { test } from "node:test";
import type { JsonObject } from "@bufbuild/protobuf";
import { many } from "../../../base/testing/index.ts";
import type { KubernetesObject } from "../../../api/index.ts";
import { RouteConfigurationSchema } from "../../../wire/envoy/index.ts";
import { decodeResource } from "../../testing/decode-resource.ts";
import { lowerLimits } from "../../testing/lower-limits.ts";
import { config, createModelFixture, namespace, service } from "../../testing/model-fixture.ts";
import { deriveMeshModel } from "../mesh-model.ts";
import { deriveClassicGatewayResources } from "./gateway-classic-resources.ts";

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

/** A VirtualService with this many routes and hosts. The hosts share a virtual host, so that few routes are encoded. */
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

/** Small VirtualServices. Each is older than the one before it. */
function small(count: number, namespaceName = "shop"): readonly KubernetesObject[] {
  return many(count, (index) => {
    const object = config("VirtualService", `${namespaceName}/v${index}`, {
      hosts: [`h${index}.${namespaceName}.example`],
      gateways: ["shop/many"],
      http: [{ route: [{ destination: { host: "web.shop.svc.cluster.local" } }] }],
    });
    const creationTimestamp = new Date(Date.UTC(2026, 0, 1, 0, 0, count - index)).toISOString();
    return { ...object, metadata: { ...object.metadata, creationTimestamp } };
  });
}

test("the VirtualServices of a namespace share a maximum of routes at the servers of a proxy, the oldest ones first", (t) => {
  lowerLimits(t, { routes: 200 });
  const servers = gateway(many(30, (index) => server(8_000 + index)));
  // The limit of 200 allows the six oldest VirtualServices routes at all 30 servers, and the seventh one routes at 20
  // of them.
  assert.deepEqual(routesOf(servers, ...small(50)), [...many(20, () => 7), ...many(10, () => 6)]);
  const both = routesOf(servers, ...small(50), ...small(3, "other"));
  assert.deepEqual(both, [...many(20, () => 10), ...many(10, () => 9)], "other namespaces have a share of their own");
});
