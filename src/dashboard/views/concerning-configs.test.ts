import assert from "node:assert/strict";
import { test } from "node:test";
import { configsOfService, configsOfWorkload } from "./concerning-configs.ts";
import { config, deployment, input, pod, service } from "./testing/small-mesh.ts";

const labels = { app: "web" };
const about = (
  ...configs: ReturnType<typeof config>[]
): { readonly service: readonly string[]; readonly workload: readonly string[] } => {
  const { inventory } = input({
    pods: [pod("shop", "web", { labels })],
    deployments: [deployment("shop", "web", labels)],
    services: [service("shop", "web", labels)],
    configs,
  });
  const workload = inventory.workloads.get("shop/web");
  assert.ok(workload !== undefined);
  const namesOf = (objects: ReturnType<typeof configsOfService>): string[] =>
    objects.map(({ metadata: { name = "" } }) => name);
  return {
    service: namesOf(configsOfService("shop/web", inventory, "*")),
    workload: namesOf(configsOfWorkload(workload, inventory, "*")),
  };
};

test("configuration belongs to the services that it names and the workloads that it selects", () => {
  const found = about(
    config("networking.istio.io/v1", "VirtualService", "shop", "to-web", {
      hosts: ["x.example"],
      tcp: [{ route: [{ destination: { host: "web.shop.svc.cluster.local" } }] }],
    }),
    config("networking.istio.io/v1", "DestinationRule", "bank", "to-web-of-bank", { host: "web" }),
    config("gateway.networking.k8s.io/v1", "HTTPRoute", "bank", "from-bank", {
      rules: [{ backendRefs: [{ name: "web", namespace: "shop" }] }],
    }),
    config("security.istio.io/v1", "AuthorizationPolicy", "shop", "of-web", { selector: { matchLabels: labels } }),
    config("security.istio.io/v1", "AuthorizationPolicy", "shop", "of-other", {
      selector: { matchLabels: { app: "other" } },
    }),
    config("security.istio.io/v1", "AuthorizationPolicy", "shop", "of-waypoint", {
      targetRefs: [{ kind: "Service", name: "web" }],
    }),
  );
  assert.deepEqual(found, {
    service: ["to-web", "from-bank", "of-waypoint"],
    workload: ["to-web", "from-bank", "of-web", "of-waypoint"],
  });
});

test("a malformed object hides no other pages", () => {
  const odd = [null, 5, "x", [], {}, [null], [5], [[]], { labels: 5, matchLabels: null }];
  const fields = [
    "hosts",
    "host",
    "http",
    "route",
    "selector",
    "workloadSelector",
    "targetRef",
    "targetRefs",
    "parentRefs",
    "rules",
  ];
  const specs = [
    ...odd,
    ...fields.flatMap((field) => odd.map((value) => ({ [field]: value }))),
    ...odd.flatMap((value) => [{ http: [{ route: value }] }, { rules: [{ backendRefs: value }] }]),
  ];
  const all = [
    "VirtualService",
    "ServiceEntry",
    "DestinationRule",
    "AuthorizationPolicy",
    "HTTPRoute",
    "Gateway",
  ].flatMap((kind) => specs.map((spec, index) => config("any/v1", kind, "shop", `odd-${index}`, spec)));
  assert.deepEqual(about(...all).service, []);
});
