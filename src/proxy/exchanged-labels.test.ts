import { listenOnLoopback } from "../../test/support/listen-on-loopback.ts";
import assert from "node:assert/strict";
import { createServer as createHttpServer } from "node:http";
import { createServer } from "node:net";
import { test } from "node:test";
import { until } from "../base/testing/index.ts";
import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import { FakeCertificateAuthority } from "../dataplane/index.ts";
import { freePort } from "../net/testing/index.ts";
import { typeUrls } from "../wire/xds/index.ts";
import { plainEndpoints } from "./testing/ads-server.ts";
import { fetchOnce, sendText } from "./testing/harness.ts";
import {
  connectionManager,
  downstreamTls,
  meshEndpoint,
  metadataExchange,
  outboundCluster,
  router,
  tcpProxy,
} from "./testing/mesh-config.ts";
import { TestProxy } from "./testing/test-proxy.ts";

const type = "type.googleapis.com";
const labels = { additional_labels: ["role", "tier"] };

const tcpExchange: JsonValue = {
  name: "istio.metadata_exchange",
  typedConfig: {
    "@type": `${type}/udpa.type.v1.TypedStruct`,
    typeUrl: `${type}/envoy.tcp.metadataexchange.config.MetadataExchange`,
    value: { enable_discovery: true, protocol: "istio-peer-exchange", ...labels },
  },
};

function stats(peer: "upstream_peer" | "downstream_peer"): JsonValue {
  return {
    name: "istio.stats",
    typedConfig: {
      "@type": `${type}/stats.PluginConfig`,
      metrics: [
        {
          dimensions: {
            role: `filter_state.${peer}.labels['role']`,
            tier: `filter_state.${peer}.labels['tier']`,
            workload: `has(filter_state.${peer}) ? filter_state.${peer}.workload : 'nobody'`,
          },
        },
      ],
    },
  };
}

function listener(port: number, direction: "INBOUND" | "OUTBOUND", chain: JsonObject): JsonValue {
  return {
    name: `l${port}`,
    address: { socketAddress: { address: "127.0.0.1", portValue: port } },
    trafficDirection: direction,
    filterChains: [chain],
  };
}

function http(cluster: string, exchange: JsonObject, peer: "upstream_peer" | "downstream_peer"): JsonValue {
  return connectionManager({
    httpFilters: [metadataExchange({ ...exchange, ...labels }), stats(peer), router],
    routeConfig: {
      name: cluster,
      virtualHosts: [
        { name: "all", domains: ["*"], routes: [{ name: "default", match: { prefix: "/" }, route: { cluster } }] },
      ],
    },
  });
}

async function startPeers(appPort: number, echoPort: number) {
  const authority = new FakeCertificateAuthority();
  const start = async (name: string, podLabels: Readonly<Record<string, string>>): Promise<TestProxy> =>
    await TestProxy.start({
      name,
      role: "sidecar",
      authority,
      environment: { ISTIO_METAJSON_LABELS: JSON.stringify({ app: name, ...podLabels }) },
    });
  const [client, server] = [
    await start("client", { role: "caller", secret: "untold" }),
    await start("server", { role: "called", tier: "gold" }),
  ];
  const ports = {
    http: await freePort(),
    tcp: await freePort(),
    serverHttp: await freePort(),
    serverTcp: await freePort(),
  };
  server.ads.push(typeUrls.cluster, {
    app: { name: "app", type: "EDS", edsClusterConfig: { edsConfig: { ads: {} } } },
    echo: { name: "echo", type: "EDS", edsClusterConfig: { edsConfig: { ads: {} } } },
  });
  server.ads.push(typeUrls.endpoint, {
    app: plainEndpoints("app", [appPort]),
    echo: plainEndpoints("echo", [echoPort]),
  });
  server.ads.push(typeUrls.listener, {
    http: listener(ports.serverHttp, "INBOUND", {
      filters: [
        http(
          "app",
          { downstream_discovery: [{ istio_headers: {} }], downstream_propagation: [{ istio_headers: {} }] },
          "downstream_peer",
        ),
      ],
      transportSocket: downstreamTls(["h2", "http/1.1"]),
    }),
    tcp: listener(ports.serverTcp, "INBOUND", {
      filters: [tcpExchange, stats("downstream_peer"), tcpProxy("echo")],
      transportSocket: downstreamTls(["istio-peer-exchange", "h2", "http/1.1"]),
    }),
  });
  const identity = "spiffe://cluster.local/ns/test/sa/server";
  const cluster = (name: string): JsonValue => ({
    ...(outboundCluster(name, "shop", identity) as JsonObject),
    filters: [tcpExchange],
  });
  client.ads.push(typeUrls.cluster, { http: cluster("http"), tcp: cluster("tcp") });
  client.ads.push(typeUrls.endpoint, {
    http: meshEndpoint("http", "127.0.0.1", ports.serverHttp),
    tcp: meshEndpoint("tcp", "127.0.0.1", ports.serverTcp),
  });
  client.ads.push(typeUrls.listener, {
    http: listener(ports.http, "OUTBOUND", {
      filters: [
        http(
          "http",
          { upstream_discovery: [{ istio_headers: {} }], upstream_propagation: [{ istio_headers: {} }] },
          "upstream_peer",
        ),
      ],
    }),
    tcp: listener(ports.tcp, "OUTBOUND", { filters: [stats("upstream_peer"), tcpProxy("tcp")] }),
  });
  await Promise.all([client.ready(), server.ready()]);
  return { client, server, ports };
}

async function peerIn(proxy: TestProxy, metric: string): Promise<unknown> {
  let found: unknown;
  await until(async () => {
    const [sample] = await proxy.samples(metric);
    found = sample && [sample.labels["workload"], sample.labels["role"], sample.labels["tier"]];
    return sample !== undefined;
  });
  return found;
}

test("sidecars tell each other the labels that their filters name, over HTTP and TCP, and metrics can have them", async () => {
  const app = createHttpServer((_request, response) => response.end("served"));
  const echo = createServer((socket) => void socket.on("error", () => undefined).pipe(socket));
  const { client, server, ports } = await startPeers(await listenOnLoopback(app), await listenOnLoopback(echo));
  try {
    assert.equal((await fetchOnce(ports.http, "/")).body, "served");
    assert.equal(await sendText(ports.tcp, "hello"), "hello");
    for (const metric of ["istio_requests_total", "istio_tcp_connections_opened_total"]) {
      assert.deepEqual(await peerIn(server, metric), ["client", "caller", "unknown"], metric);
      assert.deepEqual(await peerIn(client, metric), ["server", "called", "gold"], metric);
    }
  } finally {
    await Promise.all([client[Symbol.asyncDispose](), server[Symbol.asyncDispose]()]);
    app.closeAllConnections();
    app.close();
    echo.close();
  }
});
