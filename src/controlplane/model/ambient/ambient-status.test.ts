import assert from "node:assert/strict";
import { test } from "node:test";
import type { KubernetesObject } from "../../../api/index.ts";
import { config, createModelFixture, namespace, service, slice, testMesh } from "../../testing/model-fixture.ts";
import { deriveAmbientStatuses, type AmbientStatusKind } from "./ambient-status.ts";
import { meshKey, type MeshSettings } from "../facts.ts";
import { deriveServiceRegistry } from "../service/service-model.ts";
import { WaypointBindings } from "./waypoint-bindings.ts";
import { deriveWaypoints } from "./waypoint.ts";

function statuses() {
  const fixture = createModelFixture();
  const { graph, inputs } = fixture;
  const waypoints = deriveWaypoints(graph, inputs);
  const found = deriveAmbientStatuses(graph, {
    inputs,
    waypoints,
    bindings: new WaypointBindings(inputs, waypoints),
    registry: deriveServiceRegistry(graph, inputs),
  });
  return {
    ...fixture,
    conditionsOf: (kind: AmbientStatusKind, key: string) =>
      found[kind].get(key)?.conditions.map(({ type, status, reason }) => [type, status, reason]),
    message: (kind: AmbientStatusKind, key: string) => found[kind].get(key)?.conditions[0]?.message ?? "",
  };
}

function waypoint(key: string, labels: Record<string, string> = {}, from = "Same"): readonly KubernetesObject[] {
  const gateway = config(
    "Gateway",
    key,
    {
      gatewayClassName: "istio-waypoint",
      listeners: [{ name: "mesh", port: 15_008, protocol: "HBONE", allowedRoutes: { namespaces: { from } } }],
    },
    { labels },
  );
  return [
    { ...gateway, apiVersion: "gateway.networking.k8s.io/v1" },
    service(key, "10.96.0.9", {}, [{ name: "mesh", port: 15_008 }], {
      "gateway.istio.io/managed": "istio.io-mesh-controller",
    }),
    slice(key, { name: "mesh", port: 15_008 }, [{ address: "10.244.1.9", pod: "waypoint-1" }]),
  ];
}

const named = (key: string, labels: Record<string, string>) =>
  service(key, "10.96.0.5", {}, [{ name: "http", port: 80 }], labels);
const bound = "istio.io/WaypointBound";

test("a Service's status names its waypoint, or why it has none", () => {
  const { apply, conditionsOf } = statuses();
  apply(
    namespace("shop", { "istio.io/use-waypoint": "waypoint" }),
    named("shop/web", {}),
    named("shop/none", { "istio.io/use-waypoint": "none" }),
    named("other/none", {}),
  );
  assert.deepEqual(conditionsOf("Service", "shop/web"), [[bound, "False", "WaypointIsNotReady"]]);
  assert.equal(conditionsOf("Service", "shop/none"), undefined);
  assert.equal(conditionsOf("Service", "other/none"), undefined);
  apply(
    ...waypoint("shop/waypoint"),
    ...waypoint("infra/shared"),
    ...waypoint("infra/pods", { "istio.io/waypoint-for": "workload" }, "All"),
  );
  assert.deepEqual(conditionsOf("Service", "shop/web"), [[bound, "True", "WaypointAccepted"]]);
  assert.equal(conditionsOf("Service", "shop/waypoint"), undefined);
  apply(
    named("shop/denied", { "istio.io/use-waypoint": "shared", "istio.io/use-waypoint-namespace": "infra" }),
    named("shop/traffic", { "istio.io/use-waypoint": "pods", "istio.io/use-waypoint-namespace": "infra" }),
  );
  assert.deepEqual(conditionsOf("Service", "shop/denied"), [[bound, "False", "AttachmentDenied"]]);
  assert.deepEqual(conditionsOf("Service", "shop/traffic"), [[bound, "False", "UnsupportedTrafficType"]]);
});

test("an empty label of a Service's own keeps it away from its namespace's waypoint, as any other value", () => {
  const { apply, conditionsOf, message } = statuses();
  apply(
    namespace("shop", { "istio.io/use-waypoint": "waypoint" }),
    ...waypoint("shop/waypoint"),
    named("shop/web", { "istio.io/use-waypoint": "" }),
  );
  assert.deepEqual(conditionsOf("Service", "shop/web"), [[bound, "False", "WaypointIsNotReady"]]);
  assert.match(message("Service", "shop/web"), /"shop\/"/);
});

