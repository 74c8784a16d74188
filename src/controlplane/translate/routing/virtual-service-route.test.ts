import assert from "node:assert/strict";
import { test } from "node:test";
import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import type { KubernetesObject } from "../../../api/index.ts";
import { valueAt } from "../../testing/decode-resource.ts";
import { meshKey } from "../../model/facts.ts";
import { config, namespace, service, testMesh } from "../../testing/model-fixture.ts";
import { createOutboundFixture, type ServedOutbound } from "../../testing/outbound-fixture.ts";

const http = { name: "http", port: 80 };
const base: readonly KubernetesObject[] = [
  namespace("shop"),
  service("shop/web", "10.96.0.5", {}, [http]),
  service("shop/api", "10.96.0.6", {}, [http, { name: "http-admin", port: 81 }]),
];

function virtualService(key: string, spec: object, metadata: object = {}): KubernetesObject {
  return config("VirtualService", key, { hosts: ["web"], ...spec }, metadata);
}

function routesOf(served: ServedOutbound, host = "web.shop.svc.cluster.local:80", port = "80"): readonly JsonObject[] {
  const hosts = (served.routes()[port]?.["virtualHosts"] ?? []) as readonly JsonObject[];
  return (hosts.find((candidate) => candidate["name"] === host)?.["routes"] ?? []) as readonly JsonObject[];
}

const toWeb = [{ destination: { host: "web" } }];

test("every part of a match reaches the route, and routes after a catch-all match are dropped", () => {
  const { apply, serve } = createOutboundFixture();
  const match = {
    uri: { prefix: "/A" },
    ignoreUriCase: true,
    method: { exact: "GET" },
    headers: { "X-User": { regex: "a.*" }, here: {} },
    withoutHeaders: { gone: { exact: "1" } },
    queryParams: { q: { exact: "1" } },
  };
  apply(
    ...base,
    virtualService("shop/web", {
      http: [
        {
          name: "first",
          match: [{ name: "one", ...match }, { uri: { exact: "/b" } }, { uri: { regex: "/c.*" } }],
          route: toWeb,
        },
        { route: toWeb },
        { match: [{ uri: { exact: "/never" } }], route: toWeb },
      ],
    }),
  );
  const routes = routesOf(serve());
  assert.deepEqual(
    routes.map((route) => [route["name"], valueAt(route, "decorator", "operation")]),
    [
      ["first.one", "web.shop.svc.cluster.local:80/A*"],
      ["first", "web.shop.svc.cluster.local:80/b"],
      ["first", "web.shop.svc.cluster.local:80/c.*"],
      [undefined, "web.shop.svc.cluster.local:80/*"],
    ],
  );
  assert.deepEqual(routes[0]?.["match"], {
    prefix: "/A",
    caseSensitive: false,
    headers: [
      { name: "gone", invertMatch: true, treatMissingHeaderAsEmpty: true, stringMatch: { exact: "1" } },
      { name: "here", presentMatch: true },
      { name: "x-user", stringMatch: { safeRegex: { regex: "a.*" } } },
      { name: ":method", stringMatch: { exact: "GET" } },
    ],
    queryParameters: [{ name: "q", stringMatch: { exact: "1" } }],
  });
});

test("label and namespace matches are evaluated for each group of clients, and the service's own route remains if none matches", () => {
  const { apply, serve } = createOutboundFixture();
  apply(
    ...base,
    virtualService("shop/web", {
      http: [
        {
          match: [
            { sourceLabels: { app: "a" }, uri: { prefix: "/" } },
            { sourceNamespace: "other", uri: { exact: "/ns" } },
            { gateways: ["some-gateway"] },
          ],
          route: [{ destination: { host: "api", port: { number: 81 } } }],
        },
      ],
    }),
  );
  const clusters = (served: ServedOutbound): JsonValue[] =>
    routesOf(served).map((route) => valueAt(route, "route", "cluster") ?? "");
  assert.deepEqual(clusters(serve({ labels: { app: "a", "other-label": "x" } })), [
    "outbound|81||api.shop.svc.cluster.local",
  ]);
  assert.deepEqual(clusters(serve({ labels: { app: "b" } })), ["outbound|80||web.shop.svc.cluster.local"]);
  assert.deepEqual(
    routesOf(serve({ namespace: "other" })).map((route) => valueAt(route, "match", "path")),
    ["/ns"],
  );
});

