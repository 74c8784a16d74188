import assert from "node:assert/strict";
import { test } from "node:test";
import type { JsonObject } from "@bufbuild/protobuf";
import type { KubernetesObject } from "../../../api/index.ts";
import { ListenerSchema, RouteConfigurationSchema } from "../../../wire/envoy/index.ts";
import { deriveMeshModel } from "../mesh-model.ts";
import { deriveRouteModels } from "../../model/gateway/gateway-model.ts";
import { deriveGatewayStatuses } from "../../model/gateway/gateway-status.ts";
import { deriveRouteStatuses } from "../../model/gateway/route-status.ts";
import { decodeResource, valueAt } from "../../testing/decode-resource.ts";
import { config, createModelFixture, namespace, node, pod, service, slice } from "../../testing/model-fixture.ts";
import type { ProxyGroup } from "../../model/scope-choice.ts";
import { deriveWaypoints } from "../../model/ambient/waypoint.ts";
import { deriveL4RouteModels } from "../../model/gateway/l4-route-model.ts";
import { scopedResourceKey } from "../resource.ts";
import { deriveRouterResources } from "./router-resources.ts";

function router(revision = "default") {
  const fixture = createModelFixture(revision);
  const routes = deriveRouteModels(fixture.graph, fixture.inputs);
  const l4Routes = deriveL4RouteModels(fixture.graph, fixture.inputs);
  const groups = fixture.graph.source<ProxyGroup>("groups");
  const model = deriveMeshModel(fixture.graph, fixture.inputs);
  const resources = deriveRouterResources(fixture.graph, { ...model, routes, l4Routes, groups });
  return {
    ...fixture,
    routeTable: (gateway: string, port: number) =>
      decodeResource(
        RouteConfigurationSchema,
        resources.routes.get(scopedResourceKey(gateway, `http.${port}`))?.resource,
      ) as unknown as RouteTable,
    listener: (gateway: string, name: string) =>
      decodeResource(ListenerSchema, resources.listeners.get(scopedResourceKey(gateway, name))?.resource),
    gatewayStatuses: deriveGatewayStatuses(fixture.graph, {
      inputs: fixture.inputs,
      routes: [...routes, ...l4Routes],
      waypoints: deriveWaypoints(fixture.graph, fixture.inputs),
      revision,
    }),
    routeStatuses: deriveRouteStatuses(fixture.graph, fixture.inputs, "HTTPRoute", routes[0], revision),
    grpcRouteStatuses: deriveRouteStatuses(fixture.graph, fixture.inputs, "GRPCRoute", routes[1], revision),
  };
}

interface RouteTable {
  readonly virtualHosts: readonly {
    readonly name: string;
    readonly domains: readonly string[];
    readonly routes?: readonly JsonObject[];
  }[];
}

const http = { name: "http", port: 80, targetPort: 8080 };
const base: readonly KubernetesObject[] = [
  namespace("shop", { team: "shop" }),
  namespace("other"),
  node("node-1", "z1"),
  service("shop/web", "10.96.0.5", { app: "web" }, [http]),
  service("shop/web-v2", "10.96.0.6", { app: "web-v2" }, [http]),
  service("other/api", "10.96.0.7", { app: "api" }, [http]),
  pod("shop/web-1", "10.244.1.5", { labels: { app: "web" }, account: "web" }),
  slice("shop/web", { name: "http", port: 8080 }, [{ address: "10.244.1.5", pod: "web-1" }]),
];

function gateway(
  listeners: readonly object[] = [{ name: "http", port: 80, protocol: "HTTP" }],
  metadata: object = {},
): KubernetesObject {
  return config("Gateway", "shop/edge", { gatewayClassName: "istio", listeners }, metadata);
}

function route(key: string, spec: object, metadata: object = {}): KubernetesObject {
  return config("HTTPRoute", key, { parentRefs: [{ name: "edge", namespace: "shop" }], ...spec }, metadata);
}

