import assert from "node:assert/strict";
import { test } from "node:test";
import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import { deriveMeshModel } from "../mesh-model.ts";
import type { KubernetesObject } from "../../../api/index.ts";
import { ClusterSchema, ListenerSchema, RouteConfigurationSchema } from "../../../wire/envoy/index.ts";
import { meshKey } from "../../model/facts.ts";
import { deriveBackendTlsStatuses } from "../../model/gateway/backend-tls-status.ts";
import { deriveGatewayStatuses } from "../../model/gateway/gateway-status.ts";
import { deriveListenerSetStatuses } from "../../model/gateway/listener-set-status.ts";
import { deriveRouteStatuses, deriveUdpRouteStatuses } from "../../model/gateway/route-status.ts";
import type { WantedCondition } from "../../model/wanted-condition.ts";
import { decodeResource, valueAt } from "../../testing/decode-resource.ts";
import { config, createModelFixture, namespace, pod, service, slice, testMesh } from "../../testing/model-fixture.ts";
import { deriveOutboundResources } from "../outbound/outbound-resources.ts";
import { scopedResourceKey } from "../resource.ts";
import { deriveRouterResources } from "./router-resources.ts";

const revision = "default";
const roots = { value: { certificates: "roots" } };

function gateways() {
  const fixture = createModelFixture();
  const { graph, inputs } = fixture;
  const model = deriveMeshModel(graph, inputs);
  const router = deriveRouterResources(graph, { ...model, groups: model.scopes.groups });
  const outbound = deriveOutboundResources(graph, model);
  const routes = [...model.routes, ...model.l4Routes];
  const sources = { inputs, routes, waypoints: model.waypoints, revision };
  const statuses = deriveGatewayStatuses(graph, sources);
  const sets = deriveListenerSetStatuses(graph, sources);
  const policies = deriveBackendTlsStatuses(graph, inputs, model.destinationRules.backendTlsTargets, routes, revision);
  const tcp = deriveRouteStatuses(graph, inputs, "TCPRoute", model.l4Routes[1], revision);
  const udp = deriveUdpRouteStatuses(graph, inputs, revision);
  const http = deriveRouteStatuses(graph, inputs, "HTTPRoute", model.routes[0], revision);
  const place = {
    locality: { region: "", zone: "", subzone: "" },
    node: "",
    network: "",
    hbone: false,
    dnsCapture: false,
  };
  return {
    ...fixture,
    statuses,
    sets,
    policies,
    routeStatuses: { tcp, udp, http },
    addProxy: (kind: "router" | "sidecar", key: string, namespaceName: string, labels: Record<string, string>) => {
      model.scopes.groups.set(key, { kind, namespace: namespaceName, labels, ...place });
      graph.settle();
    },
    putSecret: (key: string) => {
      const [namespaceName = "", name = ""] = key.split("/");
      inputs.secrets.set(key, {
        namespace: namespaceName,
        name,
        exists: true,
        keyPair: { value: { certificateChain: "chain", privateKey: "key" } },
        authority: roots,
      });
      graph.settle();
    },
    putConfigMap: (key: string, data: Record<string, string> = {}, exists = true) => {
      const [namespaceName = "", name = ""] = key.split("/");
      inputs.configMaps.set(key, { namespace: namespaceName, name, exists, data, authority: roots });
      graph.settle();
    },
    listener: (scope: string, name: string): JsonObject =>
      decodeResource(ListenerSchema, router.listeners.get(scopedResourceKey(scope, name))?.resource),
    hosts: (scope: string, name: string): JsonObject[] =>
      (decodeResource(RouteConfigurationSchema, router.routes.get(scopedResourceKey(scope, name))?.resource)[
        "virtualHosts"
      ] ?? []) as JsonObject[],
    clusters: (name: string): JsonObject[] => {
      const own = [...outbound.clusters.services.values()].flatMap(({ clusters }) =>
        clusters.filter(({ variant }) => variant.name === name),
      );
      return own.map(({ cluster }) => decodeResource(ClusterSchema, outbound.clusters.clusters.get(cluster)));
    },
    sidecarListener: (name: string): JsonObject => {
      const found = outbound.listeners
        .flatMap((collection) => [...collection.values()])
        .find(({ resource }) => resource.name === name);
      return decodeResource(ListenerSchema, found?.resource);
    },
  };
}

/** The conditions in the form `Type=Status/Reason`. */
function conditionTexts(conditions: readonly WantedCondition[] | undefined): readonly string[] {
  return (conditions ?? []).map(({ type, status, reason }) => `${type}=${status}/${reason}`);
}

