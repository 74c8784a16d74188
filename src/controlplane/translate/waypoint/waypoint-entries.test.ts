import assert from "node:assert/strict";
import { test } from "node:test";
import type { DescMessage, JsonObject } from "@bufbuild/protobuf";
import { deriveMeshModel } from "../mesh-model.ts";
import type { KubernetesObject } from "../../../api/index.ts";
import type { Collection } from "../../../kube/index.ts";
import { ClusterLoadAssignmentSchema, ClusterSchema, ListenerSchema } from "../../../wire/envoy/index.ts";
import { decodeResource, valueAt } from "../../testing/decode-resource.ts";
import { config, createModelFixture, namespace, pod, service, slice, testMesh } from "../../testing/model-fixture.ts";
import { meshKey } from "../../model/facts.ts";
import type { ScopedEncodedResource } from "../resource.ts";
import { deriveWaypointResources } from "./waypoint-resources.ts";

function waypoints() {
  const fixture = createModelFixture();
  const resources = deriveWaypointResources(fixture.graph, deriveMeshModel(fixture.graph, fixture.inputs));
  const read = (
    schema: DescMessage,
    collections: readonly Collection<ScopedEncodedResource>[],
  ): Readonly<Record<string, JsonObject>> =>
    Object.fromEntries(
      collections
        .flatMap((collection) => [...collection.values()])
        .filter(({ scope }) => scope === "shop/wp")
        .map(({ resource }) => [resource.name, decodeResource(schema, resource)]),
    );
  return {
    ...fixture,
    listeners: () => read(ListenerSchema, resources.listeners),
    clusters: () => read(ClusterSchema, resources.clusters),
    endpoints: () => read(ClusterLoadAssignmentSchema, resources.endpoints),
  };
}

const labels = {
  "gateway.networking.k8s.io/gateway-name": "wp",
  "gateway.networking.k8s.io/gateway-class-name": "istio-waypoint",
  "gateway.istio.io/managed": "istio.io-mesh-controller",
};
const base: readonly KubernetesObject[] = [
  namespace("shop", { "istio.io/use-waypoint": "wp" }),
  config("Gateway", "shop/wp", {
    gatewayClassName: "istio-waypoint",
    listeners: [{ name: "mesh", port: 15_008, protocol: "HBONE" }],
  }),
  service(
    "shop/wp",
    "10.96.0.9",
    { "gateway.networking.k8s.io/gateway-name": "wp" },
    [{ name: "mesh", port: 15_008 }],
    labels,
  ),
  pod("shop/wp-1", "10.244.1.9", { labels, account: "wp", redirected: false }),
  slice("shop/wp", { name: "mesh", port: 15_008 }, [{ address: "10.244.1.9", pod: "wp-1" }]),
];
const http = { number: 80, name: "http", protocol: "HTTP" };
const entry = (name: string, spec: object, status: object = {}): KubernetesObject =>
  ({
    ...config("ServiceEntry", `shop/${name}`, { hosts: [`${name}.example.com`], ports: [http], ...spec }),
    status,
  }) as KubernetesObject;

function prefixes(listener: JsonObject | undefined): readonly (readonly [string, number])[] {
  const matchers = (valueAt(
    listener ?? {},
    "filterChainMatcher",
    "matcherTree",
    "customMatch",
    "typedConfig",
    "rangeMatchers",
  ) ?? []) as { ranges: { addressPrefix: string; prefixLen: number }[] }[];
  return matchers
    .flatMap(({ ranges }) => ranges.map(({ addressPrefix, prefixLen }) => [addressPrefix, prefixLen] as const))
    .toSorted(([left], [right]) => (left < right ? -1 : 1));
}

test("an entry's connect strategy RACE_FIRST_TCP_CONNECT makes all addresses of its one name an endpoint", () => {
  const { apply, clusters } = waypoints();
  const racing = (name: string, endpoints: readonly object[]): KubernetesObject => {
    const { metadata, ...rest } = entry(name, { addresses: ["192.0.2.7"], resolution: "DNS", endpoints });
    return {
      ...rest,
      metadata: { ...metadata, annotations: { "istio.io/connect-strategy": "race_first_tcp_connect" } },
    };
  };
  apply(...base, racing("own", []), racing("other", [{ address: "a.test" }, { address: "b.test" }]));
  const found = (host: string) => {
    const cluster = clusters()[`inbound-vip|80|http|${host}.example.com`];
    return [cluster?.["type"], cluster?.["dnsLookupFamily"]];
  };
  assert.deepEqual(found("own"), ["LOGICAL_DNS", "ALL"]);
  // Envoy refuses LOGICAL_DNS with more than one endpoint.
  assert.deepEqual(found("other"), ["STRICT_DNS", "V4_ONLY"]);
});

