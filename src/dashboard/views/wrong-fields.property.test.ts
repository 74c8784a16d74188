import assert from "node:assert/strict";
import { test } from "node:test";
import type { UntypedObject } from "../../api/index.ts";
import { sampled, wrongFields } from "../../base/testing/index.ts";
import { configMessagesOf } from "./analysis.ts";
import { configsView, configView } from "./configs.ts";
import { graphView } from "./graph.ts";
import { ladderView } from "./ladder.ts";
import { overviewView } from "./overview.ts";
import { serviceView, servicesView } from "./services.ts";
import { config, deployment, input, namespace, pod, service, type Sent } from "./testing/small-mesh.ts";
import { workloadsView, workloadView } from "./workloads.ts";

const networking = "networking.istio.io/v1";
const gatewayApi = "gateway.networking.k8s.io/v1";
const match = [{ uri: { prefix: "/a" }, headers: { user: { exact: "b" } }, sourceLabels: { app: "cart" } }];
const route = [
  { destination: { host: "web", subset: "v1", port: { number: 80 } }, weight: 90 },
  { destination: { host: "web.shop.svc.cluster.local", subset: "v2" }, weight: 10 },
];
const condition = { type: "Accepted", status: "False", reason: "Invalid", message: "m" };
const configs: readonly UntypedObject[] = [
  config(networking, "VirtualService", "shop", "web", {
    hosts: ["web"],
    gateways: ["gate", "mesh"],
    http: [{ name: "a", match, route, mirror: { host: "cart" }, fault: { abort: { httpStatus: 500 } } }, { route }],
    tcp: [{ match: [{ port: 80 }], route }],
    tls: [{ match: [{ sniHosts: ["a"] }], route }],
  }),
  config(networking, "DestinationRule", "shop", "web", {
    host: "web",
    subsets: [
      { name: "v1", labels: { version: "v1" } },
      { name: "v2", labels: { version: "v2" } },
    ],
    workloadSelector: { matchLabels: { app: "cart" } },
  }),
  config(networking, "Gateway", "shop", "gate", {
    selector: { istio: "gate" },
    servers: [{ port: { number: 80, protocol: "HTTP", name: "http" }, hosts: ["*"] }],
  }),
  config(networking, "ServiceEntry", "shop", "out", { hosts: ["a.example"], ports: [{ number: 443, name: "tls" }] }),
  config("security.istio.io/v1", "AuthorizationPolicy", "shop", "web", {
    selector: { matchLabels: { app: "web" } },
    targetRefs: [{ kind: "Service", name: "web" }],
    rules: [{ from: [{ source: { namespaces: ["bank"] } }] }],
  }),
  {
    ...config(gatewayApi, "HTTPRoute", "shop", "web", {
      parentRefs: [
        { name: "gate", namespace: "shop" },
        { kind: "Service", group: "", name: "web", port: 80 },
      ],
      hostnames: ["a"],
      rules: [
        {
          matches: [{ path: { type: "PathPrefix", value: "/" }, headers: [{ name: "a", value: "b" }] }],
          filters: [{ type: "RequestMirror", requestMirror: { backendRef: { name: "cart", port: 80 } } }],
          backendRefs: [{ name: "web", port: 80, weight: 1 }],
        },
      ],
    }),
    status: { parents: [{ parentRef: { name: "gate" }, conditions: [condition] }] },
  },
  {
    ...config(gatewayApi, "Gateway", "shop", "gate", {
      gatewayClassName: "istio",
      listeners: [{ name: "http", port: 80, protocol: "HTTP" }],
    }),
    status: { addresses: [{ type: "IPAddress", value: "10.0.0.1" }], conditions: [condition] },
  },
];
const objects = {
  namespaces: [namespace("shop")],
  deployments: [
    deployment("shop", "web-v1", { app: "web", version: "v1" }),
    deployment("shop", "cart", { app: "cart" }),
  ],
  pods: [
    pod("shop", "web-v1", { labels: { app: "web", version: "v1" } }),
    pod("shop", "cart", { labels: { app: "cart" } }),
  ],
  services: [service("shop", "web", { app: "web" }), service("shop", "cart", { app: "cart" })],
};
const sent: readonly Sent[] = [{ from: "shop/cart", to: "shop/web-v1", rate: 80, version: "v1", upToMs: 10 }];

function show(shown: readonly UntypedObject[]): void {
  const mesh = input({ ...objects, configs: shown }, sent);
  const messages = configMessagesOf(mesh.inventory.objects, new Set());
  const read = { ...mesh, messages };
  for (const by of ["workload", "service", "app"] as const)
    graphView(read, { namespaces: "", windowSeconds: 60, atMs: 0, by }, "*");
  configsView(read, "", "*");
  for (const object of shown) configView(read, object, "*", true);
  servicesView(read, "", "*");
  for (const record of read.inventory.services.values()) serviceView(read, record, "*");
  workloadsView(read, "", "*");
  for (const workload of read.inventory.workloads.values()) workloadView(read, workload, "*");
  overviewView(read, "*", "c");
  ladderView(read, "*");
}

test("no field of a wrong type in an object of Istio's makes a view throw", () => {
  show(configs);
  const changes = configs.flatMap((object, index) =>
    [...wrongFields({ spec: object["spec"], status: object["status"] ?? {} })].map((change) => ({
      title: `${object.kind ?? ""}: ${change.title}`,
      changed: configs.with(index, { ...object, ...(change.object as object) }),
    })),
  );
  for (const { title, changed } of sampled(changes, 150, 5)) assert.doesNotThrow(() => show(changed), title);
});
