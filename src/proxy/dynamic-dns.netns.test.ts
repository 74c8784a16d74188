import assert from "node:assert/strict";
import { createServer, type IncomingHttpHeaders, type Server } from "node:http";
import { createServer as createSecureServer } from "node:https";
import { connect, createServer as createTcpServer, type Server as TcpServer } from "node:net";
import { after, before, test } from "node:test";
import type { TLSSocket } from "node:tls";
import { until } from "../base/testing/index.ts";
import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import { FakeCertificateAuthority } from "../dataplane/index.ts";
import { action, match, NftNetlink, NftTransaction, RouteNetlink } from "../net/index.ts";
import { requireOwnNetwork, TestAuthority } from "../net/testing/index.ts";
import { typeUrls } from "../wire/xds/index.ts";
import { fetchOnce } from "./testing/harness.ts";
import {
  blackHole,
  connectionManager,
  httpInspector,
  originalDestination,
  passthrough,
  router,
  virtualOutbound,
} from "./testing/mesh-config.ts";
import { everyStatistic, TestProxy } from "./testing/test-proxy.ts";

requireOwnNetwork();

// A sidecar with the configuration that a control plane sends for the mode ALLOW_ANY_DYNAMIC_DNS. It knows no service.
// Connections to 10.96.0.0/16 are redirected to it, and its own connections are marked.

const type = "type.googleapis.com";
const cluster = "AllowAnyDynamicDNSCluster";
const unknownAddress = "10.96.0.10";
const resolved = "10.1.0.3";
const dnsCacheConfig = { name: "allow_any_dfp_dns_cache", dnsLookupFamily: "V4_ONLY", maxHosts: 1024 };

function redirectPod(): void {
  using links = new RouteNetlink();
  links.setLoopbackUp();
  links.addAddress(1, { address: resolved, prefixLength: 32 });
  links.addRoute({ destination: { address: "10.96.0.0", prefixLength: 16 }, type: "local", linkIndex: 1, table: 255 });
  using nft = new NftNetlink();
  const transaction = new NftTransaction();
  const table = transaction.table("ip", "sidecars").replace();
  table.addChain("output", { type: "nat", hook: "output", priority: -100 });
  table.addRule("output", match.mark(0x539, 0xfff), action.accept());
  table.addRule("output", match.destination("10.96.0.0/16"), match.protocol("tcp"), action.redirect(15_001));
  nft.commit(transaction);
}

const forwarding: JsonValue = {
  name: "envoy.filters.http.dynamic_forward_proxy",
  typedConfig: {
    "@type": `${type}/envoy.extensions.filters.http.dynamic_forward_proxy.v3.FilterConfig`,
    dnsCacheConfig,
  },
};

const unknownHttp: JsonValue = {
  name: "virtualOutbound-catchall-tcp-http",
  filterChainMatch: { applicationProtocols: ["http/1.1", "h2c"] },
  filters: [
    connectionManager({
      httpFilters: [forwarding, router],
      routeConfig: {
        name: "allow_any_dynamic_dns",
        ignorePortInHostMatching: true,
        virtualHosts: [
          {
            name: "allow_any_dynamic_dns",
            domains: ["*"],
            routes: [{ name: "allow_any_dynamic_dns", match: { prefix: "/" }, route: { cluster, timeout: "0s" } }],
          },
        ],
      },
    }),
  ],
};

function listener(): JsonValue {
  const known = virtualOutbound as JsonObject;
  const [first, last] = known["filterChains"] as readonly JsonValue[];
  return {
    ...known,
    listenerFilters: [originalDestination, httpInspector],
    continueOnListenerFiltersTimeout: true,
    listenerFiltersTimeout: "0.2s",
    filterChains: [first ?? {}, unknownHttp, last ?? {}],
  };
}

const forwardCluster = (more: JsonObject = {}): JsonValue => ({
  name: cluster,
  lbPolicy: "CLUSTER_PROVIDED",
  connectTimeout: "2s",
  clusterType: {
    name: "envoy.clusters.dynamic_forward_proxy",
    typedConfig: {
      "@type": `${type}/envoy.extensions.clusters.dynamic_forward_proxy.v3.ClusterConfig`,
      dnsCacheConfig,
      allowInsecureClusterOptions: true,
    },
  },
  ...more,
});

const insecureTls: JsonObject = {
  transportSocket: {
    name: "envoy.transport_sockets.tls",
    typedConfig: {
      "@type": `${type}/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext`,
      commonTlsContext: { validationContext: {} },
    },
  },
  typedExtensionProtocolOptions: {
    "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
      "@type": `${type}/envoy.extensions.upstreams.http.v3.HttpProtocolOptions`,
      upstreamHttpProtocolOptions: { autoSni: true },
      explicitHttpConfig: { httpProtocolOptions: {} },
    },
  },
};

