import assert from "node:assert/strict";
import { createServer, type IncomingMessage } from "node:http";
import { connect, createServer as createTcpServer } from "node:net";
import { after, before, test } from "node:test";
import { until } from "../base/testing/index.ts";
import { FakeCertificateAuthority } from "../dataplane/index.ts";
import { action, match, NftNetlink, NftTransaction, RouteNetlink } from "../net/index.ts";
import { typeUrls } from "../wire/xds/index.ts";
import { weightedRoute } from "./testing/ads-server.ts";
import { fetchOnce } from "./testing/harness.ts";
import {
  blackHole,
  inboundCluster,
  meshEndpoint,
  outboundCluster,
  outboundHttp,
  outboundTcp,
  passthrough,
  virtualInbound,
  virtualOutbound,
} from "./testing/mesh-config.ts";
import { TestProxy } from "./testing/test-proxy.ts";
import { requireOwnNetwork } from "../net/testing/index.ts";

requireOwnNetwork();

// Two pods in one network namespace. Connections to the services' addresses are redirected to the client's sidecar, and
// connections to the server's address to the server's sidecar. The sidecars' own connections are marked, or come from
// 127.0.0.6.

const clientPod = "10.1.0.1";
const serverPod = "10.1.0.2";
const outside = "10.1.0.3";
const services = "10.96.0.0/16";

const authority = new FakeCertificateAuthority();

function redirectPods(): void {
  using links = new RouteNetlink();
  links.setLoopbackUp();
  for (const address of [clientPod, serverPod, outside]) links.addAddress(1, { address, prefixLength: 32 });
  links.addRoute({ destination: { address: "10.96.0.0", prefixLength: 16 }, type: "local", linkIndex: 1, table: 255 });
  using nft = new NftNetlink();
  const transaction = new NftTransaction();
  const table = transaction.table("ip", "sidecars").replace();
  const tcp = match.protocol("tcp");
  table.addChain("output", { type: "nat", hook: "output", priority: -100 });
  table.addRule("output", match.source("127.0.0.6/32"), action.accept());
  for (const port of [8080, 9000, 7000])
    table.addRule(
      "output",
      match.destination(`${serverPod}/32`),
      tcp,
      match.destinationPort(port),
      action.redirect(15_006),
    );
  table.addRule("output", match.mark(0x539, 0xfff), action.accept());
  table.addRule("output", match.destination(services), tcp, action.redirect(15_001));
  table.addRule("output", match.destination(`${outside}/32`), tcp, match.destinationPort(80), action.redirect(15_001));
  nft.commit(transaction);
}

let client: TestProxy;
let server: TestProxy;
const requests: IncomingMessage[] = [];
const app = createServer((request, response) => {
  requests.push(request);
  response.end(`from ${request.socket.remoteAddress ?? ""}`);
});
const echo = createTcpServer((socket) => void socket.pipe(socket));
const plainWeb = createServer((_request, response) => response.end("outside"));

function get(
  address: string,
  port: number,
  headers: Record<string, string> = {},
): Promise<{ status: number; body: string }> {
  return fetchOnce(port, "/hello", { host: address, headers }).then(({ status, body }) => ({ status, body }));
}

before(async () => {
  redirectPods();
  await Promise.all([
    new Promise<void>((resolve) => app.listen(8080, serverPod, resolve)),
    new Promise<void>((resolve) => echo.listen(9000, serverPod, resolve)),
    new Promise<void>((resolve) => plainWeb.listen(80, outside, resolve)),
  ]);
  client = await TestProxy.start({ name: "client", role: "sidecar", address: clientPod, authority });
  server = await TestProxy.start({ name: "server", role: "sidecar", address: serverPod, authority });
  const identity = "spiffe://cluster.local/ns/test/sa/server";
  client.ads.push(typeUrls.cluster, {
    BlackHoleCluster: blackHole,
    PassthroughCluster: passthrough,
    "outbound|80||shop": outboundCluster("outbound|80||shop", "shop", identity),
    "outbound|9000||echo": outboundCluster("outbound|9000||echo", "echo", identity),
    "outbound|81||impostor": outboundCluster(
      "outbound|81||impostor",
      "impostor",
      "spiffe://cluster.local/ns/test/sa/somebody-else",
    ),
  });
  client.ads.push(typeUrls.endpoint, {
    "outbound|80||shop": meshEndpoint("outbound|80||shop", serverPod, 8080),
    "outbound|9000||echo": meshEndpoint("outbound|9000||echo", serverPod, 9000),
    "outbound|81||impostor": meshEndpoint("outbound|81||impostor", serverPod, 8080),
  });
  client.ads.push(typeUrls.listener, {
    virtualOutbound,
    "0.0.0.0_80": outboundHttp(80, "80"),
    "0.0.0.0_81": outboundHttp(81, "81"),
    "10.96.0.20_9000": outboundTcp("10.96.0.20", 9000, "outbound|9000||echo"),
  });
  client.ads.push(typeUrls.route, {
    "80": weightedRoute("80", { "outbound|80||shop": 1 }),
    "81": weightedRoute("81", { "outbound|81||impostor": 1 }),
  });
  server.ads.push(typeUrls.cluster, {
    BlackHoleCluster: blackHole,
    InboundPassthroughCluster: inboundCluster("InboundPassthroughCluster"),
    "inbound|8080||": inboundCluster("inbound|8080||", "shop"),
    "inbound|9000||": inboundCluster("inbound|9000||", "echo"),
  });
  server.ads.push(typeUrls.listener, {
    virtualInbound: virtualInbound(
      [
        { port: 8080, http: true },
        { port: 9000, http: false },
      ],
      true,
    ),
  });
  await Promise.all([client.ready(), server.ready()]);
});