test("a waypoint serves ServiceEntries by written or allocated addresses, with endpoints by EDS and names in the cluster", () => {
  const { apply, listeners, clusters, endpoints } = waypoints();
  apply(
    ...base,
    entry("static", {
      addresses: ["192.0.2.7", "198.51.100.0/24"],
      resolution: "STATIC",
      endpoints: [{ address: "10.9.0.1", ports: { http: 8080 } }],
    }),
    entry("passthrough", { addresses: ["203.0.113.7"], resolution: "NONE" }),
    entry(
      "names",
      { resolution: "DNS" },
      {
        addresses: [
          { value: "240.240.0.1", host: "names.example.com" },
          { value: "2001:2::1", host: "names.example.com" },
        ],
      },
    ),
  );
  assert.deepEqual(prefixes(listeners()["main_internal"]), [
    ["192.0.2.7", 32],
    ["198.51.100.0", 24],
    ["2001:2::1", 128],
    ["203.0.113.7", 32],
    ["240.240.0.1", 32],
  ]);
  const name = "inbound-vip|80|http|static.example.com";
  assert.equal(clusters()[name]?.["type"], "EDS");
  assert.equal(
    valueAt(
      endpoints()[name] ?? {},
      "endpoints",
      0,
      "lbEndpoints",
      0,
      "endpoint",
      "address",
      "socketAddress",
      "portValue",
    ),
    8080,
  );
  // As in upstream, requests to a host without endpoints go to the destination of the client's connection.
  assert.equal(clusters()["inbound-vip|80|http|passthrough.example.com"]?.["type"], "ORIGINAL_DST");
  const named = clusters()["inbound-vip|80|http|names.example.com"];
  assert.equal(named?.["type"], "STRICT_DNS");
  assert.equal(
    valueAt(
      named ?? {},
      "loadAssignment",
      "endpoints",
      0,
      "lbEndpoints",
      0,
      "endpoint",
      "address",
      "socketAddress",
      "address",
    ),
    "names.example.com",
  );
  assert.equal(endpoints()["inbound-vip|80|http|names.example.com"], undefined);
});

test("a policy for a ServiceEntry applies only in its chain, and a VirtualService routes its requests", () => {
  const { apply, listeners } = waypoints();
  apply(
    ...base,
    entry("guarded", { addresses: ["192.0.2.8"], resolution: "STATIC" }),
    entry("open", { addresses: ["192.0.2.9"], resolution: "STATIC" }),
    config("AuthorizationPolicy", "shop/guarded", {
      targetRefs: [{ group: "networking.istio.io", kind: "ServiceEntry", name: "guarded" }],
      action: "DENY",
      rules: [{ to: [{ operation: { methods: ["DELETE"] } }] }],
    }),
    config("VirtualService", "shop/guarded", {
      hosts: ["guarded.example.com"],
      http: [
        {
          fault: { abort: { percentage: { value: 100 }, httpStatus: 418 } },
          route: [{ destination: { host: "open.example.com" } }],
        },
      ],
    }),
  );
  const chains = (listeners()["main_internal"]?.["filterChains"] ?? []) as { name: string }[];
  const text = (host: string): string => JSON.stringify(chains.filter(({ name }) => name.includes(host)));
  assert.match(text("guarded.example.com"), /DELETE/);
  assert.match(text("guarded.example.com"), /inbound-vip\|80\|http\|open.example.com/);
  assert.doesNotMatch(text("open.example.com").replaceAll("guarded", ""), /DELETE/);
});