const web = service("shop/web", "10.96.0.5", { app: "web" }, [
  { name: "http", port: 80, targetPort: 8080 },
  { name: "tcp", port: 90, targetPort: 9090, appProtocol: "tcp" },
]);
const base: readonly KubernetesObject[] = [namespace("edge", { team: "edge" }), namespace("shop"), web];
const rules = [{ backendRefs: [{ name: "web", port: 80 }] }];
const all = { namespaces: { from: "All" } };
const gateway = (spec: object): KubernetesObject => ({
  ...config("Gateway", "edge/web", { gatewayClassName: "istio", ...spec }),
  apiVersion: "gateway.networking.k8s.io/v1",
});
const http = { name: "http", port: 80, protocol: "HTTP", allowedRoutes: all };
const balanced = (ports: readonly number[]): readonly KubernetesObject[] => [
  {
    ...service(
      "edge/web-istio",
      "10.96.0.9",
      { "gateway.networking.k8s.io/gateway-name": "web" },
      ports.map((port) => ({ name: `p${port}`, port })),
    ),
    status: { loadBalancer: { ingress: [{ ip: "172.18.255.200" }] } },
  } as KubernetesObject,
  slice("edge/web-istio", { name: "p80", port: 80 }, [{ address: "10.244.1.5" }]),
];

test("ListenerSets that a Gateway allows add listeners after its own; a conflicting listener loses, and its status says so", () => {
  const { apply, sets, statuses, hosts, putSecret, listener } = gateways();
  const set = (key: string, listeners: readonly object[], metadata: object = {}): KubernetesObject =>
    config("ListenerSet", key, { parentRef: { name: "web", namespace: "edge" }, listeners }, metadata);
  apply(
    ...base,
    ...balanced([80, 443]),
    gateway({ listeners: [http], allowedListeners: { namespaces: { from: "Same" } } }),
    set("edge/more", [
      {
        name: "https",
        port: 443,
        protocol: "HTTPS",
        hostname: "more.example",
        tls: { certificateRefs: [{ name: "own" }] },
        allowedRoutes: all,
      },
      { name: "again", port: 80, protocol: "HTTP" },
      { name: "tcp", port: 80, protocol: "TCP" },
    ]),
    set("edge/loser", [{ name: "tcp", port: 80, protocol: "TCP" }], { creationTimestamp: "2026-02-01T00:00:00Z" }),
    set("shop/foreign", [{ name: "x", port: 81, protocol: "HTTP" }]),
    config("HTTPRoute", "shop/r", { parentRefs: [{ kind: "ListenerSet", name: "more", namespace: "edge" }], rules }),
  );
  putSecret("edge/own");
  assert.deepEqual(conditionTexts(sets.get("edge/more")?.conditions), [
    "Accepted=True/Accepted",
    "Programmed=True/Programmed",
  ]);
  assert.deepEqual(
    sets
      .get("edge/more")
      ?.listeners.map(({ name, attachedRoutes, conditions }) => [name, attachedRoutes, conditionTexts(conditions)[1]]),
    [
      ["https", 1, "Conflicted=False/NoConflicts"],
      ["again", 0, "Conflicted=True/HostnameConflict"],
      ["tcp", 0, "Conflicted=True/ProtocolConflict"],
    ],
  );
  assert.deepEqual(conditionTexts(sets.get("edge/loser")?.conditions), [
    "Accepted=False/ListenersNotValid",
    "Programmed=False/ListenersNotValid",
  ]);
  assert.deepEqual(conditionTexts(sets.get("shop/foreign")?.conditions), [
    "Accepted=False/NotAllowed",
    "Programmed=False/NotAllowed",
  ]);
  assert.equal(statuses.get("edge/web")?.attachedListenerSets, 1);
  assert.deepEqual(statuses.get("edge/web")?.addresses, [{ type: "IPAddress", value: "172.18.255.200" }]);
  assert.equal(
    hosts("edge/web", "https.443.default.more~istio-autogenerated-k8s-gateway~https.edge")[0]?.["name"],
    "more.example:443",
  );
  assert.deepEqual(valueAt(listener("edge/web", "0.0.0.0_443"), "filterChains", 0, "filterChainMatch", "serverNames"), [
    "more.example",
  ]);
});

