import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import { parseAllDocuments } from "yaml";
import type { KubernetesObject } from "../../../api/index.ts";
import { proxyLimits } from "../../../api/istio/index.ts";
import { valueAt } from "../../testing/decode-resource.ts";
import { meshKey } from "../../model/facts.ts";
import { config, namespace, pod, service, slice, testMesh } from "../../testing/model-fixture.ts";
import {
  addressesOf,
  createOutboundFixture,
  hostsOf,
  http,
  sidecarLabel,
  smallMesh,
} from "../../testing/outbound-fixture.ts";

test("a sidecar of a small mesh gets the recorded resources", () => {
  const { apply, serve } = createOutboundFixture();
  const objects = parseAllDocuments(readFileSync(new URL("../golden/outbound-shop.yaml", import.meta.url), "utf8")).map(
    (document) => document.toJSON() as KubernetesObject,
  );
  apply(
    ...objects.map((object) => ({
      ...object,
      metadata: { ...object.metadata, creationTimestamp: "2026-01-01T00:00:00Z" },
    })),
  );
  const served = serve({ dnsCapture: true });
  const found = {
    clusters: served.clusters(),
    endpoints: served.endpoints(),
    listeners: served.listeners(),
    routes: served.routes(),
    names: served.names(),
  };
  const golden = new URL("../golden/outbound-shop.json", import.meta.url);
  if (process.env["UPDATE_GOLDEN"] === "1") writeFileSync(golden, `${JSON.stringify(found, undefined, 1)}\n`);
  assert.deepEqual(JSON.parse(JSON.stringify(found)), JSON.parse(readFileSync(golden, "utf8")));
});

test("names are short for clients of the same namespace, and a service that is not exported is invisible elsewhere", () => {
  const { apply, serve } = createOutboundFixture();
  apply(...smallMesh, {
    ...service("other/hidden", "10.96.0.9", {}, [http]),
    metadata: { name: "hidden", namespace: "other", annotations: { "networking.istio.io/exportTo": "." } },
  });
  const [shop, other] = [serve(), serve({ namespace: "other" })];
  assert.deepEqual(hostsOf(shop.routes()["80"]), [
    [
      "api.other.svc.cluster.local:80",
      ["api.other.svc.cluster.local", "api.other.svc.cluster.local.", "api.other", "api.other.svc", "10.96.0.7"],
    ],
    [
      "web.shop.svc.cluster.local:80",
      ["web.shop.svc.cluster.local", "web.shop.svc.cluster.local.", "web", "web.shop.svc", "web.shop", "10.96.0.5"],
    ],
    ["allow_any", ["*"]],
  ]);
  assert.deepEqual(
    [shop, other].map((served) => "outbound|80||hidden.other.svc.cluster.local" in served.clusters()),
    [false, true],
  );
});

test("a host of two services leads each client to the routes of the service that it sees", () => {
  const { apply, serve } = createOutboundFixture();
  const of = (place: string): readonly KubernetesObject[] => [
    namespace(place),
    config("ServiceEntry", `${place}/out`, {
      hosts: ["api.example.org"],
      location: "MESH_EXTERNAL",
      ports: [{ number: 80, name: "http", protocol: "HTTP" }],
      resolution: "DNS",
    }),
    config("HTTPRoute", `${place}/r`, {
      parentRefs: [{ group: "networking.istio.io", kind: "ServiceEntry", name: "out" }],
      rules: [{ filters: [{ type: "RequestRedirect", requestRedirect: { hostname: `${place}.example.org` } }] }],
    }),
    config("Sidecar", `shop/${place}`, {
      workloadSelector: { labels: { sees: place } },
      egress: [{ hosts: [`${place}/*`] }],
    }),
  ];
  apply(...smallMesh, ...of("north"), ...of("south"));
  const served = ["north", "south"].map((sees) => serve({ labels: { sees } }));
  const redirects = served.map((one) =>
    valueAt(one.routes()["80"], "virtualHosts", 0, "routes", 0, "redirect", "hostRedirect"),
  );
  assert.deepEqual(redirects, ["north.example.org", "south.example.org"]);
});

