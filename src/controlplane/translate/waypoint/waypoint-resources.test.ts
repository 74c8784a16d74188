import assert from "node:assert/strict";
import { test } from "node:test";
import type { DescMessage, JsonObject, JsonValue } from "@bufbuild/protobuf";
import { deriveMeshModel } from "../mesh-model.ts";
import type { KubernetesObject } from "../../../api/index.ts";
import type { ExtensionProvider } from "../../../api/istio/index.ts";
import type { Collection } from "../../../kube/index.ts";
import { ClusterLoadAssignmentSchema, ClusterSchema, ListenerSchema } from "../../../wire/envoy/index.ts";
import { AddressSchema } from "../../../wire/workload/index.ts";
import { meshKey } from "../../model/facts.ts";
import { deriveGatewayPlacements } from "../../model/gateway/gateway-placement.ts";
import { deriveGatewayStatuses } from "../../model/gateway/gateway-status.ts";
import { decodeResource, valueAt } from "../../testing/decode-resource.ts";
import {
  config,
  createModelFixture,
  namespace,
  node,
  pod,
  service,
  slice,
  testMesh,
} from "../../testing/model-fixture.ts";
import { deriveAmbientResources } from "../ambient/ambient-resources.ts";
import type { ScopedEncodedResource } from "../resource.ts";
import { deriveWaypointResources } from "./waypoint-resources.ts";

function waypoints() {
  const fixture = createModelFixture();
  const { graph, inputs } = fixture;
  const model = deriveMeshModel(graph, inputs);
  const resources = deriveWaypointResources(graph, model);
  const ambient = deriveAmbientResources(graph, inputs, model.waypoints);
  const statuses = deriveGatewayStatuses(graph, {
    inputs,
    routes: [],
    waypoints: model.waypoints,
    revision: "default",
  });
  const placements = deriveGatewayPlacements(graph, inputs, model.waypoints, "default");
  const read = (
    schema: DescMessage,
    collections: readonly Collection<ScopedEncodedResource>[],
    scope: string,
  ): Readonly<Record<string, JsonObject>> =>
    Object.fromEntries(
      collections
        .flatMap((collection) => [...collection.values()])
        .filter((item) => item.scope === scope)
        .map(({ resource }) => [resource.name, decodeResource(schema, resource)]),
    );
  return {
    ...fixture,
    listeners: (scope: string) => read(ListenerSchema, resources.listeners, scope),
    clusters: (scope: string) => read(ClusterSchema, resources.clusters, scope),
    endpoints: (scope: string) => read(ClusterLoadAssignmentSchema, resources.endpoints, scope),
    waypointOf: (name: string): JsonValue | undefined => {
      const found = ambient.addresses
        .map((collection) => collection.get(name))
        .find((resource) => resource !== undefined);
      const address = decodeResource(AddressSchema, found);
      return (
        valueAt(address, "service", "waypoint", "hostname", "hostname") ??
        valueAt(address, "workload", "waypoint", "hostname", "hostname")
      );
    },
    programmed: (key: string) => statuses.get(key)?.conditions.find(({ type }) => type === "Programmed"),
    placementOf: (key: string) => placements.get(key),
    deployments: (key: string) =>
      placements
        .get(key)
        ?.waypoints?.map(({ name }) => name)
        .sort(),
  };
}

