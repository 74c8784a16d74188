import assert from "node:assert/strict";
import { test } from "node:test";
import type { KindDefinition, KubernetesObject } from "../../api/index.ts";
import { grpcRouteKind, httpRouteKind, tcpRouteKind, tlsRouteKind } from "../../api/gateway/index.ts";
import { destinationRuleKind, istioGatewayKind, virtualServiceKind } from "../../api/istio/index.ts";
import { meshGraph, type MeshGraph } from "./mesh-graph.ts";
import { routePlan } from "./route-rules.ts";
import { counted, pod, type Sent } from "./testing/small-mesh.ts";
import { combineTraffic, mutualTlsShare, trafficLabels } from "./traffic.ts";

function parsed<Value extends KubernetesObject>(
  kind: KindDefinition<Value>,
  name: string,
  namespace: string,
  spec: unknown,
): Value {
  const value = kind.parse?.({ apiVersion: "v1", kind: kind.kind, metadata: { name, namespace }, spec }).value;
  assert.ok(value !== undefined, `${kind.kind} ${name}`);
  return value;
}

const gateway = "istio-system/istio-ingressgateway";
const pods = [
  pod("default", "web-v1", { labels: { version: "v1" } }),
  pod("default", "web-v2", { labels: { version: "v2" } }),
  pod("default", "client"),
  pod("istio-system", "istio-ingressgateway", { labels: { istio: "ingressgateway" }, containers: ["istio-proxy"] }),
];

const noRoutes = { httpRoutes: [], grpcRoutes: [], tlsRoutes: [], tcpRoutes: [] };

function graph(sent: readonly Sent[], http?: unknown, gateways: readonly string[] = ["istio-system/gate"]): MeshGraph {
  const plan = routePlan({
    virtualServices:
      http === undefined ? [] : [parsed(virtualServiceKind, "web", "default", { hosts: ["web"], gateways, http })],
    destinationRules: [
      parsed(destinationRuleKind, "web", "default", {
        host: "web",
        subsets: [
          { name: "stable", labels: { version: "v1" } },
          { name: "canary", labels: { version: "v2" } },
        ],
      }),
    ],
    gateways: [
      parsed(istioGatewayKind, "gate", "istio-system", {
        selector: { istio: "ingressgateway" },
        servers: [{ port: { number: 80, name: "http", protocol: "HTTP" }, hosts: ["*"] }],
      }),
    ],
    ...noRoutes,
    pods,
  });
  return meshGraph(combineTraffic(sent.map(counted)), plan);
}

const split = [
  {
    route: [
      { destination: { host: "web", subset: "stable" }, weight: 90 },
      { destination: { host: "web", subset: "canary" }, weight: 10 },
    ],
  },
];
const throughGateway: readonly Sent[] = [
  { from: gateway, to: "default/web-v1", rate: 85, version: "v1" },
  { from: gateway, to: "default/web-v2", rate: 15, version: "v2" },
];
const fromClient: readonly Sent[] = [
  { from: "default/client", to: "default/web-v1", rate: 5, version: "v1" },
  { from: "default/client", to: "default/web-v2", rate: 5, version: "v2" },
];

test("the reports of both proxies of an edge form one edge, with mTLS from the server's", () => {
  const { edges } = graph([
    ...throughGateway,
    ...throughGateway.map((sent) => ({ ...sent, rate: sent.rate + 1, reporter: "destination", secured: true })),
  ]);
  assert.deepEqual(
    edges.map(({ edge }) => [edge.source.workload, edge.destination.version, edge.requestRate, mutualTlsShare(edge)]),
    [
      ["istio-ingressgateway", "v1", 85, 1],
      ["istio-ingressgateway", "v2", 15, 1],
    ],
  );
});

test("an edge that only the server reports is shown, like traffic from outside the mesh", () => {
  const [first] = graph([
    { from: "unknown", to: "default/web-v1", rate: 2, reporter: "destination", code: "503" },
  ]).edges;
  assert.deepEqual([first?.edge.requestRate, first?.edge.failureRate], [2, 2]);
});