test("the Sidecar that matches by labels, then by namespace, then of the root namespace limits the hosts that workloads reach, and decides about unknown hosts", () => {
  const { apply, remove, serve } = createOutboundFixture();
  const strict = config("Sidecar", "shop/strict", {
    workloadSelector: { labels: { app: "web" } },
    outboundTrafficPolicy: { mode: "REGISTRY_ONLY" },
    egress: [{ hosts: ["./*"] }],
  });
  const everywhere = config("Sidecar", "istio-system/default", { egress: [{ hosts: ["other/*"] }] });
  apply(...smallMesh, strict, everywhere);
  const [selected, plain] = [serve({ labels: { app: "web" } }), serve()];
  const services = (served: typeof plain): readonly string[] =>
    Object.keys(served.clusters()).filter((name) => name.startsWith("outbound"));
  assert.deepEqual(services(selected), ["outbound|80||web.shop.svc.cluster.local"]);
  assert.deepEqual(services(plain), ["outbound|80||api.other.svc.cluster.local"]);
  assert.deepEqual(hostsOf(selected.routes()["80"]).at(-1), ["block_all", ["*"]]);
  assert.equal(
    valueAt(selected.listeners()["virtualOutbound"], "filterChains", 1, "filters", 1, "typedConfig", "cluster"),
    "BlackHoleCluster",
  );
  remove(everywhere);
  assert.equal(services(plain).length, 2);
});

test("a cluster that looks up names has no socket of a WorkloadEntry, with which proxies refuse the whole cluster", () => {
  const { apply, serve } = createOutboundFixture();
  const entry = (resolution: string): KubernetesObject =>
    config("ServiceEntry", "shop/out", {
      hosts: ["api.example.org"],
      ports: [{ number: 80, name: "http", protocol: "HTTP" }],
      resolution,
      workloadSelector: { labels: { app: "api" } },
    });
  apply(
    ...smallMesh,
    entry("DNS"),
    config("WorkloadEntry", "shop/name", { address: "a.example.org", labels: { app: "api" } }),
    config("WorkloadEntry", "shop/socket", { address: "unix:///run/api.sock", labels: { app: "api" } }),
  );
  const text = JSON.stringify(serve().clusters()["outbound|80||api.example.org"]);
  assert.match(text, /a\.example\.org/);
  assert.doesNotMatch(text, /api\.sock/);
});

test("subsets select endpoints by label, and the client namespace's rule wins over the service's and the root's", () => {
  const { apply, remove, serve } = createOutboundFixture();
  const rule = (key: string, simple: string, spec: object = {}): KubernetesObject =>
    config("DestinationRule", key, {
      host: "web.shop.svc.cluster.local",
      trafficPolicy: { loadBalancer: { simple } },
      ...spec,
    });
  const ofClient = rule("other/mine", "ROUND_ROBIN");
  const ofService = rule("shop/web", "RANDOM", { subsets: [{ name: "v1", labels: { version: "v1" } }] });
  apply(...smallMesh, ofClient, ofService, rule("istio-system/web", "PASSTHROUGH"));
  const other = serve({ namespace: "other" });
  const policy = (): readonly JsonValue[] =>
    Object.entries(other.clusters()).flatMap(([name, cluster]) =>
      name.includes("web") ? [name, cluster["lbPolicy"] ?? "ROUND_ROBIN"] : [],
    );
  assert.deepEqual(policy(), ["outbound|80||web.shop.svc.cluster.local", "ROUND_ROBIN"]);
  remove(ofClient);
  assert.deepEqual(policy(), [
    "outbound|80|v1|web.shop.svc.cluster.local",
    "RANDOM",
    "outbound|80||web.shop.svc.cluster.local",
    "RANDOM",
  ]);
  assert.deepEqual(addressesOf(other.endpoints()["outbound|80|v1|web.shop.svc.cluster.local"]), [
    ["z1", 0, ["10.244.1.5"]],
  ]);
  remove(ofService);
  assert.deepEqual(policy(), ["outbound|80||web.shop.svc.cluster.local", "CLUSTER_PROVIDED"]);
});