test("a ListenerSet with a port that the Gateway's Service lacks is not programmed, and its Gateway is", () => {
  const { apply, sets, statuses } = gateways();
  apply(
    ...base,
    ...balanced([80]),
    gateway({ listeners: [http], allowedListeners: { namespaces: { from: "All" } } }),
    config("ListenerSet", "shop/more", {
      parentRef: { name: "web", namespace: "edge" },
      listeners: [{ name: "other", port: 8080, protocol: "HTTP" }],
    }),
  );
  assert.ok(conditionTexts(statuses.get("edge/web")?.conditions).includes("Programmed=True/Programmed"));
  assert.deepEqual(conditionTexts(sets.get("shop/more")?.conditions), [
    "Accepted=True/Accepted",
    "Programmed=False/AddressNotUsable",
  ]);
});

test("a Gateway's listener without its TLS is a placeholder that is not served, and a ListenerSet's is refused", () => {
  const { statuses, sets, apply, listener } = gateways();
  const bare = { port: 443, protocol: "HTTPS", allowedRoutes: all };
  apply(
    ...base,
    gateway({ listeners: [{ ...bare, name: "any" }], allowedListeners: { namespaces: { from: "Same" } } }),
    config("ListenerSet", "edge/more", {
      parentRef: { name: "web", namespace: "edge" },
      listeners: [{ ...bare, name: "a", hostname: "a.test" }],
    }),
    ...balanced([443]),
  );
  const status = statuses.get("edge/web");
  assert.deepEqual(conditionTexts(status?.listeners[0]?.conditions), [
    "Accepted=True/Accepted",
    "Conflicted=False/NoConflicts",
    "Programmed=True/Programmed",
    "ResolvedRefs=True/ResolvedRefs",
  ]);
  assert.ok(conditionTexts(status?.conditions).includes("Accepted=True/Accepted"));
  assert.deepEqual(conditionTexts(sets.get("edge/more")?.listeners[0]?.conditions), [
    "Accepted=False/UnsupportedProtocol",
    "Conflicted=False/NoConflicts",
    "Programmed=False/Invalid",
    "ResolvedRefs=True/ResolvedRefs",
  ]);
  assert.throws(() => listener("edge/web", "0.0.0.0_443"), /no such resource/);
});

test("a Gateway requests client certificates of the roots that it names, for the port or by default", () => {
  const { apply, putSecret, putConfigMap, statuses, listener } = gateways();
  const roots = (mode: string, name: string): object => ({
    validation: { mode, caCertificateRefs: [{ group: "", kind: "ConfigMap", name }] },
  });
  const https = (name: string, port: number): object => ({
    name,
    port,
    protocol: "HTTPS",
    tls: { certificateRefs: [{ name: "own" }] },
  });
  apply(
    ...base,
    gateway({
      listeners: [https("a", 443), https("b", 8443), https("c", 9443)],
      tls: {
        frontend: {
          default: roots("AllowValidOnly", "roots"),
          perPort: [
            { port: 8443, tls: roots("AllowInsecureFallback", "roots") },
            { port: 9443, tls: roots("AllowValidOnly", "gone") },
          ],
        },
      },
    }),
  );
  putSecret("edge/own");
  putConfigMap("edge/roots");
  const conditions = (name: string): readonly string[] =>
    conditionTexts(statuses.get("edge/web")?.listeners.find((found) => found.name === name)?.conditions);
  assert.deepEqual(conditions("a"), [
    "Accepted=True/Accepted",
    "Conflicted=False/NoConflicts",
    "Programmed=True/Programmed",
    "ResolvedRefs=True/ResolvedRefs",
  ]);
  assert.deepEqual(conditions("c"), [
    "Accepted=False/NoValidCACertificate",
    "Conflicted=False/NoConflicts",
    "Programmed=False/Invalid",
    "ResolvedRefs=False/InvalidCACertificateRef",
  ]);
  assert.ok(
    conditionTexts(statuses.get("edge/web")?.conditions).includes(
      "InsecureFrontendValidationMode=True/ConfigurationChanged",
    ),
  );
  const tls = (port: number): JsonValue | undefined =>
    valueAt(listener("edge/web", `0.0.0.0_${port}`), "filterChains", 0, "transportSocket", "typedConfig");
  assert.equal(valueAt(tls(443), "requireClientCertificate"), true);
  assert.equal(
    valueAt(tls(443), "commonTlsContext", "combinedValidationContext", "validationContextSdsSecretConfig", "name"),
    "configmap://edge/roots-cacert",
  );
  assert.equal(valueAt(tls(8443), "requireClientCertificate"), false);
  assert.equal(
    valueAt(
      tls(8443),
      "commonTlsContext",
      "combinedValidationContext",
      "defaultValidationContext",
      "trustChainVerification",
    ),
    "ACCEPT_UNTRUSTED",
  );
});

