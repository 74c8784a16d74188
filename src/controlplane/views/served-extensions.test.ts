import assert from "node:assert/strict";
import { test } from "node:test";
import type { KubernetesObject } from "../../api/index.ts";
import { renderPrometheus } from "../../telemetry/index.ts";
import { typeUrls } from "../../wire/xds/index.ts";
import { valueAt } from "../testing/decode-resource.ts";
import { createExtensionFixture, type ProxyResources, type TestProxy } from "../testing/extension-fixture.ts";
import { config, namespace, node, pod, service, slice } from "../testing/model-fixture.ts";

function injected(name: string, address: string): KubernetesObject {
  const made = pod(name, address, {
    labels: { app: "web", "security.istio.io/tlsMode": "istio" },
    account: "web",
    redirected: false,
  }) as KubernetesObject & { spec: { containers: object[] } };
  made.spec.containers.push({ name: "istio-proxy", args: ["proxy", "sidecar"], env: [] });
  return made;
}

const http = { name: "http", port: 80, targetPort: 8080 };
const base: readonly KubernetesObject[] = [
  namespace("shop"),
  namespace("istio-system"),
  node("node-1", "z1"),
  service("shop/web", "10.96.0.5", { app: "web" }, [http]),
  service("shop/db", "10.96.0.6", { app: "db" }, [{ name: "tcp-db", port: 5432 }]),
  injected("shop/web-1", "10.244.1.5"),
  injected("shop/web-2", "10.244.1.6"),
  slice("shop/web", { name: "http", port: 8080 }, [{ address: "10.244.1.5", pod: "web-1" }]),
];
const web: TestProxy = { pod: "shop/web-1", labels: { app: "web" } };
const manager = "envoy.filters.network.http_connection_manager";

function setup(...objects: readonly KubernetesObject[]) {
  const fixture = createExtensionFixture();
  fixture.apply(...base, ...objects);
  return fixture;
}

function filter(name: string, ...patches: readonly object[]): KubernetesObject {
  return config("EnvoyFilter", name, { configPatches: patches });
}

const patch = (applyTo: string, operation: string, value?: object, match: object = {}): object => ({
  applyTo,
  match,
  patch: { operation, ...(value === undefined ? {} : { value }) },
});
const lua = (name: string): object => ({
  name,
  typed_config: {
    "@type": "type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua",
    default_source_code: { inline_string: "-- nothing" },
  },
});
const at = (subFilter?: string, context = "SIDECAR_INBOUND"): object => ({
  context,
  listener: {
    filterChain: { filter: { name: manager, ...(subFilter === undefined ? {} : { subFilter: { name: subFilter } }) } },
  },
});

/** The names of the HTTP filters in a listener's first chain that has any. */
function httpFilters(proxy: ProxyResources, listener: string): readonly string[] {
  const chains = (proxy.show(typeUrls.listener)[listener]?.["filter_chains"] ?? []) as unknown as readonly {
    filters: readonly { name: string; typed_config: { http_filters: readonly { name: string }[] } }[];
  }[];
  const found = chains.flatMap(({ filters }) => filters).find(({ name }) => name === manager);
  return (found?.typed_config.http_filters ?? []).map(({ name }) => name);
}

test("HTTP filters are added, inserted around others, replaced, merged and removed, inbound and outbound", () => {
  const { connect } = setup(
    filter(
      "shop/filters",
      patch("HTTP_FILTER", "INSERT_BEFORE", lua("before-fault"), at("envoy.filters.http.fault")),
      patch("HTTP_FILTER", "INSERT_AFTER", lua("after-fault"), at("envoy.filters.http.fault")),
      patch("HTTP_FILTER", "INSERT_FIRST", lua("first"), at()),
      patch("HTTP_FILTER", "REMOVE", undefined, at("envoy.filters.http.cors")),
      patch("HTTP_FILTER", "REPLACE", lua("replaced"), at("envoy.filters.http.grpc_stats")),
      patch("HTTP_FILTER", "INSERT_BEFORE", lua("out"), at("envoy.filters.http.router", "SIDECAR_OUTBOUND")),
      patch(
        "HTTP_FILTER",
        "MERGE",
        {
          name: manager,
          typed_config: {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router",
            suppress_envoy_headers: true,
          },
        },
        at("envoy.filters.http.router", "SIDECAR_OUTBOUND"),
      ),
    ),
  );
  const proxy = connect(web);
  assert.deepEqual(httpFilters(proxy, "virtualInbound"), [
    "first",
    "istio.metadata_exchange",
    "replaced",
    "before-fault",
    "envoy.filters.http.fault",
    "after-fault",
    "istio.stats",
    "envoy.filters.http.router",
  ]);
  assert.deepEqual(httpFilters(proxy, "0.0.0.0_80").slice(-2), ["out", manager]);
  const router = JSON.stringify(proxy.show(typeUrls.listener)["0.0.0.0_80"]);
  assert.ok(router.includes('"suppress_envoy_headers":true'));
});