test("LEAST_REQUEST of a DestinationRule has a configuration of its own, which the same default has not", () => {
  const { apply, serve } = createOutboundFixture();
  const name = "outbound|80||web.shop.svc.cluster.local";
  const rule = (simple?: string): KubernetesObject =>
    config("DestinationRule", "shop/web", { host: "web", trafficPolicy: simple ? { loadBalancer: { simple } } : {} });
  const shop = serve({ namespace: "shop" });
  const chosen = (): readonly (JsonValue | undefined)[] => {
    const cluster = shop.clusters()[name];
    return [cluster?.["lbPolicy"], cluster?.["leastRequestLbConfig"]];
  };
  apply(...smallMesh, rule());
  assert.deepEqual(chosen(), ["LEAST_REQUEST", undefined]);
  for (const simple of ["LEAST_REQUEST", "LEAST_CONN"]) {
    apply(rule(simple));
    assert.deepEqual(chosen(), ["LEAST_REQUEST", {}]);
  }
  apply(rule("UNSPECIFIED"));
  assert.deepEqual(chosen(), ["LEAST_REQUEST", undefined]);
});

test("subsets beyond the limit of a service's clusters are left out, whichever objects they come from", () => {
  const fixture = createOutboundFixture();
  const ports = Array.from({ length: 100 }, (_, index) => ({ name: `http-${index}`, port: index + 1 }));
  const subsets = (start: string): object[] => Array.from({ length: 30 }, (_, index) => ({ name: `${start}${index}` }));
  fixture.apply(
    namespace("shop"),
    service("shop/web", "10.96.0.1", { app: "web" }, ports),
    config("DestinationRule", "shop/a", { host: "web", subsets: subsets("a") }),
    config("DestinationRule", "shop/b", { host: "web", subsets: subsets("b") }),
  );
  const names = Object.keys(fixture.serve().clusters()).filter((name) => name.startsWith("outbound|"));
  assert.equal(names.length, ports.length + Math.floor(proxyLimits.subsetClusters / ports.length) * ports.length);
  const whole = names.filter((name) => name.includes("||"));
  assert.equal(whole.length, ports.length, "the service's own clusters stay");
  assert.ok(names.includes("outbound|100|a29|web.shop.svc.cluster.local"));
  assert.ok(!names.includes("outbound|1|b29|web.shop.svc.cluster.local"));
});

test("rules for one host combine their subsets, and a rule with a selector applies only to the clients that it selects", () => {
  const { apply, serve } = createOutboundFixture();
  apply(
    ...smallMesh,
    config("DestinationRule", "shop/a", { host: "web", subsets: [{ name: "v1", labels: { version: "v1" } }] }),
    config("DestinationRule", "shop/b", {
      host: "web.shop.svc.cluster.local",
      subsets: [{ name: "v2", labels: { version: "v2" } }],
    }),
    config("DestinationRule", "shop/c", {
      host: "web",
      workloadSelector: { matchLabels: { app: "client" } },
      trafficPolicy: { tls: { mode: "DISABLE" } },
    }),
  );
  const names = (served: ReturnType<typeof serve>): readonly string[] =>
    Object.keys(served.clusters()).filter((name) => name.includes("web"));
  assert.deepEqual(names(serve()), [
    "outbound|80|v1|web.shop.svc.cluster.local",
    "outbound|80|v2|web.shop.svc.cluster.local",
    "outbound|80||web.shop.svc.cluster.local",
  ]);
  const client = serve({ labels: { app: "client", unrelated: "x" } });
  assert.deepEqual(names(client), ["outbound|80||web.shop.svc.cluster.local"]);
  assert.equal(client.clusters()["outbound|80||web.shop.svc.cluster.local"]?.["transportSocketMatches"], undefined);
});

test("endpoints that support mutual TLS get it, unless the service's namespace disables it", () => {
  const { apply, serve } = createOutboundFixture();
  apply(...smallMesh);
  const served = serve();
  const sockets = (): JsonValue | undefined =>
    (
      served.clusters()["outbound|80||web.shop.svc.cluster.local"]?.["transportSocketMatches"] as
        | readonly JsonObject[]
        | undefined
    )?.map((match) => match["name"] ?? "");
  assert.deepEqual(sockets(), ["tlsMode-istio", "tlsMode-disabled"]);
  assert.deepEqual(
    valueAt(
      served.endpoints()["outbound|80||web.shop.svc.cluster.local"],
      "endpoints",
      0,
      "lbEndpoints",
      0,
      "metadata",
      "filterMetadata",
      "envoy.transport_socket_match",
    ),
    { tlsMode: "istio" },
  );
  apply(config("PeerAuthentication", "shop/default", { mtls: { mode: "DISABLE" } }));
  assert.equal(sockets(), undefined);
});