after(async () => {
  await client[Symbol.asyncDispose]();
  await server[Symbol.asyncDispose]();
  for (const one of [app, plainWeb]) {
    one.closeAllConnections();
    one.close();
  }
  echo.close();
});

test("a request between two pods uses mutual TLS from sidecar to sidecar, to the address that the client requested", async () => {
  assert.deepEqual(await get("10.96.0.10", 80, { host: "shop" }), { status: 200, body: "from 127.0.0.6" });
  const certificate = String(requests.at(-1)?.headers["x-forwarded-client-cert"]);
  assert.match(
    certificate,
    /By=spiffe:\/\/cluster\.local\/ns\/test\/sa\/server;Hash=[0-9a-f]{64};.*URI=spiffe:\/\/cluster\.local\/ns\/test\/sa\/client/,
  );
  const [incoming] = await server.samples("istio_requests_total");
  assert.deepEqual(
    [
      "reporter",
      "source_workload",
      "source_workload_namespace",
      "source_principal",
      "destination_workload",
      "destination_service_name",
      "connection_security_policy",
      "response_code",
    ].map((name) => incoming?.labels[name]),
    [
      "destination",
      "client",
      "test",
      "spiffe://cluster.local/ns/test/sa/client",
      "server",
      "shop",
      "mutual_tls",
      "200",
    ],
  );
  const [outgoing] = await client.samples("istio_requests_total");
  assert.deepEqual(
    [
      "reporter",
      "source_workload",
      "destination_workload",
      "destination_principal",
      "destination_service",
      "response_code",
      "connection_security_policy",
    ].map((name) => outgoing?.labels[name]),
    [
      "source",
      "client",
      "shop-v1",
      "spiffe://cluster.local/ns/test/sa/server",
      "shop.test.svc.cluster.local",
      "200",
      "unknown",
    ],
  );
});

test("TCP passes by mutual TLS, and both ends exchange and count metadata", async () => {
  const socket = connect(9000, "10.96.0.20");
  const answer = new Promise<string>((resolve) => socket.once("data", (bytes) => resolve(bytes.toString())));
  socket.write("hello");
  assert.equal(await answer, "hello");
  socket.end();
  await new Promise((resolve) => socket.once("close", resolve));
  await until(async () => (await server.samples("istio_tcp_connections_closed_total")).length > 0);
  const [closed] = await server.samples("istio_tcp_connections_closed_total");
  assert.deepEqual(
    [closed?.labels["reporter"], closed?.labels["source_principal"], closed?.labels["connection_security_policy"]],
    ["destination", "spiffe://cluster.local/ns/test/sa/client", "mutual_tls"],
  );
  assert.deepEqual(
    [closed?.labels["source_workload"], closed?.labels["source_workload_namespace"]],
    ["client", "test"],
  );
  const [opened] = await client.samples("istio_tcp_connections_opened_total");
  assert.deepEqual(
    [opened?.labels["destination_workload"], opened?.labels["destination_principal"]],
    ["shop-v1", "spiffe://cluster.local/ns/test/sa/server"],
  );
  assert.equal((await server.samples("istio_tcp_received_bytes_total"))[0]?.value, 5);
  assert.equal((await client.samples("istio_tcp_sent_bytes_total"))[0]?.value, 5);
});

test("another pod can read metrics and readiness on a sidecar's status port, but neither end nor drain it", async () => {
  const { stats } = server.ports;
  for (const path of ["/quitquitquit", "/drain"])
    assert.equal((await fetchOnce(stats, path, { host: serverPod, method: "POST" })).status, 403, path);
  for (const path of ["/healthz/ready", "/stats/prometheus"])
    assert.equal((await fetchOnce(stats, path, { host: serverPod })).status, 200, path);
});

test("an endpoint with another identity than the service's is not contacted", async () => {
  const answer = await get("10.96.0.11", 81, { host: "impostor" });
  assert.equal(answer.status, 503);
  assert.match(
    answer.body,
    /the peer is spiffe:\/\/cluster\.local\/ns\/test\/sa\/server, expected spiffe:\/\/cluster\.local\/ns\/test\/sa\/somebody-else/,
  );
});

