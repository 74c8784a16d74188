import assert from "node:assert/strict";
import { test } from "node:test";
import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import { deriveMeshModel } from "../mesh-model.ts";
import type { KubernetesObject } from "../../../api/index.ts";
import {
  ClusterLoadAssignmentSchema,
  ClusterSchema,
  ListenerSchema,
  RouteConfigurationSchema,
} from "../../../wire/envoy/index.ts";
import { deriveRouteModels } from "../../model/gateway/gateway-model.ts";
import { deriveGatewayStatuses } from "../../model/gateway/gateway-status.ts";
import { deriveRouteStatuses } from "../../model/gateway/route-status.ts";
import { deriveWaypoints } from "../../model/ambient/waypoint.ts";
import { deriveL4RouteModels } from "../../model/gateway/l4-route-model.ts";
import type { SecretFacts } from "../../model/secret-facts.ts";
import { deriveSecretReferences } from "../../model/gateway/secret-references.ts";
import { SecretView } from "../../serve/resource-views/secret-view.ts";
import { decodeResource, valueAt } from "../../testing/decode-resource.ts";
import { config, createModelFixture, namespace, pod, service, slice, testMesh } from "../../testing/model-fixture.ts";
import { meshKey } from "../../model/facts.ts";
import { deriveClassicGatewayResources } from "./gateway-classic-resources.ts";
import { scopedResourceKey } from "../resource.ts";
import { deriveRouterResources } from "./router-resources.ts";

const group = "group of the ingress gateway";

function gateways({ hbone = false }: { readonly hbone?: boolean } = {}) {
  const fixture = createModelFixture();
  const { graph, inputs } = fixture;
  const model = deriveMeshModel(graph, inputs);
  const classic = deriveClassicGatewayResources(graph, model);
  const routes = deriveRouteModels(graph, inputs);
  const l4Routes = deriveL4RouteModels(graph, inputs);
  const api = deriveRouterResources(graph, { ...model, routes, l4Routes, groups: model.scopes.groups });
  const references = deriveSecretReferences(graph, {
    inputs,
    groups: model.scopes.groups,
    mergedGateways: classic.merged,
  });
  const labels = { istio: "ingressgateway" };
  model.scopes.groups.set(group, {
    kind: "router",
    namespace: "edge",
    labels,
    locality: { region: "", zone: "", subzone: "" },
    node: "",
    network: "",
    hbone,
    dnsCapture: false,
  });
  const sources = { classic: [classic, group], api: [api, "edge/web"] } as const;
  const listener = (kind: keyof typeof sources, name: string): JsonObject =>
    decodeResource(ListenerSchema, sources[kind][0].listeners.get(scopedResourceKey(sources[kind][1], name))?.resource);
  return {
    ...fixture,
    references,
    listener,
    tunnels: (): readonly string[] =>
      Object.entries(sources).flatMap(([kind, [{ listeners }, scope]]) =>
        listeners.get(scopedResourceKey(scope, "connect_originate")) === undefined ? [] : [kind],
      ),
    merged: () => classic.merged.get(group),
    chains: (kind: keyof typeof sources, name: string): readonly string[] =>
      ((listener(kind, name)["filterChains"] ?? []) as JsonObject[]).map(chainText),
    endpointsOf: (cluster: string): readonly JsonValue[] => {
      const assignment = decodeResource(
        ClusterLoadAssignmentSchema,
        classic.endpoints.get(scopedResourceKey(group, cluster))?.resource,
      );
      const localities = (assignment["endpoints"] ?? []) as { lbEndpoints: JsonObject[] }[];
      return localities.flatMap(({ lbEndpoints }) =>
        lbEndpoints.flatMap((endpoint) => valueAt(endpoint, "endpoint", "address", "socketAddress", "address") ?? []),
      );
    },
    cluster: (name: string): JsonObject =>
      decodeResource(ClusterSchema, classic.clusters.get(scopedResourceKey(group, name))?.resource),
    table: (kind: keyof typeof sources, name: string): JsonObject =>
      decodeResource(
        RouteConfigurationSchema,
        sources[kind][0].routes.get(scopedResourceKey(sources[kind][1], name))?.resource,
      ),
    status: deriveGatewayStatuses(graph, {
      inputs,
      routes: [...routes, ...l4Routes],
      waypoints: deriveWaypoints(graph, inputs),
      revision: "default",
    }),
    routeStatus: deriveRouteStatuses(graph, inputs, "TLSRoute", l4Routes[0], "default"),
    putSecret: (key: string, changes: Partial<SecretFacts> = {}): void => {
      const [namespaceName = "", name = ""] = key.split("/");
      const value = {
        keyPair: { value: { certificateChain: `chain of ${key}`, privateKey: "key" } },
        authority: { value: { certificates: `roots of ${key}` } },
      };
      inputs.secrets.set(key, { namespace: namespaceName, name, exists: true, ...value, ...changes });
      graph.settle();
    },
  };
}

