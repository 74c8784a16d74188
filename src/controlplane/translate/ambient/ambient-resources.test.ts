import assert from "node:assert/strict";
import { test } from "node:test";
import type { JsonObject } from "@bufbuild/protobuf";
import { many } from "../../../base/testing/index.ts";
import type { KubernetesObject } from "../../../api/index.ts";
import { AddressSchema, AuthorizationSchema } from "../../../wire/workload/index.ts";
import { decodeResource, valueAt } from "../../testing/decode-resource.ts";
import { config, createModelFixture, namespace, node, pod, service, slice } from "../../testing/model-fixture.ts";
import { deriveAmbientResources } from "./ambient-resources.ts";

function ambient() {
  const fixture = createModelFixture();
  const resources = deriveAmbientResources(fixture.graph, fixture.inputs);
  const find = (
    schema: typeof AddressSchema | typeof AuthorizationSchema,
    collections: typeof resources.addresses,
    name: string,
  ): JsonObject =>
    decodeResource(
      schema,
      collections.map((collection) => collection.get(name)).find((found) => found !== undefined),
    );
  return {
    ...fixture,
    address: (name: string) => find(AddressSchema, resources.addresses, name),
    authorization: (name: string) => find(AuthorizationSchema, resources.authorizations, name),
    recomputations: () =>
      Object.fromEntries(resources.addresses.map((collection) => [collection.name, collection.stats.recomputations])),
  };
}

const shop: readonly KubernetesObject[] = [
  namespace("shop", { "istio.io/dataplane-mode": "ambient" }),
  node("node-1", "z1"),
  service("shop/web", "10.96.0.5", { app: "web" }, [
    { name: "http", port: 80, targetPort: "web" },
    { name: "grpc-api", port: 90, targetPort: 9090 },
    { name: "dns", port: 53, protocol: "UDP" },
  ]),
  pod("shop/web-1", "10.244.1.5", {
    labels: { app: "web", version: "v2", "pod-template-hash": "abc" },
    account: "web",
  }),
];

test("a captured pod is an HBONE workload with its services, identity, locality and canonical name", () => {
  const { apply, address } = ambient();
  apply(...shop);
  assert.deepEqual(address("Kubernetes//Pod/shop/web-1"), {
    workload: {
      uid: "Kubernetes//Pod/shop/web-1",
      name: "web-1",
      namespace: "shop",
      addresses: ["CvQBBQ=="],
      tunnelProtocol: "HBONE",
      serviceAccount: "web",
      node: "node-1",
      canonicalName: "web",
      canonicalRevision: "v2",
      workloadType: "POD",
      workloadName: "web-1",
      services: {
        "shop/web.shop.svc.cluster.local": {
          ports: [
            { servicePort: 80, targetPort: 8080 },
            { servicePort: 90, targetPort: 9090 },
            { servicePort: 53, targetPort: 53 },
          ],
        },
      },
      clusterId: "Kubernetes",
      locality: { region: "r1", zone: "z1" },
    },
  });
  assert.deepEqual(address("shop/web.shop.svc.cluster.local"), {
    service: {
      name: "web",
      namespace: "shop",
      hostname: "web.shop.svc.cluster.local",
      addresses: [{ address: "CmAABQ==" }],
      ports: [
        { servicePort: 80, appProtocol: "HTTP11" },
        { servicePort: 90, targetPort: 9090, appProtocol: "GRPC" },
        { servicePort: 53, targetPort: 53 },
      ],
      ipFamilies: "IPV4_ONLY",
      canonical: true,
    },
  });
});

test("endpoints without a pod are workloads without a tunnel", () => {
  const { apply, address } = ambient();
  apply(
    service("default/kubernetes", "10.96.0.1", {}, [{ name: "https", port: 443, targetPort: 6443 }]),
    slice("default/kubernetes", { name: "https", port: 6443 }, [{ address: "172.18.0.2" }]),
  );
  const found = address("Kubernetes/discovery.k8s.io/EndpointSlice/default/kubernetes-x/172.18.0.2") as {
    workload: JsonObject;
  };
  assert.equal(found.workload["tunnelProtocol"], undefined);
  assert.deepEqual(found.workload["services"], {
    "default/kubernetes.default.svc.cluster.local": { ports: [{ servicePort: 443, targetPort: 6443 }] },
  });
});

test("a change of one pod recomputes only that pod", () => {
  const { apply, recomputations } = ambient();
  apply(
    ...shop,
    ...Array.from({ length: 20 }, (_, index) =>
      pod(`shop/other-${index}`, `10.244.2.${index}`, { labels: { app: "other" } }),
    ),
  );
  const before = recomputations();
  apply(pod("shop/other-3", "10.244.2.3", { labels: { app: "other" }, ready: false }));
  assert.deepEqual(recomputations(), { ...before, "wds-pods": (before["wds-pods"] ?? 0) + 1 });
});