test("traffic without a listener passes, even HTTP without a route", async () => {
  client.ads.push(typeUrls.listener, {}, ["0.0.0.0_80"]);
  await until(async () => !(await fetchOnce(client.ports.admin, "/config_dump")).body.includes('"0.0.0.0_80"'));
  assert.deepEqual(await get(outside, 80), { status: 200, body: "outside" });
  client.ads.push(typeUrls.listener, { "0.0.0.0_80": outboundHttp(80, "80") });
  client.ads.push(typeUrls.route, { "80": weightedRoute("80", { "outbound|80||shop": 1 }) });
  await until(async () => (await get("10.96.0.10", 80).catch(() => undefined))?.status === 200);
});

test("STRICT refuses plaintext, PERMISSIVE accepts it, and open connections survive the change", async () => {
  await assert.rejects(get(serverPod, 8080));
  const kept = connect(9000, "10.96.0.20");
  await new Promise((resolve) => kept.once("connect", resolve));
  const echo = async (text: string): Promise<string> => {
    kept.write(text);
    return await new Promise((resolve) => kept.once("data", (bytes) => resolve(bytes.toString())));
  };
  assert.equal(await echo("one"), "one");
  let from = server.ads.acknowledgements.length;
  server.ads.push(typeUrls.listener, {
    virtualInbound: virtualInbound(
      [
        { port: 8080, http: true },
        { port: 9000, http: false },
      ],
      false,
    ),
  });
  assert.equal((await server.ads.acknowledged(typeUrls.listener, from)).error, undefined);
  assert.deepEqual(await get(serverPod, 8080), { status: 200, body: "from 127.0.0.6" });
  assert.equal(await echo("two"), "two");
  assert.deepEqual(await get("10.96.0.10", 80), { status: 200, body: "from 127.0.0.6" });
  from = server.ads.acknowledgements.length;
  server.ads.push(typeUrls.listener, {
    virtualInbound: virtualInbound(
      [
        { port: 8080, http: true },
        { port: 9000, http: false },
      ],
      true,
    ),
  });
  await server.ads.acknowledged(typeUrls.listener, from);
  await assert.rejects(get(serverPod, 8080));
  assert.equal(await echo("three"), "three");
  kept.destroy();
});

test("access rules identify the client by its certificate, for requests and for connections", async () => {
  const ports = [
    { port: 8080, http: true },
    { port: 9000, http: false },
  ];
  const apply = async (account: string): Promise<void> => {
    const principals = [
      { authenticated: { principalName: { exact: `spiffe://cluster.local/ns/test/sa/${account}` } } },
    ];
    const rules = {
      action: "ALLOW",
      policies: {
        viewer: {
          permissions: [
            { andRules: { rules: [{ orRules: { rules: [{ destinationPort: 8080 }, { destinationPort: 9000 }] } }] } },
          ],
          principals,
        },
      },
    };
    const from = server.ads.acknowledgements.length;
    server.ads.push(typeUrls.listener, { virtualInbound: virtualInbound(ports, true, rules) });
    assert.equal((await server.ads.acknowledged(typeUrls.listener, from)).error, undefined);
  };
  const readGreeting = async (): Promise<string> => {
    const socket = connect(9000, "10.96.0.20");
    const answer = new Promise<string>((resolve) => {
      socket.once("data", (bytes) => resolve(bytes.toString()));
      socket.once("close", () => resolve("closed"));
      socket.once("error", () => resolve("closed"));
    });
    socket.write("hello");
    const greeting = await answer;
    socket.destroy();
    return greeting;
  };
  await apply("client");
  assert.deepEqual([(await get("10.96.0.10", 80)).status, await readGreeting()], [200, "hello"]);
  await apply("somebody-else");
  assert.deepEqual(await get("10.96.0.10", 80), { status: 403, body: "RBAC: access denied" });
  assert.equal(await readGreeting(), "closed");
  const denied = await server.samples("envoy_tcp_rbac");
  assert.ok(
    denied.some(({ labels, value }) => labels["authz_enforce_result"] === "denied" && value > 0),
    JSON.stringify(denied),
  );
  const from = server.ads.acknowledgements.length;
  server.ads.push(typeUrls.listener, { virtualInbound: virtualInbound(ports, true) });
  await server.ads.acknowledged(typeUrls.listener, from);
});

test("the error for a listener whose address cannot be opened names the listener", async () => {
  const from = server.ads.acknowledgements.length;
  server.ads.push(typeUrls.listener, {
    taken: {
      name: "taken",
      address: { socketAddress: { address: "0.0.0.0", portValue: 15_006 } },
      filterChains: [{ filters: [] }],
    },
  });
  assert.match(
    (await server.ads.acknowledged(typeUrls.listener, from)).error ?? "",
    /listener taken: the network filter \(none\) is not supported/,
  );
  const again = server.ads.acknowledgements.length;
  server.ads.push(typeUrls.listener, {
    taken: { ...(outboundTcp("0.0.0.0", 15_006, "BlackHoleCluster") as object), name: "taken", bindToPort: true },
  });
  assert.match(
    (await server.ads.acknowledged(typeUrls.listener, again)).error ?? "",
    /listener taken: listen on 0\.0\.0\.0:15006: EADDRINUSE/,
  );
  server.ads.push(typeUrls.listener, {}, ["taken"]);
});