test("only TLS ports inspect the TLS server name", () => {
  const { apply, listeners } = waypoints();
  const names = (): readonly unknown[] =>
    ((listeners()["main_internal"]?.["listenerFilters"] ?? []) as JsonObject[]).map(({ name, filterDisabled }) => [
      (name as string).split(".").at(-1),
      filterDisabled,
    ]);
  apply(...base, entry("plain", { addresses: ["192.0.2.7"], resolution: "STATIC" }));
  assert.deepEqual(
    names().map((filter) => (filter as unknown[])[0]),
    ["original_dst", "http_inspector"],
  );
  apply(
    entry("secure", {
      addresses: ["192.0.2.8"],
      resolution: "STATIC",
      ports: [{ number: 443, name: "tls", protocol: "TLS" }],
    }),
  );
  assert.deepEqual(names().at(-1), ["tls_inspector", { destinationPortRange: { start: 80, end: 81 } }]);
});

const wild = (ports: readonly object[], more: object = {}): KubernetesObject =>
  entry(
    "wild",
    { hosts: ["*.wild.test"], location: "MESH_EXTERNAL", resolution: "DYNAMIC_DNS", ports, ...more },
    { addresses: [{ value: "240.240.0.5", host: "*.wild.test" }] },
  );
const tls = { number: 443, name: "tls", protocol: "TLS" };

test("a waypoint forwards DYNAMIC_DNS requests to the host that each names, within the wildcard", () => {
  const { apply, listeners, clusters, endpoints } = waypoints();
  apply(
    ...base,
    wild([http, { number: 8080, name: "grpc", protocol: "GRPC" }]),
    config("DestinationRule", "shop/wild", {
      host: "*.wild.test",
      trafficPolicy: { connectionPool: { tcp: { maxConnections: 7 } } },
      subsets: [{ name: "few", trafficPolicy: { connectionPool: { tcp: { maxConnections: 2 } } } }],
    }),
  );
  const cache = { name: "*.wild.test_dfp_dns_cache", dnsLookupFamily: "V4_ONLY" };
  const cluster = clusters()["inbound-vip|80|http|*.wild.test"] ?? {};
  assert.equal(valueAt(cluster, "clusterType", "name"), "envoy.clusters.dynamic_forward_proxy");
  assert.deepEqual(valueAt(cluster, "clusterType", "typedConfig", "dnsCacheConfig"), cache);
  assert.equal(valueAt(cluster, "transportSocket", "name"), "internal_upstream");
  assert.deepEqual(
    [cluster["lbPolicy"], cluster["type"], cluster["loadAssignment"], cluster["commonLbConfig"]],
    ["CLUSTER_PROVIDED", undefined, undefined, undefined],
  );
  assert.equal(valueAt(cluster, "circuitBreakers", "thresholds", 0, "maxConnections"), 7);
  assert.equal(
    valueAt(
      clusters()["inbound-vip|80|http/few|*.wild.test"] ?? {},
      "circuitBreakers",
      "thresholds",
      0,
      "maxConnections",
    ),
    2,
    "a subset is a policy of its own",
  );
  assert.deepEqual(endpoints(), {});
  const main = listeners()["main_internal"] ?? {};
  assert.deepEqual(prefixes(main), [["240.240.0.5", 32]]);
  const [first] = (main["filterChains"] as JsonObject[]).filter(
    ({ name }) => name === "inbound-vip|80|http|*.wild.test",
  );
  const manager = valueAt(first ?? {}, "filters", 0, "typedConfig") as JsonObject;
  assert.deepEqual(valueAt(manager, "routeConfig", "virtualHosts", 0, "domains"), ["*.wild.test", "*.wild.test:80"]);
  const filters = manager["httpFilters"] as { name: string; typedConfig: JsonObject }[];
  const at = filters.findIndex(({ name }) => name === "envoy.filters.http.dynamic_forward_proxy");
  assert.deepEqual(filters[at]?.typedConfig["dnsCacheConfig"], cache);
  assert.equal(filters[at - 1]?.name, "envoy.filters.http.cors");
  assert.ok(clusters()["inbound-vip|8080|http|*.wild.test"] !== undefined);
});

