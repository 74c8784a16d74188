import assert from "node:assert/strict";
import { test } from "node:test";
import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import { deriveMeshModel } from "../mesh-model.ts";
import type { KubernetesObject } from "../../../api/index.ts";
import { ClusterSchema, ListenerSchema } from "../../../wire/envoy/index.ts";
import { decodeResource, valueAt } from "../../testing/decode-resource.ts";
import { meshKey } from "../../model/index.ts";
import { config, createModelFixture, namespace, pod, service, testMesh } from "../../testing/model-fixture.ts";
import { deriveInboundResources } from "./inbound-resources.ts";
import { scopedResourceKey } from "../resource.ts";

function sidecars() {
  const fixture = createModelFixture();
  const resources = deriveInboundResources(fixture.graph, deriveMeshModel(fixture.graph, fixture.inputs));
  const listener = (name = "virtualInbound", scope = "shop/web-1"): JsonObject =>
    decodeResource(ListenerSchema, resources.listeners.get(scopedResourceKey(scope, name))?.resource);
  return {
    ...fixture,
    listener,
    cluster: (name: string): JsonObject =>
      decodeResource(ClusterSchema, resources.clusters.get(scopedResourceKey("shop/web-1", name))?.resource),
    names: (): readonly string[] =>
      [...resources.listeners.values(), ...resources.clusters.values()]
        .map(({ scope, resource }) => `${scope} ${resource.name}`)
        .sort(),
    /**
     * The chains of one port, or of all other ports if it is 0, as `transport/alpn > protocol`. Upper case means that
     * the sidecar terminates TLS.
     */
    chains: (port: number, name?: string): readonly string[] =>
      (listener(name)["filterChains"] as JsonObject[])
        .filter((chain) => (valueAt(chain, "filterChainMatch", "destinationPort") ?? 0) === port)
        .map(chainText),
  };
}

function chainText(chain: JsonObject): string {
  const { transportProtocol = "", applicationProtocols = [] } = (chain["filterChainMatch"] ?? {}) as {
    transportProtocol?: string;
    applicationProtocols?: string[];
  };
  const filters = (chain["filters"] as JsonObject[]).map((filter) => filter["name"] as string);
  const serves = filters.at(-1) === "envoy.filters.network.http_connection_manager" ? "http" : "tcp";
  return `${chain["transportSocket"] === undefined ? transportProtocol : transportProtocol.toUpperCase()}/${applicationProtocols.join(",")} > ${serves}`;
}

function workload(
  options: {
    readonly args?: readonly string[];
    readonly env?: readonly object[];
    readonly labels?: Record<string, string>;
  } = {},
): KubernetesObject {
  const base = pod("shop/web-1", "10.244.1.5", {
    labels: { app: "web", ...options.labels },
    redirected: false,
  }) as KubernetesObject & { spec: { containers: object[] } };
  base.spec.containers.push({
    name: "istio-proxy",
    args: options.args ?? ["proxy", "sidecar"],
    env: options.env ?? [],
  });
  return base;
}

const ports = [
  { name: "http", port: 80, targetPort: "web" },
  { name: "tcp-db", port: 90, targetPort: 9000 },
  { name: "odd", port: 100, targetPort: 9100 },
  { name: "grpc", port: 110, targetPort: 9200 },
];
const base = [namespace("shop"), service("shop/web", "10.96.0.5", { app: "web" }, ports), workload()];
const strict = (spec: object = { mtls: { mode: "STRICT" } }): KubernetesObject =>
  config("PeerAuthentication", "shop/default", spec);

const peerHttp = "istio-http/1.0,istio-http/1.1,istio-h2";

test("servers trust clients of the mesh's trust domain, its aliases, and additional authorities", () => {
  const { apply, listener, inputs, graph } = sidecars();
  apply(...base, strict());
  inputs.mesh.set(meshKey, {
    ...testMesh,
    trustDomainAliases: ["old.example", "east.example"],
    trustedDomains: ["east.example", "west.example"],
  });
  graph.settle();
  const secured = (listener()["filterChains"] as JsonObject[]).filter(
    ({ transportSocket }) => transportSocket !== undefined,
  );
  assert.ok(secured.length > 4);
  for (const chain of secured) {
    const names = (valueAt(
      chain,
      "transportSocket",
      "typedConfig",
      "commonTlsContext",
      "combinedValidationContext",
      "defaultValidationContext",
      "matchTypedSubjectAltNames",
    ) ?? []) as readonly JsonObject[];
    assert.deepEqual(
      names.map((name) => valueAt(name, "matcher", "prefix")),
      ["cluster.local", "old.example", "east.example", "west.example"].map((domain) => `spiffe://${domain}/`),
    );
  }
});