test("routes are ordered by the precedence of their matches, not by the order of writing", () => {
  const { apply, routeTable } = router();
  const backendRefs = [{ name: "web", port: 80 }];
  const matching = (...matches: readonly object[]): object => ({ matches, backendRefs });
  apply(
    ...base,
    gateway(),
    route(
      "shop/young",
      { rules: [matching({ path: { type: "Exact", value: "/a" } })] },
      { creationTimestamp: "2026-02-01T00:00:00Z" },
    ),
    route("shop/old", {
      rules: [
        matching({}),
        matching({ path: { value: "/a" } }, { path: { value: "/a/long/" } }),
        matching(
          { path: { value: "/a" }, headers: [{ name: "X", value: "1" }] },
          { path: { value: "/a" }, method: "GET" },
        ),
        matching(
          { path: { type: "RegularExpression", value: "/very/long/pattern.*" } },
          { path: { type: "Exact", value: "/a" } },
        ),
      ],
    }),
  );
  const [host] = routeTable("shop/edge", 80).virtualHosts;
  assert.deepEqual([host?.name, host?.domains], ["*:80", ["*"]]);
  assert.deepEqual(
    host?.routes?.map((entry) => [
      entry["name"],
      Object.entries(entry["match"] as JsonObject).find(([key]) => /path|prefix|regex/i.test(key))?.[1],
    ]),
    [
      ["shop.old.3", "/a"],
      ["shop.young.0", "/a"],
      ["shop.old.1", "/a/long"],
      ["shop.old.2", "/a"],
      ["shop.old.2", "/a"],
      ["shop.old.1", "/a"],
      ["shop.old.0", "/"],
      ["shop.old.3", { regex: "/very/long/pattern.*" }],
    ],
  );
  assert.deepEqual(valueAt(host?.routes?.[3], "match", "headers"), [
    { name: ":method", stringMatch: { exact: "GET" } },
  ]);
});

test("a GRPCRoute maps services and methods to paths, on a Gateway as on a Service", () => {
  const { apply, routeTable, grpcRouteStatuses } = router();
  const parentRefs = [
    { name: "edge", namespace: "shop" },
    { group: "", kind: "Service", name: "web" },
  ];
  const matches = [
    { method: { service: "shop.Cart" } },
    { method: { service: "shop.Cart", method: "Add" }, headers: [{ name: "tenant", value: "a" }] },
    { method: { method: "Ping" } },
    { method: { type: "RegularExpression", service: "shop\\..*" } },
  ];
  const backendRefs = [{ name: "web", port: 80 }];
  apply(
    ...base,
    gateway(),
    config("GRPCRoute", "shop/cart", { parentRefs, rules: [{ matches, backendRefs }, { backendRefs }] }),
  );
  const paths = (routes: readonly JsonObject[]): readonly unknown[] =>
    routes.map((entry) => Object.entries(entry["match"] as JsonObject).find(([key]) => /path|prefix|regex/i.test(key)));
  const expected = [
    ["path", "/shop.Cart/Add"],
    ["pathSeparatedPrefix", "/shop.Cart"],
    ["safeRegex", { regex: "/shop\\..*/.+" }],
    ["safeRegex", { regex: "/[^/]+/Ping" }],
    // A rule for every method comes last. Otherwise, it would take all requests before the rules with regular
    // expressions.
    ["prefix", "/"],
  ];
  assert.deepEqual(paths(routeTable("shop/edge", 80).virtualHosts[0]?.routes ?? []), expected);
  apply(
    config("GRPCRoute", "shop/cart", {
      parentRefs,
      rules: [
        {
          backendRefs: [
            { name: "web", port: 80, weight: 0 },
            { name: "web", port: 80, weight: 0 },
          ],
        },
      ],
    }),
  );
  assert.deepEqual(
    routeTable("shop/edge", 80).virtualHosts[0]?.routes?.map((entry) => entry["directResponse"]),
    [{ status: 500 }],
    "backends without a weight answer nothing",
  );
  const { parents } = grpcRouteStatuses.get("shop/cart") ?? { parents: [] };
  assert.deepEqual(
    parents.map(({ status }) => status.conditions.map((condition) => condition.status)),
    [
      ["True", "True"],
      ["True", "True"],
    ],
  );
});

test("a backend in another namespace needs a grant there, and without a grant its share of requests gets 500", () => {
  const { apply, remove, routeTable, routeStatuses } = router();
  const grant = config("ReferenceGrant", "other/from-shop", {
    from: [{ group: "gateway.networking.k8s.io", kind: "HTTPRoute", namespace: "shop" }],
    to: [{ group: "", kind: "Service" }],
  });
  apply(
    ...base,
    gateway(),
    route("shop/r", {
      rules: [
        {
          backendRefs: [
            { name: "web", port: 80, weight: 3 },
            { name: "api", namespace: "other", port: 80 },
          ],
        },
      ],
    }),
  );
  const weighted = (): unknown =>
    valueAt(routeTable("shop/edge", 80).virtualHosts[0]?.routes?.[0], "route", "weightedClusters", "clusters");
  const reason = (): string | undefined =>
    routeStatuses.get("shop/r")?.parents[0]?.status.conditions.find((condition) => condition.type === "ResolvedRefs")
      ?.reason;
  assert.deepEqual(weighted(), [
    { name: "outbound|80||web.shop.svc.cluster.local", weight: 3 },
    { name: "UnknownService", weight: 1 },
  ]);
  assert.equal(reason(), "RefNotPermitted");
  apply(grant);
  assert.deepEqual(weighted(), [
    { name: "outbound|80||web.shop.svc.cluster.local", weight: 3 },
    { name: "outbound|80||api.other.svc.cluster.local", weight: 1 },
  ]);
  assert.equal(reason(), "ResolvedRefs");
  remove(grant);
  assert.equal(reason(), "RefNotPermitted");
  apply(route("shop/r", { rules: [{ backendRefs: [{ name: "gone", port: 80 }] }] }));
  assert.deepEqual(routeTable("shop/edge", 80).virtualHosts[0]?.routes?.[0]?.["directResponse"], { status: 500 });
  assert.equal(reason(), "BackendNotFound");
});