/** A text of the form `server names [certificates, authority] > route table or cluster`. */
function chainText(chain: JsonObject): string {
  const names = ((chain["filterChainMatch"] as { serverNames?: string[] } | undefined)?.serverNames ?? ["*"]).join(",");
  const tls = valueAt(chain, "transportSocket", "typedConfig");
  const common = valueAt(tls, "commonTlsContext");
  const certificates = ((valueAt(common, "tlsCertificateSdsSecretConfigs") ?? []) as JsonObject[]).map(
    (secret) => secret["name"] as string,
  );
  const authority = valueAt(common, "combinedValidationContext", "validationContextSdsSecretConfig", "name");
  const shown =
    tls === undefined
      ? ""
      : ` [${[...certificates, ...(authority === undefined ? [] : [authority as string]), ...(valueAt(tls, "requireClientCertificate") === true ? ["required"] : [])].join(" ")}]`;
  const last = (chain["filters"] as JsonObject[]).at(-1);
  return `${names}${shown} > ${(valueAt(last, "typedConfig", "rds", "routeConfigName") ?? valueAt(last, "typedConfig", "cluster")) as string}`;
}

const istio = { apiVersion: "networking.istio.io/v1" };
const classicGateway = (name: string, servers: readonly object[], metadata: object = {}): KubernetesObject => ({
  ...config("Gateway", `edge/${name}`, { selector: { istio: "ingressgateway" }, servers }, metadata),
  ...istio,
});
const virtualService = (key: string, spec: object): KubernetesObject => ({
  ...config("VirtualService", key, spec),
  ...istio,
});
const server = (
  number: number,
  protocol: string,
  hosts: readonly string[],
  tls?: object,
  more: object = {},
): object => ({
  port: { number, protocol, name: `${protocol.toLowerCase()}-${hosts[0] ?? ""}` },
  hosts,
  ...(tls === undefined ? {} : { tls }),
  ...more,
});
const base: readonly KubernetesObject[] = [
  namespace("edge"),
  namespace("shop"),
  service("shop/web", "10.96.0.5", { app: "web" }, [{ name: "http", port: 80, targetPort: 8080 }]),
  service("edge/ingress", "10.96.0.6", { istio: "ingressgateway" }, [
    { name: "http", port: 80, targetPort: 8080 },
    { name: "https", port: 443, targetPort: 8443 },
  ]),
];

test("servers of one port are distinguished by server name, each with its certificates, and the oldest Gateway owns a name", () => {
  const { apply, chains, merged } = gateways();
  apply(
    ...base,
    classicGateway("a", [
      server(443, "HTTPS", ["one.example"], { mode: "SIMPLE", credentialName: "one" }),
      server(443, "HTTPS", ["shop/two.example", "./three.example"], {
        mode: "MUTUAL",
        credentialNames: ["rsa", "ecdsa"],
      }),
      server(443, "HTTPS", ["own.example"], { mode: "ISTIO_MUTUAL" }),
      server(443, "TLS", ["through.example"], { mode: "PASSTHROUGH" }),
    ]),
    classicGateway(
      "b",
      [
        server(443, "HTTPS", ["one.example"], { mode: "SIMPLE", credentialName: "late" }),
        server(443, "HTTP", ["plain.example"]),
      ],
      { creationTimestamp: "2026-02-01T00:00:00Z" },
    ),
    virtualService("edge/through", {
      hosts: ["through.example"],
      gateways: ["a"],
      tls: [
        {
          match: [{ sniHosts: ["through.example"] }],
          route: [{ destination: { host: "web.shop.svc.cluster.local", port: { number: 80 } } }],
        },
      ],
    }),
  );
  assert.deepEqual(chains("classic", "0.0.0.0_8443"), [
    "one.example [kubernetes://one] > https.443.https-one.example.a.edge",
    "three.example,two.example [kubernetes://rsa kubernetes://ecdsa kubernetes://rsa-cacert required] > https.443.https-shop/two.example.a.edge",
    "own.example [default ROOTCA required] > https.443.https-own.example.a.edge",
    "through.example > outbound|80||web.shop.svc.cluster.local",
  ]);
  assert.deepEqual(
    merged()?.rejected.map(({ gateway, reason }) => `${gateway}: ${reason}`),
    [
      "edge/b: port 443: another server has the host one.example",
      "edge/b: port 443: plain HTTP and others cannot be on one port",
    ],
  );
});