test("a BackendTLSPolicy applies TLS to the Service for every client; its status names the target and the Gateways that lead there", () => {
  const { apply, putConfigMap, policies, clusters, addProxy } = gateways();
  const policy = (name: string, validation: object, metadata: object = {}): KubernetesObject =>
    config(
      "BackendTLSPolicy",
      `shop/${name}`,
      { targetRefs: [{ group: "", kind: "Service", name: "web" }], validation },
      metadata,
    );
  const caCertificateRefs = [{ group: "", kind: "ConfigMap", name: "roots" }];
  apply(
    ...base,
    gateway({ listeners: [http] }),
    config("HTTPRoute", "shop/r", { parentRefs: [{ name: "web", namespace: "edge" }], rules }),
    policy("first", { hostname: "web.example", caCertificateRefs }),
    policy(
      "second",
      { hostname: "other.example", wellKnownCACertificates: "System" },
      { creationTimestamp: "2026-02-01T00:00:00Z" },
    ),
  );
  addProxy("router", "edge proxies", "edge", { "gateway.networking.k8s.io/gateway-name": "web" });
  const ancestors = (name: string) =>
    policies
      .get(`shop/${name}`)
      ?.ancestors.map(({ ancestorRef, conditions }) => [ancestorRef.kind, ...conditionTexts(conditions)]);
  assert.deepEqual(ancestors("first")?.[1], [
    "Gateway",
    "Accepted=False/NoValidCACertificate",
    "ResolvedRefs=False/InvalidCACertificateRef",
  ]);
  putConfigMap("shop/roots");
  assert.deepEqual(ancestors("first"), [
    ["Service", "Accepted=True/Accepted", "ResolvedRefs=True/ResolvedRefs"],
    ["Gateway", "Accepted=True/Accepted", "ResolvedRefs=True/ResolvedRefs"],
  ]);
  assert.equal(ancestors("second")?.[0]?.[1], "Accepted=False/Conflicted");
  addProxy("sidecar", "client", "shop", { app: "client" });
  const sockets = clusters("outbound|80||web.shop.svc.cluster.local").map((cluster) =>
    valueAt(cluster, "transportSocket", "typedConfig"),
  );
  assert.deepEqual(
    sockets.map((tls) => valueAt(tls, "sni")),
    ["web.example", "web.example"],
    "roots are no secret: sidecars ask for them, too",
  );
  for (const tls of sockets)
    assert.equal(
      valueAt(tls, "commonTlsContext", "combinedValidationContext", "validationContextSdsSecretConfig", "name"),
      "configmap://shop/roots-cacert",
    );
});

test("a BackendTLSPolicy with the annotation that excludes it is refused in its status, and changes nothing", () => {
  const { apply, policies, clusters, addProxy } = gateways();
  const policy = (name: string, metadata: object): KubernetesObject =>
    config(
      "BackendTLSPolicy",
      `shop/${name}`,
      {
        targetRefs: [{ group: "", kind: "Service", name: "web" }],
        validation: { hostname: `${name}.example`, wellKnownCACertificates: "System" },
      },
      metadata,
    );
  const route = config("HTTPRoute", "shop/r", { parentRefs: [{ name: "web", namespace: "edge" }], rules });
  apply(
    ...base,
    gateway({ listeners: [http] }),
    route,
    policy("excluded", { annotations: { "istio.io/ignore-policy-attachment": "True" } }),
    policy("second", { creationTimestamp: "2026-02-01T00:00:00Z" }),
  );
  const ancestors = policies.get("shop/excluded")?.ancestors ?? [];
  assert.deepEqual(
    ancestors.map(({ ancestorRef, conditions }) => [ancestorRef.kind, ...conditionTexts(conditions)]),
    [["Service", "Accepted=False/IgnoredByIstio"]],
  );
  assert.equal(
    ancestors[0]?.conditions[0]?.message,
    "Ignored by Istio due to annotation istio.io/ignore-policy-attachment=true",
  );
  addProxy("sidecar", "client", "shop", { app: "client" });
  const [cluster] = clusters("outbound|80||web.shop.svc.cluster.local");
  assert.equal(valueAt(cluster, "transportSocket", "typedConfig", "sni"), "second.example");
});