test("weights, rewrites, headers, mirrors, timeouts and retries reach the route", () => {
  const { apply, serve } = createOutboundFixture();
  apply(
    ...base,
    virtualService("shop/web", {
      http: [
        {
          match: [{ uri: { prefix: "/x" } }],
          rewrite: { uri: "/y", authority: "inner" },
          headers: { request: { set: { b: "2" }, add: { a: "1" }, remove: ["c"] }, response: { add: { d: "4" } } },
          route: [
            { destination: { host: "web" }, weight: 3, headers: { response: { set: { e: "5" } } } },
            { destination: { host: "api", subset: "v2" }, weight: 1 },
            { destination: { host: "api" }, weight: 0 },
          ],
          mirrors: [{ destination: { host: "api" }, percentage: { value: 12.5 } }],
          timeout: "3s",
          retries: { attempts: 5, perTryTimeout: "1s", retryOn: "5xx,503", backoff: "10ms" },
        },
        {
          match: [{ uri: { prefix: "/re" } }],
          rewrite: { uriRegexRewrite: { match: "^/re/(.*)$", rewrite: "/\\1" } },
          retries: { attempts: 0 },
          route: [{ destination: { host: "web" }, headers: { request: { set: { f: "6" } } } }],
        },
      ],
    }),
  );
  const [first, second] = routesOf(serve());
  const action = first?.["route"] as JsonObject;
  assert.deepEqual(action["weightedClusters"], {
    clusters: [
      {
        name: "outbound|80||web.shop.svc.cluster.local",
        weight: 3,
        responseHeadersToAdd: [{ header: { key: "e", value: "5" }, appendAction: "OVERWRITE_IF_EXISTS_OR_ADD" }],
      },
      { name: "outbound|80|v2|api.shop.svc.cluster.local", weight: 1 },
    ],
  });
  assert.deepEqual(
    [action["prefixRewrite"], action["hostRewriteLiteral"], action["timeout"], action["maxGrpcTimeout"]],
    ["/y", "inner", "3s", "3s"],
  );
  assert.deepEqual(valueAt(action, "requestMirrorPolicies", 0), {
    cluster: "outbound|80||api.shop.svc.cluster.local",
    runtimeFraction: { defaultValue: { numerator: 125_000, denominator: "MILLION" } },
    traceSampled: false,
    disableShadowHostSuffixAppend: true,
  });
  const retries = action["retryPolicy"] as JsonObject;
  assert.deepEqual(
    [
      retries["retryOn"],
      retries["numRetries"],
      retries["retriableStatusCodes"],
      retries["perTryTimeout"],
      valueAt(retries, "retryBackOff", "baseInterval"),
    ],
    ["5xx,retriable-status-codes", 5, [503], "1s", "0.010s"],
  );
  assert.deepEqual(first?.["requestHeadersToAdd"], [
    { header: { key: "b", value: "2" }, appendAction: "OVERWRITE_IF_EXISTS_OR_ADD" },
    { header: { key: "a", value: "1" } },
  ]);
  assert.deepEqual(first?.["requestHeadersToRemove"], ["c"]);
  assert.deepEqual(
    [
      valueAt(second, "route", "regexRewrite", "substitution"),
      valueAt(second, "route", "retryPolicy"),
      valueAt(second, "requestHeadersToAdd", 0, "header", "key"),
    ],
    ["/\\1", undefined, "f"],
  );
});