test("proxies that support HBONE reach captured pods through its listener, and others directly", () => {
  const { apply, serve } = createOutboundFixture();
  apply(...smallMesh, pod("shop/web-1", "10.244.1.5", { labels: { app: "web" }, account: "web" }));
  const [tunnelling, plain] = [serve({ hbone: true }), serve({ hbone: false })];
  const address = (served: typeof plain): JsonValue | undefined =>
    valueAt(
      served.endpoints()["outbound|80||web.shop.svc.cluster.local"],
      "endpoints",
      0,
      "lbEndpoints",
      0,
      "endpoint",
      "address",
    );
  assert.deepEqual(address(tunnelling), {
    envoyInternalAddress: { serverListenerName: "connect_originate", endpointId: "10.244.1.5:8080" },
  });
  assert.deepEqual(address(plain), { socketAddress: { address: "10.244.1.5", portValue: 8080 } });
  assert.deepEqual(
    [tunnelling, plain].map((served) => "connect_originate" in served.clusters()),
    [true, false],
  );
});

test("a sidecar that accepts Istio's mutual TLS and HBONE gets mutual TLS, unless HBONE is preferred", () => {
  const { apply, serve, inputs, graph } = createOutboundFixture();
  const both = pod("shop/both-1", "10.244.1.9", {
    labels: { app: "both", "security.istio.io/tlsMode": "istio", "networking.istio.io/tunnel": "http" },
    account: "both",
    redirected: false,
  });
  apply(
    ...smallMesh,
    service("shop/both", "10.96.0.19", { app: "both" }, [http]),
    both,
    slice("shop/both", { name: "http", port: 8080 }, [{ address: "10.244.1.9", pod: "both-1" }]),
  );
  const [served, plain] = [serve({ hbone: true }), serve({ hbone: false })];
  const endpoint = (one: typeof plain): JsonValue | undefined =>
    valueAt(one.endpoints()["outbound|80||both.shop.svc.cluster.local"], "endpoints", 0, "lbEndpoints", 0);
  const ways = (): readonly unknown[] =>
    [served, plain].map((one) => [
      valueAt(endpoint(one), "metadata", "filterMetadata", "envoy.transport_socket_match"),
      valueAt(endpoint(one), "endpoint", "address", "envoyInternalAddress", "serverListenerName") ?? "",
    ]);
  const mutualTls = [{ tlsMode: "istio" }, ""];
  assert.deepEqual(ways(), [mutualTls, mutualTls]);
  inputs.mesh.set(meshKey, { ...testMesh, hbone: { sent: true, preferred: true, takenBySidecars: true } });
  graph.settle();
  assert.deepEqual(ways(), [[{ tunnel: "http" }, "connect_originate"], mutualTls]);
});

test("localities become priorities only with outlier detection, from the client's view", () => {
  const { apply, serve } = createOutboundFixture();
  apply(...smallMesh);
  const near = { region: "r1", zone: "z2", subzone: "" };
  const served = serve({ locality: near });
  const endpoints = (): unknown => addressesOf(served.endpoints()["outbound|80||web.shop.svc.cluster.local"]);
  assert.deepEqual(endpoints(), [
    ["z1", 0, ["10.244.1.5"]],
    ["z2", 0, ["10.244.2.6"]],
  ]);
  apply(
    config("DestinationRule", "shop/web", {
      host: "web",
      trafficPolicy: { outlierDetection: { consecutive5xxErrors: 1 } },
    }),
  );
  assert.deepEqual(endpoints(), [
    ["z1", 1, ["10.244.1.5"]],
    ["z2", 0, ["10.244.2.6"]],
  ]);
  apply(
    config("DestinationRule", "shop/web", {
      host: "web",
      trafficPolicy: {
        loadBalancer: {
          localityLbSetting: { distribute: [{ from: "r1/z2/*", to: { "r1/z1/*": 80, "r1/z2/*": 20 } }] },
        },
      },
    }),
  );
  const localities = (served.endpoints()["outbound|80||web.shop.svc.cluster.local"]?.["endpoints"] ??
    []) as readonly JsonObject[];
  const weights = localities.map((locality) => locality["loadBalancingWeight"]);
  assert.deepEqual(weights, [80, 20]);
});

