import assert from "node:assert/strict";
import { createServer } from "node:http";
import { createServer as createTcpServer, type AddressInfo } from "node:net";
import { before, test } from "node:test";
import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import { silentLogger, systemClock } from "../base/index.ts";
import {
  CertificateManager,
  connectWithin,
  FakeCertificateAuthority,
  hboneDialer,
  HbonePool,
  relay,
  serveHbone,
  type HboneRequest,
} from "../dataplane/index.ts";
import { connectTcp, listenTcp, RouteNetlink, secureServer, type ByteStream } from "../net/index.ts";
import { formatBaggage } from "../wire/hbone/index.ts";
import { typeUrls } from "../wire/xds/index.ts";
import { connectionManager, downstreamTls, router, tcpProxy } from "./testing/mesh-config.ts";
import { TestProxy } from "./testing/test-proxy.ts";
import { freePort, requireOwnNetwork } from "../net/testing/index.ts";

requireOwnNetwork();

const type = "type.googleapis.com";
const hboneIdentity = "spiffe://cluster.local/ns/test/sa/app";
const service = "10.96.0.10";

const setDestination: JsonValue = {
  name: "connect_authority",
  typedConfig: {
    "@type": `${type}/envoy.extensions.filters.http.set_filter_state.v3.Config`,
    onRequestHeaders: [
      {
        objectKey: "envoy.filters.listener.original_dst.local_ip",
        formatString: { textFormatSource: { inlineString: "%REQ(:AUTHORITY)%" } },
        sharedWithUpstream: "ONCE",
      },
    ],
  },
};

function connectTerminate(port: number): JsonValue {
  return {
    name: "connect_terminate",
    address: { socketAddress: { address: "127.0.0.1", portValue: port } },
    filterChains: [
      {
        name: "default",
        transportSocket: downstreamTls(["h2"]),
        filters: [
          connectionManager({
            http2ProtocolOptions: { allowConnect: true },
            httpFilters: [setDestination, router],
            upgradeConfigs: [{ upgradeType: "CONNECT" }],
            routeConfig: {
              name: "default",
              virtualHosts: [
                {
                  name: "default",
                  domains: ["*"],
                  routes: [
                    {
                      match: { connectMatcher: {} },
                      route: {
                        cluster: "main_internal",
                        upgradeConfigs: [{ upgradeType: "CONNECT", connectConfig: {} }],
                      },
                    },
                  ],
                },
              ],
            },
          }),
        ],
      },
    ],
  };
}

const input = (name: string): JsonValue => ({
  name,
  typedConfig: { "@type": `${type}/envoy.extensions.matching.common_inputs.network.v3.${name}` },
});
const toChain = (name: string): JsonValue => ({
  action: { name, typedConfig: { "@type": `${type}/google.protobuf.StringValue`, value: name } },
});

const clientIdentity: JsonValue = {
  name: "istio.waypoint.xfcc_client_identity",
  typedConfig: {
    "@type": `${type}/envoy.extensions.filters.http.header_mutation.v3.HeaderMutation`,
    mutations: {
      requestMutations: [
        {
          append: {
            header: {
              key: "x-forwarded-client-cert",
              value:
                "By=%FILTER_STATE(io.istio.local_principal:PLAIN)%;URI=%FILTER_STATE(io.istio.peer_principal:PLAIN)%",
            },
            appendAction: "OVERWRITE_IF_EXISTS_OR_ADD",
          },
        },
      ],
    },
  },
};