test("redirects, direct responses, faults and CORS reach the route as written", () => {
  const { apply, serve } = createOutboundFixture();
  apply(
    ...base,
    virtualService("shop/web", {
      http: [
        {
          match: [{ uri: { exact: "/r" } }],
          redirect: { uri: "/there", authority: "b.example", scheme: "https", port: 8443, redirectCode: 308 },
        },
        { match: [{ uri: { exact: "/d" } }], directResponse: { status: 418, body: { bytes: "dGVh" } } },
        {
          fault: {
            delay: { fixedDelay: "2s", percentage: { value: 0.5 } },
            abort: { grpcStatus: "UNAVAILABLE", percentage: { value: 100 } },
          },
          corsPolicy: {
            allowOrigins: [{ prefix: "https://" }],
            allowMethods: ["GET", "PUT"],
            maxAge: "1m",
            unmatchedPreflights: "IGNORE",
          },
          route: toWeb,
        },
      ],
    }),
  );
  const [redirect, answer, faulty] = routesOf(serve());
  assert.deepEqual(redirect?.["redirect"], {
    schemeRedirect: "https",
    hostRedirect: "b.example",
    portRedirect: 8443,
    pathRedirect: "/there",
    responseCode: "PERMANENT_REDIRECT",
  });
  assert.deepEqual(answer?.["directResponse"], { status: 418, body: { inlineBytes: "dGVh" } });
  const fault = valueAt(faulty, "typedPerFilterConfig", "envoy.filters.http.fault") as JsonObject;
  assert.deepEqual(
    [fault["delay"], fault["abort"]],
    [
      { fixedDelay: "2s", percentage: { numerator: 5000, denominator: "MILLION" } },
      { grpcStatus: 14, percentage: { numerator: 1_000_000, denominator: "MILLION" } },
    ],
  );
  const cors = valueAt(faulty, "typedPerFilterConfig", "envoy.filters.http.cors") as JsonObject;
  assert.deepEqual(
    [cors["allowOriginStringMatch"], cors["allowMethods"], cors["maxAge"], cors["forwardNotMatchingPreflights"]],
    [[{ prefix: "https://" }], "GET,PUT", "60", false],
  );
});

test("the oldest VirtualService of a host wins, an exact name beats wildcards, and unknown hosts are served on port 80", () => {
  const { apply, serve } = createOutboundFixture();
  const old = { creationTimestamp: "2020-01-01T00:00:00Z" };
  apply(
    ...base,
    virtualService("shop/young", { hosts: ["web", "unknown.example"], http: [{ name: "young", route: toWeb }] }),
    virtualService("shop/old", { hosts: ["web"], http: [{ name: "old", route: toWeb }] }, old),
    virtualService(
      "shop/wild",
      { hosts: ["*.shop.svc.cluster.local"], http: [{ name: "wild", route: [{ destination: { host: "api" } }] }] },
      old,
    ),
  );
  const served = serve();
  const named = (host: string, port?: string): JsonValue | undefined => routesOf(served, host, port)[0]?.["name"];
  assert.deepEqual(
    [named("web.shop.svc.cluster.local:80"), named("api.shop.svc.cluster.local:80"), named("unknown.example:80")],
    ["old", "wild", "young"],
  );
  assert.equal(named("unknown.example:81", "81"), undefined);
});

test("a delegate's routes are narrowed by the delegating route, and contradictions are left out", () => {
  const { apply, serve } = createOutboundFixture();
  apply(
    ...base,
    virtualService("shop/web", {
      http: [
        {
          name: "root",
          match: [{ uri: { prefix: "/a" }, headers: { x: { exact: "1" } } }],
          delegate: { name: "part", namespace: "other" },
          timeout: "7s",
        },
        { route: toWeb },
      ],
    }),
    config("VirtualService", "other/part", {
      http: [
        {
          name: "in",
          match: [{ uri: { prefix: "/a/b" }, headers: { constructor: { exact: "2" } } }],
          route: [{ destination: { host: "web.shop.svc.cluster.local" } }],
        },
        {
          name: "out",
          match: [{ uri: { prefix: "/c" } }],
          route: [{ destination: { host: "web.shop.svc.cluster.local" } }],
        },
      ],
    }),
  );
  const routes = routesOf(serve());
  assert.deepEqual(
    routes.map((route) => route["name"]),
    ["root-in", undefined],
  );
  assert.deepEqual(
    [
      valueAt(routes[0], "match", "prefix"),
      valueAt(routes[0], "match", "headers", 0, "name"),
      valueAt(routes[0], "match", "headers", 1, "name"),
      valueAt(routes[0], "route", "timeout"),
    ],
    ["/a/b", "constructor", "x", "7s"],
  );
});