test("the mesh config sets defaults for locality shares, pools, outliers, retries, ciphers and trust aliases", () => {
  const { apply, serve, inputs, graph } = createOutboundFixture();
  apply(
    ...smallMesh,
    config("DestinationRule", "other/api", {
      host: "api",
      trafficPolicy: { tls: { mode: "SIMPLE", sni: "api.example.com" } },
    }),
  );
  const detection = {
    consecutive5xxErrors: 1,
    splitExternalLocalOriginErrors: false,
    outlierDetectionHttpErrorCodes: [],
  };
  const served = serve({ locality: { region: "r1", zone: "z2", subzone: "" } });
  const plain = served.endpoints()["outbound|80||web.shop.svc.cluster.local"];
  assert.deepEqual(addressesOf(plain), [
    ["z1", 0, ["10.244.1.5"]],
    ["z2", 0, ["10.244.2.6"]],
  ]);
  const setMesh = (changed: Partial<typeof testMesh>): void => {
    inputs.mesh.set(meshKey, { ...testMesh, ...changed });
    graph.settle();
  };
  setMesh({
    localityLbSetting: {
      enabled: true,
      distribute: [{ from: "r1/z2/*", to: { "r1/z1/*": 90, "r1/z2/*": 10 } }],
      failover: [],
      failoverPriority: [],
    },
    defaultHttpRetryPolicy: { attempts: 7, retryOn: "503" },
    defaultTrafficPolicy: {
      connectionPool: { tcp: { maxConnections: 11 }, http: { h2UpgradePolicy: "DEFAULT", useClientProtocol: false } },
    },
    tlsDefaults: {
      minProtocolVersion: "TLSV1_2",
      cipherSuites: ["ECDHE-RSA-AES256-GCM-SHA384"],
      ecdhCurves: ["P-256"],
    },
    trustDomainAliases: ["old.example"],
    proxyListenPort: 15_101,
  });
  const localities = (served.endpoints()["outbound|80||web.shop.svc.cluster.local"]?.["endpoints"] ??
    []) as readonly JsonObject[];
  assert.deepEqual(
    localities.map((locality) => locality["loadBalancingWeight"]),
    [90, 10],
  );
  const web = served.clusters()["outbound|80||web.shop.svc.cluster.local"];
  assert.deepEqual(valueAt(web, "commonLbConfig", "localityWeightedLbConfig"), {});
  assert.equal(valueAt(web, "circuitBreakers", "thresholds", 0, "maxConnections"), 11);
  const names = (valueAt(
    web,
    "transportSocketMatches",
    0,
    "transportSocket",
    "typedConfig",
    "commonTlsContext",
    "combinedValidationContext",
    "defaultValidationContext",
    "matchTypedSubjectAltNames",
  ) ?? []) as readonly JsonObject[];
  assert.deepEqual(
    names.map((name) => valueAt(name, "matcher", "exact")),
    ["spiffe://cluster.local/ns/shop/sa/web", "spiffe://old.example/ns/shop/sa/web"],
  );
  const parameters = valueAt(
    served.clusters()["outbound|80||api.other.svc.cluster.local"],
    "transportSocket",
    "typedConfig",
    "commonTlsContext",
    "tlsParams",
  );
  assert.deepEqual(
    [valueAt(parameters, "cipherSuites"), valueAt(parameters, "ecdhCurves")],
    [["ECDHE-RSA-AES256-GCM-SHA384"], ["P-256"]],
  );
  const retries = valueAt(served.routes()["80"], "virtualHosts", 0, "routes", 0, "route", "retryPolicy");
  assert.deepEqual([valueAt(retries, "numRetries"), valueAt(retries, "retriableStatusCodes")], [7, [503]]);
  assert.equal(valueAt(served.listeners()["virtualOutbound"], "address", "socketAddress", "portValue"), 15_101);
  setMesh({
    localityLbSetting: { enabled: false, distribute: [], failover: [], failoverPriority: [] },
    defaultTrafficPolicy: { outlierDetection: detection },
  });
  assert.deepEqual(addressesOf(served.endpoints()["outbound|80||web.shop.svc.cluster.local"]), addressesOf(plain));
  setMesh({ defaultTrafficPolicy: { outlierDetection: detection } });
  assert.deepEqual(addressesOf(served.endpoints()["outbound|80||web.shop.svc.cluster.local"]), [
    ["z1", 1, ["10.244.1.5"]],
    ["z2", 0, ["10.244.2.6"]],
  ]);
});