test("a port accepts connections by its protocol and its mutual TLS mode", () => {
  const { apply, chains } = sidecars();
  apply(...base);
  const sniffed = [
    `TLS/${peerHttp} > http`,
    "raw_buffer/http/1.1,h2c > http",
    "TLS/istio-peer-exchange,istio > tcp",
    "raw_buffer/ > tcp",
    "tls/ > tcp",
  ];
  assert.deepEqual(chains(8080), [`TLS/istio,istio-peer-exchange,${peerHttp} > http`, "raw_buffer/ > http"]);
  assert.deepEqual(chains(9000), [
    `TLS/istio,istio-peer-exchange,${peerHttp} > tcp`,
    "raw_buffer/ > tcp",
    "tls/ > tcp",
  ]);
  assert.deepEqual([chains(9100), chains(0)], [sniffed, sniffed]);
  apply(strict());
  assert.deepEqual(
    [8080, 9000, 9100, 0].map((port) => chains(port)),
    [
      ["TLS/ > http"],
      ["TLS/ > tcp"],
      [`TLS/${peerHttp} > http`, "TLS/ > tcp"],
      [`TLS/${peerHttp} > http`, "TLS/ > tcp"],
    ],
  );
  apply(strict({ mtls: { mode: "DISABLE" } }));
  assert.deepEqual(
    [8080, 9000, 9100].map((port) => chains(port)),
    [["raw_buffer/ > http"], ["raw_buffer/ > tcp"], ["raw_buffer/http/1.1,h2c > http", "raw_buffer/ > tcp"]],
  );
});

test("a port's own mode applies even if no service declares the port", () => {
  const { apply, chains, listener } = sidecars();
  apply(...base, config("PeerAuthentication", "istio-system/default", { mtls: { mode: "STRICT" } }));
  apply(
    config("PeerAuthentication", "shop/web", {
      selector: { matchLabels: { app: "web" } },
      portLevelMtls: { 9000: { mode: "DISABLE" }, 7000: { mode: "PERMISSIVE" } },
    }),
  );
  assert.deepEqual(
    [chains(8080), chains(9000), chains(7000).length, chains(0).length],
    [["TLS/ > http"], ["raw_buffer/ > tcp"], 5, 2],
  );
  const disabled = valueAt(listener(), "listenerFilters", 2, "filterDisabled");
  assert.deepEqual(
    disabled,
    { notMatch: { destinationPortRange: { start: 7000, end: 7001 } } },
    "the server may speak first at all other ports",
  );
});

test("connections to the listener's own port are refused, and those to the application come from 127.0.0.6", () => {
  const { apply, listener, cluster, names } = sidecars();
  apply(...base, workload({ args: ["proxy", "router"] }));
  assert.deepEqual(names(), [], "a gateway is no sidecar");
  apply(workload());
  assert.deepEqual(
    names(),
    ["inbound|8080||", "inbound|9000||", "inbound|9100||", "inbound|9200||", "virtualInbound"].map(
      (name) => `shop/web-1 ${name}`,
    ),
  );
  assert.equal(valueAt(listener(), "filterChains", 0, "name"), "virtualInbound-blackhole");
  const web = cluster("inbound|8080||");
  assert.deepEqual(
    [web["type"], web["lbPolicy"], valueAt(web, "upstreamBindConfig", "sourceAddress", "address")],
    ["ORIGINAL_DST", "CLUSTER_PROVIDED", "127.0.0.6"],
  );
  const protocolOf = (name: string): JsonValue | undefined =>
    valueAt(cluster(name), "typedExtensionProtocolOptions", "envoy.extensions.upstreams.http.v3.HttpProtocolOptions");
  assert.ok(
    valueAt(protocolOf("inbound|9200||"), "explicitHttpConfig", "http2ProtocolOptions") !== undefined &&
      valueAt(protocolOf("inbound|9100||"), "useDownstreamProtocolConfig") !== undefined,
  );
  assert.equal(protocolOf("inbound|8080||"), undefined);
});

