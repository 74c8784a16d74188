import assert from "node:assert/strict";
import { test } from "node:test";
import type { GraphParameters } from "../../api/dashboard/index.ts";
import type { Canary } from "../../api/serin/index.ts";
import { graphView, maxGraphEdges } from "./graph.ts";
import { config, deployment, input, namespace, nowMs, pod, service, type Sent } from "./testing/small-mesh.ts";

const everything = { namespaces: "", windowSeconds: 60, atMs: 0, by: "workload" } satisfies GraphParameters;
const ambient = { annotations: { "ambient.istio.io/redirection": "enabled" } };
const objects = {
  namespaces: [namespace("shop"), namespace("bank"), namespace("istio-system")],
  deployments: [
    deployment("shop", "web-v1", { app: "web", version: "v1" }),
    deployment("shop", "web-v2", { app: "web", version: "v2" }),
    deployment("shop", "cart", { app: "cart" }),
    deployment("bank", "pay", { app: "pay" }),
  ],
  pods: [
    pod("shop", "web-v1", { ...ambient, labels: { app: "web", version: "v1" } }),
    pod("shop", "web-v2", { ...ambient, labels: { app: "web", version: "v2" }, ready: false }),
    pod("shop", "cart", { ...ambient, labels: { app: "cart" } }),
    pod("bank", "pay", { ...ambient, labels: { app: "pay" } }),
    pod("istio-system", "gate-istio", {
      labels: { "gateway.networking.k8s.io/gateway-name": "gate" },
      containers: ["istio-proxy"],
    }),
  ],
  services: [service("shop", "web", { app: "web" }), service("bank", "pay", { app: "pay" })],
};
const sent: readonly Sent[] = [
  { from: "istio-system/gate-istio", to: "shop/web-v1", rate: 80, version: "v1", upToMs: 10, secured: true },
  { from: "istio-system/gate-istio", to: "shop/web-v2", rate: 18, version: "v2", upToMs: 50, secured: true },
  {
    from: "istio-system/gate-istio",
    to: "shop/web-v2",
    rate: 2,
    version: "v2",
    code: "503",
    flags: "UF",
    upToMs: 50,
    secured: true,
  },
  { from: "shop/web-v1", to: "bank/pay", rate: 5, service: "bank/pay" },
];

test("an edge has rates, errors, latencies, mTLS, and its answers by code and flag", () => {
  const { edges } = graphView(input(objects, sent), everything, "*").tables;
  const edge = Object.values(edges).find(({ to }) => to === "workload shop/web-v2");
  assert.deepEqual(
    [edge?.from, edge?.requestRate, edge?.errorShare, edge?.responses, edge?.mutualTlsShare, edge?.health],
    ["gateway istio-system/gate-istio", 20, 0.1, { 200: 18, "503 UF": 2 }, 1, "failing"],
  );
  assert.ok((edge?.p99Ms ?? 0) > 25 && (edge?.p99Ms ?? 0) <= 50);
});

test("a node's health is the worst of its pods and its traffic, with the reason", () => {
  const { nodes } = graphView(input(objects, sent), everything, "*").tables;
  assert.deepEqual(
    [
      nodes["workload shop/web-v1"]?.health,
      nodes["workload shop/web-v2"]?.health,
      nodes["workload shop/web-v2"]?.reason,
    ],
    ["healthy", "failing", "none of 1 pod is ready"],
  );
  assert.deepEqual(
    [
      nodes["gateway istio-system/gate-istio"]?.kind,
      nodes["workload shop/cart"]?.requestRate,
      nodes["workload shop/cart"]?.dataPlane,
    ],
    ["gateway", 0, "ambient"],
  );
});

test("traffic to an unreadable namespace ends at unknown, without any detail inside", () => {
  const { head, tables } = graphView(
    input(objects, [...sent, { from: "bank/ledger", to: "bank/pay", rate: 1, service: "bank/pay" }]),
    everything,
    new Set(["shop"]),
  );
  assert.deepEqual(Object.keys(tables.nodes).toSorted(), [
    "unknown",
    "workload shop/cart",
    "workload shop/web-v1",
    "workload shop/web-v2",
  ]);
  assert.deepEqual(head.namespaces, ["shop"]);
  assert.ok(!/pay|ledger|bank/.test(JSON.stringify(tables)));
});