test("server names lead to DYNAMIC_DNS hosts only if the environment enables it, and never inside the mesh", () => {
  const { apply, inputs, graph, listeners, clusters } = waypoints();
  const own = (): readonly string[] => Object.keys(clusters()).filter((name) => name.includes("wild"));
  apply(...base, wild([http, tls]));
  assert.deepEqual(own(), ["inbound-vip|80|http|*.wild.test"]);
  graph.batch(() => inputs.mesh.set(meshKey, { ...testMesh, wildcardTlsAtWaypoints: true }));
  assert.deepEqual(own().toSorted(), ["inbound-vip|443|tcp|*.wild.test", "inbound-vip|80|http|*.wild.test"]);
  const [secure] = ((listeners()["main_internal"]?.["filterChains"] ?? []) as JsonObject[]).filter(
    ({ name }) => name === "inbound-vip|443|tcp|*.wild.test",
  );
  const filters = secure?.["filters"] as { name: string; typedConfig: JsonObject }[];
  assert.deepEqual(
    filters.slice(-2).map(({ name }) => name.split(".").at(-1)),
    ["sni_dynamic_forward_proxy", "tcp_proxy"],
  );
  assert.equal(filters.at(-2)?.typedConfig["portValue"], 443);
  apply(wild([http, tls], { location: "MESH_INTERNAL" }));
  assert.deepEqual(own(), []);
  assert.deepEqual(prefixes(listeners()["main_internal"]), []);
});

test("clusters of DYNAMIC_DNS with HTTP options but no TLS names allow insecure options, because Envoy otherwise rejects them", () => {
  const { apply, clusters } = waypoints();
  const isAllowed = (port: number): unknown =>
    valueAt(
      clusters()[`inbound-vip|${port}|http|*.wild.test`] ?? {},
      "clusterType",
      "typedConfig",
      "allowInsecureClusterOptions",
    ) ?? false;
  apply(...base, wild([http, { number: 8080, name: "grpc", protocol: "GRPC" }]));
  assert.deepEqual([isAllowed(80), isAllowed(8080)], [false, true]);
  apply(
    config("DestinationRule", "shop/wild", {
      host: "*.wild.test",
      trafficPolicy: { connectionPool: { http: { idleTimeout: "5s" } } },
    }),
  );
  assert.deepEqual([isAllowed(80), isAllowed(8080)], [true, true]);
});

test("TLS to hosts of DYNAMIC_DNS checks the requested name, and a rule that checks another allows insecure options", () => {
  const { apply, clusters } = waypoints();
  const rule = (settings: object): KubernetesObject =>
    config("DestinationRule", "shop/wild", {
      host: "*.wild.test",
      trafficPolicy: { tls: { mode: "SIMPLE", ...settings } },
    });
  const tlsOptions = (): unknown => {
    const cluster = clusters()["inbound-vip|80|http|*.wild.test"] ?? {};
    const options = valueAt(
      cluster,
      "typedExtensionProtocolOptions",
      "envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
      "upstreamHttpProtocolOptions",
    ) as JsonObject | undefined;
    return [
      options?.["autoSni"] ?? false,
      options?.["autoSanValidation"] ?? false,
      valueAt(cluster, "clusterType", "typedConfig", "allowInsecureClusterOptions") ?? false,
    ];
  };
  apply(...base, wild([http]), rule({ subjectAltNames: ["a.wild.test"] }));
  assert.deepEqual(tlsOptions(), [true, true, false]);
  apply(rule({ sni: "a.wild.test" }));
  assert.deepEqual(tlsOptions(), [false, true, true]);
  apply(rule({ insecureSkipVerify: true }));
  assert.deepEqual(tlsOptions(), [true, false, true]);
});