const mainInternal: JsonValue = {
  name: "main_internal",
  internalListener: {},
  trafficDirection: "INBOUND",
  listenerFilters: [
    {
      name: "envoy.filters.listener.http_inspector",
      typedConfig: { "@type": `${type}/envoy.extensions.filters.listener.http_inspector.v3.HttpInspector` },
    },
  ],
  filterChainMatcher: {
    matcherTree: {
      input: input("DestinationIPInput"),
      customMatch: {
        name: "ip",
        typedConfig: {
          "@type": `${type}/xds.type.matcher.v3.IPMatcher`,
          rangeMatchers: [
            {
              ranges: [{ addressPrefix: service, prefixLen: 32 }],
              onMatch: {
                matcher: {
                  matcherTree: {
                    input: input("DestinationPortInput"),
                    exactMatchMap: { map: { "80": toChain("inbound-vip") } },
                  },
                },
              },
            },
            {
              ranges: [{ addressPrefix: "127.0.0.0", prefixLen: 8 }],
              onMatch: {
                matcher: {
                  matcherTree: {
                    input: input("ApplicationProtocolInput"),
                    exactMatchMap: { map: { "'http/1.1'": toChain("direct-http") } },
                  },
                  onNoMatch: toChain("direct-tcp"),
                },
              },
            },
          ],
        },
      },
    },
  },
  filterChains: [
    {
      name: "inbound-vip",
      filters: [
        viaCluster("inbound-vip|80|http|shop", [clientIdentity], { forwardClientCertDetails: "ALWAYS_FORWARD_ONLY" }),
      ],
    },
    { name: "direct-http", filters: [viaCluster("encap")] },
    {
      name: "direct-tcp",
      filters: [{ name: "istio.stats", typedConfig: { "@type": `${type}/stats.PluginConfig` } }, tcpProxy("encap")],
    },
  ],
};

function viaCluster(cluster: string, before: readonly JsonValue[] = [], fields: JsonObject = {}): JsonValue {
  return connectionManager({
    ...fields,
    httpFilters: [...before, { name: "istio.stats", typedConfig: { "@type": `${type}/stats.PluginConfig` } }, router],
    routeConfig: {
      name: "r",
      virtualHosts: [
        { name: "v", domains: ["*"], routes: [{ name: "default", match: { prefix: "/" }, route: { cluster } }] },
      ],
    },
  });
}

const internalTransport: JsonValue = {
  name: "internal_upstream",
  typedConfig: {
    "@type": `${type}/envoy.extensions.transport_sockets.internal_upstream.v3.InternalUpstreamTransport`,
    transportSocket: {
      name: "raw",
      typedConfig: { "@type": `${type}/envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer` },
    },
  },
};

const internalCluster = (name: string, listener: string): JsonValue => ({
  name,
  type: "STATIC",
  transportSocket: internalTransport,
  loadAssignment: {
    clusterName: name,
    endpoints: [
      { lbEndpoints: [{ endpoint: { address: { envoyInternalAddress: { serverListenerName: listener } } } }] },
    ],
  },
});

before(() => {
  using links = new RouteNetlink();
  links.setLoopbackUp();
});

