import assert from "node:assert/strict";
import { test } from "node:test";
import type { DescMessage, JsonObject } from "@bufbuild/protobuf";
import type { KubernetesObject } from "../../../api/index.ts";
import type { Collection } from "../../../kube/index.ts";
import { ClusterSchema, ListenerSchema } from "../../../wire/envoy/index.ts";
import { decodeResource } from "../../testing/decode-resource.ts";
import { config, createModelFixture, namespace, pod, service, slice } from "../../testing/model-fixture.ts";
import { deriveMeshModel } from "../mesh-model.ts";
import type { ScopedEncodedResource } from "../resource.ts";
import { deriveWaypointResources } from "./waypoint-resources.ts";

const http = { name: "http", port: 80, targetPort: 8080 };
const labels = {
  "gateway.networking.k8s.io/gateway-name": "wp",
  "gateway.networking.k8s.io/gateway-class-name": "istio-waypoint",
  "gateway.istio.io/managed": "istio.io-mesh-controller",
};

/** A Service and its pod. `exportTo` is the annotation. */
function exported(key: string, address: string, exportTo: string, own: Record<string, string> = {}) {
  const [, name = ""] = key.split("/");
  const made = service(key, `10.96.0.${address}`, { app: name }, [http], own);
  return [
    { ...made, metadata: { ...made.metadata, annotations: { "networking.istio.io/exportTo": exportTo } } },
    pod(`${key}-1`, `10.244.1.${address}`, { labels: { app: name } }),
    slice(key, { name: "http", port: 8080 }, [{ address: `10.244.1.${address}`, pod: `${name}-1` }]),
  ] as const;
}

function waypointWith(objects: readonly KubernetesObject[]) {
  const { graph, inputs, apply } = createModelFixture();
  const resources = deriveWaypointResources(graph, deriveMeshModel(graph, inputs));
  apply(
    namespace("mesh"),
    namespace("shop", { "istio.io/use-waypoint": "wp", "istio.io/use-waypoint-namespace": "mesh" }),
    config("Gateway", "mesh/wp", {
      gatewayClassName: "istio-waypoint",
      listeners: [{ name: "mesh", port: 15_008, protocol: "HBONE", allowedRoutes: { namespaces: { from: "All" } } }],
    }),
    service("mesh/wp", "10.96.0.9", labels, [{ name: "mesh", port: 15_008 }], labels),
    pod("mesh/wp-1", "10.244.1.9", { labels, account: "wp", redirected: false }),
    slice("mesh/wp", { name: "mesh", port: 15_008 }, [{ address: "10.244.1.9", pod: "wp-1" }]),
    ...objects,
  );
  const read = (
    schema: DescMessage,
    collections: readonly Collection<ScopedEncodedResource>[],
  ): [string, JsonObject][] =>
    collections
      .flatMap((collection) => [...collection.values()])
      .filter(({ scope }) => scope === "mesh/wp")
      .map(({ resource }) => [resource.name, decodeResource(schema, resource)]);
  return {
    clusters: read(ClusterSchema, resources.clusters)
      .map(([name]) => name)
      .filter((name) => name.includes("|"))
      .sort(),
    listeners: JSON.stringify(read(ListenerSchema, resources.listeners)),
  };
}

const routeTo = (host: string): KubernetesObject =>
  config("VirtualService", "mesh/web", {
    hosts: ["web.shop.svc.cluster.local"],
    http: [{ route: [{ destination: { host } }] }],
  });
const [web, ...webPods] = [
  service("shop/web", "10.96.0.5", { app: "web" }, [http]),
  pod("shop/web-1", "10.244.1.5", { labels: { app: "web" } }),
  slice("shop/web", { name: "http", port: 8080 }, [{ address: "10.244.1.5", pod: "web-1" }]),
];
const own = "inbound-vip|80|http|web.shop.svc.cluster.local";

test("a waypoint's routes reach a service outside the waypoint only if it is exported to the waypoint's namespace", () => {
  for (const [key, exportTo, isReached] of [
    ["mesh/api", "*", true],
    ["mesh/api", ".", true],
    ["mesh/api", "shop", false],
    ["mesh/api", "~", false],
    ["other/api", "mesh", true],
    ["other/api", ".", false],
  ] as const) {
    const host = `api.${key.startsWith("mesh") ? "mesh" : "other"}.svc.cluster.local`;
    const { clusters } = waypointWith([web, ...webPods, ...exported(key, "7", exportTo), routeTo(host)]);
    assert.deepEqual(clusters, [own, ...(isReached ? [`outbound|80||${host}`] : [])].sort(), `${key} ${exportTo}`);
  }
});

test("a waypoint's routes reach each service behind it, even if it is not exported to the waypoint's namespace", () => {
  for (const exportTo of [".", "~", "*"]) {
    const host = "api.shop.svc.cluster.local";
    const { clusters, listeners } = waypointWith([
      web,
      ...webPods,
      ...exported("shop/api", "7", exportTo),
      routeTo(host),
    ]);
    assert.deepEqual(clusters, [`inbound-vip|80|http|${host}`, own].sort(), exportTo);
    assert.ok(!listeners.includes(`outbound|80||${host}`), exportTo);
  }
});