test("if two Gateways were created in the same second, the first by name owns a server name, whatever their namespaces", () => {
  const { apply, merged } = gateways();
  const spec = {
    selector: { istio: "ingressgateway" },
    servers: [server(443, "HTTPS", ["one.example"], { mode: "SIMPLE", credentialName: "one" })],
  };
  const of = (key: string): KubernetesObject => ({ ...config("Gateway", key, spec), ...istio });
  apply(...base, of("aisle/web"), of("shop/edge"));
  assert.deepEqual(
    merged()?.servers.map(({ gateway }) => gateway),
    ["shop/edge"],
  );
});

test("the statistics of a named HTTPS server have its name, as in upstream", () => {
  const { apply, listener } = gateways();
  const tls = { mode: "SIMPLE", credentialName: "one" };
  apply(
    ...base,
    classicGateway("a", [
      server(443, "HTTPS", ["one.example"], tls, { name: "edge-one" }),
      server(443, "HTTPS", ["two.example"], tls),
    ]),
  );
  const prefixes = [...JSON.stringify(listener("classic", "0.0.0.0_8443")).matchAll(/"statPrefix":"([^"]*)"/g)];
  assert.deepEqual(
    prefixes.map(([, prefix]) => prefix),
    ["edge-one", "outbound_0.0.0.0_8443;"],
  );
});

test("plain servers of a port share a table of the permitted VirtualServices, and an HTTPS redirect answers every request", () => {
  const { apply, table } = gateways();
  const route = [{ destination: { host: "web.shop.svc.cluster.local" } }];
  apply(
    ...base,
    classicGateway("a", [
      server(80, "HTTP", ["shop/*.example"]),
      server(80, "HTTP", ["secure.example"], { httpsRedirect: true }),
    ]),
    virtualService("shop/web", { hosts: ["web.example", "api.example"], gateways: ["edge/a"], http: [{ route }] }),
    virtualService("edge/other", { hosts: ["other.example"], gateways: ["edge/a"], http: [{ route }] }),
    virtualService("shop/exact", {
      hosts: ["web.example"],
      gateways: ["edge/a"],
      http: [{ match: [{ uri: { prefix: "/exact" } }], route }],
    }),
  );
  const hosts = table("classic", "http.8080")["virtualHosts"] as JsonObject[];
  assert.deepEqual(
    hosts.map((host) => [
      host["name"],
      host["domains"],
      host["requireTls"] ?? "",
      ((host["routes"] ?? []) as JsonObject[]).map((entry) => valueAt(entry, "match", "prefix")),
    ]),
    [
      ["api.example:80", ["api.example"], "", ["/"]],
      ["secure.example:80", ["secure.example"], "ALL", []],
      ["web.example:80", ["web.example"], "", ["/exact", "/"]],
    ],
  );
});

test("servers with one address share a listener, however they spell the address", () => {
  const { apply, merged } = gateways();
  const plain = (host: string, bind: string): object => server(80, "HTTP", [host], undefined, { bind });
  apply(
    ...base,
    classicGateway("a", [server(80, "HTTP", ["a.example"]), plain("six.example", "fd00::a")]),
    classicGateway("b", [plain("any.example", "0.0.0.0"), plain("long.example", "FD00:0:0::000A")], {
      creationTimestamp: "2026-02-01T00:00:00Z",
    }),
  );
  assert.deepEqual(
    merged()?.listeners.map(({ bind, servers }) => [bind, servers.flatMap(({ hosts }) => hosts)]),
    [
      ["", ["a.example", "any.example"]],
      ["fd00::a", ["six.example", "long.example"]],
    ],
  );
  assert.deepEqual([...(merged()?.tables.keys() ?? [])], ["http.8080", "http.8080.fd00::a"]);
});

test("with PILOT_SCOPE_GATEWAY_TO_NAMESPACE, a Gateway selects only proxies of its own namespace", () => {
  const { apply, merged, inputs, graph } = gateways();
  const foreign = { ...config("Gateway", "shop/own", { servers: [server(80, "HTTP", ["b.example"])] }), ...istio };
  apply(...base, classicGateway("a", [server(80, "HTTP", ["a.example"])]), foreign);
  const owners = () => merged()?.listeners.flatMap(({ servers }) => servers.map(({ gateway }) => gateway));
  assert.deepEqual(owners(), ["edge/a", "shop/own"]);
  graph.batch(() => inputs.mesh.set(meshKey, { ...testMesh, gatewaysStayInNamespace: true }));
  assert.deepEqual(owners(), ["edge/a"]);
});