test("the status of a BackendTLSPolicy says that an ExternalName, or a further reference, has no effect", () => {
  const { apply, putConfigMap, policies } = gateways();
  apply(
    ...base,
    {
      kind: "Service",
      metadata: { name: "db", namespace: "shop" },
      spec: { type: "ExternalName", externalName: "db.example.com", ports: [{ name: "http", port: 80 }] },
    } as KubernetesObject,
    config("BackendTLSPolicy", "shop/tls", {
      targetRefs: [
        { group: "", kind: "Service", name: "db" },
        { group: "", kind: "Service", name: "web" },
      ],
      validation: {
        hostname: "db.example.com",
        caCertificateRefs: ["roots", "more"].map((name) => ({ group: "", kind: "ConfigMap", name })),
      },
    }),
  );
  putConfigMap("shop/roots");
  const further = "Configuration is valid; warning: only the first caCertificateRefs will be used";
  const alias =
    "it has no effect, because Service shop/db is an ExternalName, another name of db.example.com: target the Service or ServiceEntry of db.example.com";
  assert.deepEqual(
    policies.get("shop/tls")?.ancestors.map(({ conditions: [accepted] }) => [accepted?.status, accepted?.message]),
    [
      ["True", `${further}; ${alias}`],
      ["True", further],
    ],
  );
});

test("a BackendTLSPolicy for a ServiceEntry with the host of another namespace's Service changes no connection to that Service", () => {
  const { apply, clusters, addProxy } = gateways();
  const host = "web.shop.svc.cluster.local";
  apply(
    ...base,
    config("ServiceEntry", "evil/web", {
      hosts: [host],
      ports: [{ number: 80, name: "http", protocol: "HTTP" }],
      resolution: "STATIC",
      endpoints: [{ address: "9.9.9.9" }],
    }),
    config("BackendTLSPolicy", "evil/tls", {
      targetRefs: [{ group: "networking.istio.io", kind: "ServiceEntry", name: "web" }],
      validation: { hostname: "evil.example", wellKnownCACertificates: "System" },
    }),
  );
  addProxy("sidecar", "client", "shop", { app: "client" });
  const found = clusters(`outbound|80||${host}`);
  assert.equal(found.length, 1);
  assert.equal(JSON.stringify(found).includes("evil"), false);
});

test("a Gateway with the address of a Service is served by the Service's pods, on its target ports", () => {
  const { apply, addProxy, listener, statuses, hosts } = gateways();
  apply(
    ...base,
    { ...service("edge/own", "10.96.0.7", { istio: "gw" }, [{ name: "http", port: 80, targetPort: 8080 }]) },
    slice("edge/own", { name: "http", port: 8080 }, [{ address: "10.244.1.7" }]),
    gateway({ listeners: [http], addresses: [{ type: "Hostname", value: "own" }] }),
    config("HTTPRoute", "shop/r", { parentRefs: [{ name: "web", namespace: "edge" }], rules }),
  );
  addProxy("router", "own proxies", "edge", { istio: "gw" });
  assert.deepEqual(valueAt(listener("own proxies", "0.0.0.0_8080"), "address", "socketAddress", "portValue"), 8080);
  assert.deepEqual(
    hosts("own proxies", "http.8080").map((host) => host["domains"]),
    [["*"]],
  );
  assert.deepEqual(conditionTexts(statuses.get("edge/web")?.conditions).slice(0, 2), [
    "Accepted=True/Accepted",
    "Programmed=True/Programmed",
  ]);
});

test("a Gateway with the address of a Service has no listener at a port that the Service lacks", () => {
  const { apply, addProxy, listener, statuses } = gateways();
  apply(
    ...base,
    service("edge/own", "10.96.0.7", { istio: "gw" }, [
      { name: "http", port: 80, targetPort: 8080 },
      { name: "named", port: 81, targetPort: "web" },
    ]),
    slice("edge/own", { name: "http", port: 8080 }, [{ address: "10.244.1.7" }]),
    gateway({
      listeners: [http, { ...http, name: "named", port: 81 }, { ...http, name: "lacking", port: 8443 }],
      addresses: [{ type: "Hostname", value: "own" }],
    }),
  );
  addProxy("router", "own proxies", "edge", { istio: "gw" });
  for (const port of [8080, 81]) listener("own proxies", `0.0.0.0_${port}`);
  assert.throws(() => listener("own proxies", "0.0.0.0_8443"), /no such resource/);
  assert.match(String(conditionTexts(statuses.get("edge/web")?.conditions)), /Programmed=False/);
});