const http = { name: "http", port: 80, targetPort: 8080 };
const hbone = { name: "mesh", port: 15_008, protocol: "HBONE" };
const shop: readonly KubernetesObject[] = [
  namespace("shop"),
  service("shop/web", "10.96.0.5", { app: "web" }, [http, { name: "db", port: 3306 }, { name: "any", port: 90 }], {
    "istio.io/use-waypoint": "wp",
  }),
  service("shop/api", "10.96.0.6", { app: "api" }, [http]),
  pod("shop/web-1", "10.244.1.5", { labels: { app: "web", version: "v1" }, account: "web" }),
  pod("shop/web-2", "10.244.1.6", { labels: { app: "web", version: "v2" }, account: "web" }),
  pod("shop/api-1", "10.244.1.7", { labels: { app: "api" }, account: "api" }),
  slice("shop/web", { name: "http", port: 8080 }, [
    { address: "10.244.1.5", pod: "web-1" },
    { address: "10.244.1.6", pod: "web-2" },
  ]),
  slice("shop/api", { name: "http", port: 8080 }, [{ address: "10.244.1.7", pod: "api-1" }]),
];
const gateway = config("Gateway", "shop/wp", { gatewayClassName: "istio-waypoint", listeners: [hbone] });
const labels = (name: string, className: string): Record<string, string> => ({
  "gateway.networking.k8s.io/gateway-name": name,
  "gateway.networking.k8s.io/gateway-class-name": className,
  "gateway.istio.io/managed": "istio.io-mesh-controller",
});
const ready: readonly KubernetesObject[] = [
  service("shop/wp", "10.96.0.9", { "gateway.networking.k8s.io/gateway-name": "wp" }, [{ name: "mesh", port: 15_008 }]),
  pod("shop/wp-1", "10.244.1.9", { labels: labels("wp", "istio-waypoint"), account: "wp", redirected: false }),
  slice("shop/wp", { name: "mesh", port: 15_008 }, [{ address: "10.244.1.9", pod: "wp-1" }]),
];

function leads(matcher: unknown): unknown {
  const found = matcher as {
    action?: { name: string };
    matcher?: { matcherTree?: { exactMatchMap?: { map: Record<string, unknown> } }; onNoMatch?: unknown };
  };
  if (found.action !== undefined) return found.action.name;
  const map = Object.entries(found.matcher?.matcherTree?.exactMatchMap?.map ?? {}).map(([value, next]) => [
    value,
    leads(next),
  ]);
  return Object.fromEntries([
    ...map,
    ...(found.matcher?.onNoMatch === undefined ? [] : [["otherwise", leads(found.matcher.onNoMatch)]]),
  ]);
}

function ranges(listener: JsonObject | undefined): Record<string, unknown> {
  const matchers = (valueAt(
    listener ?? {},
    "filterChainMatcher",
    "matcherTree",
    "customMatch",
    "typedConfig",
    "rangeMatchers",
  ) ?? []) as { ranges: { addressPrefix: string }[]; onMatch: unknown }[];
  return Object.fromEntries(
    matchers.map((matcher) => [
      matcher.ranges.map(({ addressPrefix }) => addressPrefix).join(","),
      leads(matcher.onMatch),
    ]),
  );
}

function chain(listener: JsonObject | undefined, name: string): JsonValue {
  return ((listener?.["filterChains"] ?? []) as JsonObject[]).find((candidate) => candidate["name"] === name) ?? null;
}

test("services of a waypoint are distinguished by address, port and, if undeclared, by their first bytes", () => {
  const { apply, listeners, clusters, endpoints } = waypoints();
  apply(...shop, gateway);
  const main = listeners("shop/wp")["main_internal"];
  assert.deepEqual(Object.keys(listeners("shop/wp")).sort(), [
    "connect_originate",
    "connect_terminate",
    "main_internal",
  ]);
  const host = "web.shop.svc.cluster.local";
  assert.deepEqual(ranges(main), {
    "10.96.0.5": {
      "80": `inbound-vip|80|http|${host}`,
      "3306": `inbound-vip|3306|tcp|${host}`,
      "90": {
        "'http/1.1'": `inbound-vip|90|http|${host}`,
        "'h2c'": `inbound-vip|90|http|${host}`,
        otherwise: `inbound-vip|90|tcp|${host}`,
      },
    },
  });
  assert.deepEqual(Object.keys(clusters("shop/wp")).sort(), [
    "connect_originate",
    "encap",
    `inbound-vip|3306|tcp|${host}`,
    `inbound-vip|80|http|${host}`,
    `inbound-vip|90|http|${host}`,
    `inbound-vip|90|tcp|${host}`,
    "main_internal",
  ]);
  const locality = (endpoints("shop/wp")[`inbound-vip|80|http|${host}`]?.["endpoints"] ?? []) as {
    lbEndpoints: JsonObject[];
  }[];
  assert.deepEqual(
    locality.flatMap(({ lbEndpoints }) =>
      lbEndpoints.map((endpoint) =>
        valueAt(endpoint, "metadata", "filterMetadata", "envoy.filters.listener.original_dst", "local"),
      ),
    ),
    ["10.244.1.5:8080", "10.244.1.6:8080"],
  );
});