test("a VirtualService names a Gateway by its name, by namespace and name, or by an old host name", () => {
  const { apply, table } = gateways();
  const route = [{ destination: { host: "web.shop.svc.cluster.local" } }];
  const forms = { bare: "a", whole: "edge/a", old: "a.edge.svc.cluster.local", elsewhere: "shop/a" };
  apply(
    ...base,
    classicGateway("a", [server(80, "HTTP", ["*"])]),
    ...Object.entries(forms).map(([name, gateway]) =>
      virtualService(`edge/${name}`, { hosts: [`${name}.example`], gateways: [gateway], http: [{ route }] }),
    ),
  );
  const hosts = (table("classic", "http.8080")["virtualHosts"] as JsonObject[]).map(({ name }) => name);
  assert.deepEqual(new Set(hosts), new Set(["bare.example:80", "old.example:80", "whole.example:80"]));
});

test("a TCP server follows its first route, and AUTO_PASSTHROUGH only leads to mutual TLS", () => {
  const { apply, chains, listener, endpointsOf } = gateways();
  apply(
    ...base,
    pod("shop/web-1", "10.244.1.5", {
      labels: { app: "web", "security.istio.io/tlsMode": "istio" },
      redirected: false,
    }),
    pod("shop/web-2", "10.244.1.6", { labels: { app: "web" }, redirected: false }),
    slice("shop/web", { name: "http", port: 8080 }, [
      { address: "10.244.1.5", pod: "web-1" },
      { address: "10.244.1.6", pod: "web-2" },
    ]),
    classicGateway("a", [server(9000, "TCP", ["*"]), server(15_443, "TLS", ["*.local"], { mode: "AUTO_PASSTHROUGH" })]),
    virtualService("shop/tcp", {
      hosts: ["*"],
      gateways: ["edge/a"],
      tcp: [
        { match: [{ port: 1 }], route: [{ destination: { host: "nowhere" } }] },
        { match: [{ port: 9000 }], route: [{ destination: { host: "web", port: { number: 80 } } }] },
      ],
    }),
  );
  assert.deepEqual(chains("classic", "0.0.0.0_9000"), ["* > outbound|80||web.shop.svc.cluster.local"]);
  assert.ok(
    chains("classic", "0.0.0.0_15443").includes(
      "outbound_.80_._.web.shop.svc.cluster.local > outbound_.80_._.web.shop.svc.cluster.local",
    ),
  );
  assert.deepEqual(
    valueAt(listener("classic", "0.0.0.0_15443"), "filterChains", 0, "filterChainMatch", "applicationProtocols"),
    ["istio", "istio-peer-exchange", "istio-http/1.0", "istio-http/1.1", "istio-h2"],
  );
  assert.deepEqual(endpointsOf("outbound_.80_._.web.shop.svc.cluster.local"), ["10.244.1.5"]);
});

test("AUTO_PASSTHROUGH ignores the tunnel settings of a rule, which apply at the server's side", () => {
  const { apply, listener } = gateways();
  apply(
    ...base,
    classicGateway("a", [server(15_443, "TLS", ["*.local"], { mode: "AUTO_PASSTHROUGH" })]),
    config("DestinationRule", "shop/web", {
      host: "web",
      trafficPolicy: { tunnel: { targetHost: "far.test", targetPort: 443 } },
    }),
  );
  const passed = JSON.stringify(listener("classic", "0.0.0.0_15443"));
  assert.match(passed, /outbound_\.80_\._\.web/);
  assert.doesNotMatch(passed, /tunnelingConfig/);
});

test("AUTO_PASSTHROUGH gets endpoints that are not ready, and does not use them if few others are ready", () => {
  const { apply, cluster, endpointsOf } = gateways();
  const web = service("shop/web", "10.96.0.5", { app: "web" }, [{ name: "http", port: 80, targetPort: 8080 }]);
  const near = { ...(web as unknown as { spec: object }).spec, trafficDistribution: "PreferClose" };
  const labels = { app: "web", "security.istio.io/tlsMode": "istio" };
  apply(
    ...base,
    { ...web, spec: near } as KubernetesObject,
    pod("shop/web-1", "10.244.1.5", { labels, redirected: false }),
    pod("shop/web-2", "10.244.1.6", { labels, redirected: false }),
    slice("shop/web", { name: "http", port: 8080 }, [
      { address: "10.244.1.5", pod: "web-1", ready: false },
      { address: "10.244.1.6", pod: "web-2" },
    ]),
    classicGateway("a", [server(15_443, "TLS", ["*.local"], { mode: "AUTO_PASSTHROUGH" })]),
    config("DestinationRule", "shop/web", {
      host: "web",
      trafficPolicy: { outlierDetection: { minHealthPercent: 60 } },
    }),
  );
  const name = "outbound_.80_._.web.shop.svc.cluster.local";
  assert.deepEqual(endpointsOf(name), ["10.244.1.5", "10.244.1.6"]);
  assert.deepEqual(valueAt(cluster(name), "commonLbConfig", "healthyPanicThreshold"), {});
});