test("the nearest policy's strict mutual TLS is listed by the workloads that it covers", () => {
  const { apply, address } = ambient();
  const policies = (name: string): unknown =>
    (address(name) as { workload: JsonObject }).workload["authorizationPolicies"];
  apply(...shop, config("PeerAuthentication", "istio-system/mesh", { mtls: { mode: "STRICT" } }));
  assert.deepEqual(policies("Kubernetes//Pod/shop/web-1"), ["istio-system/istio_converted_static_strict"]);
  apply(config("PeerAuthentication", "shop/relaxed", { mtls: { mode: "PERMISSIVE" } }));
  assert.equal(policies("Kubernetes//Pod/shop/web-1"), undefined);
  apply(
    config("PeerAuthentication", "shop/ports", {
      selector: { matchLabels: { app: "web" } },
      mtls: { mode: "STRICT" },
      portLevelMtls: { 9090: { mode: "PERMISSIVE" } },
    }),
  );
  assert.deepEqual(policies("Kubernetes//Pod/shop/web-1"), ["shop/converted_peer_authentication_ports"]);
});

test("L7 conditions make an ALLOW rule never match, and are left out of a DENY rule", () => {
  const { apply, authorization } = ambient();
  const rules = [
    {
      from: [{ source: { principals: ["*/sa/web"], namespaces: ["shop*"] } }],
      to: [{ operation: { ports: ["80"], methods: ["GET"] } }, { operation: { ports: ["90"] } }],
    },
    { to: [{ operation: { paths: ["/admin"] } }] },
    { when: [{ key: "request.headers[x]", values: ["1"] }] },
    {
      from: [{ source: { ipBlocks: ["10.0.0.0/8"] } }],
      when: [{ key: "destination.port", values: ["443"], notValues: ["444"] }],
    },
  ];
  apply(
    config("AuthorizationPolicy", "shop/allow", { rules }),
    config("AuthorizationPolicy", "istio-system/deny", { action: "DENY", rules: rules.slice(0, 1) }),
    config("AuthorizationPolicy", "shop/deny", {
      action: "DENY",
      rules: [
        { to: [{ operation: { paths: ["/admin"] } }] },
        { from: [{ source: { principals: ["*"] } }, { source: { requestPrincipals: ["*"] } }] },
        {
          from: [{ source: { namespaces: ["other"] } }],
          to: [{ operation: { ports: ["80"] } }, { operation: { methods: ["GET"] } }],
          when: [{ key: "request.headers[x]", values: ["1"] }],
        },
      ],
    }),
  );
  assert.deepEqual(authorization("shop/allow"), {
    name: "allow",
    namespace: "shop",
    scope: "NAMESPACE",
    groups: [
      {
        rules: [
          { matches: [{ sourceIps: [{ address: "CgAAAA==", length: 8 }] }] },
          { matches: [{ destinationPorts: [443], notDestinationPorts: [444] }] },
        ],
      },
    ],
  });
  // A group without rules matches every connection. A match without conditions would match none.
  assert.deepEqual(authorization("shop/deny"), {
    name: "deny",
    namespace: "shop",
    scope: "NAMESPACE",
    action: "DENY",
    groups: [{}, {}, { rules: [{ matches: [{ namespaces: [{ exact: "other" }] }] }] }],
  });
  assert.deepEqual(authorization("istio-system/deny"), {
    name: "deny",
    namespace: "istio-system",
    action: "DENY",
    groups: [
      {
        rules: [
          { matches: [{ destinationPorts: [80] }, { destinationPorts: [90] }] },
          { matches: [{ principals: [{ suffix: "/sa/web" }], namespaces: [{ prefix: "shop" }] }] },
        ],
      },
    ],
  });
});

test("a DENY rule with L7 conditions denies every client except the waypoints of its namespace", () => {
  const { apply, authorization } = ambient();
  const deny = { action: "DENY", rules: [{ to: [{ operation: { paths: ["/admin"] } }] }] };
  const waypoint = (name: string) =>
    config("Gateway", name, {
      gatewayClassName: "istio-waypoint",
      listeners: [{ name: "mesh", port: 15_008, protocol: "HBONE" }],
    });
  apply(...shop, config("AuthorizationPolicy", "shop/deny", deny), waypoint("other/theirs"));
  assert.deepEqual(authorization("shop/deny")["groups"], [{}]);
  apply(waypoint("shop/wp"), waypoint("shop/another"));
  const notServiceAccounts = ["another", "wp"].map((serviceAccount) => ({ namespace: "shop", serviceAccount }));
  assert.deepEqual(authorization("shop/deny")["groups"], [{ rules: [{ matches: [{ notServiceAccounts }] }] }]);
});