test("routes lead to subsets behind the waypoint and to services without one, and policies that target the service apply there", () => {
  const { apply, listeners, clusters, endpoints } = waypoints();
  const host = "web.shop.svc.cluster.local";
  apply(
    ...shop,
    gateway,
    config("DestinationRule", "shop/web", {
      host: "web",
      trafficPolicy: { loadBalancer: { simple: "RANDOM" } },
      subsets: [{ name: "v1", labels: { version: "v1" } }],
    }),
    config("VirtualService", "shop/web", {
      hosts: ["web"],
      http: [
        {
          match: [{ sourceNamespace: "shop" }],
          route: [
            { destination: { host: "web", subset: "v1" }, weight: 90 },
            { destination: { host: "api" }, weight: 10 },
          ],
        },
      ],
    }),
    config("AuthorizationPolicy", "shop/get", {
      targetRefs: [{ group: "", kind: "Service", name: "web" }],
      action: "ALLOW",
      rules: [{ to: [{ operation: { methods: ["GET"] } }] }],
    }),
    config("AuthorizationPolicy", "shop/by-label", { action: "DENY", rules: [{}] }),
  );
  const manager = valueAt(
    chain(listeners("shop/wp")["main_internal"], `inbound-vip|80|http|${host}`),
    "filters",
    0,
    "typedConfig",
  ) as JsonObject;
  const [route] = valueAt(manager, "routeConfig", "virtualHosts", 0, "routes") as JsonObject[];
  assert.deepEqual(valueAt(route ?? {}, "route", "weightedClusters", "clusters"), [
    { name: `inbound-vip|80|http/v1|${host}`, weight: 90 },
    { name: "outbound|80||api.shop.svc.cluster.local", weight: 10 },
  ]);
  const rbac = (manager["httpFilters"] as { name: string; typedConfig: JsonObject }[]).filter(
    ({ name }) => name === "envoy.filters.http.rbac",
  );
  assert.deepEqual(
    rbac.map(({ typedConfig }) => Object.keys(valueAt(typedConfig, "rules", "policies") as JsonObject)),
    [["ns[shop]-policy[get]-rule[0]"]],
  );
  const served = clusters("shop/wp");
  assert.equal(served[`inbound-vip|80|http/v1|${host}`]?.["lbPolicy"], "RANDOM");
  assert.deepEqual(
    valueAt(served["outbound|80||api.shop.svc.cluster.local"] ?? {}, "transportSocketMatches", 0, "match"),
    { tunnel: "http" },
  );
  assert.equal(
    (
      valueAt(
        endpoints("shop/wp")[`inbound-vip|80|http/v1|${host}`] ?? {},
        "endpoints",
        0,
        "lbEndpoints",
      ) as JsonValue[]
    ).length,
    1,
  );
});

