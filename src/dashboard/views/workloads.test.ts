import assert from "node:assert/strict";
import { test } from "node:test";
import { maxListedPods } from "../../api/dashboard/index.ts";
import { serviceView, servicesView } from "./services.ts";
import { config, deployment, input, pod, service } from "./testing/small-mesh.ts";
import type { ViewInput } from "./view-input.ts";
import { workloadView, workloadsView } from "./workloads.ts";

const route = (namespace: string): ReturnType<typeof config> =>
  config("networking.istio.io/v1", "VirtualService", namespace, "web", {
    hosts: ["web.shop.svc.cluster.local"],
    http: [{ route: [{ destination: { host: "web.shop.svc.cluster.local" } }] }],
  });
const policy = config("security.istio.io/v1", "AuthorizationPolicy", "shop", "web", {
  selector: { matchLabels: { app: "web" } },
});
const objects = {
  deployments: [deployment("shop", "web", { app: "web" }, 1), deployment("shop", "report", { app: "report" }, 0)],
  pods: [pod("shop", "web", { labels: { app: "web" }, containers: ["app", "istio-proxy"] })],
  services: [service("shop", "web", { app: "web" })],
  configs: [route("shop"), route("bank"), policy],
};
const seen: ViewInput = input(objects, [
  { from: "bank/ledger", to: "shop/web", rate: 8 },
  { from: "shop/cart", to: "shop/web", rate: 2, code: "500" },
]);

test("a workload has its peers, services and configuration, and no name from unreadable namespaces", () => {
  const of = (visible: ReadonlySet<string> | "*"): ReturnType<typeof workloadView> =>
    workloadView(seen, seen.inventory.workloads.get("shop/web") ?? assert.fail(), visible);
  assert.deepEqual(
    [Object.keys(of("*").tables.configs).toSorted(), Object.keys(of("*").tables.services)],
    [["AuthorizationPolicy shop/web", "VirtualService bank/web", "VirtualService shop/web"], ["shop/web"]],
  );
  const limited = of(new Set(["shop"]));
  assert.deepEqual(
    Object.values(limited.tables.inbound).map(({ peer, requestRate }) => [peer, requestRate]),
    [
      ["unknown", 8],
      ["shop/cart", 2],
    ],
  );
  assert.doesNotMatch(JSON.stringify(limited), /bank|ledger/);
});

test("a workload with many pods lists some and counts all", () => {
  const many = Array.from({ length: 5000 }, (_, index) => ({
    ...pod("shop", "web", { labels: { app: "web" } }),
    metadata: { ...pod("shop", "web").metadata, name: `web-1-${index}`, uid: String(index) },
  }));
  const view = input({ ...objects, pods: many });
  const { head, tables } = workloadView(view, view.inventory.workloads.get("shop/web") ?? assert.fail(), "*");
  assert.deepEqual([head.podCount, Object.keys(tables.pods).length], [5000, maxListedPods]);
});

test("a workload scaled to zero is idle, and one that answers with errors is failing", () => {
  const { workloads } = workloadsView(seen, "shop", "*").tables;
  assert.deepEqual(
    [workloads["shop/report"]?.health, workloads["shop/web"]?.health, workloads["shop/web"]?.reason],
    ["idle", "failing", "20 % of its requests fail"],
  );
});

test("a service has its endpoints, workloads and callers", () => {
  const slices = [
    {
      metadata: { name: "web-1", namespace: "shop", labels: { "kubernetes.io/service-name": "web" } },
      addressType: "IPv4" as const,
      endpoints: [
        { addresses: ["10.0.0.1"], conditions: { ready: true }, targetRef: { kind: "Pod", name: "web-1-x" } },
        { addresses: ["10.0.0.2"], conditions: { ready: false } },
      ],
    },
  ];
  const view = input({ ...objects, endpointSlices: slices });
  const record = view.inventory.services.get("shop/web") ?? assert.fail();
  const { head, tables } = serviceView(view, record, "*");
  assert.deepEqual(
    [head.row.endpointsReady, head.row.endpoints, head.row.health, head.row.reason],
    [1, 2, "degraded", "1 of 2 endpoints are ready"],
  );
  assert.deepEqual(
    [Object.keys(tables.endpoints), Object.keys(tables.workloads)],
    [["10.0.0.1", "10.0.0.2"], ["shop/web"]],
  );
  assert.deepEqual(Object.keys(servicesView(view, "", new Set(["bank"])).tables.services), []);
});