/** A waypoint that all namespaces may use, and the Service `web` of the namespace `shop` behind it. */
function sharedWaypoint() {
  const use = { "istio.io/use-waypoint": "wp", "istio.io/use-waypoint-namespace": "shop" };
  const fixture = waypoints();
  fixture.apply(
    ...base,
    namespace("team", use),
    namespace("evil", use),
    config("Gateway", "shop/wp", {
      gatewayClassName: "istio-waypoint",
      listeners: [{ name: "mesh", port: 15_008, protocol: "HBONE", allowedRoutes: { namespaces: { from: "All" } } }],
    }),
    service("team/web", "10.96.0.5", { app: "web" }, [{ name: "http", port: 80, targetPort: 8080 }]),
    pod("team/web-1", "10.244.1.2", { labels: { app: "web" }, account: "web" }),
    slice("team/web", { name: "http", port: 8080 }, [{ address: "10.244.1.2", pod: "web-1" }]),
    config("AuthorizationPolicy", "team/deny", {
      targetRefs: [{ kind: "Service", name: "web" }],
      action: "DENY",
      rules: [{}],
    }),
  );
  /** The names of the filter chains for services, each with the endpoints of its cluster. */
  const served = (): readonly string[] => {
    const { main_internal: listener } = fixture.listeners();
    const chains = (listener?.["filterChains"] ?? []) as unknown as readonly { readonly name: string }[];
    return chains
      .filter(({ name }) => name.startsWith("inbound-vip|"))
      .map((chain) => {
        const endpoints = JSON.stringify(fixture.endpoints()[chain.name]);
        const isDenied = JSON.stringify(chain).includes("policy[deny]");
        return `${chain.name.slice("inbound-vip|80|http|".length)}${isDenied ? " denied" : ""}${endpoints.includes("9.9.9.9") ? " evil" : ""}`;
      });
  };
  /** The filter chains for an address, in the order in which a proxy tries their ranges. */
  const chainsAt = (address: string): readonly (readonly string[])[] => {
    const matchers = valueAt(
      fixture.listeners()["main_internal"] ?? {},
      "filterChainMatcher",
      "matcherTree",
      "customMatch",
      "typedConfig",
      "rangeMatchers",
    ) as unknown as readonly {
      readonly ranges: readonly { readonly addressPrefix: string }[];
      readonly onMatch: JsonObject;
    }[];
    return matchers
      .filter(({ ranges }) => ranges.some(({ addressPrefix }) => addressPrefix === address))
      .map(({ onMatch }) => [
        ...new Set(
          [...JSON.stringify(onMatch).matchAll(/"((?:inbound-vip\||direct-)[^"]*)"/g)].map(([, name]) => name!),
        ),
      ]);
  };
  /** An entry of another namespace than the Service `web`. That of `evil` has the endpoint 9.9.9.9. */
  const foreign = (
    host: string,
    createdAt: string,
    namespaceName = "evil",
    addresses: readonly string[] = ["10.96.0.5"],
    port: object = http,
  ): KubernetesObject => {
    const made = config("ServiceEntry", `${namespaceName}/${host.split(".")[0] ?? ""}`, {
      hosts: [host],
      addresses,
      ports: [port],
      resolution: "STATIC",
      endpoints: [{ address: namespaceName === "evil" ? "9.9.9.9" : "192.0.2.1" }],
    });
    return { ...made, metadata: { ...made.metadata, creationTimestamp: createdAt } };
  };
  return { ...fixture, served, chainsAt, foreign };
}

const vip = (host: string): string => `inbound-vip|80|http|${host}`;

test("a ServiceEntry that uses a shared waypoint takes neither the host nor the address of another namespace's Service", () => {
  const { apply, served, chainsAt, foreign } = sharedWaypoint();
  const own = "web.team.svc.cluster.local denied";
  assert.deepEqual(served(), [own]);
  apply(foreign("web.team.svc.cluster.local", "2000-01-01T00:00:00Z", "evil", ["192.0.2.8"]));
  const copy = "evil/web.team.svc.cluster.local";
  assert.deepEqual(served(), [own, `${copy} evil`]);
  assert.deepEqual(chainsAt("192.0.2.8"), [[vip(copy)]]);
  apply(foreign("other.test", "2000-01-01T00:00:00Z"));
  assert.deepEqual(served().toSorted(), [own, "other.test evil", `${copy} evil`].toSorted());
  assert.deepEqual(chainsAt("10.96.0.5"), [[vip("web.team.svc.cluster.local")]], "also not its other ports");
});

test("if several ServiceEntries behind a waypoint have one host, the one of the waypoint's namespace has the host as its name, or else the oldest", () => {
  const { apply, remove, served, foreign } = sharedWaypoint();
  const hosts = (): readonly string[] => served().filter((name) => name.includes("api.test"));
  apply(foreign("api.test", "2002-01-01T00:00:00Z"));
  assert.deepEqual(hosts(), ["api.test evil"]);
  const older = foreign("api.test", "2001-01-01T00:00:00Z", "team");
  apply(older);
  assert.deepEqual(hosts(), ["api.test", "evil/api.test evil"]);
  remove(older);
  assert.deepEqual(hosts(), ["api.test evil"]);
  apply(foreign("api.test", "2003-01-01T00:00:00Z", "shop"));
  assert.deepEqual(hosts(), ["api.test", "evil/api.test evil"]);
});