test("the clients' connection limits apply to the application's own, unless a Sidecar sets others", () => {
  const { apply, cluster } = sidecars();
  const rule = config("DestinationRule", "shop/web", {
    host: "web",
    trafficPolicy: {
      connectionPool: { tcp: { maxConnections: 7 }, http: { h2UpgradePolicy: "UPGRADE", maxRequestsPerConnection: 3 } },
      outlierDetection: { consecutive5xxErrors: 2 },
      portLevelSettings: [
        { port: { number: 90 }, connectionPool: { tcp: { maxConnections: 9, connectTimeout: "3s" } } },
      ],
    },
  });
  apply(...base, rule);
  const limits = (): readonly unknown[] =>
    ["inbound|8080||", "inbound|9000||"].map((name) => [
      valueAt(cluster(name), "circuitBreakers", "thresholds", 0, "maxConnections"),
      cluster(name)["connectTimeout"],
    ]);
  assert.deepEqual(limits(), [
    [7, "10s"],
    [9, "3s"],
  ]);
  assert.equal(
    valueAt(cluster("inbound|8080||"), "metadata", "filterMetadata", "istio", "config"),
    "/apis/networking.istio.io/v1/namespaces/shop/destination-rule/web",
  );
  const options = valueAt(
    cluster("inbound|8080||"),
    "typedExtensionProtocolOptions",
    "envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
  );
  assert.deepEqual(
    [valueAt(options, "commonHttpProtocolOptions"), valueAt(options, "explicitHttpConfig", "httpProtocolOptions")],
    [{ maxRequestsPerConnection: 3 }, {}],
  );
  assert.equal(cluster("inbound|8080||")["outlierDetection"], undefined);
  apply(config("Sidecar", "shop/default", { inboundConnectionPool: { tcp: { maxConnections: 1 } } }));
  assert.deepEqual(limits(), [
    [1, "10s"],
    [1, "10s"],
  ]);
});

test("the mesh's default pool limits connections to the application, unless a rule or a Sidecar sets another", () => {
  const { apply, cluster, inputs, graph } = sidecars();
  const connectionPool = {
    tcp: { maxConnections: 33 },
    http: { h2UpgradePolicy: "DEFAULT", useClientProtocol: false },
  } as const;
  graph.batch(() => {
    inputs.mesh.set(meshKey, {
      ...testMesh,
      defaultTrafficPolicy: {
        connectionPool,
        outlierDetection: { splitExternalLocalOriginErrors: false, outlierDetectionHttpErrorCodes: [] },
      },
    });
  });
  const limit = (): unknown => valueAt(cluster("inbound|8080||"), "circuitBreakers", "thresholds", 0, "maxConnections");
  apply(...base);
  assert.deepEqual([limit(), cluster("inbound|8080||")["outlierDetection"]], [33, undefined]);
  const pool = (maxConnections: number) => ({ connectionPool: { tcp: { maxConnections } } });
  apply(config("DestinationRule", "shop/web", { host: "web", trafficPolicy: pool(7) }));
  assert.equal(limit(), 7);
  apply(config("Sidecar", "shop/default", { inboundConnectionPool: { tcp: { maxConnections: 1 } } }));
  assert.equal(limit(), 1);
});

test("a Sidecar's endpoint without an address leads to the original destination", () => {
  const { apply, cluster } = sidecars();
  const ingress = [{ port: { number: 8080, protocol: "HTTP", name: "http" }, defaultEndpoint: ":8080" }];
  apply(...base, config("Sidecar", "shop/web", { workloadSelector: { labels: { app: "web" } }, ingress }));
  const { type, loadAssignment } = cluster("inbound|8080||");
  assert.deepEqual([type, loadAssignment], ["ORIGINAL_DST", undefined]);
});