test("Telemetry decides which clients write access logs", () => {
  const { apply, serve } = createOutboundFixture();
  const telemetry = (mode: string): KubernetesObject =>
    config("Telemetry", "shop/logs", {
      selector: { matchLabels: { app: "web" } },
      accessLogging: [{ match: { mode }, providers: [{ name: "envoy" }] }],
    });
  apply(...smallMesh, telemetry("CLIENT"));
  const [web, other] = [serve({ labels: { app: "web" } }), serve({ labels: { app: "other" } })];
  const writes = (served: typeof web): readonly boolean[] =>
    ["virtualOutbound", "0.0.0.0_80"].map((name) => JSON.stringify(served.listeners()[name]).includes("/dev/stdout"));
  assert.deepEqual(
    [writes(web), writes(other)],
    [
      [true, true],
      [false, false],
    ],
  );
  apply(telemetry("SERVER"));
  assert.deepEqual(writes(web), [false, false]);
});

test("a change of a service's endpoints recomputes only its own assignment", () => {
  const { apply, serve, graph } = createOutboundFixture();
  apply(...smallMesh);
  serve();
  serve({ namespace: "other" });
  const counts = (): Readonly<Record<string, number>> =>
    Object.fromEntries(graph.collections.map(({ name, stats }) => [name, stats.recomputations]));
  const before = counts();
  apply(slice("shop/web", { name: "http", port: 8080 }, [{ address: "10.244.1.5", pod: "web-1" }]));
  const after = counts();
  const grown = Object.keys(after).filter((name) => after[name] !== before[name]);
  assert.deepEqual(
    grown.filter((name) => !/^(wds|endpoints-kubernetes|service-servers|eds)/.test(name)),
    [],
  );
  // Two namespaces share one assignment, and the servers' identities are computed once for both. No cluster depends on
  // the number of servers.
  assert.equal((after["service-servers"] ?? 0) - (before["service-servers"] ?? 0), 1);
  assert.equal((after["eds"] ?? 0) - (before["eds"] ?? 0), 1);
});