test("a waypoint serves only the ports of the oldest ServiceEntry with a host, because policies name an entry", () => {
  const { apply, listeners, foreign } = sharedWaypoint();
  const oldest = foreign("api.test", "2001-01-01T00:00:00Z", "team");
  const later = config(
    "ServiceEntry",
    "team/later",
    { ...(oldest as { spec?: object }).spec, ports: [{ number: 443, name: "tls", protocol: "TLS" }] },
    { labels: oldest.metadata.labels, creationTimestamp: "2002-01-01T00:00:00Z" },
  );
  apply(oldest, later);
  const chains = (listeners()["main_internal"]?.["filterChains"] ?? []) as unknown as readonly { name: string }[];
  assert.deepEqual(
    chains.map(({ name }) => name).filter((name) => name.includes("api.test")),
    [vip("api.test")],
  );
});

test("a shared waypoint serves the entries of all namespaces with one host, each with its own address, policies, routes and endpoints", () => {
  const { apply, listeners, clusters, endpoints, chainsAt, foreign } = sharedWaypoint();
  const route = { route: [{ destination: { host: "api.test" } }] };
  apply(
    foreign("api.test", "2001-01-01T00:00:00Z", "evil", ["192.0.2.8"]),
    foreign("api.test", "2002-01-01T00:00:00Z", "team", ["192.0.2.9"]),
    ...["evil", "team"].flatMap((of) => [
      config("AuthorizationPolicy", `${of}/of-${of}`, {
        targetRefs: [{ group: "networking.istio.io", kind: "ServiceEntry", name: "api" }],
        action: "DENY",
        rules: [{}],
      }),
      config("VirtualService", `${of}/route`, { hosts: ["api.test"], http: [{ name: `route-of-${of}`, ...route }] }),
      config("DestinationRule", `${of}/rule`, { host: "api.test", subsets: [{ name: of, labels: {} }] }),
    ]),
  );
  assert.deepEqual([chainsAt("192.0.2.8"), chainsAt("192.0.2.9")], [[[vip("api.test")]], [[vip("team/api.test")]]]);
  const chains = (listeners()["main_internal"]?.["filterChains"] ?? []) as unknown as readonly { name: string }[];
  assert.equal(new Set(chains.map(({ name }) => name)).size, chains.length, "Envoy rejects chains with one name");
  for (const [name, own, other, address] of [
    ["api.test", "evil", "team", "9.9.9.9"],
    ["team/api.test", "team", "evil", "192.0.2.1"],
  ] as const) {
    const text = JSON.stringify(chains.find((chain) => chain.name === vip(name)));
    assert.ok(text.includes(`policy[of-${own}]`) && text.includes(`route-of-${own}`), name);
    assert.ok(!text.includes(`of-${other}`), name);
    assert.deepEqual(
      [...text.matchAll(/"cluster":"([^"]*)"/g)].map(([, cluster]) => cluster),
      [vip(name)],
    );
    assert.deepEqual(valueAt(clusters()[vip(name)] ?? {}, "edsClusterConfig", "serviceName"), vip(name));
    assert.deepEqual(valueAt(clusters()[vip(name)] ?? {}, "metadata", "filterMetadata", "istio", "services", 0), {
      host: "api.test",
      name: "api.test",
      namespace: own,
    });
    assert.ok(JSON.stringify(endpoints()[vip(name)]).includes(`"${address}"`), name);
    const subsets = ["evil", "team"].map((subset) => clusters()[`inbound-vip|80|http/${subset}|${name}`] !== undefined);
    assert.deepEqual(subsets, [own === "evil", own === "team"]);
  }
});