test("listeners, their filters, chains and network filters are patched where they match, and no others", () => {
  const { connect } = setup(
    filter(
      "shop/listeners",
      patch("LISTENER", "MERGE", { per_connection_buffer_limit_bytes: 1000 }, { listener: { portNumber: 80 } }),
      patch("LISTENER", "REMOVE", undefined, { listener: { name: "10.96.0.6_5432" } }),
      patch("LISTENER", "ADD", {
        name: "extra",
        address: { socket_address: { address: "127.0.0.1", port_value: 7777 } },
      }),
      patch(
        "LISTENER_FILTER",
        "INSERT_FIRST",
        {
          name: "proxy-protocol",
          typed_config: {
            "@type": "type.googleapis.com/envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol",
          },
        },
        { context: "SIDECAR_INBOUND" },
      ),
      patch(
        "FILTER_CHAIN",
        "MERGE",
        { transport_socket_connect_timeout: "3s" },
        { context: "SIDECAR_INBOUND", listener: { portNumber: 8080, filterChain: { transportProtocol: "tls" } } },
      ),
      patch(
        "NETWORK_FILTER",
        "MERGE",
        {
          typed_config: {
            "@type": `type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager`,
            stream_idle_timeout: "7s",
            server_name: "mine",
          },
        },
        { context: "SIDECAR_OUTBOUND", listener: { portNumber: 80, filterChain: { filter: { name: manager } } } },
      ),
    ),
  );
  const found = connect(web).show(typeUrls.listener);
  assert.deepEqual(
    Object.entries(found)
      .filter(([, listener]) => listener["per_connection_buffer_limit_bytes"] !== undefined)
      .map(([name]) => name),
    ["0.0.0.0_80"],
  );
  assert.equal(found["10.96.0.6_5432"], undefined);
  assert.equal(valueAt(found["extra"], "address", "socket_address", "port_value"), 7777);
  assert.equal(valueAt(found["virtualInbound"], "listener_filters", 0, "name"), "proxy-protocol");
  const chains = (found["virtualInbound"]?.["filter_chains"] ?? []) as unknown as readonly {
    transport_socket_connect_timeout?: string;
    filter_chain_match?: { destination_port?: number; transport_protocol?: string };
  }[];
  const timed = chains
    .filter((chain) => chain.transport_socket_connect_timeout === "3s")
    .map(({ filter_chain_match: match }) => [match?.destination_port, match?.transport_protocol]);
  assert.ok(
    timed.length > 0 && timed.every(([port, protocol]) => port === 8080 && protocol === "tls"),
    JSON.stringify(timed),
  );
  const [outbound] = (found["0.0.0.0_80"]?.["filter_chains"] ?? []) as unknown as readonly {
    filters: readonly { name: string; typed_config: Record<string, unknown> }[];
  }[];
  const merged = outbound?.filters.find(({ name }) => name === manager)?.typed_config;
  // The duration is replaced and not merged, and the existing fields stay.
  assert.deepEqual(
    [merged?.["stream_idle_timeout"], merged?.["server_name"], merged?.["upgrade_configs"]],
    ["7s", "mine", [{ upgrade_type: "websocket" }]],
  );
});