test("filters become header changes, rewrites, redirects and mirrors", () => {
  const { apply, routeTable } = router();
  const backendRefs = [{ name: "web", port: 80 }];
  apply(
    ...base,
    gateway(),
    route("shop/r", {
      rules: [
        {
          matches: [{ path: { value: "/old" } }],
          filters: [
            {
              type: "URLRewrite",
              urlRewrite: { hostname: "inner", path: { type: "ReplacePrefixMatch", replacePrefixMatch: "/" } },
            },
            {
              type: "RequestHeaderModifier",
              requestHeaderModifier: {
                set: [{ name: "a", value: "1" }],
                add: [
                  { name: "b", value: "2" },
                  { name: "literal", value: "50% of %FOO%" },
                  { name: "argument", value: "%GRPC_STATUS(X)%" },
                  { name: "variable", value: "100%% %REQ(a)%" },
                ],
                remove: ["c"],
              },
            },
            { type: "RequestMirror", requestMirror: { backendRef: { name: "web-v2", port: 80 }, percent: 5 } },
          ],
          backendRefs,
          timeouts: { request: "3s", backendRequest: "500ms" },
        },
        {
          matches: [{ path: { value: "/moved" } }],
          filters: [
            {
              type: "RequestRedirect",
              requestRedirect: {
                scheme: "https",
                hostname: "new.example",
                statusCode: 301,
                path: { type: "ReplaceFullPath", replaceFullPath: "/here" },
              },
            },
          ],
        },
      ],
    }),
  );
  const routes = routeTable("shop/edge", 80).virtualHosts[0]?.routes ?? [];
  const rewritten = routes.find((entry) => entry["name"] === "shop.r.0");
  const action = rewritten?.["route"] as JsonObject;
  assert.deepEqual(
    [action["hostRewriteLiteral"], action["regexRewrite"], action["timeout"]],
    ["inner", { pattern: { regex: "^/old(/?)(.*)" }, substitution: "/\\2" }, "0.500s"],
  );
  assert.deepEqual(action["requestMirrorPolicies"], [
    {
      cluster: "outbound|80||web-v2.shop.svc.cluster.local",
      runtimeFraction: { defaultValue: { numerator: 50_000, denominator: "MILLION" } },
      traceSampled: false,
      disableShadowHostSuffixAppend: true,
    },
  ]);
  assert.deepEqual(rewritten?.["requestHeadersToAdd"], [
    { header: { key: "a", value: "1" }, appendAction: "OVERWRITE_IF_EXISTS_OR_ADD" },
    { header: { key: "argument", value: "%%GRPC_STATUS(X)%%" } },
    { header: { key: "b", value: "2" } },
    { header: { key: "literal", value: "50%% of %%FOO%%" } },
    { header: { key: "variable", value: "100%% %REQ(a)%" } },
  ]);
  assert.deepEqual(rewritten?.["requestHeadersToRemove"], ["c"]);
  assert.deepEqual(routes.find((entry) => entry["name"] === "shop.r.1")?.["redirect"], {
    schemeRedirect: "https",
    hostRedirect: "new.example",
    pathRedirect: "/here",
  });
});

