import assert from "node:assert/strict";
import { test } from "node:test";
import type { JsonObject } from "@bufbuild/protobuf";
import type { KubernetesObject } from "../../../api/index.ts";
import { ClusterSchema } from "../../../wire/envoy/index.ts";
import { decodeResource, valueAt } from "../../testing/decode-resource.ts";
import { config, createModelFixture, namespace, pod, service, slice } from "../../testing/model-fixture.ts";
import { deriveMeshModel } from "../mesh-model.ts";
import { deriveWaypointResources } from "./waypoint-resources.ts";

const labels = {
  "gateway.networking.k8s.io/gateway-name": "wp",
  "gateway.networking.k8s.io/gateway-class-name": "istio-waypoint",
  "gateway.istio.io/managed": "istio.io-mesh-controller",
};
const undeclared = { name: "main", port: 80, targetPort: 8080 };

/** The clusters of the waypoint shop/wp, whose service web leads some of its requests to the service api. */
function clustersWith(...objects: readonly KubernetesObject[]): Readonly<Record<string, JsonObject>> {
  const { graph, inputs, apply } = createModelFixture();
  const resources = deriveWaypointResources(graph, deriveMeshModel(graph, inputs));
  apply(
    namespace("shop"),
    config("Gateway", "shop/wp", {
      gatewayClassName: "istio-waypoint",
      listeners: [{ name: "mesh", port: 15_008, protocol: "HBONE" }],
    }),
    service("shop/wp", "10.96.0.9", labels, [{ name: "mesh", port: 15_008 }], labels),
    pod("shop/wp-1", "10.244.1.9", { labels, account: "wp", redirected: false }),
    slice("shop/wp", { name: "mesh", port: 15_008 }, [{ address: "10.244.1.9", pod: "wp-1" }]),
    service("shop/web", "10.96.0.5", { app: "web" }, [undeclared], { "istio.io/use-waypoint": "wp" }),
    service("shop/api", "10.96.0.6", { app: "api" }, [undeclared]),
    config("VirtualService", "shop/web", {
      hosts: ["web"],
      http: [
        {
          route: [
            { destination: { host: "web" }, weight: 90 },
            { destination: { host: "api" }, weight: 10 },
          ],
        },
      ],
    }),
    ...objects,
  );
  return Object.fromEntries(
    resources.clusters
      .flatMap((collection) => [...collection.values()])
      .filter(({ scope }) => scope === "shop/wp")
      .map(({ resource }) => [resource.name, decodeResource(ClusterSchema, resource)]),
  );
}

const own = "inbound-vip|80|http|web.shop.svc.cluster.local";
const other = "outbound|80||api.shop.svc.cluster.local";

test("on ports without a declared protocol, a waypoint's requests keep the client's HTTP version, whoever serves them", () => {
  const clusters = clustersWith();
  for (const name of [own, other]) {
    const [options] = Object.values((clusters[name]?.["typedExtensionProtocolOptions"] ?? {}) as JsonObject);
    assert.ok(valueAt(options ?? {}, "useDownstreamProtocolConfig", "http2ProtocolOptions") !== undefined, name);
  }
  const connections = clusters["inbound-vip|80|tcp|web.shop.svc.cluster.local"] ?? {};
  assert.equal(connections["typedExtensionProtocolOptions"], undefined, "connections have no HTTP version");
});

test("a waypoint originates TLS with the Secret of a rule, also on a port without a declared protocol", () => {
  const tls = { mode: "SIMPLE", credentialName: "roots" };
  const rules = ["web", "api"].map((host) =>
    config("DestinationRule", `shop/${host}`, { host, trafficPolicy: { tls } }),
  );
  const clusters = clustersWith(...rules);
  for (const name of [own, other])
    assert.match(JSON.stringify(clusters[name] ?? {}), /kubernetes:\/\/roots-cacert/, name);
});
