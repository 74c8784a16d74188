import assert from "node:assert/strict";
import { test } from "node:test";
import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import { parseMeshConfig } from "../../../api/istio/index.ts";
import { meshKey, type MeshSettings } from "../../model/facts.ts";
import { valueAt } from "../../testing/decode-resource.ts";
import { config, namespace, service, testMesh } from "../../testing/model-fixture.ts";
import { createOutboundFixture } from "../../testing/outbound-fixture.ts";

const cluster = "AllowAnyDynamicDNSCluster";
const cache = { name: "allow_any_dfp_dns_cache", dnsLookupFamily: "V4_ONLY", maxHosts: 1024 };

function shop(policy: object = {}, more: Partial<MeshSettings> = {}) {
  const fixture = createOutboundFixture();
  const { value } = parseMeshConfig({ outboundTrafficPolicy: { mode: "ALLOW_ANY_DYNAMIC_DNS", ...policy } });
  const { outboundTrafficPolicy = "ALLOW_ANY", outboundTrafficTls } = value ?? {};
  fixture.graph.batch(() =>
    fixture.inputs.mesh.set(meshKey, { ...testMesh, outboundTrafficPolicy, outboundTrafficTls, ...more }),
  );
  const web = service("shop/web", "10.96.0.5", { app: "web" }, [{ name: "http", port: 80, targetPort: 8080 }]);
  fixture.apply(namespace("shop"), namespace("lenient"), web);
  return fixture;
}

const managerOf = (listener: JsonObject | undefined, chain: number): JsonValue | undefined =>
  valueAt(listener, "filterChains", chain, "filters", 0, "typedConfig");
const namesOf = (items: JsonValue | undefined): readonly unknown[] =>
  ((items ?? []) as readonly JsonObject[]).map(({ name }) => name);
const clusterType = (served: JsonObject | undefined): JsonValue | undefined =>
  valueAt(served, "clusterType", "typedConfig");
const httpOptions = (served: JsonObject | undefined): JsonObject => {
  const packed = valueAt(
    served,
    "typedExtensionProtocolOptions",
    "envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
  );
  const { "@type": _, ...options } = packed as JsonObject;
  return options;
};

test("with ALLOW_ANY_DYNAMIC_DNS, requests to unknown hosts lead to a cluster that resolves the host they name", () => {
  const { serve } = shop();
  const sidecar = serve();
  const { [cluster]: served, PassthroughCluster: passthrough } = sidecar.clusters();
  assert.deepEqual(clusterType(served), {
    "@type": "type.googleapis.com/envoy.extensions.clusters.dynamic_forward_proxy.v3.ClusterConfig",
    dnsCacheConfig: cache,
    allowInsecureClusterOptions: true,
  });
  assert.deepEqual(
    [served?.["lbPolicy"], served?.["altStatName"], served?.["connectTimeout"], served?.["transportSocket"]],
    ["CLUSTER_PROVIDED", `${cluster};`, "10s", undefined],
  );
  assert.deepEqual(httpOptions(served), httpOptions(passthrough));
  assert.deepEqual(served?.["circuitBreakers"], passthrough?.["circuitBreakers"]);
  const host = (valueAt(sidecar.routes()["80"], "virtualHosts") as readonly JsonObject[]).at(-1);
  assert.deepEqual(
    [
      host?.["name"],
      host?.["domains"],
      valueAt(host, "routes", 0, "name"),
      valueAt(host, "routes", 0, "route", "cluster"),
    ],
    ["allow_any_dynamic_dns", ["*"], "allow_any_dynamic_dns", cluster],
  );
  const manager = managerOf(sidecar.listeners()["0.0.0.0_80"], 0);
  assert.deepEqual(namesOf(valueAt(manager, "httpFilters")).slice(-2), [
    "envoy.filters.http.dynamic_forward_proxy",
    "envoy.filters.http.router",
  ]);
});

test("the listener of unknown ports detects HTTP and forwards it by name, and passes all other connections", () => {
  const { serve } = shop({}, { protocolDetectionTimeoutMs: 300 });
  const listener = serve().listeners()["virtualOutbound"];
  assert.deepEqual(namesOf(listener?.["listenerFilters"]), [
    "envoy.filters.listener.original_dst",
    "envoy.filters.listener.http_inspector",
  ]);
  assert.deepEqual(
    [listener?.["continueOnListenerFiltersTimeout"], listener?.["listenerFiltersTimeout"]],
    [true, "0.300s"],
  );
  assert.deepEqual(namesOf(listener?.["filterChains"]), [
    "virtualOutbound-blackhole",
    "virtualOutbound-catchall-tcp-http",
    "virtualOutbound-catchall-tcp",
  ]);
  assert.deepEqual(valueAt(listener, "filterChains", 1, "filterChainMatch"), {
    applicationProtocols: ["http/1.1", "h2c"],
  });
  const manager = managerOf(listener, 1);
  assert.equal(valueAt(manager, "statPrefix"), "outbound_virtualOutbound_allow_any_dynamic_dns;");
  assert.deepEqual(valueAt(manager, "routeConfig", "virtualHosts", 0, "routes", 0, "route", "cluster"), cluster);
  const filters = valueAt(manager, "httpFilters") as readonly JsonObject[];
  const forwarding = filters.find(({ name }) => name === "envoy.filters.http.dynamic_forward_proxy");
  assert.deepEqual(valueAt(forwarding, "typedConfig", "dnsCacheConfig"), cache);
  assert.equal(valueAt(listener, "filterChains", 2, "filters", 1, "typedConfig", "cluster"), "PassthroughCluster");
});