test("a waypoint whose Gateway requests it writes the client's identity into XFCC before policies, in all chains of HTTP", () => {
  const { apply, listeners } = waypoints();
  const annotation = "ambient.istio.io/xfcc-include-client-identity";
  const policy = config("AuthorizationPolicy", "shop/get", {
    targetRefs: [{ group: "gateway.networking.k8s.io", kind: "Gateway", name: "wp" }],
    action: "ALLOW",
    rules: [{ to: [{ operation: { methods: ["GET"] } }] }],
  });
  const managers = () =>
    ((listeners("shop/wp")["main_internal"]?.["filterChains"] ?? []) as { name: string; filters: JsonObject[] }[])
      .map(({ name, filters }) => ({ name, manager: filters.at(-1)?.["typedConfig"] as JsonObject }))
      .filter(({ manager }) => manager["httpFilters"] !== undefined);
  const firstFilters = () =>
    managers().map(({ name, manager }) => [
      name,
      ...(manager["httpFilters"] as { name: string }[]).slice(0, 2).map((filter) => filter.name),
      manager["forwardClientCertDetails"],
    ]);
  const gatewayWith = (metadata: object, infrastructure?: object): KubernetesObject =>
    config(
      "Gateway",
      "shop/wp",
      {
        gatewayClassName: "istio-waypoint",
        listeners: [hbone],
        ...(infrastructure === undefined ? {} : { infrastructure }),
      },
      metadata,
    );
  const chains = [80, 90].map((port) => `inbound-vip|${port}|http|web.shop.svc.cluster.local`).concat("direct-http");
  const rbac = "envoy.filters.http.rbac";
  const usual = chains.map((name) => [name, rbac, "envoy.filters.http.grpc_stats", undefined]);
  const withIdentity = chains.map((name) => [name, "istio.waypoint.xfcc_client_identity", rbac, "ALWAYS_FORWARD_ONLY"]);
  apply(...shop, gateway, policy);
  assert.deepEqual(firstFilters(), usual);
  apply(gatewayWith({ annotations: { [annotation]: "False" } }));
  assert.deepEqual(firstFilters(), usual);
  apply(gatewayWith({}, { annotations: { [annotation]: "true" } }));
  assert.deepEqual(firstFilters(), withIdentity);
  apply(gatewayWith({ annotations: { [annotation]: "TRUE" } }));
  assert.deepEqual(firstFilters(), withIdentity);
  assert.deepEqual(valueAt(managers()[0]?.manager, "httpFilters", 0, "typedConfig", "mutations", "requestMutations"), [
    {
      append: {
        header: {
          key: "x-forwarded-client-cert",
          value: "By=%FILTER_STATE(io.istio.local_principal:PLAIN)%;URI=%FILTER_STATE(io.istio.peer_principal:PLAIN)%",
        },
        appendAction: "OVERWRITE_IF_EXISTS_OR_ADD",
      },
    },
  ]);
});

test("a service has the routes of all its VirtualServices, without matches by a client's labels", () => {
  const { apply, listeners } = waypoints();
  const to = (subset: string): object[] => [{ destination: { host: "web", subset } }];
  apply(
    ...shop,
    gateway,
    config("VirtualService", "shop/a", {
      hosts: ["web"],
      http: [
        { match: [{ sourceLabels: { app: "x" } }], route: to("v9") },
        { match: [{ sourceLabels: { app: "x" }, uri: { prefix: "/x" } }, { uri: { prefix: "/a" } }], route: to("v1") },
      ],
    }),
    config("VirtualService", "shop/b", { hosts: ["web"], http: [{ route: to("v2") }] }),
  );
  const host = "web.shop.svc.cluster.local";
  const routes = valueAt(
    chain(listeners("shop/wp")["main_internal"], `inbound-vip|80|http|${host}`),
    "filters",
    0,
    "typedConfig",
    "routeConfig",
    "virtualHosts",
    0,
    "routes",
  ) as JsonObject[];
  assert.deepEqual(
    routes.map((route) => [valueAt(route, "match"), valueAt(route, "route", "cluster")]),
    [
      [{ prefix: "/a", caseSensitive: true }, `inbound-vip|80|http/v1|${host}`],
      [{ prefix: "/" }, `inbound-vip|80|http/v2|${host}`],
    ],
  );
});

test("a TLS route that names only its service comes before TCP routes, and one for other server names is ignored", () => {
  const { apply, listeners } = waypoints();
  const host = "web.shop.svc.cluster.local";
  const to = (subset: string): object[] => [{ destination: { host: "web", subset } }];
  const clusterWith = (sniHosts: readonly string[]): unknown => {
    apply(
      ...shop,
      gateway,
      config("VirtualService", "shop/web", {
        hosts: [host, "*.example.com"],
        tls: [{ match: [{ sniHosts, port: 3306 }], route: to("v1") }],
        tcp: [{ route: to("v2") }],
      }),
    );
    const filters = valueAt(chain(listeners("shop/wp")["main_internal"], `inbound-vip|3306|tcp|${host}`), "filters");
    return /"cluster":"([^"]+)"/.exec(JSON.stringify(filters))?.[1];
  };
  assert.equal(clusterWith([host]), `inbound-vip|3306|tcp/v1|${host}`);
  assert.equal(clusterWith(["*.example.com"]), `inbound-vip|3306|tcp/v2|${host}`);
});

