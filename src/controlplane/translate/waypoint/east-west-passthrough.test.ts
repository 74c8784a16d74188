import assert from "node:assert/strict";
import { test } from "node:test";
import type { DescMessage, JsonObject } from "@bufbuild/protobuf";
import type { KubernetesObject } from "../../../api/index.ts";
import type { Collection } from "../../../kube/index.ts";
import { ClusterLoadAssignmentSchema, ClusterSchema, ListenerSchema } from "../../../wire/envoy/index.ts";
import { meshKey } from "../../model/facts.ts";
import { deriveGatewayStatuses } from "../../model/gateway/gateway-status.ts";
import { deriveListenerSetStatuses } from "../../model/gateway/listener-set-status.ts";
import { decodeResource, valueAt } from "../../testing/decode-resource.ts";
import { config, createModelFixture, namespace, pod, service, slice, testMesh } from "../../testing/model-fixture.ts";
import { deriveMeshModel } from "../mesh-model.ts";
import type { ScopedEncodedResource } from "../resource.ts";
import { deriveWaypointResources } from "./waypoint-resources.ts";

function fixture() {
  const base = createModelFixture();
  const { graph, inputs } = base;
  graph.batch(() => inputs.mesh.set(meshKey, { ...testMesh, ambientMultiNetwork: true }));
  const model = deriveMeshModel(graph, inputs);
  const resources = deriveWaypointResources(graph, model);
  const sources = { inputs, routes: model.l4Routes, waypoints: model.waypoints, revision: "default" };
  const statuses = deriveGatewayStatuses(graph, sources);
  const sets = deriveListenerSetStatuses(graph, sources);
  const read = (
    schema: DescMessage,
    collections: readonly Collection<ScopedEncodedResource>[],
  ): Readonly<Record<string, JsonObject>> =>
    Object.fromEntries(
      collections
        .flatMap((collection) => [...collection.values()])
        .filter((item) => item.scope === "net/ew")
        .map(({ resource }) => [resource.name, decodeResource(schema, resource)]),
    );
  return {
    ...base,
    listeners: () => read(ListenerSchema, resources.listeners),
    clusters: () => read(ClusterSchema, resources.clusters),
    endpoints: () => read(ClusterLoadAssignmentSchema, resources.endpoints),
    listenerOf: (name: string): unknown => {
      const found = statuses.get("net/ew")?.listeners.find((listener) => listener.name === name);
      const reason = (type: string): string | undefined =>
        found?.conditions.find((condition) => condition.type === type)?.reason;
      return [reason("Accepted"), reason("Programmed"), found?.attachedRoutes];
    },
    acceptedSet: (key: string) => sets.get(key)?.conditions.find(({ type }) => type === "Accepted"),
    refusalOf: (key: string) => model.l4Routes[0].get(key)?.parents.map(({ refused }) => refused?.reason),
  };
}

const tunnels = { name: "mesh", port: 15_008, protocol: "HBONE", tls: { mode: "Terminate" } };
const everywhere = { allowedRoutes: { namespaces: { from: "All" } } };
const passthrough = { name: "api", port: 443, protocol: "TLS", tls: { mode: "Passthrough" }, ...everywhere };

function eastWest(...listeners: readonly object[]): KubernetesObject {
  return config("Gateway", "net/ew", { gatewayClassName: "istio-east-west", listeners });
}

function route(key: string, hostname: string, backend: object, sectionName?: string): KubernetesObject {
  return config("TLSRoute", key, {
    parentRefs: [{ name: "ew", namespace: "net", ...(sectionName === undefined ? {} : { sectionName }) }],
    hostnames: [hostname],
    rules: [{ backendRefs: [backend] }],
  });
}

const https = { name: "https", port: 443, targetPort: 6443 };
const apiServer: readonly KubernetesObject[] = [
  namespace("net"),
  namespace("default"),
  service("default/kubernetes", "10.96.0.1", {}, [https]),
  slice("default/kubernetes", { name: "https", port: 6443 }, [{ address: "192.0.2.10" }]),
  route("default/api", "api.east.example", { name: "kubernetes", port: 443 }),
];
const cluster = "outbound|443||kubernetes.default.svc.cluster.local";

function chains(listener: JsonObject | undefined): unknown {
  return ((listener?.["filterChains"] ?? []) as JsonObject[]).map((chain) => [
    valueAt(chain, "filterChainMatch", "serverNames"),
    ((chain["filters"] ?? []) as JsonObject[]).map((filter) => valueAt(filter, "typedConfig", "cluster")).at(-1),
  ]);
}

function addresses(assignment: JsonObject | undefined): unknown {
  return ((assignment?.["endpoints"] ?? []) as { lbEndpoints: JsonObject[] }[]).flatMap(({ lbEndpoints }) =>
    lbEndpoints.map((endpoint) => valueAt(endpoint, "endpoint", "address")),
  );
}

test("a gateway between networks passes TLS by server name to a service of its cluster, beside its tunnels", () => {
  const { apply, listeners, clusters, endpoints, listenerOf } = fixture();
  apply(...apiServer, eastWest(tunnels, passthrough));
  assert.deepEqual(Object.keys(listeners()).sort(), [
    "0.0.0.0_443",
    "connect_originate",
    "connect_terminate",
    "main_internal",
  ]);
  const listener = listeners()["0.0.0.0_443"];
  assert.deepEqual(chains(listener), [[["api.east.example"], cluster]]);
  assert.deepEqual(
    [listener?.["trafficDirection"], valueAt(listener, "address", "socketAddress", "portValue")],
    ["INBOUND", 443],
  );
  assert.equal(valueAt(clusters()[cluster], "edsClusterConfig", "serviceName"), cluster);
  assert.deepEqual(addresses(endpoints()[cluster]), [{ socketAddress: { address: "192.0.2.10", portValue: 6443 } }]);
  assert.deepEqual(listenerOf("api"), ["Accepted", "Programmed", 1]);
  assert.deepEqual(listenerOf("mesh"), ["Accepted", "Programmed", 0]);
});