test("routes, virtual hosts and clusters are patched, added and removed, including inline routes of inbound listeners", () => {
  const { connect } = setup(
    filter(
      "shop/routes",
      patch(
        "VIRTUAL_HOST",
        "MERGE",
        { request_headers_to_add: [{ header: { key: "x", value: "1" } }] },
        {
          context: "SIDECAR_OUTBOUND",
          routeConfiguration: { name: "80", vhost: { name: "web.shop.svc.cluster.local:80" } },
        },
      ),
      patch(
        "VIRTUAL_HOST",
        "ADD",
        {
          name: "mine",
          domains: ["mine.example"],
          routes: [{ match: { prefix: "/" }, direct_response: { status: 204 } }],
        },
        { routeConfiguration: { portNumber: 80 } },
      ),
      patch(
        "HTTP_ROUTE",
        "INSERT_FIRST",
        { name: "first", match: { prefix: "/first" }, redirect: { host_redirect: "a" } },
        { routeConfiguration: { vhost: { domainName: "web.shop" } } },
      ),
      patch(
        "HTTP_ROUTE",
        "MERGE",
        { route: { timeout: "9s" } },
        { context: "SIDECAR_INBOUND", routeConfiguration: { portNumber: 8080, vhost: { route: { action: "ROUTE" } } } },
      ),
      patch(
        "ROUTE_CONFIGURATION",
        "MERGE",
        { ignore_port_in_host_matching: true },
        { routeConfiguration: { name: "80" } },
      ),
      patch(
        "CLUSTER",
        "MERGE",
        { lb_policy: "RANDOM", connect_timeout: "1s" },
        { cluster: { service: "web.shop.svc.cluster.local", portNumber: 80 } },
      ),
      patch("CLUSTER", "REMOVE", undefined, { cluster: { name: "outbound|5432||db.shop.svc.cluster.local" } }),
      patch("CLUSTER", "ADD", { name: "mine", type: "STATIC" }),
      patch("CLUSTER", "MERGE", { per_connection_buffer_limit_bytes: 5 }, { context: "SIDECAR_INBOUND" }),
    ),
  );
  const proxy = connect(web);
  const routes = proxy.show(typeUrls.route)["80"];
  const hosts = (routes?.["virtual_hosts"] ?? []) as unknown as readonly {
    name: string;
    routes: readonly { name?: string }[];
    request_headers_to_add?: unknown;
  }[];
  assert.equal(routes?.["ignore_port_in_host_matching"], true);
  assert.deepEqual(
    hosts.filter((host) => host.request_headers_to_add !== undefined).map(({ name }) => name),
    ["web.shop.svc.cluster.local:80"],
  );
  assert.equal(hosts.at(-1)?.name, "mine");
  assert.equal(hosts.find(({ name }) => name.startsWith("web.shop"))?.routes[0]?.name, "first");
  const inbound = JSON.stringify(proxy.show(typeUrls.listener)["virtualInbound"]);
  assert.ok(inbound.includes('"timeout":"9s"'));
  const clusters = proxy.show(typeUrls.cluster);
  const cluster = clusters["outbound|80||web.shop.svc.cluster.local"];
  assert.deepEqual([cluster?.["lb_policy"], cluster?.["connect_timeout"]], ["RANDOM", "1s"]);
  assert.equal(clusters["outbound|5432||db.shop.svc.cluster.local"], undefined);
  assert.equal(clusters["mine"]?.["type"], "STATIC");
  const limited = Object.entries(clusters)
    .filter(([, found]) => found["per_connection_buffer_limit_bytes"] === 5)
    .map(([name]) => name);
  assert.ok(
    limited.length > 0 && limited.every((name) => name.startsWith("inbound") || name.startsWith("InboundPassthrough")),
    limited.join(", "),
  );
});

test("filters apply to the proxies that they select: by priority, then those of the root namespace, then the older ones", () => {
  const named = (name: string, created: string, spec: object = {}): KubernetesObject => {
    const object = config("EnvoyFilter", name, {
      configPatches: [patch("CLUSTER", "ADD", { name: "shared", alt_stat_name: name })],
      ...spec,
    });
    return { ...object, metadata: { ...object.metadata, creationTimestamp: created } };
  };
  const order = (...objects: readonly KubernetesObject[]): unknown =>
    setup(...objects)
      .connect(web)
      .show(typeUrls.cluster)["shared"]?.["alt_stat_name"];
  const [older, newer, root] = [
    named("shop/b", "2026-01-01T00:00:00Z"),
    named("shop/a", "2026-02-01T00:00:00Z"),
    named("istio-system/z", "2026-03-01T00:00:00Z"),
  ];
  assert.equal(order(newer, older), "shop/b");
  assert.equal(order(newer, older, root), "istio-system/z");
  assert.equal(order(newer, older, root, named("shop/c", "2026-04-01T00:00:00Z", { priority: -1 })), "shop/c");
  assert.equal(order(named("shop/d", "", { workloadSelector: { labels: { app: "other" } } })), undefined);
  const versions = (proxy: object, given: TestProxy): boolean =>
    "v" in
    setup(filter("shop/v", patch("CLUSTER", "ADD", { name: "v" }, { proxy })))
      .connect(given)
      .show(typeUrls.cluster);
  assert.deepEqual(
    [
      versions({ proxyVersion: "^1\\.31.*" }, web),
      versions({ proxyVersion: "^1\\.30.*" }, web),
      versions({ metadata: { A: "b" } }, web),
      versions({ metadata: { A: "b" } }, { ...web, metadata: { A: "b" } }),
    ],
    [true, false, false, true],
  );
});