test("the hash of a backend's policy holds for requests that an HTTPRoute sends to it through a waypoint", () => {
  const { apply, listeners } = waypoints();
  const host = "web.shop.svc.cluster.local";
  apply(
    ...shop,
    gateway,
    config("HTTPRoute", "shop/r", {
      parentRefs: [{ group: "", kind: "Service", name: "web" }],
      rules: [
        {
          backendRefs: [
            { name: "web", port: 80, weight: 9 },
            { name: "api", port: 80 },
          ],
        },
      ],
    }),
    config("DestinationRule", "shop/web", {
      host,
      trafficPolicy: { loadBalancer: { consistentHash: { httpHeaderName: "x-user" } } },
    }),
  );
  const http = JSON.stringify(chain(listeners("shop/wp")["main_internal"], `inbound-vip|80|http|${host}`));
  assert.deepEqual(http.match(/"hashPolicy":(\[.*?\])/)?.[1], '[{"header":{"headerName":"x-user"}}]');
});

test("the pool and the hash of a service's policy also hold for TCP connections through its waypoint", () => {
  const { apply, listeners } = waypoints();
  apply(...shop, gateway);
  const host = "web.shop.svc.cluster.local";
  const proxy = (): JsonObject => {
    const filters = valueAt(chain(listeners("shop/wp")["main_internal"], `inbound-vip|3306|tcp|${host}`), "filters");
    return valueAt((filters as JsonObject[]).at(-1), "typedConfig") as JsonObject;
  };
  const settings = (): unknown => {
    const { idleTimeout, maxDownstreamConnectionDuration, hashPolicy } = proxy();
    return [idleTimeout, maxDownstreamConnectionDuration, hashPolicy];
  };
  assert.deepEqual(settings(), [undefined, undefined, undefined]);
  apply(
    config("DestinationRule", "shop/web", {
      host,
      trafficPolicy: {
        connectionPool: { tcp: { idleTimeout: "24h", maxConnectionDuration: "1h" } },
        loadBalancer: { consistentHash: { useSourceIp: true } },
      },
    }),
  );
  assert.deepEqual(settings(), ["86400s", "3600s", [{ sourceIp: {} }]]);
});

test("the mesh's providers are reachable from a waypoint anywhere, and a missing provider has no cluster", () => {
  const { apply, inputs, clusters, endpoints } = waypoints();
  const zipkin = (name: string, service: string): ExtensionProvider => ({
    kind: "tracing",
    name,
    settings: { kind: "zipkin", service, port: 80, shortTraceIds: false, propagatesW3c: false, headers: [] },
  });
  inputs.mesh.set(meshKey, {
    ...testMesh,
    extensionProviders: [
      zipkin("there", "shop/api.shop.svc.cluster.local"),
      zipkin("gone", "gone.example.com"),
      { kind: "prometheus", name: "counts" },
    ],
  });
  apply(...shop, gateway);
  const name = "outbound|80||api.shop.svc.cluster.local";
  assert.deepEqual(
    Object.keys(clusters("shop/wp")).filter((cluster) => cluster.startsWith("outbound")),
    [name],
  );
  assert.equal((valueAt(endpoints("shop/wp")[name] ?? {}, "endpoints", 0, "lbEndpoints") as JsonValue[]).length, 1);
});