test("the hash of a destination's rule is set on the route, and retries then stay on the host", () => {
  const { apply, serve } = createOutboundFixture();
  apply(
    ...base,
    config("DestinationRule", "shop/web", {
      host: "web",
      trafficPolicy: { loadBalancer: { consistentHash: { httpCookie: { name: "c", ttl: "0s" } } } },
    }),
    virtualService("shop/web", { http: [{ route: toWeb }] }),
  );
  const action = routesOf(serve())[0]?.["route"] as JsonObject;
  assert.deepEqual(action["hashPolicy"], [{ cookie: { name: "c", ttl: "0s" } }]);
  assert.equal(valueAt(action, "retryPolicy", "retryHostPredicate"), undefined);
});

test("the host of mirrored requests gets a suffix only if the control plane's settings request it", () => {
  const { apply, serve, graph, inputs } = createOutboundFixture();
  const mirror = { group: "", kind: "Service", name: "api", port: 80 };
  apply(
    ...base,
    virtualService("shop/web", { http: [{ route: toWeb, mirror: { host: "api" } }] }),
    config("HTTPRoute", "shop/api", {
      parentRefs: [{ group: "", kind: "Service", name: "api" }],
      rules: [
        {
          filters: [{ type: "RequestMirror", requestMirror: { backendRef: mirror } }],
          backendRefs: [{ name: "web", port: 80 }],
        },
      ],
    }),
  );
  const keepsHost = (shadowHostSuffix?: boolean): readonly unknown[] => {
    const mesh = shadowHostSuffix === undefined ? testMesh : { ...testMesh, shadowHostSuffix };
    graph.batch(() => inputs.mesh.set(meshKey, mesh));
    return ["web", "api"].map((name) =>
      valueAt(
        routesOf(serve(), `${name}.shop.svc.cluster.local:80`)[0],
        "route",
        "requestMirrorPolicies",
        0,
        "disableShadowHostSuffixAppend",
      ),
    );
  };
  assert.deepEqual(keepsHost(), [true, true]);
  assert.deepEqual(keepsHost(true), [undefined, undefined]);
});

test("a Service's HTTPRoutes come from the client's namespace, else from the Service's own", () => {
  const { apply, serve } = createOutboundFixture();
  const route = (key: string, backend: string): KubernetesObject =>
    config("HTTPRoute", key, {
      parentRefs: [{ group: "", kind: "Service", name: "web", namespace: "shop" }],
      rules: [{ backendRefs: [{ name: backend, namespace: "shop", port: 80 }] }],
    });
  apply(...base, route("shop/producer", "api"), route("other/consumer", "api"));
  const named = (namespaceName: string): JsonValue | undefined =>
    routesOf(serve({ namespace: namespaceName }))[0]?.["name"];
  assert.deepEqual(
    [named("shop"), named("third"), named("other")],
    ["shop.producer.0", "shop.producer.0", "other.consumer.0"],
  );
  const grpc = config("GRPCRoute", "shop/grpc", {
    parentRefs: [{ group: "", kind: "Service", name: "web" }],
    rules: [{ matches: [{ method: { service: "a.B", method: "C" } }], backendRefs: [{ name: "api", port: 80 }] }],
  });
  apply(grpc);
  assert.deepEqual(
    routesOf(serve()).map(({ name }) => name),
    ["shop.grpc.0", "shop.producer.0"],
  );
});