test("a dry-run policy is not sent to ztunnels, because older ones would enforce it", () => {
  const { apply, address, authorization } = ambient();
  const dry = (annotations: object) =>
    config(
      "AuthorizationPolicy",
      "shop/dry",
      { selector: { matchLabels: { app: "web" } }, action: "DENY", rules: [{}] },
      { annotations },
    );
  const policies = (): unknown =>
    (address("Kubernetes//Pod/shop/web-1") as { workload: JsonObject }).workload["authorizationPolicies"];
  apply(...shop, dry({ "istio.io/dry-run": "true" }));
  assert.equal(policies(), undefined);
  assert.throws(() => authorization("shop/dry"), /no such resource/);
  apply(dry({ "istio.io/dry-run": "false" }));
  assert.deepEqual([policies(), authorization("shop/dry")["action"]], [["shop/dry"], "DENY"]);
});

test("a PeerAuthentication whose ports do not differ equals one without ports, and a strict port is separated from open ones", () => {
  const { apply, address, authorization } = ambient();
  const policies = (): unknown =>
    (address("Kubernetes//Pod/shop/web-1") as { workload: JsonObject }).workload["authorizationPolicies"];
  const policy = (mode: string, ports: Record<number, { mode: string }>) =>
    config("PeerAuthentication", "shop/ports", {
      selector: { matchLabels: { app: "web" } },
      mtls: { mode },
      portLevelMtls: ports,
    });
  apply(...shop, policy("STRICT", { 9090: { mode: "STRICT" } }));
  assert.deepEqual(policies(), ["istio-system/istio_converted_static_strict"]);
  assert.throws(() => authorization("shop/converted_peer_authentication_ports"), /no such resource/);
  apply(policy("PERMISSIVE", { 9090: { mode: "STRICT" }, 80: { mode: "STRICT" }, 81: { mode: "DISABLE" } }));
  assert.deepEqual(policies(), ["shop/converted_peer_authentication_ports"]);
  assert.deepEqual(
    authorization("shop/converted_peer_authentication_ports")["groups"],
    [80, 9090].map((port) => ({
      rules: [{ matches: [{ notPrincipals: [{ presence: {} }], destinationPorts: [port] }] }],
    })),
  );
  apply(policy("UNSET", { 9090: { mode: "PERMISSIVE" } }));
  assert.equal(policies(), undefined);
  apply(config("PeerAuthentication", "istio-system/mesh", { mtls: { mode: "STRICT" } }));
  assert.deepEqual(authorization("shop/converted_peer_authentication_ports")["groups"], [
    { rules: [{ matches: [{ notDestinationPorts: [9090] }] }, { matches: [{ notPrincipals: [{ presence: {} }] }] }] },
  ]);
});

test("a policy of another revision has no effect", () => {
  const { apply, authorization } = ambient();
  apply(config("AuthorizationPolicy", "shop/other", { rules: [{}] }, { labels: { "istio.io/rev": "canary" } }));
  assert.throws(() => authorization("shop/other"), /no such resource/);
});

test("a waypoint without a ready pod keeps the terminating pods, else those that are not ready", () => {
  const { apply, address } = ambient();
  const labels = {
    "gateway.networking.k8s.io/gateway-name": "wp",
    "gateway.networking.k8s.io/gateway-class-name": "istio-waypoint",
  };
  const waypointPod = (name: string, ip: string, state: { readonly ready: boolean; readonly ends?: boolean }) => {
    const made = pod(`shop/${name}`, ip, { labels, account: "wp", ready: state.ready });
    return state.ends === true
      ? { ...made, metadata: { ...made.metadata, deletionTimestamp: "2026-01-01T00:00:00Z" } }
      : made;
  };
  const isHealthy = (name: string): boolean =>
    (address(`Kubernetes//Pod/shop/${name}`) as { workload: JsonObject }).workload["status"] === undefined;
  apply(
    ...shop,
    config("Gateway", "shop/wp", {
      gatewayClassName: "istio-waypoint",
      listeners: [{ name: "mesh", port: 15_008, protocol: "HBONE" }],
    }),
    waypointPod("wp-1", "10.244.1.8", { ready: true }),
    waypointPod("wp-2", "10.244.1.9", { ready: false }),
  );
  assert.deepEqual([isHealthy("wp-1"), isHealthy("wp-2")], [true, false]);
  apply(waypointPod("wp-1", "10.244.1.8", { ready: true, ends: true }));
  assert.deepEqual(
    [isHealthy("wp-1"), isHealthy("wp-2")],
    [true, false],
    "the terminating pod serves until another is ready",
  );
  apply(waypointPod("wp-1", "10.244.1.8", { ready: false }));
  assert.deepEqual([isHealthy("wp-1"), isHealthy("wp-2")], [true, true]);
});