test("proxies with the same filters share results, unfiltered ones keep their exact bytes, and all follow a change", () => {
  const mine = (limit: number): KubernetesObject =>
    config("EnvoyFilter", "shop/limit", {
      workloadSelector: { labels: { app: "web" } },
      configPatches: [
        patch("CLUSTER", "MERGE", { per_connection_buffer_limit_bytes: limit }, { cluster: { portNumber: 80 } }),
      ],
    });
  const { apply, remove, connect } = setup();
  const [first, second, other] = [
    connect(web),
    connect({ pod: "shop/web-2", labels: { app: "web" } }),
    connect({ pod: "shop/other", labels: { app: "other" } }),
  ];
  const name = "outbound|80||web.shop.svc.cluster.local";
  const before = other.get(typeUrls.cluster, name);
  apply(mine(1000));
  const patched = first.get(typeUrls.cluster, name);
  assert.notEqual(patched?.version, before?.version);
  assert.equal(second.get(typeUrls.cluster, name), patched, "one object, encoded once");
  assert.equal(other.get(typeUrls.cluster, name), before);
  const changed: string[] = [];
  using _watching = first.view(typeUrls.cluster).subscribe((names) => changed.push(...names));
  apply(mine(2000));
  assert.deepEqual(changed, [name], "what the change does not touch is not pushed");
  assert.notEqual(first.get(typeUrls.cluster, name)?.version, patched?.version);
  apply(mine(1000));
  assert.equal(first.get(typeUrls.cluster, name)?.version, patched?.version, "equal content, equal version");
  remove(mine(1000));
  assert.equal(first.get(typeUrls.cluster, name)?.version, before?.version);
});

test("an inapplicable patch is reported with its name and changes nothing, and a refused object keeps its last good version", () => {
  const router = { typed_config: { "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router" } };
  const { apply, connect, logged, metrics } = setup(
    filter(
      "shop/bad",
      patch("CLUSTER", "MERGE", { connect_timeout: "soon" }, {}),
      patch("HTTP_FILTER", "MERGE", router, at("envoy.filters.http.fault")),
      patch("CLUSTER", "ADD", { name: "good" }),
    ),
  );
  const proxy = connect(web);
  assert.ok("good" in proxy.show(typeUrls.cluster));
  assert.equal(httpFilters(proxy, "virtualInbound").includes("envoy.filters.http.fault"), true);
  assert.ok(
    logged.some(
      (line) =>
        line.includes("shop/bad") && line.includes("spec.configPatches[0].patch.value") && line.includes("soon"),
    ),
    logged.join("\n"),
  );
  assert.ok(
    logged.some((line) => line.includes("cannot be merged")),
    logged.join("\n"),
  );
  assert.match(
    renderPrometheus(metrics),
    /pilot_envoy_filter_status\{name="shop\/bad",patch="http_filter",result="error"\} 1/,
  );
  apply(filter("shop/bad", patch("CLUSTER", "ADD", { name: "next", typed: { "@type": "no.such.Type" } })));
  assert.ok("good" in proxy.show(typeUrls.cluster), "the last good version stays");
  apply(filter("shop/bad", patch("CLUSTER", "ADD", { name: "next" })));
  assert.deepEqual(
    ["good", "next"].map((name) => name in proxy.show(typeUrls.cluster)),
    [false, true],
  );
});

const plugin = (name: string, spec: object = {}): KubernetesObject =>
  config("WasmPlugin", name, { url: "ghcr.io/acme/filter:1", ...spec });
const names = "extensions.istio.io/trafficextension/";