test("a ServiceEntry with a wildcard reports that it has no waypoint, and a waypoint for services does not concern a WorkloadEntry", () => {
  const { apply, conditionsOf } = statuses();
  const entry = config("ServiceEntry", "shop/wild", {
    hosts: ["*.example.com"],
    resolution: "DYNAMIC_DNS",
    ports: [{ number: 80, name: "http", protocol: "HTTP" }],
  });
  apply(entry, config("WorkloadEntry", "shop/vm", { address: "10.9.0.1" }));
  assert.deepEqual(conditionsOf("ServiceEntry", "shop/wild"), [
    ["istio.io/WaypointMissing", "True", "NoWaypointForWildcardService"],
  ]);
  apply(namespace("shop", { "istio.io/use-waypoint": "waypoint" }), ...waypoint("shop/waypoint"));
  assert.deepEqual(conditionsOf("ServiceEntry", "shop/wild"), [[bound, "True", "WaypointAccepted"]]);
  assert.equal(conditionsOf("WorkloadEntry", "shop/vm"), undefined);
});

test("a ServiceEntry whose connect strategy needs a waypoint reports that it has none", () => {
  const { apply, conditionsOf } = statuses();
  const entry = (annotations: object): KubernetesObject =>
    config(
      "ServiceEntry",
      "shop/raced",
      { hosts: ["a.test"], resolution: "DNS", ports: [{ number: 80, name: "http", protocol: "HTTP" }] },
      { annotations },
    );
  apply(entry({ "istio.io/connect-strategy": "RACE_FIRST_TCP_CONNECT" }));
  assert.deepEqual(conditionsOf("ServiceEntry", "shop/raced"), [
    ["istio.io/WaypointMissing", "True", "NoWaypointForRacingConnectStrategy"],
  ]);
  apply(entry({}));
  assert.equal(conditionsOf("ServiceEntry", "shop/raced"), undefined);
});

test("a ServiceEntry's status lists the namespaces that see it, if the mesh config limits them", () => {
  const { apply, conditionsOf, graph, inputs } = statuses();
  const names = ["shop", "low", "hidden"];
  const set = (serviceEntryVisibility: MeshSettings["serviceEntryVisibility"]): readonly unknown[] => {
    graph.batch(() => inputs.mesh.set(meshKey, { ...testMesh, serviceEntryVisibility }));
    return names.map((name) => conditionsOf("ServiceEntry", `${name}/api`));
  };
  for (const name of names)
    apply(
      namespace(name, { trust: name }),
      config("ServiceEntry", `${name}/api`, {
        hosts: ["api.test"],
        resolution: "DNS",
        ports: [{ number: 80, name: "http", protocol: "HTTP" }],
      }),
    );
  const policy = (trust: string, visibility: "NAMESPACE" | "NONE") => ({
    visibility,
    namespaceSelectors: [{ matchLabels: { trust } }],
  });
  const policies = [policy("low", "NAMESPACE"), policy("hidden", "NONE")];
  const type = "istio.io/VisibilityApplied";
  assert.deepEqual(set({ applyToSidecars: false, defaultVisibility: "PUBLIC", policies }), [
    [[type, "True", "Public"]],
    [[type, "True", "Namespace"]],
    [[type, "True", "None"]],
  ]);
  assert.deepEqual(set(undefined), [undefined, undefined, undefined]);
});

test("a ServiceEntry of DYNAMIC_DNS reports what its waypoint does not support", () => {
  const { apply, message, inputs, graph } = statuses();
  const entry = (location: string) =>
    config("ServiceEntry", "shop/wild", {
      hosts: ["*.example.com"],
      location,
      resolution: "DYNAMIC_DNS",
      ports: [
        { number: 80, name: "http", protocol: "HTTP" },
        { number: 443, name: "tls", protocol: "TLS" },
      ],
    });
  apply(
    namespace("shop", { "istio.io/use-waypoint": "waypoint" }),
    ...waypoint("shop/waypoint"),
    entry("MESH_EXTERNAL"),
  );
  assert.match(
    message("ServiceEntry", "shop/wild"),
    /accepts no connections to TLS ports \(443\).*ENABLE_WILDCARD_HOST_SERVICE_ENTRIES_FOR_TLS/,
  );
  graph.batch(() => inputs.mesh.set(meshKey, { ...testMesh, wildcardTlsAtWaypoints: true }));
  assert.doesNotMatch(message("ServiceEntry", "shop/wild"), /accepts no/);
  apply(entry("MESH_INTERNAL"));
  assert.match(message("ServiceEntry", "shop/wild"), /accepts no requests for the host.*MESH_EXTERNAL/);
});