test("a Sidecar's ingress replaces the services' ports, and may have their own listener, terminate TLS and forward to another address", () => {
  const { apply, chains, cluster, names } = sidecars();
  const tls = { mode: "SIMPLE", serverCertificate: "/certs/cert.pem", privateKey: "/certs/key.pem" };
  const ingress = [
    { port: { number: 7000, protocol: "HTTP", name: "http" }, defaultEndpoint: "127.0.0.1:8080" },
    {
      port: { number: 7443, protocol: "HTTPS", name: "https" },
      defaultEndpoint: "unix:///run/app.sock",
      captureMode: "NONE",
      bind: "0.0.0.0",
      tls,
    },
    { port: { number: 7001, protocol: "TCP", name: "tcp" }, defaultEndpoint: "0.0.0.0:9000" },
  ];
  apply(
    ...base,
    strict({ mtls: { mode: "DISABLE" } }),
    config("Sidecar", "shop/web", { workloadSelector: { labels: { app: "web" } }, ingress }),
  );
  assert.deepEqual(
    names(),
    ["0.0.0.0_7443", "inbound|7000||", "inbound|7001||", "inbound|7443||", "virtualInbound"].map(
      (name) => `shop/web-1 ${name}`,
    ),
  );
  assert.deepEqual([chains(7000), chains(7443, "0.0.0.0_7443")], [["raw_buffer/ > http"], ["TLS/ > http"]]);
  const endpoint = (name: string): JsonValue | undefined =>
    valueAt(cluster(name), "loadAssignment", "endpoints", 0, "lbEndpoints", 0, "endpoint", "address");
  assert.deepEqual(["inbound|7000||", "inbound|7001||", "inbound|7443||"].map(endpoint), [
    { socketAddress: { address: "127.0.0.1", portValue: 8080 } },
    { socketAddress: { address: "10.244.1.5", portValue: 9000 } },
    { pipe: { path: "/run/app.sock" } },
  ]);
});

test("a Sidecar's ingress counts for the oldest service with its port, whose DestinationRule limits its connections, or else for none", () => {
  const { apply, cluster } = sidecars();
  const ingress = [9000, 7000].map((number) => ({
    port: { number, protocol: "HTTP", name: `http-${number}` },
    defaultEndpoint: "127.0.0.1:8080",
  }));
  apply(
    ...base,
    config("Sidecar", "shop/web", { workloadSelector: { labels: { app: "web" } }, ingress }),
    config("DestinationRule", "shop/web", {
      host: "web",
      trafficPolicy: { connectionPool: { tcp: { maxConnections: 7 } } },
    }),
  );
  const of = (port: number) => {
    const written = cluster(`inbound|${port}||`);
    return [
      valueAt(written, "metadata", "filterMetadata", "istio", "services", 0, "name"),
      valueAt(written, "circuitBreakers", "thresholds", 0, "maxConnections"),
    ];
  };
  assert.deepEqual(of(9000), ["web", 7]);
  assert.deepEqual(cluster("inbound|7000||")["metadata"], undefined);
  assert.notEqual(of(7000)[1], 7);
});

test("the loopback address of a Sidecar's ingress is that of the pod's address family", () => {
  const endpoints = (address: string): readonly JsonValue[] => {
    const { apply, cluster } = sidecars();
    const pod = workload() as KubernetesObject & { status: { podIP: string; podIPs: object[] } };
    pod.status.podIP = address;
    pod.status.podIPs = [{ ip: address }];
    const ingress = ["127.0.0.1:8080", "[::1]:8080"].map((defaultEndpoint, index) => ({
      port: { number: 7000 + index, protocol: "HTTP", name: `http-${index}` },
      defaultEndpoint,
    }));
    apply(...base, pod, config("Sidecar", "shop/default", { ingress }));
    return [7000, 7001].flatMap(
      (port) =>
        valueAt(
          cluster(`inbound|${port}||`),
          ...([
            "loadAssignment",
            "endpoints",
            0,
            "lbEndpoints",
            0,
            "endpoint",
            "address",
            "socketAddress",
            "address",
          ] as const),
        ) ?? [],
    );
  };
  assert.deepEqual(endpoints("10.244.1.5"), ["127.0.0.1", "127.0.0.1"]);
  assert.deepEqual(endpoints("fd00::5"), ["::1", "::1"]);
});

test("without a redirect, only a Sidecar's ingress has listeners", () => {
  const { apply, names } = sidecars();
  apply(...base, workload({ env: [{ name: "ISTIO_META_INTERCEPTION_MODE", value: "NONE" }] }));
  assert.deepEqual(names(), []);
  apply(
    config("Sidecar", "shop/web", {
      ingress: [{ port: { number: 7000, protocol: "HTTP", name: "http" }, defaultEndpoint: "127.0.0.1:8080" }],
    }),
  );
  assert.deepEqual(names(), ["shop/web-1 10.244.1.5_7000", "shop/web-1 inbound|7000||"]);
});