test("gateways have a listener for HBONE as long as any pod of any cluster accepts it", () => {
  const { apply, remove, tunnels, inputs, graph } = gateways({ hbone: true });
  const seen = (): readonly string[] => {
    graph.settle();
    return tunnels();
  };
  const app = { labels: { app: "web" } };
  const both = ["classic", "api"];
  apply(
    ...base,
    classicGateway("a", [server(80, "HTTP", ["*"])]),
    apiGateway([{ name: "http", port: 80, protocol: "HTTP" }]),
    pod("shop/web-1", "10.244.1.5", { ...app, redirected: false }),
  );
  assert.deepEqual(seen(), []);
  const ambient = [pod("shop/web-2", "10.244.1.6", app), pod("shop/web-3", "10.244.1.7", app)] as const;
  apply(...ambient);
  assert.deepEqual(seen(), both);
  remove(ambient[0]);
  assert.deepEqual(seen(), both);
  remove(ambient[1]);
  assert.deepEqual(seen(), []);
  apply(ambient[0]);
  const facts = inputs.pods.get("shop/web-2");
  assert.ok(facts !== undefined);
  remove(ambient[0]);
  inputs.remote.pods.set("east//shop/web-2", { ...facts, clusterId: "east" });
  assert.deepEqual(seen(), both);
});

const https = (name: string, hostname: string, certificate: object, more: object = {}): object => ({
  name,
  hostname,
  port: 443,
  protocol: "HTTPS",
  tls: { certificateRefs: [certificate], ...more },
});
const apiGateway = (listeners: readonly object[]): KubernetesObject => ({
  ...config("Gateway", "edge/web", { gatewayClassName: "istio", listeners }),
  apiVersion: "gateway.networking.k8s.io/v1",
});

test("a Gateway API listener serves once its certificate is usable, and its status names the fault until then", () => {
  const { apply, chains, status, putSecret } = gateways();
  apply(
    ...base,
    apiGateway([
      https("good", "good.example", { name: "good" }),
      https("bad", "bad.example", { name: "bad" }),
      https("foreign", "foreign.example", { name: "foreign", namespace: "shop" }),
      https("kind", "kind.example", { name: "x", kind: "ConfigMap" }),
      https(
        "mutual",
        "mutual.example",
        { name: "good" },
        { options: { "gateway.istio.io/tls-terminate-mode": "MUTUAL" } },
      ),
    ]),
  );
  const reason = (name: string): string | undefined =>
    status
      .get("edge/web")
      ?.listeners.find((listener) => listener.name === name)
      ?.conditions.find((condition) => condition.type === "ResolvedRefs")?.reason;
  const foreign = status.get("edge/web")?.listeners.find((listener) => listener.name === "foreign")?.conditions;
  // The Gateway API requires only ResolvedRefs to be False. Upstream also sets Accepted to False, with the reason for a
  // faulty CA reference.
  assert.deepEqual(
    foreign?.map((condition) => `${condition.type}=${condition.status}/${condition.reason}`),
    [
      "Accepted=True/Accepted",
      "Conflicted=False/NoConflicts",
      "Programmed=False/Invalid",
      "ResolvedRefs=False/RefNotPermitted",
    ],
  );
  const names = ["good", "bad", "foreign", "kind", "mutual"];
  assert.deepEqual(names.map(reason), [
    "InvalidCertificateRef",
    "InvalidCertificateRef",
    "RefNotPermitted",
    "InvalidCertificateRef",
    "InvalidCertificateRef",
  ]);
  putSecret("edge/good");
  putSecret("edge/bad", { keyPair: { fault: "tls.crt has no certificate in PEM" } });
  putSecret("shop/foreign");
  apply(
    config("ReferenceGrant", "shop/edge", {
      from: [{ group: "gateway.networking.k8s.io", kind: "Gateway", namespace: "edge" }],
      to: [{ group: "", kind: "Secret" }],
    }),
  );
  assert.deepEqual(names.map(reason), [
    "ResolvedRefs",
    "InvalidCertificateRef",
    "ResolvedRefs",
    "InvalidCertificateRef",
    "ResolvedRefs",
  ]);
  assert.deepEqual(chains("api", "0.0.0.0_443"), [
    "good.example [kubernetes-gateway://edge/good] > https.443.default.web~istio-autogenerated-k8s-gateway~good.edge",
    "foreign.example [kubernetes-gateway://shop/foreign] > https.443.default.web~istio-autogenerated-k8s-gateway~foreign.edge",
    "mutual.example [kubernetes-gateway://edge/good kubernetes-gateway://edge/good-cacert required] > https.443.default.web~istio-autogenerated-k8s-gateway~mutual.edge",
  ]);
  const programmed = status
    .get("edge/web")
    ?.listeners.map((listener) => listener.conditions.find((condition) => condition.type === "Programmed")?.status);
  assert.deepEqual(programmed, ["True", "False", "True", "False", "True"]);
});