test("a waypoint ends tunnels, routes their requests by destination, opens tunnels with its own identity, and passes on the client's identity if configured", async () => {
  const authority = new FakeCertificateAuthority();
  const certificates = new CertificateManager({ authority, log: silentLogger });
  const certificatesTold: unknown[] = [];
  const app = createServer(({ headers }, response) => {
    certificatesTold.push(headers["x-forwarded-client-cert"]);
    response.end("app");
  });
  const echo = createTcpServer((socket) => void socket.on("error", () => undefined).pipe(socket));
  await Promise.all([
    new Promise<void>((resolve) => app.listen(0, "127.0.0.1", resolve)),
    new Promise<void>((resolve) => echo.listen(0, "127.0.0.1", resolve)),
  ]);
  const [appPort, echoPort] = [app, echo].map((server) => (server.address() as AddressInfo).port);
  // The workload's end of tunnels, like a ztunnel's.
  const arrived: HboneRequest[] = [];
  const { context } = await certificates.fetch(hboneIdentity);
  const workload = await listenTcp({ address: "127.0.0.1", port: 15_008 }, (stream) => {
    void secureServer(stream, () => context, { alpn: ["h2"], timeoutMs: 5000, clientCertificate: "require" }).then(
      (secure) =>
        serveHbone(secure, {
          onConnect: (request) => {
            arrived.push(request);
            void connectTcp({
              address: "127.0.0.1",
              port: Number(request.authority.split(":")[1]),
              timeoutMs: 1000,
            }).then((upstream) => relay(request.accept(), upstream));
          },
        }),
    );
  });
  const port = await freePort();
  await using proxy = await TestProxy.start({ name: "waypoint", role: "waypoint", authority });
  const { ads } = proxy;
  ads.push(typeUrls.cluster, {
    main_internal: internalCluster("main_internal", "main_internal"),
    encap: internalCluster("encap", "connect_originate"),
    "inbound-vip|80|http|shop": {
      name: "inbound-vip|80|http|shop",
      type: "EDS",
      edsClusterConfig: { edsConfig: { ads: {} }, serviceName: "shop" },
      connectTimeout: "2s",
      transportSocket: internalTransport,
      metadata: {
        filterMetadata: {
          istio: { services: [{ host: "shop.test.svc.cluster.local", name: "shop", namespace: "test" }] },
        },
      },
    },
  });
  ads.push(typeUrls.endpoint, {
    shop: {
      clusterName: "shop",
      endpoints: [
        {
          lbEndpoints: [
            {
              endpoint: {
                address: {
                  envoyInternalAddress: { serverListenerName: "connect_originate", endpointId: `127.0.0.1:${appPort}` },
                },
              },
              metadata: {
                filterMetadata: {
                  "envoy.filters.listener.original_dst": { local: `127.0.0.1:${appPort}` },
                  istio: { workload: "shop-v1;test;shop;v1;Kubernetes" },
                },
              },
            },
          ],
        },
      ],
    },
  });
  ads.push(typeUrls.listener, { connect_terminate: connectTerminate(port), main_internal: mainInternal });
  await proxy.ready();

  const pool = new HbonePool({ dial: hboneDialer(certificates) });
  const baggage = formatBaggage({
    namespace: "test",
    workloadName: "client",
    workloadType: "deployment",
    serviceName: "client",
    serviceVersion: "v7",
    cluster: "Kubernetes",
  });
  const enter = async (target: string): Promise<ByteStream> =>
    await pool.connect({
      sourceIdentity: "spiffe://cluster.local/ns/test/sa/client",
      address: "127.0.0.1",
      port,
      expectedIdentities: ["spiffe://cluster.local/ns/test/sa/waypoint"],
      authority: target,
      headers: [["baggage", baggage]],
      timeoutMs: 5000,
    });
  const exchange = async (stream: ByteStream, text: string, until: RegExp): Promise<string> => {
    let received = "";
    return await new Promise((resolve, reject) => {
      stream.setHandler({
        data: (chunk) => {
          received += chunk.toString();
          if (until.test(received)) resolve(received);
        },
        end: () => reject(new Error(`ended after ${received}`)),
        drain: () => undefined,
        close: () => reject(new Error(`closed after ${received}`)),
      });
      stream.write(Buffer.from(text));
      stream.resume();
    });
  };
  const forged = "x-forwarded-client-cert: By=spiffe://forged;URI=spiffe://forged\r\n";
  assert.match(
    await exchange(await enter(`${service}:80`), `GET / HTTP/1.1\r\nhost: shop\r\n${forged}\r\n`, /app/),
    /^HTTP\/1\.1 200 OK/,
  );
  assert.match(
    await exchange(await enter(`127.0.0.1:${appPort}`), `GET / HTTP/1.1\r\nhost: pod\r\n${forged}\r\n`, /app/),
    /^HTTP\/1\.1 200 OK/,
  );
  assert.deepEqual(certificatesTold, [
    "By=spiffe://cluster.local/ns/test/sa/waypoint;URI=spiffe://cluster.local/ns/test/sa/client",
    undefined,
  ]);
  assert.equal(await exchange(await enter(`127.0.0.1:${echoPort}`), "SSH-2.0 hello", /hello/), "SSH-2.0 hello");
  assert.deepEqual(
    arrived.map(({ authority: target, peerIdentity }) => `${peerIdentity} ${target}`),
    [appPort, appPort, echoPort].map((to) => `spiffe://cluster.local/ns/test/sa/waypoint 127.0.0.1:${to}`),
  );
  await assert.rejects(
    exchange(await enter("10.96.0.99:80"), "GET / HTTP/1.1\r\nhost: x\r\n\r\n", /HTTP/),
    /closed|ended/,
  );
  const [requests] = (await proxy.samples("istio_requests_total")).filter(
    ({ labels }) => labels["destination_service_name"] === "shop",
  );
  assert.deepEqual(
    [
      "reporter",
      "source_workload",
      "source_version",
      "source_principal",
      "destination_workload",
      "connection_security_policy",
    ].map((name) => requests?.labels[name]),
    ["waypoint", "client", "v7", "spiffe://cluster.local/ns/test/sa/client", "shop-v1", "mutual_tls"],
  );
  pool.close();
  workload.close();
  certificates.close();
  app.closeAllConnections();
  app.close();
  echo.close();
});