const servers: (Server | TcpServer)[] = [];
const queries: string[] = [];
const serverNames: unknown[] = [];
let headers: IncomingHttpHeaders = {};
let sidecar: TestProxy;

async function listening(server: Server | TcpServer, port: number, address: string): Promise<void> {
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(port, address, resolve));
}

before(async () => {
  redirectPod();
  const issued = await (await TestAuthority.create()).issue({ dns: "somebody-else.test" });
  await listening(
    createServer((request, response) => {
      headers = request.headers;
      response.end("by name");
    }),
    80,
    resolved,
  );
  await listening(
    createSecureServer({ cert: issued.certificateChain, key: issued.privateKey }, (request, response) => {
      serverNames.push((request.socket as TLSSocket & { servername?: string }).servername);
      response.end("by TLS");
    }),
    443,
    resolved,
  );
  await listening(
    createTcpServer((socket) => void socket.pipe(socket)),
    7000,
    unknownAddress,
  );
  await listening(
    createTcpServer((socket) => void socket.end("I speak first")),
    7001,
    unknownAddress,
  );
  sidecar = await TestProxy.start({
    name: "client",
    role: "sidecar",
    authority: new FakeCertificateAuthority(),
    proxyConfig: everyStatistic,
    resolve: (name) => {
      queries.push(name);
      return name === "unknown.test"
        ? Promise.resolve({ addresses: [resolved] })
        : Promise.reject(new Error("no such name"));
    },
  });
  sidecar.ads.push(typeUrls.cluster, {
    BlackHoleCluster: blackHole,
    PassthroughCluster: passthrough,
    [cluster]: forwardCluster(),
  });
  sidecar.ads.push(typeUrls.listener, { virtualOutbound: listener() });
  await sidecar.ready();
});

after(async () => {
  await sidecar[Symbol.asyncDispose]();
  for (const server of servers) {
    if ("closeAllConnections" in server) server.closeAllConnections();
    server.close();
  }
});

const get = async (host: string, port = 80) => {
  const { status, body } = await fetchOnce(port, "/hello", { host: unknownAddress, headers: { host } });
  return [status, body];
};

/** `upstream_rq_total` of the clusters for unknown destinations, as Envoy's admin port reports it. */
async function requests(): Promise<readonly [byName: number, passed: number]> {
  const count = async (name: string): Promise<number> => {
    const { body } = await fetchOnce(sidecar.ports.admin, `/stats?filter=^cluster\\.${name}`);
    return Number(new RegExp(`^cluster\\.${name};?\\.upstream_rq_total: (\\d+)$`, "m").exec(body)?.[1]);
  };
  return [await count(cluster), await count("PassthroughCluster")];
}

async function tcp(port: number, text: string): Promise<string> {
  const socket = connect(port, unknownAddress);
  if (text !== "") socket.write(text);
  const answer = await new Promise<string>((resolve) => {
    socket.once("data", (bytes) => resolve(bytes.toString("latin1")));
    socket.once("close", () => resolve("closed"));
    socket.once("error", () => resolve("closed"));
  });
  socket.destroy();
  return answer;
}

test("a request to an unknown host is resolved and reached by name, whatever address its client had", async () => {
  const [byName, passed] = await requests();
  assert.deepEqual(await get("unknown.test"), [200, "by name"]);
  assert.equal(headers["host"], "unknown.test");
  // The proxy uses the port in the host header, not the port of the connection.
  assert.deepEqual(await get("unknown.test", 8123), [200, "by name"]);
  assert.deepEqual(queries, ["unknown.test"]);
  assert.deepEqual(await get("nowhere.test"), [503, "DNS resolution failure"]);
  assert.deepEqual(await requests(), [byName + 2, passed]);
});

test("a connection that is not HTTP goes to its original destination, even if the server sends first", async () => {
  const [byName, passed] = await requests();
  const hello = "\x16\x03\x01\x00\x05hello";
  assert.equal(await tcp(7000, hello), hello);
  assert.equal(await tcp(7001, ""), "I speak first");
  assert.deepEqual(await requests(), [byName, passed + 2]);
});

test("with TLS towards unknown hosts, plain requests become TLS with the requested name, at port 443", async () => {
  sidecar.ads.push(typeUrls.cluster, { [cluster]: forwardCluster(insecureTls) });
  await until(async () => (await get("unknown.test"))[1] === "by TLS");
  assert.deepEqual([...new Set(serverNames)], ["unknown.test"]);
});