test("the mesh's default traffic policy holds at a waypoint, and a rule's own pool comes before it", () => {
  const { apply, inputs, clusters } = waypoints();
  inputs.mesh.set(meshKey, {
    ...testMesh,
    defaultTrafficPolicy: {
      connectionPool: { tcp: { maxConnections: 11 }, http: { h2UpgradePolicy: "DEFAULT", useClientProtocol: false } },
      outlierDetection: {
        consecutive5xxErrors: 3,
        splitExternalLocalOriginErrors: false,
        outlierDetectionHttpErrorCodes: [],
      },
    },
  });
  apply(...shop, gateway);
  const limits = (): unknown[] => {
    const web = clusters("shop/wp")["inbound-vip|80|http|web.shop.svc.cluster.local"] ?? {};
    return [
      valueAt(web, "circuitBreakers", "thresholds", 0, "maxConnections"),
      valueAt(web, "outlierDetection", "consecutive5xx"),
    ];
  };
  assert.deepEqual(limits(), [11, 3]);
  const trafficPolicy = { connectionPool: { tcp: { maxConnections: 7 } } };
  apply(config("DestinationRule", "shop/web", { host: "web", trafficPolicy }));
  assert.deepEqual(limits(), [7, 3]);
});

test("each pod of a waypoint gets endpoints by distance, if a rule or the service enables it", () => {
  const { apply, endpoints } = waypoints();
  const near = (scope: string): unknown => {
    const localities = (endpoints(scope)["inbound-vip|80|http|web.shop.svc.cluster.local"]?.["endpoints"] ?? []) as {
      locality: { zone: string };
      priority?: number;
    }[];
    return localities.map(({ locality, priority = 0 }) => `${locality.zone} ${priority}`);
  };
  const proxy = (name: string, address: string, on: string): KubernetesObject =>
    pod(`shop/${name}`, address, {
      labels: labels("wp", "istio-waypoint"),
      account: "wp",
      redirected: false,
      node: on,
    });
  apply(
    ...shop,
    gateway,
    node("node-1", "z1"),
    node("node-2", "z2"),
    proxy("wp-1", "10.244.1.9", "node-1"),
    proxy("wp-2", "10.244.2.9", "node-2"),
  );
  apply(
    pod("shop/web-2", "10.244.1.6", { labels: { app: "web", version: "v2" }, account: "web", node: "node-2" }),
    slice("shop/web", { name: "http", port: 8080 }, [
      { address: "10.244.1.5", pod: "web-1" },
      { address: "10.244.1.6", pod: "web-2", node: "node-2" },
    ]),
  );
  assert.deepEqual(
    ["shop/wp", "shop/wp@shop/wp-1", "shop/wp@shop/wp-2"].map(near),
    [["z1 0", "z2 0"], [], []],
    "nobody asks for it",
  );
  apply(
    config("DestinationRule", "shop/web", {
      host: "web",
      trafficPolicy: { outlierDetection: { consecutive5xxErrors: 5 } },
    }),
  );
  assert.deepEqual(["shop/wp", "shop/wp@shop/wp-1", "shop/wp@shop/wp-2"].map(near), [
    ["z1 0", "z2 0"],
    ["z1 0", "z2 1"],
    ["z1 1", "z2 0"],
  ]);
});

test("a waypoint gets traffic only after one of its pods was ready, and then always, because connections that bypass it would skip its policies", () => {
  const { apply, remove, waypointOf, programmed } = waypoints();
  const web = "shop/web.shop.svc.cluster.local";
  apply(...shop, gateway);
  assert.deepEqual([waypointOf(web), programmed("shop/wp")?.status], [undefined, "False"]);
  apply(...ready);
  assert.deepEqual([waypointOf(web), programmed("shop/wp")?.status], ["wp.shop.svc.cluster.local", "True"]);
  assert.equal(waypointOf("shop/api.shop.svc.cluster.local"), undefined);
  apply(
    { ...gateway, status: { conditions: [{ type: "Programmed", status: "True" }] } } as KubernetesObject,
    slice("shop/wp", { name: "mesh", port: 15_008 }, [{ address: "10.244.1.9", pod: "wp-1", ready: false }]),
  );
  assert.equal(waypointOf(web), "wp.shop.svc.cluster.local");
  remove(gateway);
  assert.equal(waypointOf(web), undefined);
});

