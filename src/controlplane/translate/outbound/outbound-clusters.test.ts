import assert from "node:assert/strict";
import { test } from "node:test";
import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import type { KubernetesObject } from "../../../api/index.ts";
import { valueAt } from "../../testing/decode-resource.ts";
import { meshKey } from "../../model/facts.ts";
import { config, namespace, pod, service, slice, testMesh } from "../../testing/model-fixture.ts";
import { createOutboundFixture } from "../../testing/outbound-fixture.ts";

const host = "web.shop.svc.cluster.local";
const whole = `outbound|80||${host}`;
const subset = `outbound|80|v1|${host}`;
const base: readonly KubernetesObject[] = [
  ...["shop", "north", "south"].map((name) => namespace(name)),
  service("shop/web", "10.96.0.5", { app: "web" }, [{ name: "http", port: 80, targetPort: 8080 }]),
  ...["v1", "v2"].map((version, index) =>
    pod(`shop/web-${version}`, `10.244.1.${index}`, { labels: { app: "web", version } }),
  ),
  slice(
    "shop/web",
    { name: "http", port: 8080 },
    ["v1", "v2"].map((version, index) => ({ address: `10.244.1.${index}`, pod: `web-${version}` })),
  ),
];
const rule = (key: string, maxConnections: number, spec: object = {}): KubernetesObject =>
  config("DestinationRule", key, {
    host,
    trafficPolicy: { connectionPool: { tcp: { maxConnections } } },
    subsets: [{ name: "v1", labels: { version: "v1" } }],
    ...spec,
  });
const limitOf = (clusters: Readonly<Record<string, JsonObject>>, name = whole): JsonValue | undefined =>
  valueAt(clusters[name], "circuitBreakers", "thresholds", 0, "maxConnections");

test("a rule whose visibility shrinks still applies to the clients for which it stays, with its subsets' endpoints", () => {
  const { apply, serve } = createOutboundFixture();
  apply(...base, rule("shop/web", 7));
  const [north, south] = [serve({ namespace: "north" }), serve({ namespace: "south" })];
  assert.deepEqual([limitOf(north.clusters()), limitOf(south.clusters())], [7, 7]);
  apply(rule("shop/web", 7, { exportTo: ["shop", "north"] }));
  assert.deepEqual([limitOf(north.clusters(), subset), limitOf(north.clusters())], [7, 7]);
  const addresses = JSON.stringify(north.endpoints()[subset]).match(/10\.244\.1\.\d/g);
  assert.deepEqual(addresses, ["10.244.1.0"]);
  assert.equal(south.clusters()[subset], undefined);
  apply(rule("shop/web", 7, { exportTo: ["shop", "south"] }));
  assert.equal(north.clusters()[subset], undefined);
  assert.deepEqual([limitOf(south.clusters(), subset), limitOf(south.clusters())], [7, 7]);
});

test("a new rule for the clients of one namespace does not apply to others that had shared a cluster with them", () => {
  const { apply, serve } = createOutboundFixture();
  apply(...base, rule("shop/a", 6, { exportTo: ["north"] }), rule("shop/b", 7));
  const [north, south] = [serve({ namespace: "north" }), serve({ namespace: "south" })];
  assert.deepEqual([limitOf(north.clusters()), limitOf(south.clusters())], [7, 7]);
  apply(rule("north/own", 9));
  assert.deepEqual([limitOf(north.clusters()), limitOf(south.clusters())], [9, 7]);
});

test("a new rule for clients with some labels does not apply to others that had shared a cluster with them", () => {
  const { apply, serve } = createOutboundFixture();
  const selecting = { workloadSelector: { matchLabels: { app: "a" } } };
  apply(...base, rule("shop/web", 7), rule("shop/elsewhere", 8, { host: "api.north.svc.cluster.local", ...selecting }));
  const clients = ["a", "b"].map((app) => serve({ labels: { app } }));
  const limits = (): readonly (JsonValue | undefined)[] => clients.map((client) => limitOf(client.clusters()));
  assert.deepEqual(limits(), [7, 7]);
  apply(rule("shop/selecting", 5, selecting));
  assert.deepEqual(limits(), [5, 7]);
});

test("the mesh's failover by labels prefers endpoints with the client's label without any rule for the host", () => {
  const { apply, serve, inputs, graph } = createOutboundFixture();
  apply(...base);
  inputs.mesh.set(meshKey, {
    ...testMesh,
    localityLbSetting: { enabled: true, distribute: [], failover: [], failoverPriority: ["version"] },
    defaultTrafficPolicy: {
      outlierDetection: {
        consecutive5xxErrors: 3,
        splitExternalLocalOriginErrors: false,
        outlierDetectionHttpErrorCodes: [],
      },
    },
  });
  graph.settle();
  const preferred = (version: string): readonly JsonValue[] => {
    const endpoints = (serve({ labels: { version } }).endpoints()[whole]?.["endpoints"] ?? []) as readonly JsonObject[];
    return endpoints
      .filter(({ priority = 0 }) => priority === 0)
      .map((group) => valueAt(group, "lbEndpoints", 0, "endpoint", "address", "socketAddress", "address") ?? "");
  };
  assert.deepEqual(["v1", "v2"].map(preferred), [["10.244.1.0"], ["10.244.1.1"]]);
});

test("a backend's DestinationRule makes the routes of a Service's HTTPRoute choose endpoints by hash, for the clients that it selects", () => {
  const { apply, serve } = createOutboundFixture();
  const loadBalancer = { consistentHash: { httpQueryParameterName: "user" } };
  const spec = { trafficPolicy: { loadBalancer }, workloadSelector: { matchLabels: { app: "a" } } };
  apply(
    ...base,
    config("HTTPRoute", "shop/web", {
      parentRefs: [{ group: "", kind: "Service", name: "web" }],
      rules: [{ backendRefs: [{ name: "web", port: 80 }] }],
    }),
    rule("shop/web", 7, spec),
  );
  const hashes = ["a", "b"].map((app) => {
    const hosts = (serve({ labels: { app } }).routes()["80"]?.["virtualHosts"] ?? []) as readonly JsonObject[];
    return valueAt(hosts[0], "routes", 0, "route", "hashPolicy");
  });
  assert.deepEqual(hashes, [[{ queryParameter: { name: "user" } }], undefined]);
});