test("plugins have their names, phases and traffic, and get their configuration over ECDS", () => {
  const { connect, apply } = setup(
    config("AuthorizationPolicy", "shop/deny", {
      action: "DENY",
      rules: [{ to: [{ operation: { methods: ["PUT"] } }] }],
    }),
    plugin("shop/authn", {
      phase: "AUTHN",
      pluginConfig: { b: 1, a: "x" },
      vmConfig: {
        env: [
          { name: "A", value: "b" },
          { name: "H", valueFrom: "HOST" },
        ],
      },
      sha256: "a".repeat(64),
      imagePullPolicy: "Always",
      pluginName: "root",
      failStrategy: "FAIL_OPEN",
    }),
    plugin("shop/late", { priority: 1 }),
    plugin("shop/early", { priority: 10 }),
    plugin("shop/clients", { phase: "STATS", match: [{ mode: "CLIENT", ports: [{ number: 80 }] }] }),
    plugin("shop/tcp", { type: "NETWORK", match: [{ mode: "CLIENT", ports: [{ number: 5432 }] }] }),
    config("TrafficExtension", "shop/script", {
      phase: "AUTHZ",
      lua: { inlineCode: "-- x" },
      match: [{ mode: "SERVER" }],
    }),
  );
  const proxy = connect(web);
  const translated = (name: string): string => `${names}shop.${name}~istio-translated-wasmplugin`;
  assert.deepEqual(httpFilters(proxy, "virtualInbound").slice(0, 7), [
    "istio.metadata_exchange",
    translated("authn"),
    `${names}shop.script`,
    "envoy.filters.http.rbac",
    translated("early"),
    translated("late"),
    "envoy.filters.http.grpc_stats",
  ]);
  assert.ok(httpFilters(proxy, "0.0.0.0_80").includes(translated("clients")));
  const filters = (listener: string): unknown =>
    valueAt(proxy.show(typeUrls.listener)[listener], "filter_chains", 0, "filters", 0, "name");
  assert.equal(filters("10.96.0.6_5432"), translated("tcp"));
  assert.deepEqual(
    Object.keys(proxy.show(typeUrls.extensionConfig)).sort(),
    ["authn", "clients", "early", "late", "tcp"].map(translated),
  );
  assert.deepEqual(proxy.show(typeUrls.extensionConfig)[translated("authn")], {
    name: translated("authn"),
    typed_config: {
      "@type": "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm",
      config: {
        name: "shop.authn~istio-translated-wasmplugin",
        root_id: "root",
        failure_policy: "FAIL_OPEN",
        configuration: { "@type": "type.googleapis.com/google.protobuf.StringValue", value: '{"a":"x","b":1}' },
        vm_config: {
          runtime: "envoy.wasm.runtime.v8",
          code: {
            remote: {
              http_uri: { uri: "oci://ghcr.io/acme/filter:1", cluster: "_", timeout: "30s" },
              sha256: "a".repeat(64),
            },
          },
          environment_variables: {
            host_env_keys: ["H"],
            key_values: {
              ISTIO_META_WASM_IMAGE_PULL_POLICY: "Always",
              ISTIO_META_WASM_PLUGIN_RESOURCE_VERSION: "",
              A: "b",
            },
          },
        },
      },
    },
  });
  const before = proxy.get(typeUrls.listener, "virtualInbound")?.version;
  const changed: string[] = [];
  using _watching = proxy.view(typeUrls.extensionConfig).subscribe((changes) => changed.push(...changes));
  apply(plugin("shop/late", { priority: 1, pluginConfig: { new: true } }));
  assert.deepEqual(
    [changed, proxy.get(typeUrls.listener, "virtualInbound")?.version],
    [[translated("late")], before],
    "a plugin's configuration changes no listener",
  );
});