test("a Gateway's conditions report unusable addresses and parameters, and missing pods", () => {
  const { apply, statuses, putConfigMap } = gateways();
  const conditions = (): readonly string[] => conditionTexts(statuses.get("edge/web")?.conditions).slice(0, 2);
  apply(
    ...base,
    gateway({
      listeners: [http],
      addresses: [
        { type: "Hostname", value: "a.example" },
        { type: "IPAddress", value: "192.0.2.1" },
      ],
    }),
  );
  assert.deepEqual(conditions(), ["Accepted=False/UnsupportedAddress", "Programmed=False/AddressNotUsable"]);
  apply(gateway({ listeners: [http], infrastructure: { parametersRef: { group: "", kind: "ConfigMap", name: "p" } } }));
  assert.deepEqual(conditions(), [], "they have not been read yet");
  putConfigMap("edge/p", {}, false);
  assert.deepEqual(conditions(), ["Accepted=False/InvalidParameters", "Programmed=False/AddressNotUsable"]);
  putConfigMap("edge/p", { deployment: "spec: {replicas: 2}" });
  const [balancer, endpoints] = balanced([80]) as [KubernetesObject, KubernetesObject];
  apply(balancer);
  assert.deepEqual(conditions(), ["Accepted=True/Accepted", "Programmed=False/AddressNotAssigned"]);
  apply(endpoints);
  assert.deepEqual(conditions(), ["Accepted=True/Accepted", "Programmed=True/Programmed"]);
});

test("a listener's requests never reach a wider listener, even without a matching route", () => {
  const { apply, hosts } = gateways();
  const named = (name: string, hostname: string): object => ({ ...http, name, hostname });
  apply(
    ...base,
    gateway({ listeners: [http, named("wide", "*.example"), named("exact", "one.example")] }),
    config("HTTPRoute", "shop/rest", {
      parentRefs: [{ name: "web", namespace: "edge", sectionName: "http" }],
      hostnames: ["one.example", "other.test"],
      rules,
    }),
    config("HTTPRoute", "shop/wide", { parentRefs: [{ name: "web", namespace: "edge", sectionName: "wide" }], rules }),
  );
  assert.deepEqual(
    hosts("edge/web", "http.80").map((host) => [
      host["name"],
      ((host["routes"] ?? []) as JsonObject[]).map((route) => route["name"]),
    ]),
    [
      ["*.example:80", ["shop.wide.0"]],
      ["one.example:80", []],
      ["other.test:80", ["shop.rest.0"]],
    ],
  );
});

test("a Service's TCPRoute routes its clients' connections without a grant, and UDPRoutes are refused", () => {
  const { apply, addProxy, sidecarListener, routeStatuses } = gateways();
  apply(
    ...base,
    service("edge/other", "10.96.0.8", { app: "other" }, [{ name: "tcp", port: 70, appProtocol: "tcp" }]),
    pod("shop/web-1", "10.244.1.5", { labels: { app: "web" }, redirected: false }),
    gateway({ listeners: [http] }),
    config("TCPRoute", "shop/c", {
      parentRefs: [{ group: "", kind: "Service", name: "web", port: 90 }],
      rules: [{ backendRefs: [{ name: "other", namespace: "edge", port: 70 }] }],
    }),
    config("UDPRoute", "edge/u", {
      parentRefs: [{ name: "web" }],
      rules: [{ backendRefs: [{ name: "other", port: 70 }] }],
    }),
  );
  addProxy("sidecar", "clients", "shop", { app: "client" });
  const chain = valueAt(sidecarListener("10.96.0.5_90"), "filterChains", 0, "filters") as JsonObject[] | undefined;
  assert.equal(valueAt(chain?.at(-1), "typedConfig", "cluster"), "outbound|70||other.edge.svc.cluster.local");
  assert.deepEqual(conditionTexts(routeStatuses.tcp.get("shop/c")?.parents[0]?.status.conditions), [
    "Accepted=True/Accepted",
    "ResolvedRefs=True/ResolvedRefs",
  ]);
  assert.equal(
    conditionTexts(routeStatuses.udp.get("edge/u")?.parents[0]?.status.conditions)[0],
    "Accepted=False/UnsupportedProtocol",
  );
});

test("routes of ServiceEntries and backends by host lead to hosts outside Kubernetes", () => {
  const { apply, hosts, routeStatuses } = gateways();
  apply(
    ...base,
    gateway({ listeners: [http] }),
    config("ServiceEntry", "shop/out", {
      hosts: ["api.example.org"],
      ports: [{ number: 80, name: "http", protocol: "HTTP" }],
      resolution: "DNS",
    }),
    config("HTTPRoute", "shop/r", {
      parentRefs: [
        { name: "web", namespace: "edge" },
        { group: "networking.istio.io", kind: "ServiceEntry", name: "out" },
      ],
      rules: [{ backendRefs: [{ group: "networking.istio.io", kind: "Hostname", name: "api.example.org", port: 80 }] }],
    }),
  );
  assert.equal(
    valueAt(hosts("edge/web", "http.80")[0], "routes", 0, "route", "cluster"),
    "outbound|80||api.example.org",
  );
  assert.deepEqual(
    routeStatuses.http.get("shop/r")?.parents.map(({ status }) => conditionTexts(status.conditions)[0]),
    ["Accepted=True/Accepted", "Accepted=True/Accepted"],
  );
});