test("versions, apps and services are other ways to group the same traffic", () => {
  const keysBy = (by: GraphParameters["by"]): string[] =>
    Object.values(graphView(input(objects, sent), { ...everything, by }, "*").tables.edges).map(
      ({ from, to, requestRate }) => `${from} > ${to} ${requestRate}`,
    );
  assert.deepEqual(keysBy("app"), [
    "gateway istio-system/gate-istio > app shop/web 100",
    "app shop/web > app bank/pay 5",
  ]);
  assert.deepEqual(keysBy("versionedApp"), [
    "gateway istio-system/gate-istio > app shop/web v1 80",
    "gateway istio-system/gate-istio > app shop/web v2 20",
    "app shop/web v1 > app bank/pay  5",
  ]);
  assert.deepEqual(keysBy("service"), [
    "gateway istio-system/gate-istio > service shop/web 100",
    "service shop/web > service bank/pay 5",
  ]);
});

const route = config("gateway.networking.k8s.io/v1", "HTTPRoute", "shop", "web", {
  parentRefs: [{ kind: "Gateway", name: "gate", namespace: "istio-system" }],
  rules: [
    {
      backendRefs: [
        { name: "web-v1", port: 80, weight: 90 },
        { name: "web-v2", port: 80, weight: 10 },
      ],
    },
  ],
});
const bySplit: readonly Sent[] = sent.slice(0, 2).map((one) => ({ ...one, service: one.to }));

test("a weight is shown as configured, in percent, beside the measured share", () => {
  const { edges, routes } = graphView(input({ ...objects, configs: [route] }, bySplit), everything, "*").tables;
  assert.deepEqual(
    Object.values(edges).map(({ configuredWeight, measuredShare, route: key }) => [
      configuredWeight,
      Number(measuredShare?.toFixed(3)),
      key,
    ]),
    [
      [90, 0.816, "HTTPRoute shop/web 1"],
      [10, 0.184, "HTTPRoute shop/web 1"],
    ],
  );
  assert.deepEqual(
    routes["HTTPRoute shop/web 1"]?.destinations.map(({ name, weight }) => [name, weight]),
    [
      ["web-v1", 90],
      ["web-v2", 10],
    ],
  );
});

test("a route and a Canary in an unreadable namespace are not named at the traffic that they move", () => {
  const hidden = config("gateway.networking.k8s.io/v1", "HTTPRoute", "bank", "vault", {
    parentRefs: [{ kind: "Gateway", name: "gate", namespace: "istio-system" }],
    rules: [
      {
        backendRefs: [
          { name: "web-v1", namespace: "shop", port: 80, weight: 90 },
          { name: "web-v2", namespace: "shop", port: 80, weight: 10 },
        ],
      },
    ],
  });
  const canary = {
    apiVersion: "rollout.serin.dev/v1alpha1",
    kind: "Canary",
    metadata: { name: "vault", namespace: "bank" },
    spec: {
      target: { namespaces: { stable: "shop", canary: "bank", routes: [{ kind: "HTTPRoute", name: "vault" }] } },
      steps: [{ weight: 10 }],
    },
    status: { phase: "Progressing" },
  } as unknown as Canary;
  const mesh = input({ ...objects, configs: [hidden], canaries: [canary] }, bySplit);
  const all = JSON.stringify(graphView(mesh, everything, "*").tables);
  assert.ok(all.includes("HTTPRoute bank/vault 1") && all.includes("Canary bank/vault"), all);
  const { tables } = graphView(mesh, everything, new Set(["shop"]));
  assert.ok(Object.keys(tables.edges).length > 0 && !JSON.stringify(tables).includes("vault"), JSON.stringify(tables));
  assert.ok(
    Object.values(tables.edges).every(
      ({ configuredWeight, measuredShare }) => configuredWeight === undefined && measuredShare === undefined,
    ),
  );
});

test("a past view shows no routes, because their past state is unknown", () => {
  const { head, tables } = graphView(
    input({ ...objects, configs: [route] }, bySplit),
    { ...everything, atMs: nowMs - 60_000 },
    "*",
  );
  assert.deepEqual(
    [head.live, Object.keys(tables.routes), Object.values(tables.edges)[0]?.configuredWeight],
    [false, [], undefined],
  );
});

test("edges beyond the page's limit are left out and counted", () => {
  const many = Array.from({ length: maxGraphEdges + 10 }, (_, index): Sent => ({
    from: `shop/c${index % 90}`,
    to: `bank/s${Math.floor(index / 90)}`,
    rate: index + 1,
  }));
  const { head, tables } = graphView(input(objects, many), everything, "*");
  assert.equal(Object.keys(tables.edges).length, maxGraphEdges);
  assert.equal(head.omitted, 10);
});