test("hosts are the intersection of listener and route, and a listener reports its attached routes and conflicts", () => {
  const { apply, routeTable, routeStatuses, gatewayStatuses } = router();
  const rules = [{ backendRefs: [{ name: "web", port: 80 }] }];
  apply(
    ...base,
    gateway([
      {
        name: "apps",
        port: 80,
        protocol: "HTTP",
        hostname: "*.apps.example",
        allowedRoutes: { namespaces: { from: "Selector", selector: { matchLabels: { team: "shop" } } } },
      },
      { name: "admin", port: 8080, protocol: "HTTP", hostname: "admin.example" },
      { name: "twice", port: 80, protocol: "HTTP", hostname: "*.apps.example" },
    ]),
    route("shop/a", { hostnames: ["one.apps.example", "elsewhere.example"], rules }),
    route("shop/b", { hostnames: ["elsewhere.example"], rules }),
    route("other/c", { rules }),
    route("shop/d", { parentRefs: [{ name: "edge", sectionName: "missing" }], rules }),
  );
  assert.deepEqual(
    routeTable("shop/edge", 80).virtualHosts.map((host) => host.domains),
    [["one.apps.example"]],
  );
  assert.deepEqual(routeTable("shop/edge", 8080).virtualHosts, [{ name: "blackhole:8080", domains: ["*"] }]);
  const accepted = (key: string): string | undefined =>
    routeStatuses.get(key)?.parents[0]?.status.conditions[0]?.reason;
  assert.deepEqual(["shop/a", "shop/b", "other/c", "shop/d"].map(accepted), [
    "Accepted",
    "NoMatchingListenerHostname",
    "NotAllowedByListeners",
    "NoMatchingParent",
  ]);
  const status = gatewayStatuses.get("shop/edge");
  assert.deepEqual(
    status?.listeners.map((listener) => [
      listener.name,
      listener.attachedRoutes,
      listener.conditions.find((condition) => condition.type === "Conflicted")?.reason,
    ]),
    [
      ["apps", 1, "NoConflicts"],
      ["admin", 0, "NoConflicts"],
      ["twice", 0, "HostnameConflict"],
    ],
  );
});

test("a revision that does not own a Gateway also serves it, but writes no status", () => {
  const { apply, routeTable, gatewayStatuses, routeStatuses } = router("canary");
  const rules = [{ backendRefs: [{ name: "web", port: 80 }] }];
  apply(...base, gateway(), route("shop/r", { rules }));
  assert.equal(routeTable("shop/edge", 80).virtualHosts[0]?.routes?.length, 1);
  const ownParents = () => routeStatuses.get("shop/r")?.parents.filter(({ owned }) => owned).length;
  assert.deepEqual([gatewayStatuses.size, ownParents()], [0, 0]);
  apply(gateway(undefined, { labels: { "istio.io/rev": "prod" } }), {
    kind: "MutatingWebhookConfiguration",
    metadata: { name: "istio-revision-tag-prod", labels: { "istio.io/tag": "prod", "istio.io/rev": "canary" } },
  });
  assert.deepEqual([gatewayStatuses.size, ownParents()], [1, 1]);
});

test("the revision of the default validator owns objects without a revision, unless the tag default points elsewhere", () => {
  const { apply, gatewayStatuses } = router("canary");
  apply(...base, gateway());
  assert.equal(gatewayStatuses.size, 0);
  apply({
    kind: "ValidatingWebhookConfiguration",
    metadata: { name: "istiod-default-validator", labels: { "istio.io/rev": "canary" } },
  });
  assert.equal(gatewayStatuses.size, 1);
  apply({
    kind: "MutatingWebhookConfiguration",
    metadata: { name: "istio-revision-tag-default", labels: { "istio.io/tag": "default", "istio.io/rev": "stable" } },
  });
  assert.equal(gatewayStatuses.size, 0);
});

test("a backend's DestinationRule makes the routes of an HTTPRoute choose endpoints by hash", () => {
  const { apply, routeTable } = router();
  const hashOf = () =>
    routeTable("shop/edge", 80).virtualHosts[0]?.routes?.map((entry) => [
      valueAt(entry, "route", "hashPolicy"),
      valueAt(entry, "route", "retryPolicy", "retryHostPredicate") !== undefined,
    ]);
  const backends = (...names: readonly string[]) => names.map((name) => ({ name, port: 80 }));
  const hash = (consistentHash: object): KubernetesObject =>
    config("DestinationRule", "shop/web", { host: "web", trafficPolicy: { loadBalancer: { consistentHash } } });
  apply(
    ...base,
    gateway(),
    route("shop/r", {
      rules: [
        { matches: [{ path: { value: "/a" } }], backendRefs: backends("web") },
        { backendRefs: backends("web", "web-v2") },
      ],
    }),
    hash({ httpHeaderName: "x-user" }),
  );
  const policy = [{ header: { headerName: "x-user" } }];
  // A retry of a single backend goes to the same endpoint.
  assert.deepEqual(hashOf(), [
    [policy, false],
    [policy, true],
  ]);
  apply(hash({ useSourceIp: true }));
  assert.deepEqual(hashOf()?.[0]?.[0], [{ connectionProperties: { sourceIp: true } }]);
});