test("each TLS listener has its own route table", () => {
  const { apply, table, putSecret } = gateways();
  const route = (name: string, sectionName: string): KubernetesObject =>
    config("HTTPRoute", `edge/${name}`, {
      parentRefs: [{ name: "web", sectionName }],
      rules: [{ backendRefs: [{ name: "ingress", port: 80 }] }],
    });
  apply(
    ...base,
    apiGateway([https("one", "one.example", { name: "good" }), https("two", "two.example", { name: "good" })]),
    route("a", "one"),
    route("b", "two"),
  );
  putSecret("edge/good");
  const names = (listener: string): JsonValue | undefined =>
    valueAt(
      table("api", `https.443.default.web~istio-autogenerated-k8s-gateway~${listener}.edge`),
      "virtualHosts",
      0,
      "routes",
      0,
      "name",
    );
  assert.deepEqual(["one", "two"].map(names), ["edge.a.0", "edge.b.0"]);
});

test("TLS and TCP routes lead connections by server name or port, and have a status", () => {
  const { apply, chains, routeStatus, status } = gateways();
  const listeners = [
    {
      name: "tls",
      port: 8443,
      protocol: "TLS",
      tls: { mode: "Passthrough" },
      allowedRoutes: { namespaces: { from: "All" } },
    },
    { name: "tcp", port: 9000, protocol: "TCP", allowedRoutes: { namespaces: { from: "All" } } },
  ];
  const parentRefs = [{ name: "web", namespace: "edge" }];
  apply(
    ...base,
    apiGateway(listeners),
    config("TLSRoute", "shop/t", {
      parentRefs,
      hostnames: ["t.example"],
      rules: [{ backendRefs: [{ name: "web", port: 80 }] }],
    }),
    config("TLSRoute", "shop/none", {
      parentRefs,
      hostnames: ["none.example"],
      rules: [{ backendRefs: [{ name: "gone", port: 80 }] }],
    }),
    config("TCPRoute", "shop/c", { parentRefs, rules: [{ backendRefs: [{ name: "web", port: 80 }] }] }),
  );
  assert.deepEqual(chains("api", "0.0.0.0_8443"), [
    "none.example > UnknownService",
    "t.example > outbound|80||web.shop.svc.cluster.local",
  ]);
  assert.deepEqual(chains("api", "0.0.0.0_9000"), ["* > outbound|80||web.shop.svc.cluster.local"]);
  assert.deepEqual(
    routeStatus.get("shop/none")?.parents[0]?.status.conditions.map(({ reason }) => reason),
    ["Accepted", "BackendNotFound"],
  );
  assert.deepEqual(
    status.get("edge/web")?.listeners.map(({ attachedRoutes }) => attachedRoutes),
    [2, 1],
  );
});

test("TLS and TCP routes follow the policy of their first backend that gets connections", () => {
  const { apply, listener } = gateways();
  const allowedRoutes = { namespaces: { from: "All" } };
  const parentRefs = [{ name: "web", namespace: "edge" }];
  const backend = (name: string, weight: number): object => ({ name, port: 80, weight });
  const rule = (name: string, connectionPool: object): KubernetesObject =>
    config("DestinationRule", `shop/${name}`, {
      host: name,
      trafficPolicy: {
        connectionPool,
        loadBalancer: { consistentHash: { useSourceIp: true } },
        tunnel: { targetHost: "far.test", targetPort: 443 },
      },
    });
  apply(
    ...base,
    service("shop/other", "10.96.0.7", { app: "other" }, [{ name: "http", port: 80, targetPort: 8080 }]),
    apiGateway([
      { name: "tls", port: 8443, protocol: "TLS", tls: { mode: "Passthrough" }, allowedRoutes },
      { name: "tcp", port: 9000, protocol: "TCP", allowedRoutes },
    ]),
    config("TLSRoute", "shop/t", {
      parentRefs,
      hostnames: ["t.example"],
      rules: [{ backendRefs: [backend("other", 0), backend("web", 1)] }],
    }),
    config("TCPRoute", "shop/c", { parentRefs, rules: [{ backendRefs: [backend("web", 1), backend("other", 1)] }] }),
    rule("web", { tcp: { idleTimeout: "7s", maxConnectionDuration: "70s" } }),
    rule("other", { tcp: { idleTimeout: "8s" } }),
  );
  for (const name of ["0.0.0.0_8443", "0.0.0.0_9000"]) {
    const [chain] = listener("api", name)["filterChains"] as { filters: { typedConfig: JsonObject }[] }[];
    const proxy = chain?.filters.at(-1)?.typedConfig;
    const { idleTimeout, maxDownstreamConnectionDuration, hashPolicy, tunnelingConfig } = proxy ?? {};
    assert.deepEqual(
      { idleTimeout, maxDownstreamConnectionDuration, hashPolicy, tunnelingConfig },
      {
        idleTimeout: "7s",
        maxDownstreamConnectionDuration: "70s",
        hashPolicy: [{ sourceIp: {} }],
        tunnelingConfig: { hostname: "far.test:443" },
      },
      name,
    );
  }
});

