import assert from "node:assert/strict";
import { test } from "node:test";
import { fromJson, type JsonObject } from "@bufbuild/protobuf";
import { seededRandom, systemClock } from "../base/index.ts";
import { connectTcp } from "../net/index.ts";
import { ClusterSchema, envoyRegistry, ListenerSchema } from "../wire/envoy/index.ts";
import { compileCluster } from "./config/clusters/cluster-config.ts";
import { ConfigNotes } from "./config/config-check.ts";
import { compileListener } from "./config/listeners/listener-config.ts";
import { Cluster } from "./upstream/cluster.ts";
import type { EndpointConfig } from "./upstream/endpoint.ts";
import { ForwardNames } from "./upstream/forward-names.ts";
import { forwardTo, Harness, route, tableOf } from "./testing/harness.ts";

const type = "type.googleapis.com";
const dnsCacheConfig = { name: "test_dfp_dns_cache", dnsLookupFamily: "V4_ONLY" };
const notes = new ConfigNotes(() => undefined);

const forwardCluster = (more: JsonObject = {}): JsonObject => ({
  name: "outbound|80||*.test",
  lbPolicy: "CLUSTER_PROVIDED",
  clusterType: {
    name: "envoy.clusters.dynamic_forward_proxy",
    typedConfig: {
      "@type": `${type}/envoy.extensions.clusters.dynamic_forward_proxy.v3.ClusterConfig`,
      dnsCacheConfig,
    },
  },
  ...more,
});

const compile = (config: JsonObject) =>
  compileCluster(fromJson(ClusterSchema, config, { registry: envoyRegistry() }), notes);

test("requests go to the host that they name, at its port, and bodies wait for the DNS answer", async () => {
  await using harness = await Harness.start();
  const backend = await harness.backend((request, response) => {
    let body = "";
    request.on("data", (chunk: Buffer) => (body += chunk.toString()));
    request.on("end", () => response.end(`${request.headers.host} ${body}`));
  });
  const spec = compile(forwardCluster());
  assert.equal(spec.discovery.kind, "forward");
  if (spec.discovery.kind !== "forward") return;
  const addresses: Readonly<Record<string, readonly string[]>> = {
    "a.test": ["192.0.2.1"],
    "b.test": ["192.0.2.2"],
    "local.test": ["127.0.0.1"],
  };
  const dialled: string[] = [];
  const connect = (endpoint: EndpointConfig, timeoutMs: number) => {
    dialled.push(`${endpoint.hostname} ${endpoint.address}:${endpoint.port}`);
    return connectTcp({ address: "127.0.0.1", port: backend.port, timeoutMs });
  };
  const names = new ForwardNames(
    spec.discovery.rules,
    async (name) => await new Promise((resolve) => setTimeout(() => resolve({ addresses: addresses[name] ?? [] }), 5)),
    systemClock,
  );
  const cluster = new Cluster(spec.config, {
    connector: { connect },
    clock: systemClock,
    random: seededRandom(1),
    names,
  });
  // Applying a configuration makes the same call. Without this call, the first request waits 5 s for endpoints.
  cluster.setEndpoints([]);
  harness.clusters.set("forward", cluster);
  harness.table = tableOf(route(forwardTo("forward")));
  const get = async (host: string, body = ""): Promise<string> => {
    const client = harness.client();
    client.send(`POST / HTTP/1.1\r\nhost: ${host}\r\ncontent-length: ${body.length}\r\n\r\n${body.slice(0, 3)}`);
    client.send(body.slice(3));
    return (await client.until(/\r\n\r\n.+$/s)).replace(/\r\n.*\r\n/s, " ");
  };
  assert.equal(await get("a.test", "a body in two"), "HTTP/1.1 200 OK a.test a body in two");
  assert.equal(await get("b.test:8443"), "HTTP/1.1 200 OK b.test:8443 ");
  assert.equal(await get("A.test"), "HTTP/1.1 200 OK A.test ");
  assert.deepEqual(dialled, ["a.test 192.0.2.1:80", "b.test 192.0.2.2:8443"]);
  for (const host of ["unknown.test", "local.test", "169.254.169.254", "[::1]:15000", "a.test:0"])
    assert.equal(await get(host), "HTTP/1.1 503 Service Unavailable DNS resolution failure", host);
  assert.deepEqual(
    harness.records.slice(-1).map(({ flag, details }) => [flag, details]),
    [["DF", "dns_resolution_failure"]],
  );
});

test("hosts of ALLOW_ANY_DYNAMIC_DNS are outside the mesh, as those of the passthrough are", () => {
  const peerMetadataOf = (name: string) => compile(forwardCluster({ name })).config.peerMetadata;
  assert.deepEqual(
    [peerMetadataOf("AllowAnyDynamicDNSCluster"), peerMetadataOf("outbound|80||*.test")],
    ["external", "tell"],
  );
});

test("a chain that forwards by server name uses its filter's port, and clusters with TLS default to 443", () => {
  const listener = fromJson(
    ListenerSchema,
    {
      name: "l",
      address: { socketAddress: { address: "0.0.0.0", portValue: 443 } },
      filterChains: [
        {
          filters: [
            {
              name: "sni_dynamic_forward_proxy",
              typedConfig: {
                "@type": `${type}/envoy.extensions.filters.network.sni_dynamic_forward_proxy.v3.FilterConfig`,
                dnsCacheConfig,
                portValue: 8443,
              },
            },
            {
              name: "envoy.filters.network.tcp_proxy",
              typedConfig: {
                "@type": `${type}/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy`,
                statPrefix: "x",
                cluster: "c",
              },
            },
          ],
        },
      ],
    },
    { registry: envoyRegistry() },
  );
  assert.equal(compileListener(listener, notes).chains[0]?.forwardPort, 8443);
  const tls = compile(
    forwardCluster({
      transportSocket: {
        name: "tls",
        typedConfig: {
          "@type": `${type}/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext`,
          commonTlsContext: {},
        },
      },
    }),
  );
  assert.equal(tls.discovery.kind === "forward" ? tls.discovery.rules.defaultPort : 0, 443);
  assert.throws(
    () => compile(forwardCluster({ clusterType: { name: "envoy.clusters.redis" } })),
    /clusterType envoy.clusters.redis is not supported/,
  );
});

test("a waypoint's cluster behind an internal transport reaches a resolved name with its inner transport", () => {
  const internal = (inner: JsonObject): JsonObject => ({
    transportSocket: {
      name: "internal_upstream",
      typedConfig: {
        "@type": `${type}/envoy.extensions.transport_sockets.internal_upstream.v3.InternalUpstreamTransport`,
        transportSocket: inner,
      },
    },
  });
  const describeCluster = (config: JsonObject): unknown => {
    const { config: cluster, discovery } = compile(config);
    return [
      cluster.originalDestination?.transport.kind,
      discovery.kind === "forward" ? discovery.rules.defaultPort : undefined,
    ];
  };
  assert.deepEqual(
    describeCluster(
      forwardCluster(
        internal({
          name: "raw",
          typedConfig: { "@type": `${type}/envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer` },
        }),
      ),
    ),
    ["plain", 80],
  );
  assert.deepEqual(
    describeCluster(
      forwardCluster(
        internal({
          name: "tls",
          typedConfig: {
            "@type": `${type}/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext`,
            commonTlsContext: {},
          },
        }),
      ),
    ),
    ["tls", 443],
  );
});