test("a route of a ServiceEntry whose hosts an older one has is not accepted, and the status names that one", () => {
  const { apply, routeStatuses } = gateways();
  const entry = (name: string, hosts: readonly string[], day: number): KubernetesObject =>
    config(
      "ServiceEntry",
      `shop/${name}`,
      { hosts, ports: [{ number: 80, name: "http", protocol: "HTTP" }], resolution: "DNS" },
      { creationTimestamp: `2026-01-0${day}T00:00:00Z` },
    );
  const names = ["old", "young", "both"];
  apply(
    ...base,
    entry("old", ["api.example.org"], 1),
    entry("young", ["API.example.org"], 2),
    entry("both", ["api.example.org", "own.example.org"], 3),
    ...names.map((name) =>
      config("HTTPRoute", `shop/${name}`, {
        parentRefs: [{ group: "networking.istio.io", kind: "ServiceEntry", name }],
        rules: [{}],
      }),
    ),
  );
  const accepted = names.map((name) => routeStatuses.http.get(`shop/${name}`)?.parents[0]?.status.conditions[0]);
  assert.deepEqual(
    accepted.map((condition) => condition?.reason),
    ["Accepted", "NoMatchingParent", "Accepted"],
  );
  assert.match(accepted[1]?.message ?? "", /belong to the older "shop\/old"/);
});

test("a host of another namespace's Service needs the grant although this cluster has no such Service", () => {
  const { apply, inputs, graph, routeStatuses } = gateways();
  const multiClusterServices = { host: true, clusterLocal: false, group: "multicluster.x-k8s.io" };
  graph.batch(() => inputs.mesh.set(meshKey, { ...testMesh, multiClusterServices }));
  const hosts = ["db.vault.svc.cluster.local", "db.vault.svc.clusterset.local", "db.shop.svc.cluster.local"];
  apply(
    ...base,
    gateway({ listeners: [http] }),
    config("ServiceEntry", "shop/all", {
      hosts: [...hosts, "db.example.org"],
      ports: [{ number: 80, name: "http", protocol: "HTTP" }],
      resolution: "DNS",
    }),
  );
  const resolved = [...hosts, "db.example.org"].map((name) => {
    const backendRefs = [{ group: "networking.istio.io", kind: "Hostname", name, port: 80 }];
    const parentRefs = [{ name: "web", namespace: "edge" }];
    apply(config("HTTPRoute", "shop/r", { parentRefs, rules: [{ backendRefs }] }));
    return conditionTexts(routeStatuses.http.get("shop/r")?.parents[0]?.status.conditions)[1];
  });
  const [refused, found] = ["ResolvedRefs=False/RefNotPermitted", "ResolvedRefs=True/ResolvedRefs"];
  assert.deepEqual(resolved, [refused, refused, found, found]);
});

test("a backend by the host of another namespace's Service needs a ReferenceGrant", () => {
  const { apply, hosts, routeStatuses } = gateways();
  const host = "db.vault.svc.cluster.local";
  const resolved = () => conditionTexts(routeStatuses.http.get("shop/r")?.parents[0]?.status.conditions)[1];
  apply(
    ...base,
    namespace("vault"),
    gateway({ listeners: [http] }),
    service("vault/db", "10.96.0.77", { app: "db" }, [{ name: "http", port: 80 }]),
    // A ServiceEntry of the route's own namespace with the same host does not replace the grant.
    config("ServiceEntry", "shop/db", {
      hosts: [host],
      ports: [{ number: 80, name: "http", protocol: "HTTP" }],
      resolution: "DNS",
    }),
    config("HTTPRoute", "shop/r", {
      parentRefs: [{ name: "web", namespace: "edge" }],
      rules: [
        {
          backendRefs: [
            { group: "networking.istio.io", kind: "Hostname", name: "DB.vault.svc.cluster.local", port: 80 },
          ],
        },
      ],
    }),
  );
  assert.equal(resolved(), "ResolvedRefs=False/RefNotPermitted");
  assert.doesNotMatch(JSON.stringify(hosts("edge/web", "http.80")), /vault/);
  apply(
    config("ReferenceGrant", "vault/shop", {
      from: [{ group: "gateway.networking.k8s.io", kind: "HTTPRoute", namespace: "shop" }],
      to: [{ group: "", kind: "Service" }],
    }),
  );
  assert.equal(resolved(), "ResolvedRefs=True/ResolvedRefs");
  assert.match(JSON.stringify(hosts("edge/web", "http.80")), /outbound\|80\|\|db\.vault/);
});