test("a route that is younger than another with one of its server names keeps the others", () => {
  const { apply, chains } = gateways();
  const tls = { mode: "Passthrough" };
  const listener = { name: "tls", port: 8443, protocol: "TLS", tls, allowedRoutes: { namespaces: { from: "All" } } };
  const later = { creationTimestamp: "2026-02-01T00:00:00Z" };
  const destination = { host: "web.shop.svc.cluster.local", port: { number: 80 } };
  const passing = (hosts: readonly string[]): object => ({
    hosts,
    gateways: ["a"],
    tls: [{ match: [{ sniHosts: hosts }], route: [{ destination }] }],
  });
  const parentRefs = [{ name: "web", namespace: "edge" }];
  const rules = [{ backendRefs: [{ name: "web", port: 80 }] }];
  apply(
    ...base,
    apiGateway([listener]),
    config("TLSRoute", "shop/old", { parentRefs, hostnames: ["a.example"], rules }),
    config("TLSRoute", "shop/young", { parentRefs, hostnames: ["a.example", "b.example"], rules }, later),
    classicGateway("a", [server(443, "TLS", ["*.example"], { mode: "PASSTHROUGH" })]),
    virtualService("edge/old", passing(["a.example"])),
    { ...config("VirtualService", "edge/young", passing(["a.example", "b.example"]), later), ...istio },
  );
  const expected = ["a.example", "b.example"].map((name) => `${name} > outbound|80||web.shop.svc.cluster.local`);
  assert.deepEqual(chains("api", "0.0.0.0_8443"), expected);
  assert.deepEqual(chains("classic", "0.0.0.0_8443"), expected);
});

test("hostnames of a route that meet the listener's in the same name count once", () => {
  const { apply, chains, table } = gateways();
  const allowedRoutes = { namespaces: { from: "All" } };
  const hostname = "*.b.example";
  const route = {
    parentRefs: [{ name: "web", namespace: "edge" }],
    hostnames: ["*.example", "*.b.example"],
    rules: [{ backendRefs: [{ name: "web", port: 80 }] }],
  };
  apply(
    ...base,
    apiGateway([
      { name: "tls", port: 8443, protocol: "TLS", hostname, tls: { mode: "Passthrough" }, allowedRoutes },
      { name: "http", port: 80, protocol: "HTTP", hostname, allowedRoutes },
    ]),
    config("TLSRoute", "shop/tls", route),
    config("HTTPRoute", "shop/http", route),
    classicGateway("a", [server(443, "TLS", ["*.example"], { mode: "PASSTHROUGH" })]),
    virtualService("edge/twice", {
      hosts: ["*.example"],
      gateways: ["a"],
      tls: [
        {
          match: [{ sniHosts: ["a.example", "a.example"] }],
          route: [{ destination: { host: "web.shop.svc.cluster.local", port: { number: 80 } } }],
        },
      ],
    }),
  );
  assert.deepEqual(chains("api", "0.0.0.0_8443"), ["*.b.example > outbound|80||web.shop.svc.cluster.local"]);
  assert.deepEqual(chains("classic", "0.0.0.0_8443"), ["a.example > outbound|80||web.shop.svc.cluster.local"]);
  const hosts = table("api", "http.80")["virtualHosts"] as readonly JsonObject[];
  assert.deepEqual(
    hosts.map(({ name, routes }) => [name, (routes as readonly JsonObject[]).length]),
    [["*.b.example:80", 1]],
  );
});