test("a waypoint of an account serves the account's pods and their services, without a label", () => {
  const { apply, waypointOf, deployments, listeners, programmed } = waypoints();
  const accounts = ["web", "api"].map((name): KubernetesObject => ({
    kind: "ServiceAccount",
    metadata: { name, namespace: "shop" },
  }));
  const mesh = (annotations: object): KubernetesObject =>
    config("Gateway", "shop/gw", { gatewayClassName: "istio-mesh", listeners: [hbone] }, { annotations });
  const proxy = pod("shop/api-wp", "10.244.1.10", {
    labels: labels("gw", "istio-mesh"),
    account: "api",
    redirected: false,
  });
  apply(...shop, ...accounts, mesh({ "istio.io/service-account": "api" }));
  assert.deepEqual(
    [deployments("shop/gw"), programmed("shop/gw")?.message],
    [["api-waypoint-proxy"], "waiting for a ready pod of api-waypoint-proxy"],
  );
  apply(proxy);
  const api = "api-waypoint-proxy.shop.mesh.internal";
  assert.deepEqual(
    [
      "shop/api.shop.svc.cluster.local",
      "Kubernetes//Pod/shop/api-1",
      "Kubernetes//Pod/shop/api-wp",
      "shop/web.shop.svc.cluster.local",
      "Kubernetes//Pod/shop/web-1",
    ].map(waypointOf),
    [api, api, undefined, undefined, undefined],
  );
  const found = ranges(listeners("shop/gw/api")["main_internal"]);
  assert.deepEqual(found, {
    "10.96.0.6": { "80": "inbound-vip|80|http|api.shop.svc.cluster.local" },
    "10.244.1.7": { "'http/1.1'": "direct-http", "'h2c'": "direct-http", otherwise: "direct-tcp" },
  });
  apply(mesh({}));
  assert.deepEqual(deployments("shop/gw"), ["api-waypoint-proxy", "web-waypoint-proxy"]);
  // The service names a waypoint that does not exist.
  assert.equal(waypointOf("shop/web.shop.svc.cluster.local"), undefined);
});