test("in mode TPROXY, the listener is transparent and connections to the application have the client's address", () => {
  const { apply, listener } = sidecars();
  apply(...base, workload());
  const inspectors = listener()["listenerFilters"] as JsonObject[];
  assert.equal(listener()["transparent"], undefined);
  apply(...base, workload({ env: [{ name: "ISTIO_META_INTERCEPTION_MODE", value: "TPROXY" }] }));
  assert.equal(listener()["transparent"], true);
  const originalSource = {
    name: "envoy.filters.listener.original_src",
    typedConfig: {
      "@type": "type.googleapis.com/envoy.extensions.filters.listener.original_src.v3.OriginalSrc",
      mark: 1337,
    },
  };
  assert.deepEqual(listener()["listenerFilters"], [inspectors[0], originalSource, ...inspectors.slice(1)]);
});

test("connections by HBONE to a sidecar are subject to the same policies, with the tunnel's identity, and reaches only its own addresses", () => {
  const { apply, listener, chains, names, inputs, graph } = sidecars();
  const allowed = { from: [{ source: { principals: ["cluster.local/ns/shop/sa/client"] } }] };
  apply(
    ...base,
    strict(),
    workload({ env: [{ name: "ISTIO_META_ENABLE_HBONE", value: "true" }] }),
    config("AuthorizationPolicy", "shop/web", { rules: [allowed] }),
  );
  assert.deepEqual(chains(8080, "main_internal"), ["/ > http"]);
  const chain = (listener("main_internal")["filterChains"] as JsonObject[])[0];
  assert.deepEqual(valueAt(chain, "filterChainMatch", "prefixRanges"), [
    { addressPrefix: "10.244.1.5", prefixLen: 32 },
  ]);
  const rbac = valueAt(
    chain,
    "filters",
    0,
    "typedConfig",
    "httpFilters",
    0,
    "typedConfig",
    "rules",
    "policies",
    "ns[shop]-policy[web]-rule[0]",
    "principals",
    0,
  );
  const principal = { stringMatch: { exact: "spiffe://cluster.local/ns/shop/sa/client" } };
  assert.deepEqual(rbac, {
    andIds: { ids: [{ orIds: { ids: [{ filterState: { key: "io.istio.peer_principal", ...principal } }] } }] },
  });
  assert.equal(
    valueAt(
      listener("connect_terminate"),
      "filterChains",
      0,
      "transportSocket",
      "typedConfig",
      "requireClientCertificate",
    ),
    true,
  );
  inputs.mesh.set(meshKey, { ...testMesh, hbone: { sent: true, preferred: false, takenBySidecars: false } });
  graph.settle();
  assert.deepEqual(
    names().filter((name) => / (connect_terminate|main_internal)$/.test(name)),
    [],
    "unless sidecars are not to take it",
  );
});

test("long policies are repeated for a limited number of ports, and the sidecar closes connections to the others", () => {
  const { apply, chains, listener } = sidecars();
  const principals = Array.from({ length: 300 }, (_, index) => `cluster.local/ns/a/sa/${index}/`.padEnd(1_000, "x"));
  const many = Array.from({ length: 100 }, (_, index) => ({ name: `http-${index}`, port: 1_000 + index }));
  const policy = (names: readonly string[]): KubernetesObject =>
    config("AuthorizationPolicy", "shop/all", { rules: [{ from: [{ source: { principals: names } }] }] });
  apply(namespace("shop"), workload(), service("shop/web", "10.96.0.5", { app: "web" }, many), policy(principals));
  const isClosed = (port: number): boolean => chains(port).join() === "/ > tcp";
  const closed = many.map(({ port }) => isClosed(port));
  assert.equal(closed.indexOf(true), closed.lastIndexOf(false) + 1, "the first ports stay open");
  assert.ok(
    closed.indexOf(true) > 10 && closed.indexOf(true) < 90,
    `port ${closed.indexOf(true)} is the first closed one`,
  );
  assert.ok(JSON.stringify(listener()).length < 2 * 67_108_864);
  apply(policy(principals.slice(0, 10)));
  assert.ok(!many.some(({ port }) => isClosed(port)));
});