test("a route whose backends all have weight 0 still matches before wider routes, and its connections reach no backend", () => {
  const { apply, chains } = gateways();
  const listeners = [
    {
      name: "tls",
      port: 8443,
      protocol: "TLS",
      tls: { mode: "Passthrough" },
      allowedRoutes: { namespaces: { from: "All" } },
    },
    { name: "tcp", port: 9000, protocol: "TCP", allowedRoutes: { namespaces: { from: "All" } } },
  ];
  const parentRefs = [{ name: "web", namespace: "edge" }];
  const idle = [
    {
      backendRefs: [
        { name: "web", port: 80, weight: 0 },
        { name: "web", port: 80, weight: 0 },
      ],
    },
  ];
  apply(
    ...base,
    apiGateway(listeners),
    config("TLSRoute", "shop/wide", {
      parentRefs,
      hostnames: ["*.example"],
      rules: [{ backendRefs: [{ name: "web", port: 80 }] }],
    }),
    config("TLSRoute", "shop/idle", { parentRefs, hostnames: ["t.example"], rules: idle }),
    config("TCPRoute", "shop/none", { parentRefs, rules: idle }),
  );
  assert.deepEqual(chains("api", "0.0.0.0_8443"), [
    "t.example > UnknownService",
    "*.example > outbound|80||web.shop.svc.cluster.local",
  ]);
  assert.deepEqual(chains("api", "0.0.0.0_9000"), ["* > UnknownService"]);
});

test("a certificate that a server cannot present is sent to clients, unless a server has the same", () => {
  const { apply, inputs, references, putSecret } = gateways();
  const client = (name: string, host: string) =>
    config("DestinationRule", `edge/${name}`, {
      host,
      trafficPolicy: { tls: { mode: "MUTUAL", credentialName: name } },
    });
  apply(
    ...base,
    classicGateway("a", [server(443, "HTTPS", ["one.example"], { mode: "SIMPLE", credentialName: "one" })]),
    client("one", "a.example"),
    client("two", "b.example"),
  );
  for (const key of ["edge/one", "edge/two"])
    putSecret(key, { keyPair: { value: { certificateChain: "c", privateKey: "k", serverFault: "it has no name" } } });
  const edge = new SecretView({ secrets: inputs.secrets, references, configMaps: inputs.configMaps }, "edge");
  assert.equal(edge.get("kubernetes://one"), undefined);
  assert.notEqual(edge.get("kubernetes://two"), undefined);
});

test("a proxy sees the secrets that configuration names for its namespace, and no others", () => {
  const { apply, inputs, references, putSecret } = gateways();
  apply(
    ...base,
    classicGateway("a", [server(443, "HTTPS", ["one.example"], { mode: "MUTUAL", credentialName: "one" })]),
    apiGateway([https("far", "far.example", { name: "far", namespace: "shop" })]),
  );
  for (const key of ["edge/one", "shop/one", "shop/far", "edge/unnamed"]) putSecret(key);
  const views = { secrets: inputs.secrets, references, configMaps: inputs.configMaps };
  const edge = new SecretView(views, "edge");
  const sees = (view: SecretView, name: string): boolean => view.get(name) !== undefined;
  assert.deepEqual(
    [
      "kubernetes://one",
      "kubernetes://one-cacert",
      "kubernetes://unnamed",
      "kubernetes://shop/one",
      "kubernetes-gateway://shop/far",
    ].map((name) => sees(edge, name)),
    [true, true, false, false, false],
  );
  assert.equal(
    sees(new SecretView(views, "shop"), "kubernetes://one"),
    false,
    "a Gateway of another namespace names it for its own",
  );
  const changed: string[] = [];
  using _subscription = edge.subscribe((names) => changed.push(...names));
  apply(
    config("ReferenceGrant", "shop/edge", {
      from: [{ group: "gateway.networking.k8s.io", kind: "Gateway", namespace: "edge" }],
      to: [{ group: "", kind: "Secret", name: "far" }],
    }),
  );
  assert.ok(sees(edge, "kubernetes-gateway://shop/far") && changed.includes("kubernetes-gateway://shop/far"));
  const before = edge.get("kubernetes://one")?.version;
  putSecret("edge/one-cacert", {
    authority: { value: { certificates: "roots of their own" } },
    keyPair: { fault: "none" },
  });
  putSecret("edge/one", { keyPair: { value: { certificateChain: "another", privateKey: "key" } } });
  assert.notEqual(edge.get("kubernetes://one")?.version, before);
  assert.ok(changed.includes("kubernetes://one") && changed.includes("kubernetes://one-cacert"));
  assert.match(Buffer.from(edge.get("kubernetes://one-cacert")?.any ?? []).toString("latin1"), /roots of their own/);
});