test("requests by name from another network reach the owner of the host, and connections by TCP their own entry", () => {
  const { apply, inputs, graph, listeners, foreign } = sharedWaypoint();
  graph.batch(() => inputs.mesh.set(meshKey, { ...testMesh, ambientMultiNetwork: true }));
  apply(
    foreign("api.test", "2001-01-01T00:00:00Z", "evil", ["192.0.2.8"]),
    foreign("api.test", "2002-01-01T00:00:00Z", "team", ["192.0.2.9"], { number: 80, name: "tcp", protocol: "TCP" }),
    config("VirtualService", "team/route", {
      hosts: ["api.test"],
      tcp: [{ route: [{ destination: { host: "api.test" } }] }],
    }),
  );
  const main = listeners()["main_internal"] ?? {};
  const names = JSON.stringify(
    valueAt(main, "filterChainMatcher", "matcherTree", "exactMatchMap", "map", "api.test:80"),
  );
  assert.ok(names.includes(vip("api.test")) && !names.includes("team/"));
  const chains = main["filterChains"] as unknown as readonly { name: string }[];
  const tcp = JSON.stringify(chains.find(({ name }) => name === "inbound-vip|80|tcp|team/api.test"));
  assert.ok(tcp.includes('"cluster":"inbound-vip|80|tcp|team/api.test"'));
});

test("an entry takes no requests for a pod behind the waypoint, and no address of an entry in the waypoint's namespace", () => {
  const { apply, chainsAt, foreign } = sharedWaypoint();
  apply(
    config(
      "Gateway",
      "shop/wp",
      {
        gatewayClassName: "istio-waypoint",
        listeners: [{ name: "mesh", port: 15_008, protocol: "HBONE", allowedRoutes: { namespaces: { from: "All" } } }],
      },
      { labels: { "istio.io/waypoint-for": "all" } },
    ),
    foreign("evil.test", "2001-01-01T00:00:00Z", "evil", ["10.244.1.2", "192.0.2.8"]),
    pod("team/web-6", "2001:db8::5", { labels: { app: "web" }, account: "web" }),
    foreign("range.test", "2001-01-01T00:00:00Z", "evil", ["10.244.1.2/32", "2001:0db8:0::5"]),
    foreign("own.test", "2002-01-01T00:00:00Z", "shop", ["192.0.2.8"]),
  );
  assert.deepEqual(chainsAt("10.244.1.2"), [["direct-http", "direct-tcp"]]);
  assert.deepEqual(chainsAt("2001:db8::5"), [["direct-http", "direct-tcp"]]);
  assert.deepEqual(chainsAt("2001:0db8:0::5"), []);
  assert.deepEqual(chainsAt("192.0.2.8"), [[vip("own.test")], [vip("evil.test")]]);
});

test("a waypoint passes requests for the addresses of WorkloadEntries and endpoints that lead to it, unless others have them", () => {
  const { apply, chainsAt, foreign } = sharedWaypoint();
  const machine = (key: string, address: string): KubernetesObject =>
    config("WorkloadEntry", key, { address, labels: { app: "vm" } });
  const direct = [["direct-http", "direct-tcp"]];
  apply(
    config(
      "Gateway",
      "shop/wp",
      {
        gatewayClassName: "istio-waypoint",
        listeners: [{ name: "mesh", port: 15_008, protocol: "HBONE", allowedRoutes: { namespaces: { from: "All" } } }],
      },
      { labels: { "istio.io/waypoint-for": "all" } },
    ),
    machine("team/vm", "192.0.2.20"),
    machine("team/name", "vm.example.org"),
    config("ServiceEntry", "team/fixed", {
      hosts: ["fixed.test"],
      location: "MESH_INTERNAL",
      resolution: "STATIC",
      ports: [{ number: 80, name: "http", protocol: "HTTP" }],
      endpoints: [{ address: "192.0.2.21" }],
    }),
    foreign("own.test", "2002-01-01T00:00:00Z", "team", ["192.0.2.8", "192.0.3.0/24"]),
    machine("evil/service", "10.96.0.5"),
    machine("evil/entry", "192.0.2.8"),
    machine("evil/range", "192.0.3.7"),
  );
  assert.deepEqual(chainsAt("192.0.2.20"), direct);
  assert.deepEqual(chainsAt("192.0.2.21"), direct);
  assert.deepEqual(chainsAt("192.0.2.8"), [[vip("own.test")]]);
  assert.deepEqual(chainsAt("192.0.3.7"), []);
  assert.doesNotMatch(JSON.stringify(chainsAt("10.96.0.5")), /direct/);
});