test("gateway weights apply at the gateway, not in the mesh", () => {
  const { edges, rules } = graph([...throughGateway, ...fromClient], split);
  const told = edges.map(({ edge, share, configured }) => [
    edge.source.workload,
    edge.destination.version,
    share,
    configured.map(({ weight }) => weight),
  ]);
  assert.deepEqual(told, [
    ["client", "v1", 0.5, []],
    ["client", "v2", 0.5, []],
    ["istio-ingressgateway", "v1", 0.85, [0.9]],
    ["istio-ingressgateway", "v2", 0.15, [0.1]],
  ]);
  assert.deepEqual(
    rules[0]?.destinations.map(({ text, weight, share }) => [text, weight, share]),
    [
      ["web stable", 0.9, 0.85],
      ["web canary", 0.1, 0.15],
    ],
  );
});

test("a rule of the mesh applies to clients, not at the gateway", () => {
  const { edges } = graph([...throughGateway, ...fromClient.slice(0, 1)], split, ["mesh"]);
  assert.deepEqual(
    edges.map(({ configured }) => configured.length),
    [1, 0, 0],
  );
});

test("a destination without traffic belongs to its rule", () => {
  const { rules } = graph([], split);
  assert.deepEqual(
    rules[0]?.destinations.map(({ share, requestRate }) => [share, requestRate]),
    [
      [undefined, 0],
      [undefined, 0],
    ],
  );
});

test("an HTTPRoute's backends are compared across Services", () => {
  const route = parsed(httpRouteKind, "web", "default", {
    parentRefs: [{ group: "", kind: "Service", name: "web" }],
    rules: [
      {
        backendRefs: [
          { name: "web-v1", port: 80, weight: 3 },
          { name: "web-v2", port: 80, weight: 1 },
        ],
      },
    ],
  });
  const plan = routePlan({
    virtualServices: [],
    destinationRules: [],
    gateways: [],
    ...noRoutes,
    httpRoutes: [route],
    pods,
  });
  const traffic = combineTraffic([
    counted({ from: "default/client", to: "default/web-v1", rate: 6, service: "default/web-v1" }),
    counted({ from: "default/client", to: "default/web-v2", rate: 4, service: "default/web-v2" }),
  ]);
  assert.deepEqual(
    meshGraph(traffic, plan).edges.map(({ share, configured }) => [share, configured[0]?.weight]),
    [
      [0.6, 0.75],
      [0.4, 0.25],
    ],
  );
});

const backends = [
  { name: "web-v1", port: 80, weight: 3 },
  { name: "web-v2", port: 80, weight: 1 },
];
const parents = [{ group: "", kind: "Service", name: "web" }];

function connections(to: string, openedRate: number): ReturnType<typeof counted> {
  const labels = trafficLabels({
    reporter: "source",
    request_protocol: "tcp",
    source_workload: "client",
    source_workload_namespace: "default",
    destination_workload: to,
    destination_workload_namespace: "default",
    destination_version: to.slice(-2),
    destination_service: `${to}.default.svc.cluster.local`,
    destination_service_name: to,
    destination_service_namespace: "default",
  });
  return { labels, requestRate: 0, durations: undefined, byteRate: 1000, openedRate };
}