test("no resources of dynamic DNS reach gateways, or sidecars whose Sidecar object sets another mode", () => {
  const { apply, serve } = shop();
  apply(
    config("Sidecar", "lenient/default", { outboundTrafficPolicy: { mode: "ALLOW_ANY" } }),
    config("Sidecar", "shop/default", { egress: [{ hosts: ["./*"] }] }),
  );
  const own = serve({ namespace: "lenient" });
  const gateway = serve({ kind: "router" });
  for (const served of [own, gateway])
    assert.doesNotMatch(JSON.stringify([served.clusters(), served.listeners(), served.routes()]), /dynamic/i);
  // If a Sidecar sets no mode, the mesh's mode applies.
  assert.ok(cluster in serve().clusters());
});

test("a proxy that answers DNS resolves unknown hosts with its own answers, in the cluster as in the filter", () => {
  const { serve } = shop({}, { dynamicDnsMaxHosts: 7 });
  const served = serve({ dnsCapture: true });
  const filters = valueAt(managerOf(served.listeners()["0.0.0.0_80"], 0), "httpFilters") as readonly JsonObject[];
  const caches = [
    valueAt(clusterType(served.clusters()[cluster]), "dnsCacheConfig"),
    valueAt(filters.at(-2), "typedConfig", "dnsCacheConfig"),
  ];
  for (const one of caches) {
    assert.equal(valueAt(one, "maxHosts"), 7);
    assert.deepEqual(valueAt(one, "typedDnsResolverConfig", "typedConfig", "resolvers", 0, "socketAddress"), {
      address: "127.0.0.1",
      portValue: 15_053,
    });
  }
});

test("TLS towards unknown hosts names and checks the requested host, unless the mesh config says otherwise", () => {
  const seen = (tls: object) => {
    const served = shop({ tls }).serve().clusters()[cluster];
    const socket = valueAt(served, "transportSocket", "typedConfig") as JsonObject | undefined;
    return {
      insecure: valueAt(clusterType(served), "allowInsecureClusterOptions"),
      checks: valueAt(httpOptions(served), "upstreamHttpProtocolOptions"),
      sni: socket?.["sni"],
      certificate: valueAt(socket, "commonTlsContext", "tlsCertificateSdsSecretConfigs", 0, "name"),
      roots: valueAt(
        socket,
        "commonTlsContext",
        "combinedValidationContext",
        "validationContextSdsSecretConfig",
        "name",
      ),
    };
  };
  const nothing = { insecure: undefined, sni: undefined, certificate: undefined, roots: undefined };
  const both = { autoSni: true, autoSanValidation: true };
  assert.deepEqual(seen({ mode: "DISABLE" }), { ...nothing, insecure: true, checks: undefined });
  assert.deepEqual(seen({ mode: "SIMPLE" }), { ...nothing, checks: both, roots: "file-root:system" });
  assert.deepEqual(seen({ mode: "SIMPLE", insecureSkipVerify: true }), {
    ...nothing,
    insecure: true,
    checks: { autoSni: true },
  });
  assert.deepEqual(seen({ mode: "SIMPLE", sni: "a.test", insecureSkipVerify: true }), {
    ...nothing,
    insecure: true,
    checks: undefined,
    sni: "a.test",
  });
  assert.deepEqual(seen({ mode: "ISTIO_MUTUAL" }), {
    ...nothing,
    checks: both,
    certificate: "default",
    roots: "ROOTCA",
  });
});

test("Istio's mutual TLS to hosts below a wildcard names and checks the requested host", () => {
  const { apply, serve } = shop();
  const ports = [{ number: 8081, name: "http", protocol: "HTTP" }];
  apply(
    config("ServiceEntry", "shop/wild", {
      hosts: ["*.wild.test"],
      location: "MESH_EXTERNAL",
      resolution: "DYNAMIC_DNS",
      ports,
    }),
    config("DestinationRule", "shop/wild", {
      host: "*.wild.test",
      trafficPolicy: { tls: { mode: "ISTIO_MUTUAL" } },
    }),
  );
  const served = serve().clusters()["outbound|8081||*.wild.test"];
  assert.deepEqual(valueAt(httpOptions(served), "upstreamHttpProtocolOptions"), {
    autoSni: true,
    autoSanValidation: true,
  });
  assert.equal(valueAt(served, "transportSocket", "typedConfig", "sni"), undefined);
});