test("a gateway between networks routes a tunnel by its requested name and its sender to the end of the inner tunnel", async () => {
  const authority = new FakeCertificateAuthority();
  const certificates = new CertificateManager({ authority, log: silentLogger });
  const [client, gateway] = ["client", "ew"].map((name) => `spiffe://cluster.local/ns/test/sa/${name}`) as [
    string,
    string,
  ];
  const arrived: string[] = [];
  const endOf = async (identity: string): Promise<{ readonly port: number; readonly close: () => void }> => {
    const { context } = await certificates.fetch(identity);
    const listener = await listenTcp({ address: "127.0.0.1", port: 0 }, (stream) => {
      void secureServer(stream, () => context, { alpn: ["h2"], timeoutMs: 5000, clientCertificate: "require" }).then(
        (secure) =>
          serveHbone(secure, {
            onConnect: (request) => {
              arrived.push(`${identity} ${request.peerIdentity} ${request.authority}`);
              echo(request.accept());
            },
          }),
      );
    });
    return { port: listener.address.port, close: () => listener.close() };
  };
  const [pod, guard] = [await endOf(hboneIdentity), await endOf("spiffe://cluster.local/ns/test/sa/waypoint")];
  const port = await freePort();
  await using proxy = await TestProxy.start({ name: "ew", role: "waypoint", authority });
  const { ads } = proxy;
  const plain = (name: string, to: number): JsonValue => ({
    name,
    type: "STATIC",
    connectTimeout: "2s",
    loadAssignment: {
      clusterName: name,
      endpoints: [
        { lbEndpoints: [{ endpoint: { address: { socketAddress: { address: "127.0.0.1", portValue: to } } } }] },
      ],
    },
  });
  const state = (key: string): JsonValue => ({
    name: key,
    typedConfig: { "@type": `${type}/envoy.extensions.matching.common_inputs.network.v3.FilterStateInput`, key },
  });
  const bySource: JsonValue = {
    matcher: {
      matcherTree: { input: state("io.istio.source"), exactMatchMap: { map: { waypoint: toChain("straight") } } },
      onNoMatch: toChain("guarded"),
    },
  };
  const chains = ["straight", "guarded"].map((name): JsonValue => ({ name, filters: [tcpProxy(name)] }));
  ads.push(typeUrls.cluster, {
    main_internal: internalCluster("main_internal", "main_internal"),
    straight: plain("straight", pod.port),
    guarded: plain("guarded", guard.port),
  });
  ads.push(typeUrls.listener, {
    connect_terminate: connectTerminate(port),
    main_internal: {
      name: "main_internal",
      internalListener: {},
      filterChainMatcher: {
        matcherTree: {
          input: state("io.istio.connect_authority"),
          exactMatchMap: { map: { "web.test.svc.cluster.local:80": bySource } },
        },
      },
      filterChains: chains,
    },
  });
  await proxy.ready();

  const pool = new HbonePool({ dial: hboneDialer(certificates) });
  const through = async (
    name: string,
    headers: readonly (readonly [string, string])[],
    expected: string,
  ): Promise<ByteStream> => {
    const outer = await pool.connect({
      sourceIdentity: client,
      address: "127.0.0.1",
      port,
      expectedIdentities: [gateway],
      authority: name,
      headers,
      timeoutMs: 5000,
    });
    return await connectWithin(outer, certificates, {
      sourceIdentity: client,
      expectedIdentities: [expected],
      authority: name,
      headers: [],
      timeoutMs: 5000,
      clock: systemClock,
    });
  };
  const name = "web.test.svc.cluster.local:80";
  const guarded = await through(name, [], "spiffe://cluster.local/ns/test/sa/waypoint");
  const straight = await through(name, [["x-istio-source", "waypoint"]], hboneIdentity);
  assert.deepEqual(arrived, [
    `spiffe://cluster.local/ns/test/sa/waypoint ${client} ${name}`,
    `${hboneIdentity} ${client} ${name}`,
  ]);
  await assert.rejects(through("other.test.svc.cluster.local:80", [], hboneIdentity));
  for (const stream of [guarded, straight]) stream.destroy();
  pool.close();
  for (const end of [pod, guard]) end.close();
  certificates.close();
});

function echo(stream: ByteStream): void {
  stream.setHandler({
    data: (chunk) => void stream.write(Buffer.from(chunk)),
    end: () => stream.end(),
    drain: () => undefined,
    close: () => undefined,
  });
  stream.resume();
}