test("a gateway between networks leads tunnels for global services to their pods or waypoints, by name and address", () => {
  const { apply, inputs, graph, listeners, clusters, endpoints, placementOf, programmed } = waypoints();
  graph.batch(() =>
    inputs.mesh.set(meshKey, {
      ...testMesh,
      ambientMultiNetwork: true,
      serviceScopeConfigs: [{ scope: "GLOBAL", servicesSelector: { matchLabels: { "istio.io/global": "true" } } }],
    }),
  );
  const global = (name: string, address: string, more: Record<string, string> = {}): KubernetesObject =>
    service(`shop/${name}`, address, { app: name }, [http], { "istio.io/global": "true", ...more });
  const terminate = {
    ...hbone,
    tls: { mode: "Terminate", options: { "gateway.istio.io/tls-terminate-mode": "ISTIO_MUTUAL" } },
  };
  const eastWest = (listener: object): KubernetesObject =>
    config(
      "Gateway",
      "net/ew",
      { gatewayClassName: "istio-east-west", listeners: [listener] },
      { labels: { "topology.istio.io/network": "north" } },
    );
  apply(
    namespace("net"),
    ...shop.filter(({ kind }) => kind !== "Service"),
    global("web", "10.96.0.5", { "istio.io/use-waypoint": "wp" }),
    global("api", "10.96.0.6"),
    service("shop/own", "10.96.0.7", { app: "api" }, [http]),
    gateway,
    ...ready,
    eastWest(terminate),
  );
  assert.deepEqual(Object.keys(listeners("net/ew")).sort(), ["connect_terminate", "main_internal"]);
  const host = (name: string): string => `${name}.shop.svc.cluster.local`;
  const straight = (name: string): string => `inbound-vip|80|tcp|${host(name)}`;
  const guarded = `inbound-vip|80|tcp/waypoint|${host("web")}`;
  const bySource = { waypoint: straight("web"), gateway: straight("web"), otherwise: guarded };
  const matcher = listeners("net/ew")["main_internal"]?.["filterChainMatcher"];
  const byName = { matcher: { ...(matcher as object), onNoMatch: undefined } };
  assert.deepEqual(leads(byName), { [`${host("api")}:80`]: straight("api"), [`${host("web")}:80`]: bySource });
  assert.equal(valueAt(matcher ?? null, "matcherTree", "input", "typedConfig", "key"), "io.istio.connect_authority");
  assert.deepEqual(ranges({ filterChainMatcher: valueAt(matcher ?? null, "onNoMatch", "matcher") ?? null }), {
    "10.96.0.6": { "80": straight("api") },
    "10.96.0.5": { "80": bySource },
  });
  assert.deepEqual(
    Object.keys(clusters("net/ew")).sort(),
    ["BlackHoleCluster", straight("api"), straight("web"), guarded, "main_internal"].sort(),
  );
  assert.deepEqual(
    [
      clusters("net/ew")[guarded]?.["transportSocket"],
      valueAt(clusters("net/ew")[guarded], "edsClusterConfig", "serviceName"),
    ],
    [undefined, guarded],
  );
  const ends = (name: string): unknown =>
    ((endpoints("net/ew")[name]?.["endpoints"] ?? []) as { lbEndpoints: JsonObject[] }[]).flatMap(({ lbEndpoints }) =>
      lbEndpoints.map((endpoint) => [
        valueAt(endpoint, "endpoint", "address", "socketAddress", "address"),
        valueAt(endpoint, "endpoint", "address", "socketAddress", "portValue"),
      ]),
    );
  assert.deepEqual(ends(straight("web")), [
    ["10.244.1.5", 15_008],
    ["10.244.1.6", 15_008],
  ]);
  assert.deepEqual(ends(guarded), [["10.244.1.9", 15_008]]);
  assert.deepEqual(placementOf("net/ew")?.waypoints, [{ name: "ew", account: "ew" }]);
  assert.equal(
    valueAt(listeners("shop/wp")["main_internal"], "filterChainMatcher", "matcherTree", "input", "typedConfig", "key"),
    "io.istio.connect_authority",
    "a waypoint is asked by name too",
  );
  apply(
    service("net/ew", "10.96.0.20", {}, [{ name: "mesh", port: 15_008 }]),
    slice("net/ew", { name: "mesh", port: 15_008 }, [{ address: "10.244.1.20" }]),
  );
  assert.deepEqual([programmed("net/ew")?.status, programmed("net/ew")?.reason], ["True", "Programmed"]);
  apply(eastWest(hbone));
  assert.deepEqual(listeners("net/ew"), {}, "without TLS of its own it ends no tunnels");
  graph.batch(() => inputs.mesh.set(meshKey, testMesh));
  assert.equal(placementOf("net/ew"), undefined, "in a mesh of one network the class means nothing");
});

test("long policies of a service are repeated for a limited number of its ports, and the others are not served", () => {
  const { apply, listeners } = waypoints();
  const principals = Array.from({ length: 300 }, (_, index) => `cluster.local/ns/a/sa/${index}/`.padEnd(1_000, "x"));
  const policy = (names: readonly string[]): KubernetesObject =>
    config("AuthorizationPolicy", "shop/web", {
      targetRefs: [{ kind: "Service", group: "", name: "web" }],
      rules: [{ from: [{ source: { principals: names } }] }],
    });
  const ports = Array.from({ length: 100 }, (_, index) => ({ name: `http-${index}`, port: 1_000 + index }));
  const web = service("shop/web", "10.96.0.5", { app: "web" }, ports, { "istio.io/use-waypoint": "wp" });
  const served = (): readonly string[] => Object.keys(ranges(listeners("shop/wp")["main_internal"])["10.96.0.5"] ?? {});
  apply(...shop, gateway, web, policy(principals));
  assert.ok(served().length > 10 && served().length < 90, `${served().length} ports are served`);
  assert.equal(served()[0], "1000");
  apply(policy(principals.slice(0, 10)));
  assert.equal(served().length, 100);
});