test("a policy's status says how ztunnel or its targets' waypoints apply it", () => {
  const { apply, conditionsOf } = statuses();
  const policy = (name: string, spec: object, metadata: object = {}) =>
    config("AuthorizationPolicy", `shop/${name}`, spec, metadata);
  const target = (kind: string, name: string, group = "") => ({ kind, name, group });
  apply(
    named("shop/web", { "istio.io/use-waypoint": "waypoint" }),
    named("shop/alone", {}),
    ...waypoint("shop/waypoint"),
    policy("plain", { rules: [{ from: [{ source: { principals: ["a"] } }] }] }),
    policy("http", { action: "DENY", rules: [{ to: [{ operation: { methods: ["GET"] } }] }] }),
    policy("audit", { action: "AUDIT", rules: [{}] }),
    policy("dry", { action: "DENY", rules: [{}] }, { annotations: { "istio.io/dry-run": "true" } }),
    policy("service", { targetRefs: [target("Service", "web")], rules: [{}] }),
    policy("gateway", { targetRefs: [target("Gateway", "waypoint", "gateway.networking.k8s.io")], rules: [{}] }),
    policy("unbound", { targetRefs: [target("Service", "alone")], rules: [{}] }),
    policy("some", { targetRefs: [target("Service", "web"), target("Service", "gone")], rules: [{}] }),
    policy("class", {
      targetRefs: [target("GatewayClass", "istio-waypoint", "gateway.networking.k8s.io")],
      rules: [{}],
    }),
  );
  const of1 = (name: string) => conditionsOf("AuthorizationPolicy", `shop/${name}`)?.[0];
  assert.deepEqual(of1("plain"), ["ZtunnelAccepted", "True", "Accepted"]);
  assert.deepEqual(of1("http"), ["ZtunnelAccepted", "True", "UnsupportedValue"]);
  for (const name of ["audit", "dry"]) assert.deepEqual(of1(name), ["ZtunnelAccepted", "False", "UnsupportedValue"]);
  assert.deepEqual(of1("service"), ["WaypointAccepted", "True", "Accepted"]);
  assert.deepEqual(of1("gateway"), ["WaypointAccepted", "True", "Accepted"]);
  assert.deepEqual(of1("unbound"), ["WaypointAccepted", "False", "AncestorNotBound"]);
  assert.deepEqual(of1("some"), ["WaypointAccepted", "True", "PartiallyInvalid"]);
  assert.deepEqual(of1("class"), ["WaypointAccepted", "False", "Invalid"]);
});

test("a ServiceEntry whose hosts another object has is not bound, and neither is a policy for it", () => {
  const { apply, conditionsOf, message } = statuses();
  const entry = (name: string, hosts: readonly string[], day: number) =>
    config(
      "ServiceEntry",
      `shop/${name}`,
      { hosts, resolution: "STATIC", ports: [{ number: 80, name: "http", protocol: "HTTP" }] },
      { creationTimestamp: `2026-01-0${day}T00:00:00Z` },
    );
  const names = ["old", "young", "both", "cluster"];
  apply(
    namespace("shop", { "istio.io/use-waypoint": "waypoint" }),
    ...waypoint("shop/waypoint"),
    named("shop/web", {}),
    entry("old", ["a.example"], 1),
    entry("young", ["A.example"], 2),
    entry("both", ["a.example", "b.example"], 3),
    entry("cluster", ["web.shop.svc.cluster.local"], 1),
    ...names.map((name) =>
      config("AuthorizationPolicy", `shop/${name}`, {
        targetRefs: [{ kind: "ServiceEntry", name, group: "networking.istio.io" }],
        rules: [{}],
      }),
    ),
  );
  const states = (kind: AmbientStatusKind) => names.map((name) => conditionsOf(kind, `shop/${name}`)?.[0]?.[1]);
  assert.deepEqual(states("ServiceEntry"), ["True", "False", "True", "False"]);
  assert.deepEqual(states("AuthorizationPolicy"), ["True", "False", "True", "False"]);
  assert.match(message("AuthorizationPolicy", "shop/young"), /ServiceEntry old of this namespace.*name it instead/);
  assert.match(message("ServiceEntry", "shop/cluster"), /Service web of this namespace/);
});

test("a policy for a ServiceEntry that serviceEntryVisibility hides from its waypoint is not bound", () => {
  const { apply, conditionsOf, inputs, graph } = statuses();
  graph.batch(() =>
    inputs.mesh.set(meshKey, {
      ...testMesh,
      serviceEntryVisibility: { defaultVisibility: "NONE", policies: [], applyToSidecars: false },
    }),
  );
  apply(
    namespace("shop", { "istio.io/use-waypoint": "waypoint" }),
    ...waypoint("shop/waypoint"),
    config("ServiceEntry", "shop/hidden", { hosts: ["a.example"], resolution: "STATIC", ports: [] }),
    config("AuthorizationPolicy", "shop/hidden", {
      targetRefs: [{ kind: "ServiceEntry", name: "hidden", group: "networking.istio.io" }],
      rules: [{}],
    }),
  );
  assert.deepEqual(conditionsOf("AuthorizationPolicy", "shop/hidden"), [
    ["WaypointAccepted", "False", "AncestorNotBound"],
  ]);
});