test("a cluster is recomputed when an identity, a capture by ztunnel, or mutual TLS of passed-through endpoints changes", () => {
  const { apply, serve, graph } = createOutboundFixture();
  const [both, one] = [
    [
      { address: "10.244.1.5", pod: "web-1" },
      { address: "10.244.2.6", pod: "web-2", node: "node-2" },
    ],
    [{ address: "10.244.1.5", pod: "web-1" }],
  ];
  const endpoints = (...found: Parameters<typeof slice>[2]): KubernetesObject =>
    slice("shop/web", { name: "http", port: 8080 }, found);
  const captured = (name: string, address: string, redirected: boolean): KubernetesObject =>
    pod(`shop/${name}`, address, {
      labels: { app: "web", ...(redirected ? {} : sidecarLabel) },
      account: "web",
      redirected,
    });
  apply(...smallMesh);
  const served = serve({ hbone: true });
  const web = (): JsonObject | undefined => served.clusters()["outbound|80||web.shop.svc.cluster.local"];
  const identities = (): readonly string[] => [...new Set(JSON.stringify(web()).match(/spiffe:[^"]+/g))];
  const isCaptured = (): boolean => valueAt(web(), "metadata", "filterMetadata", "istio", "disable_mx") === true;
  const computed = (): number =>
    graph.collections.find(({ name }) => name === "cds-outbound")?.stats.recomputations ?? 0;
  assert.deepEqual([identities(), isCaptured()], [["spiffe://cluster.local/ns/shop/sa/web"], false]);
  const before = computed();
  apply(endpoints(...one));
  apply(endpoints(...both));
  assert.equal(computed(), before);
  // The pod loses its sidecar, so some endpoints no longer accept Istio's mutual TLS.
  apply(captured("web-1", "10.244.1.5", true));
  assert.deepEqual([computed() - before, isCaptured()], [1, false]);
  apply(captured("web-2", "10.244.2.6", true));
  assert.deepEqual([computed() - before, isCaptured()], [2, true]);
  apply(pod("shop/web-3", "10.244.1.9", { labels: { app: "web" }, account: "guest", ready: false }));
  assert.deepEqual(
    [computed() - before, identities()],
    [3, ["spiffe://cluster.local/ns/shop/sa/guest", "spiffe://cluster.local/ns/shop/sa/web"]],
  );
  apply(
    config("DestinationRule", "shop/web", { host: "web", trafficPolicy: { loadBalancer: { simple: "PASSTHROUGH" } } }),
  );
  apply(captured("web-1", "10.244.1.5", false), captured("web-2", "10.244.2.6", false));
  const speaksTls = (): boolean => identities().length > 0;
  assert.equal(speaksTls(), true);
  apply(endpoints(...both, { address: "10.244.9.9" }));
  assert.deepEqual([speaksTls(), isCaptured()], [false, false]);
});

test("an HTTP route does not change listeners, and a rule for one TCP service does not change the listeners of others", () => {
  const { apply, serve, graph } = createOutboundFixture();
  const tcp = [{ name: "tcp", port: 9000, targetPort: 9000 }];
  apply(
    ...smallMesh,
    service("shop/db", "10.96.1.1", { app: "db" }, tcp),
    service("other/queue", "10.96.1.2", { app: "queue" }, tcp),
  );
  const served = serve();
  assert.deepEqual(Object.keys(served.listeners()).sort(), [
    "0.0.0.0_80",
    "10.96.1.1_9000",
    "10.96.1.2_9000",
    "virtualOutbound",
  ]);
  const computed = (change: KubernetesObject): number => {
    const count = (): number =>
      graph.collections.find(({ name }) => name === "lds-outbound")?.stats.recomputations ?? 0;
    const before = count();
    apply(change);
    return count() - before;
  };
  const timed = (seconds: number) =>
    config("VirtualService", "shop/web", {
      hosts: ["web"],
      http: [{ timeout: `${seconds}s`, route: [{ destination: { host: "web" } }] }],
    });
  assert.equal(computed(timed(1)), 0);
  assert.equal(computed(timed(2)), 0);
  assert.equal(
    computed(
      config("DestinationRule", "shop/db", {
        host: "db",
        trafficPolicy: { connectionPool: { tcp: { idleTimeout: "9s" } } },
      }),
    ),
    1,
  );
  assert.equal(
    valueAt(served.listeners()["10.96.1.1_9000"], "filterChains", 0, "filters", 1, "typedConfig", "idleTimeout"),
    "9s",
  );
});

test("an address that a ServiceEntry lists twice is a domain once, however it is written", () => {
  const { apply, serve } = createOutboundFixture();
  const client = serve();
  apply(
    ...smallMesh,
    config("ServiceEntry", "other/twice", {
      hosts: ["twice.test"],
      addresses: ["240.0.0.1", "240.0.0.1/32", "240.0.0.1", "FD00::1", "fd00::1"],
      ports: [{ number: 8000, name: "http", protocol: "HTTP" }],
      resolution: "STATIC",
      endpoints: [{ address: "192.0.2.1" }],
    }),
  );
  assert.deepEqual(hostsOf(client.routes()["8000"])[0], [
    "twice.test:8000",
    ["twice.test", "twice.test.", "240.0.0.1", "[fd00::1]"],
  ]);
});

test("if rules for one host are exported to different namespaces, a client gets the youngest one that it sees", () => {
  const subsetsOf = (privateDay: number, namespaceOfClient: string): readonly string[] => {
    const { apply, serve } = createOutboundFixture();
    const rule = (version: string, exportTo: string, day: number): KubernetesObject =>
      config(
        "DestinationRule",
        `shop/${version}`,
        { host: "web", exportTo: [exportTo], subsets: [{ name: version, labels: { version } }] },
        { creationTimestamp: `2026-01-0${day}T00:00:00Z` },
      );
    apply(...smallMesh, rule("private", ".", privateDay), rule("public", "*", 2));
    return Object.keys(serve({ namespace: namespaceOfClient }).clusters()).flatMap((name) => {
      const [, , subset = "", host = ""] = name.split("|");
      return host.startsWith("web.shop") && subset !== "" ? subset : [];
    });
  };
  assert.deepEqual(
    [subsetsOf(3, "shop"), subsetsOf(1, "shop"), subsetsOf(3, "other")],
    [["private"], ["public"], ["public"]],
  );
});