test("a terminating pod is healthy only while a service that selects it has no ready one", () => {
  const { apply, address } = ambient();
  const labels = (version: string) => ({ app: "web", version });
  const isHealthy = (): boolean =>
    (address("Kubernetes//Pod/shop/web-1") as { workload: JsonObject }).workload["status"] === undefined;
  const first = pod("shop/web-1", "10.244.1.8", { labels: labels("v1") });
  const second = (version: string) => pod("shop/web-2", "10.244.1.9", { labels: labels(version) });
  apply(
    service("shop/web", "10.96.0.5", { app: "web" }, [{ name: "http", port: 80 }]),
    service("shop/web-v1", "10.96.0.6", labels("v1"), [{ name: "http", port: 80 }]),
    { ...first, metadata: { ...first.metadata, deletionTimestamp: "2026-01-01T00:00:00Z" } },
    second("v1"),
  );
  assert.equal(isHealthy(), false);
  apply(second("v2"));
  assert.equal(isHealthy(), true);
});

test("a Service may name a gateway of another class as its waypoint", () => {
  const { apply, address } = ambient();
  const gatewayService = (name: string): KubernetesObject =>
    service(`shop/${name}`, "10.96.0.9", { "gateway.networking.k8s.io/gateway-name": "edge" }, [
      { name: "http", port: 80 },
      { name: "hbone", port: 15_008 },
    ]);
  const ready = slice("shop/edge-istio", { name: "http", port: 80 }, [{ address: "10.244.1.9", pod: "edge-1" }]);
  const waypoint = (): unknown =>
    valueAt((address("shop/web.shop.svc.cluster.local") as { service: JsonObject }).service, "waypoint", "hostname");
  apply(
    namespace("shop", { "istio.io/dataplane-mode": "ambient" }),
    service("shop/web", "10.96.0.5", { app: "web" }, [{ name: "http", port: 80 }], { "istio.io/use-waypoint": "edge" }),
    config("Gateway", "shop/edge", {
      gatewayClassName: "istio",
      listeners: [{ name: "http", port: 80, protocol: "HTTP" }],
    }),
  );
  assert.equal(waypoint(), undefined);
  apply(gatewayService("edge-istio"), ready);
  assert.deepEqual(waypoint(), { namespace: "shop", hostname: "edge-istio.shop.svc.cluster.local" });
});

test("a change of one of many PeerAuthentications with a selector converts only that one", () => {
  const { apply, graph } = ambient();
  const policy = (index: number, mode: string) =>
    config("PeerAuthentication", `shop/p${index}`, {
      selector: { matchLabels: { app: `a${index}` } },
      mtls: { mode },
      portLevelMtls: { 80: { mode: "DISABLE" } },
    });
  apply(...shop, ...Array.from({ length: 20 }, (_, index) => policy(index, "STRICT")));
  const converted = () =>
    graph.collections.find(({ name }) => name === "wds-peer-authentications")?.stats.recomputations ?? 0;
  const before = converted();
  assert.ok(before >= 20);
  apply(policy(7, "PERMISSIVE"));
  assert.equal(converted() - before, 1);
  apply(config("PeerAuthentication", "shop/all", { mtls: { mode: "STRICT" } }));
  assert.equal(converted() - before, 21 + 1, "the whole namespace's policy concerns all of them");
});

test("if a service has thousands of ports and workloads, ztunnels get only those that a proxy has as endpoints", () => {
  const { graph, apply, address } = ambient();
  const pods = many(80, (index) => pod(`shop/web-${100 + index}`, `10.244.1.${index}`, { labels: { app: "web" } }));
  const withPorts = (count: number): KubernetesObject =>
    service(
      "shop/web",
      "10.96.0.5",
      { app: "web" },
      many(count, (index) => ({ name: `tcp-${index}`, port: index + 1 })),
    );
  const serving = (): number => {
    graph.settle();
    return pods.filter(({ metadata: { name = "" } }) => {
      const workload = address(`Kubernetes//Pod/shop/${name}`)["workload"] as JsonObject;
      return workload["services"] !== undefined;
    }).length;
  };
  apply(namespace("shop", { "istio.io/dataplane-mode": "ambient" }), ...pods, withPorts(3_000));
  assert.equal(serving(), 80);
  apply(withPorts(4_096));
  assert.equal(serving(), 64);
  apply(withPorts(2));
  assert.equal(serving(), 80);
});