test("Serin's own proxy gets a plugin for requests as an Envoy does, and a network plugin inside its listener", () => {
  const { connect, apply } = setup(
    plugin("shop/a", { pluginConfig: { a: 1 } }),
    plugin("shop/closed", { type: "NETWORK", match: [{ mode: "SERVER" }] }),
  );
  const [ours, envoys] = [
    connect({ ...web, envoy: false, metadata: { EXTENSION_CONFIG_DISCOVERY: "true" } }),
    connect(web),
  ];
  const name = `${names}shop.a~istio-translated-wasmplugin`;
  const listener = JSON.stringify(ours.show(typeUrls.listener)["virtualInbound"]);
  assert.ok(listener.includes(`{"name":"${name}","config_discovery":{`), listener);
  assert.match(listener, /shop\.closed~istio-translated-wasmplugin","typed_config":\{"rules":\{\}/);
  assert.deepEqual(ours.show(typeUrls.extensionConfig), { [name]: envoys.show(typeUrls.extensionConfig)[name] });
  const before = ours.get(typeUrls.listener, "virtualInbound")?.version;
  const changed: string[] = [];
  using _watching = ours.view(typeUrls.extensionConfig).subscribe((changes) => changed.push(...changes));
  apply(plugin("shop/a", { pluginConfig: { a: 2 } }));
  assert.deepEqual([changed, ours.get(typeUrls.listener, "virtualInbound")?.version], [[name], before]);
});

test("a Serin proxy that does not support extension discovery gets a plugin inside its listener, and a network plugin passes or denies by failStrategy", () => {
  const { connect, logged } = setup(
    plugin("shop/a", { pluginConfig: { a: 1 }, sha256: "a".repeat(64), failStrategy: "FAIL_RELOAD" }),
    plugin("shop/closed", { type: "NETWORK", match: [{ mode: "SERVER" }] }),
    plugin("shop/open", { type: "NETWORK", failStrategy: "FAIL_OPEN" }),
  );
  const proxy = connect({ ...web, envoy: false });
  assert.ok(
    logged.some((line) => line.includes("shop/closed") && line.includes("refuses all connections")) &&
      logged.some((line) => line.includes("shop/open") && line.includes("skips it")) &&
      !logged.some((line) => line.includes("shop/a~")),
    logged.join("\n"),
  );
  const listener = proxy.show(typeUrls.listener)["virtualInbound"];
  const found = JSON.stringify(listener);
  assert.match(found, /shop\.closed~istio-translated-wasmplugin","typed_config":\{"rules":\{\}/);
  assert.ok(!found.includes("shop.open~"));
  assert.match(found, /"uri":"oci:\/\/ghcr\.io\/acme\/filter:1"/);
  assert.match(found, /"failure_policy":"FAIL_RELOAD"/);
  assert.match(found, /http\.wasm\.v3\.Wasm/);
  assert.deepEqual(proxy.show(typeUrls.extensionConfig), {});
});

test("a plugin whose configuration is nested too deep holds up no plugin of another namespace", () => {
  const { apply, connect, logged, inputs } = setup(namespace("bad"), injected("bad/web-1", "10.244.1.9"));
  const other = connect({ pod: "bad/web-1", labels: { app: "web" } });
  const proxy = connect(web);
  const hasPlugin = (seen: ProxyResources, name: string): boolean =>
    httpFilters(seen, "virtualInbound").includes(`${names}${name}~istio-translated-wasmplugin`);
  let pluginConfig: object = {};
  for (let level = 0; level < 5000; level += 1) pluginConfig = { a: pluginConfig };
  apply(plugin("bad/deep", { pluginConfig }), plugin("shop/one"));
  assert.equal(hasPlugin(proxy, "shop.one"), true, logged.join("\n"));
  assert.ok(logged.some((line) => line.includes("spec.pluginConfig: must be nested at most 100 levels deep")));

  apply(plugin("bad/deep"));
  assert.equal(hasPlugin(other, "bad.deep"), true, logged.join("\n"));
  const facts = inputs.extensions.wasmPlugins.get("bad/deep") ?? assert.fail();
  const { extension } = facts.spec;
  assert.ok(extension.kind === "wasm");
  inputs.extensions.wasmPlugins.set("bad/deep", {
    ...facts,
    spec: {
      ...facts.spec,
      extension: { kind: "wasm", wasm: { ...extension.wasm, pluginConfig: pluginConfig as never } },
    },
  });
  apply(plugin("shop/two"));
  assert.equal(hasPlugin(proxy, "shop.two"), true, "another proxy's extensions cannot be computed");
});

test("a plugin's warning repeats when the plugin changes, and ends when it is deleted", () => {
  const { apply, remove, connect, logged, metrics } = setup(plugin("shop/closed", { type: "NETWORK" }));
  connect({ ...web, envoy: false });
  const warningCount = (): number => logged.filter((line) => line.includes("shop/closed")).length;
  assert.equal(warningCount(), 1);
  apply(plugin("shop/closed", { type: "NETWORK", pluginConfig: { other: true } }));
  assert.equal(warningCount(), 2);
  remove(plugin("shop/closed", { type: "NETWORK" }));
  assert.match(
    renderPrometheus(metrics),
    /pilot_envoy_filter_status\{name="shop\/closed~istio-translated-wasmplugin",patch="plugin",result="error"\} 0/,
  );
});

test("a proxy keeps whole tables after the last route patch goes, because empty tables would leave it without hosts for a moment", () => {
  const patched = filter("shop/routes", patch("VIRTUAL_HOST", "MERGE", { include_request_attempt_count: false }));
  const { remove, connect } = setup(patched);
  const proxy = connect({ ...web, metadata: { VIRTUAL_HOST_DISCOVERY: "true" } });
  const hosts = (resources: ProxyResources): number =>
    ((resources.show(typeUrls.route)["80"]?.["virtual_hosts"] ?? []) as readonly unknown[]).length;
  const before = hosts(proxy);
  remove(patched);
  assert.deepEqual([before > 0, hosts(proxy)], [true, before]);
  assert.equal(
    hosts(connect({ ...web, metadata: { VIRTUAL_HOST_DISCOVERY: "true" } })),
    0,
    "one that connects now takes hosts by themselves",
  );
});

const waypointLabels = {
  "gateway.networking.k8s.io/gateway-name": "wp",
  "gateway.networking.k8s.io/gateway-class-name": "istio-waypoint",
  "gateway.istio.io/managed": "istio.io-mesh-controller",
};
const waypoint: TestProxy = { type: "waypoint", pod: "shop/wp-1", labels: waypointLabels };

function setupWaypoint(...objects: readonly KubernetesObject[]) {
  const gateway = config("Gateway", "shop/wp", {
    gatewayClassName: "istio-waypoint",
    listeners: [{ name: "mesh", port: 15_008, protocol: "HBONE" }],
  });
  return setup(
    { ...gateway, apiVersion: "gateway.networking.k8s.io/v1" },
    service("shop/web", "10.96.0.5", { app: "web" }, [http], { "istio.io/use-waypoint": "wp" }),
    service("shop/wp", "10.96.0.9", waypointLabels, [{ name: "mesh", port: 15_008 }]),
    pod("shop/wp-1", "10.244.1.9", { labels: waypointLabels, account: "wp", redirected: false }),
    slice("shop/wp", { name: "mesh", port: 15_008 }, [{ address: "10.244.1.9", pod: "wp-1" }]),
    ...objects,
  );
}

test("a waypoint gets the plugins of its Gateway and its services, and no configuration of other services", () => {
  const { connect } = setupWaypoint(
    plugin("shop/gateway", { targetRefs: [{ group: "gateway.networking.k8s.io", kind: "Gateway", name: "wp" }] }),
    plugin("shop/service", { targetRefs: [{ kind: "Service", name: "web" }] }),
    plugin("shop/other", { targetRefs: [{ kind: "Service", name: "db" }] }),
    plugin("shop/selecting", {}),
    filter("shop/ignored", patch("CLUSTER", "ADD", { name: "never" })),
  );
  const proxy = connect(waypoint);
  const listener = JSON.stringify(proxy.show(typeUrls.listener)["main_internal"] ?? {});
  const has = (name: string): boolean => listener.includes(`shop.${name}~istio`);
  assert.deepEqual(["gateway", "service", "other", "selecting"].map(has), [true, true, false, false]);
  assert.deepEqual(
    Object.keys(proxy.show(typeUrls.extensionConfig))
      .map((name) => name.slice(names.length))
      .sort(),
    ["shop.gateway~istio-translated-wasmplugin", "shop.service~istio-translated-wasmplugin"],
  );
  assert.equal("never" in proxy.show(typeUrls.cluster), false);
});

test("a waypoint runs no plugin of a namespace whose ServiceEntry repeats the host of another namespace's service", () => {
  const host = "web.shop.svc.cluster.local";
  const entry = (name: string, hosts: readonly string[], labels = {}): KubernetesObject =>
    config(
      "ServiceEntry",
      name,
      {
        hosts,
        addresses: ["240.240.0.9"],
        ports: [{ name: "http", number: 80, protocol: "HTTP" }],
        resolution: "STATIC",
        endpoints: [{ address: "9.9.9.9" }],
      },
      { labels },
    );
  const targetRefs = [{ group: "networking.istio.io", kind: "ServiceEntry", name: "external" }];
  const { connect } = setupWaypoint(
    entry("shop/external", ["api.partner.test"], { "istio.io/use-waypoint": "wp" }),
    entry("evil/external", [host, "api.partner.test"]),
    plugin("shop/own", { targetRefs }),
    plugin("evil/foreign", { targetRefs }),
  );
  const proxy = connect(waypoint);
  const listener = JSON.stringify(proxy.show(typeUrls.listener)["main_internal"] ?? {});
  assert.deepEqual(
    ["shop.own", "evil.foreign"].map((name) => listener.includes(`${name}~istio`)),
    [true, false],
  );
  assert.deepEqual(
    Object.keys(proxy.show(typeUrls.extensionConfig)).map((name) => name.slice(names.length)),
    ["shop.own~istio-translated-wasmplugin"],
  );
});

test("two entries with the same host behind a shared waypoint each have only their own plugins", () => {
  const use = { "istio.io/use-waypoint": "wp", "istio.io/use-waypoint-namespace": "shop" };
  const entry = (owner: string, address: string): KubernetesObject =>
    config(
      "ServiceEntry",
      `${owner}/external`,
      {
        hosts: ["api.partner.test"],
        addresses: [address],
        ports: [{ name: "http", number: 80, protocol: "HTTP" }],
        resolution: "STATIC",
        endpoints: [{ address: "9.9.9.9" }],
      },
      { labels: use },
    );
  const gateway = config("Gateway", "shop/wp", {
    gatewayClassName: "istio-waypoint",
    listeners: [{ name: "mesh", port: 15_008, protocol: "HBONE", allowedRoutes: { namespaces: { from: "All" } } }],
  });
  const targetRefs = [{ group: "networking.istio.io", kind: "ServiceEntry", name: "external" }];
  const { connect } = setupWaypoint(
    { ...gateway, apiVersion: "gateway.networking.k8s.io/v1" },
    namespace("evil"),
    entry("shop", "240.240.0.8"),
    entry("evil", "240.240.0.9"),
    plugin("shop/own", { targetRefs }),
    plugin("evil/foreign", { targetRefs }),
  );
  const proxy = connect(waypoint);
  const main = proxy.show(typeUrls.listener)["main_internal"] ?? {};
  const chains = main["filter_chains"] as unknown as readonly { readonly name: string }[];
  const pluginsOf = (host: string): readonly boolean[] => {
    const chain = JSON.stringify(chains.find(({ name }) => name === `inbound-vip|80|http|${host}`));
    return ["shop.own", "evil.foreign"].map((name) => chain.includes(`${name}~istio`));
  };
  assert.deepEqual(pluginsOf("api.partner.test"), [true, false]);
  assert.deepEqual(pluginsOf("evil/api.partner.test"), [false, true]);
});

test("a waypoint of a namespace that repeats a host gets neither the plugins of the host's owner nor their pull secret", () => {
  const labels = { ...waypointLabels };
  const gateway = config("Gateway", "evil/wp", {
    gatewayClassName: "istio-waypoint",
    listeners: [{ name: "mesh", port: 15_008, protocol: "HBONE" }],
  });
  const { connect } = setupWaypoint(
    namespace("evil"),
    { ...gateway, apiVersion: "gateway.networking.k8s.io/v1" },
    service("evil/wp", "10.96.1.9", labels, [{ name: "mesh", port: 15_008 }]),
    pod("evil/wp-1", "10.244.2.9", { labels, account: "wp", redirected: false }),
    config(
      "ServiceEntry",
      "evil/copy",
      {
        hosts: ["web.shop.svc.cluster.local"],
        addresses: ["240.240.0.9"],
        ports: [{ name: "http", number: 80, protocol: "HTTP" }],
        resolution: "STATIC",
        endpoints: [{ address: "9.9.9.9" }],
      },
      { labels: { "istio.io/use-waypoint": "wp" } },
    ),
    plugin("shop/plugin", { targetRefs: [{ kind: "Service", name: "web" }], imagePullSecret: "registry" }),
  );
  const proxy = connect({ type: "waypoint", pod: "evil/wp-1", labels });
  assert.ok(JSON.stringify(proxy.show(typeUrls.listener)).includes("inbound-vip|80|http|web.shop.svc.cluster.local"));
  assert.deepEqual(proxy.show(typeUrls.extensionConfig), {});
  assert.equal(JSON.stringify(proxy.show(typeUrls.listener)).includes("shop.plugin"), false);
});

test("the plugins of a waypoint that forwards the client's identity run after the filter that replaces a forged one", () => {
  const targetRefs = [{ group: "gateway.networking.k8s.io", kind: "Gateway", name: "wp" }];
  const { connect } = setupWaypoint(
    {
      ...config(
        "Gateway",
        "shop/wp",
        {
          gatewayClassName: "istio-waypoint",
          listeners: [{ name: "mesh", port: 15_008, protocol: "HBONE" }],
        },
        { annotations: { "ambient.istio.io/xfcc-include-client-identity": "true" } },
      ),
      apiVersion: "gateway.networking.k8s.io/v1",
    },
    plugin("shop/authn", { phase: "AUTHN", targetRefs }),
    plugin("shop/authz", { phase: "AUTHZ", targetRefs }),
    config("AuthorizationPolicy", "shop/get", {
      targetRefs,
      action: "ALLOW",
      rules: [{ to: [{ operation: { methods: ["GET"] } }] }],
    }),
  );
  assert.deepEqual(httpFilters(connect(waypoint), "main_internal").slice(0, 4), [
    "istio.waypoint.xfcc_client_identity",
    `${names}shop.authn~istio-translated-wasmplugin`,
    `${names}shop.authz~istio-translated-wasmplugin`,
    "envoy.filters.http.rbac",
  ]);
});

test("a waypoint's inbound patches change the routes of a service, unless the user defined routes for it", () => {
  const header = { header: { key: "x-patched", value: "yes" } };
  const { connect, apply } = setupWaypoint(
    config("EnvoyFilter", "shop/hosts", {
      targetRefs: [{ group: "gateway.networking.k8s.io", kind: "Gateway", name: "wp" }],
      configPatches: [
        patch("VIRTUAL_HOST", "MERGE", { request_headers_to_add: [header] }, { context: "SIDECAR_INBOUND" }),
      ],
    }),
  );
  const isPatched = (): boolean => {
    const chains = connect(waypoint).show(typeUrls.listener)["main_internal"]?.["filter_chains"] as unknown as {
      readonly name: string;
    }[];
    return JSON.stringify(chains.find(({ name }) => name.startsWith("inbound-vip|80|http"))).includes("x-patched");
  };
  assert.equal(isPatched(), true);
  apply(
    config("VirtualService", "shop/web", { hosts: ["web"], http: [{ route: [{ destination: { host: "web" } }] }] }),
  );
  assert.equal(isPatched(), false);
});

test("an image's pull secret goes only to proxies with verified identity", () => {
  const { connect, inputs, apply } = setup(plugin("shop/private", { imagePullSecret: "registry" }));
  const pullSecret = (verified: boolean): unknown =>
    valueAt(
      connect({ ...web, verified }).show(typeUrls.extensionConfig)[`${names}shop.private~istio-translated-wasmplugin`],
      "typed_config",
      "config",
      "vm_config",
      "environment_variables",
      "key_values",
      "ISTIO_META_WASM_IMAGE_PULL_SECRET",
    );
  assert.equal(pullSecret(true), "");
  inputs.extensions.pullSecrets.set("shop/registry", { config: '{"auths":{}}' });
  apply();
  assert.deepEqual([pullSecret(true), pullSecret(false)], ['{"auths":{}}', ""]);
});