test("weights of a TCPRoute and a TLSRoute are compared with opened connections, not with requests", () => {
  for (const [kind, field, hostnames] of [
    [tcpRouteKind, "tcpRoutes", undefined],
    [tlsRouteKind, "tlsRoutes", ["web.example.com"]],
  ] as const) {
    const route = parsed(kind as KindDefinition, "web", "default", {
      parentRefs: parents,
      ...(hostnames === undefined ? {} : { hostnames }),
      rules: [{ backendRefs: backends }],
    });
    const plan = routePlan({
      virtualServices: [],
      destinationRules: [],
      gateways: [],
      ...noRoutes,
      [field]: [route],
      pods,
    });
    const { edges, rules } = meshGraph(combineTraffic([connections("web-v1", 8), connections("web-v2", 2)]), plan);
    assert.deepEqual(
      edges.map(({ share, configured }) => [share, configured[0]?.weight]),
      [
        [0.8, 0.75],
        [0.2, 0.25],
      ],
    );
    assert.deepEqual(
      rules.map(({ rule, destinations }) => [rule.kind, rule.condition, destinations.map(({ share }) => share)]),
      [[kind.kind, hostnames === undefined ? "all connections" : "server name web.example.com", [0.8, 0.2]]],
    );
    const requests = combineTraffic([
      counted({ from: "default/client", to: "default/web-v1", rate: 6, service: "default/web-v1" }),
    ]);
    assert.deepEqual(
      meshGraph(requests, plan).edges.map(({ configured }) => configured),
      [[]],
    );
  }
});

test("a GRPCRoute's weights apply only to gRPC calls", () => {
  const route = parsed(grpcRouteKind, "web", "default", {
    parentRefs: parents,
    rules: [{ matches: [{ method: { service: "shop.Cart" } }], backendRefs: backends }],
  });
  const plan = routePlan({
    virtualServices: [],
    destinationRules: [],
    gateways: [],
    ...noRoutes,
    grpcRoutes: [route],
    pods,
  });
  const sent = [
    counted({ from: "default/client", to: "default/web-v1", rate: 6, service: "default/web-v1" }),
    counted({ from: "default/client", to: "default/web-v2", rate: 2, service: "default/web-v2" }),
  ];
  const calls = sent.map((one) => ({ ...one, labels: { ...one.labels, protocol: "grpc" } }));
  assert.deepEqual(
    meshGraph(combineTraffic(calls), plan).edges.map(({ share, configured }) => [
      share,
      configured[0]?.weight,
      configured[0]?.rule.condition,
    ]),
    [
      [0.75, 0.75, "method shop.Cart"],
      [0.25, 0.25, "method shop.Cart"],
    ],
  );
  assert.deepEqual(
    meshGraph(combineTraffic(sent), plan).edges.map(({ configured }) => configured),
    [[], []],
  );
});

test("a VirtualService's tcp and tls rules split connections at their gateways", () => {
  const object = parsed(virtualServiceKind, "web", "default", {
    hosts: ["web"],
    tcp: [
      {
        match: [{ port: 80 }],
        route: [
          { destination: { host: "web-v1" }, weight: 60 },
          { destination: { host: "web-v2" }, weight: 40 },
        ],
      },
    ],
  });
  const plan = routePlan({ virtualServices: [object], destinationRules: [], gateways: [], ...noRoutes, pods });
  const { edges } = meshGraph(combineTraffic([connections("web-v1", 1), connections("web-v2", 3)]), plan);
  assert.deepEqual(
    edges.map(({ share, configured }) => [share, configured[0]?.weight, configured[0]?.rule.condition]),
    [
      [0.25, 0.6, "port 80"],
      [0.75, 0.4, "port 80"],
    ],
  );
});

test("connections that a ztunnel counts under requests only say how the requests are secured", () => {
  const requests = counted({ from: "default/client", to: "default/web-v1", rate: 10 });
  const connections = {
    labels: trafficLabels({
      app: "ztunnel",
      reporter: "destination",
      source_workload: "client",
      source_workload_namespace: "default",
      destination_workload: "web-v1",
      destination_workload_namespace: "default",
      connection_security_policy: "mutual_tls",
    }),
    requestRate: 0,
    durations: undefined,
    byteRate: 500,
    openedRate: 1,
  };
  const [edge, ...others] = combineTraffic([requests, connections]);
  assert.deepEqual(
    [others.length, edge?.requestRate, edge?.byteRate, mutualTlsShare(edge ?? { securedRate: 0, unsecuredRate: 0 })],
    [0, 10, 500, 1],
  );
  assert.deepEqual(
    combineTraffic([connections]).map(({ byteRate, protocol }) => [byteRate, protocol]),
    [[500, "tcp"]],
  );
});