test("a backend that accepts HBONE is reached through a tunnel of the gateway", () => {
  const { apply, clusters, endpoints } = fixture();
  apply(
    ...apiServer,
    eastWest(tunnels, passthrough),
    namespace("shop"),
    service("shop/web", "10.96.0.5", { app: "web" }, [https]),
    pod("shop/web-1", "10.244.1.5", { labels: { app: "web" } }),
    slice("shop/web", { name: "https", port: 6443 }, [{ address: "10.244.1.5", pod: "web-1" }]),
    route("shop/web", "web.east.example", { name: "web", port: 443 }),
  );
  const tunnelled = addresses(endpoints()["outbound|443||web.shop.svc.cluster.local"]);
  assert.deepEqual(tunnelled, [
    { envoyInternalAddress: { serverListenerName: "connect_originate", endpointId: "10.244.1.5:6443" } },
  ]);
  assert.equal(valueAt(clusters()["connect_originate"], "type"), "ORIGINAL_DST");
});

test("traffic that a gateway between networks passes obeys the policy of its backend", () => {
  const { apply, listeners } = fixture();
  apply(
    ...apiServer,
    eastWest(tunnels, passthrough),
    config("DestinationRule", "default/api", {
      host: "kubernetes",
      trafficPolicy: { connectionPool: { tcp: { idleTimeout: "7s" } } },
    }),
  );
  const [chain] = (listeners()["0.0.0.0_443"]?.["filterChains"] ?? []) as { filters: JsonObject[] }[];
  assert.equal(valueAt(chain?.filters.at(-1), "typedConfig", "idleTimeout"), "7s");
});

test("routes come and go: without one, the port has no listener and the gateway no cluster", () => {
  const { apply, remove, listeners, clusters } = fixture();
  apply(...apiServer, eastWest(tunnels, passthrough));
  remove(route("default/api", "api.east.example", { name: "kubernetes", port: 443 }));
  assert.deepEqual(Object.keys(listeners()).sort(), ["connect_terminate", "main_internal"]);
  assert.deepEqual(Object.keys(clusters()).sort(), ["BlackHoleCluster", "main_internal"]);
});

test("a gateway between networks refuses every other listener, and a route attaches to no tunnel", () => {
  const { apply, listenerOf, listeners, refusalOf } = fixture();
  apply(
    ...apiServer,
    eastWest(
      tunnels,
      { ...passthrough, name: "ends", port: 8443, tls: { mode: "Terminate" } },
      { name: "web", port: 80, protocol: "HTTP", ...everywhere },
      { ...passthrough, name: "bare", port: 9443, tls: undefined },
    ),
  );
  for (const name of ["ends", "web", "bare"])
    assert.deepEqual(listenerOf(name), ["UnsupportedProtocol", "Invalid", 0], name);
  assert.deepEqual(refusalOf("default/api"), ["NotAllowedByListeners"]);
  assert.deepEqual(Object.keys(listeners()).sort(), ["connect_terminate", "main_internal"]);
  apply(eastWest({ ...passthrough, port: 15_008 }));
  assert.deepEqual(listenerOf("api"), ["UnsupportedProtocol", "Invalid", 0], "the port of tunnels");
});

test("a ListenerSet of a gateway between networks is refused, and adds no port", () => {
  const { apply, acceptedSet, listeners } = fixture();
  const gateway = eastWest(tunnels) as KubernetesObject & { readonly spec: object };
  apply(
    ...apiServer,
    { ...gateway, spec: { ...gateway.spec, allowedListeners: { namespaces: { from: "All" } } } } as KubernetesObject,
    config("ListenerSet", "default/more", { parentRef: { name: "ew", namespace: "net" }, listeners: [passthrough] }),
  );
  assert.deepEqual(
    [acceptedSet("default/more")?.reason, acceptedSet("default/more")?.message],
    ["NotAllowed", 'The "istio-east-west" GatewayClass does not support ListenerSet'],
  );
  assert.deepEqual(Object.keys(listeners()).sort(), ["connect_terminate", "main_internal"]);
});

test("only policies that name the gateway apply to what it passes", () => {
  const { apply, listeners } = fixture();
  apply(...apiServer, eastWest(tunnels, passthrough));
  const filters = (): readonly unknown[] =>
    ((listeners()["0.0.0.0_443"]?.["filterChains"] ?? []) as { filters: { name: string }[] }[]).flatMap((chain) =>
      chain.filters.map(({ name }) => name),
    );
  const plain = filters();
  apply(config("AuthorizationPolicy", "net/all", { rules: [{ to: [{ operation: { ports: ["443"] } }] }] }));
  assert.deepEqual(filters(), plain);
  apply(
    config("AuthorizationPolicy", "net/named", {
      targetRefs: [{ group: "gateway.networking.k8s.io", kind: "Gateway", name: "ew" }],
      rules: [{ from: [{ source: { ipBlocks: ["198.51.100.0/24"] } }] }],
    }),
  );
  assert.deepEqual(filters(), ["envoy.filters.network.rbac", ...plain]);
});