test("a route of a Service whose waypoint belongs to another controller gets no status and no effect", () => {
  const { apply, routeStatuses } = gateways();
  const named = (labels: Record<string, string>): KubernetesObject =>
    service("shop/web", "10.96.0.5", { app: "web" }, [{ name: "http", port: 80, targetPort: 8080 }], labels);
  const parentRefs = [{ group: "", kind: "Service", name: "web" }];
  const waypoint = (name: string, gatewayClassName: string): KubernetesObject =>
    config("Gateway", `shop/${name}`, { gatewayClassName, listeners: [http] });
  const gatewayClass = (name: string, controllerName: string): KubernetesObject =>
    ({ kind: "GatewayClass", metadata: { name }, spec: { controllerName } }) as KubernetesObject;
  apply(
    ...base,
    gatewayClass("other", "example.com/waypoint-controller"),
    gatewayClass("istio-waypoint", "istio.io/mesh-controller"),
    waypoint("theirs", "other"),
    waypoint("ours", "istio-waypoint"),
    config("HTTPRoute", "shop/r", { parentRefs, rules }),
  );
  const parents = (): number => routeStatuses.http.get("shop/r")?.parents.length ?? 0;
  assert.equal(parents(), 1);
  apply(named({ "istio.io/use-waypoint": "theirs" }));
  assert.equal(parents(), 0);
  apply(named({ "istio.io/use-waypoint": "ours" }));
  assert.equal(parents(), 1);
  apply(namespace("shop", { "istio.io/use-waypoint": "theirs" }), named({}));
  assert.equal(parents(), 0);
  for (const own of ["none", "None", ""]) {
    apply(named({ "istio.io/use-waypoint": own }));
    assert.equal(parents(), 1, `the label ${JSON.stringify(own)} names no waypoint of another controller`);
  }
});

test("an ExternalName Service as a backend leads to its host, which needs the same grant", () => {
  const { apply, hosts, routeStatuses } = gateways();
  const alias = (externalName: string): KubernetesObject => {
    const spec = { type: "ExternalName", externalName, ports: [{ name: "http", port: 80 }] };
    return { kind: "Service", metadata: { name: "alias", namespace: "shop" }, spec } as KubernetesObject;
  };
  const resolved = (): string | undefined =>
    conditionTexts(routeStatuses.http.get("shop/r")?.parents[0]?.status.conditions)[1];
  const cluster = (): unknown => valueAt(hosts("edge/web", "http.80")[0], "routes", 0, "route", "cluster");
  apply(
    ...base,
    namespace("vault"),
    gateway({ listeners: [http] }),
    service("shop/web", "10.96.0.78", { app: "web" }, [{ name: "http", port: 80 }]),
    service("vault/db", "10.96.0.77", { app: "db" }, [{ name: "http", port: 80 }]),
    alias("web.shop.svc.cluster.local"),
    config("HTTPRoute", "shop/r", {
      parentRefs: [{ name: "web", namespace: "edge" }],
      rules: [{ backendRefs: [{ name: "alias", port: 80 }] }],
    }),
  );
  assert.deepEqual(
    [resolved(), cluster()],
    ["ResolvedRefs=True/ResolvedRefs", "outbound|80||web.shop.svc.cluster.local"],
  );
  apply(alias("db.vault.svc.cluster.local"));
  assert.equal(resolved(), "ResolvedRefs=False/RefNotPermitted");
  assert.doesNotMatch(JSON.stringify(hosts("edge/web", "http.80")), /vault/);
  apply(
    config("ReferenceGrant", "vault/shop", {
      from: [{ group: "gateway.networking.k8s.io", kind: "HTTPRoute", namespace: "shop" }],
      to: [{ group: "", kind: "Service" }],
    }),
  );
  assert.equal(cluster(), "outbound|80||db.vault.svc.cluster.local");
  // Neither a Service nor a ServiceEntry has this host, so no proxy has a cluster for it.
  apply(alias("api.example.org"));
  assert.equal(resolved(), "ResolvedRefs=False/BackendNotFound");
});
