import { listenOnLoopback } from "../../test/support/listen-on-loopback.ts";
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { test } from "node:test";
import { TLSSocket, createSecureContext } from "node:tls";
import type { JsonValue } from "@bufbuild/protobuf";
import { FakeCertificateAuthority } from "../dataplane/index.ts";
import { freePort, TestAuthority } from "../net/testing/index.ts";
import { typeUrls } from "../wire/xds/index.ts";
import { httpListener, plainEndpoints, weightedRoute } from "./testing/ads-server.ts";
import { RawClient } from "./testing/harness.ts";
import { tcpProxy } from "./testing/mesh-config.ts";
import { TestProxy } from "./testing/test-proxy.ts";

const type = "type.googleapis.com";
const raw = {
  name: "raw",
  typedConfig: { "@type": `${type}/envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer` },
};
const tls = {
  name: "tls",
  typedConfig: {
    "@type": `${type}/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext`,
    sni: "shop.test",
    commonTlsContext: {},
  },
};

const proxied = (version: "V1" | "V2", transportSocket: JsonValue): JsonValue => ({
  name: "envoy.transport_sockets.upstream_proxy_protocol",
  typedConfig: {
    "@type": `${type}/envoy.extensions.transport_sockets.proxy_protocol.v3.ProxyProtocolUpstreamTransport`,
    config: { version },
    transportSocket,
  },
});

const cluster = (name: string, more: Readonly<Record<string, JsonValue>>): JsonValue => ({
  name,
  type: "EDS",
  edsClusterConfig: { edsConfig: { ads: {} }, serviceName: name },
  connectTimeout: "2s",
  ...more,
});

const tcpListener = (port: number, to: string): JsonValue => ({
  name: `tcp_${port}`,
  address: { socketAddress: { address: "127.0.0.1", portValue: port } },
  filterChains: [{ filters: [tcpProxy(to)] }],
});

/** Answers each request with the first request of its connection and the number of earlier requests on it. */
function tellingServer(connections: Socket[]): Server {
  return createServer((socket) => {
    connections.push(socket);
    let first: string | undefined;
    let requests = 0;
    socket.on("error", () => undefined);
    let text = "";
    socket.on("data", (chunk: Buffer) => {
      text += chunk.toString("latin1");
      if (!text.endsWith("\r\n\r\n")) return;
      const end = text.startsWith("PROXY ") ? text.indexOf("\r\n") : 0;
      first ??= text.slice(0, end);
      const forwarded = (/x-peer: (.*)\r\n/.exec(text) ?? /x-forwarded-for: (.*)\r\n/.exec(text))?.[1] ?? "";
      const body = `<${first}> ${forwarded} request ${(requests += 1)}.`;
      text = "";
      socket.write(`HTTP/1.1 200 OK\r\ncontent-length: ${body.length}\r\n\r\n${body}`);
    });
  });
}

/** Whether the kernel has a keepalive timer for a connection of this process whose ports `takes` accepts. */
function keptAlive(takes: (localPort: number, remotePort: number) => boolean): boolean {
  return readFileSync("/proc/self/net/tcp", "utf8")
    .split("\n")
    .slice(1)
    .some((line) => {
      const [, local = "", remote = "", state, , timer = ""] = line.trim().split(/\s+/);
      const port = (end: string): number => Number.parseInt(end.split(":")[1] ?? "0", 16);
      return state === "01" && timer.startsWith("02:") && takes(port(local), port(remote));
    });
}

test("the kernel probes only connections of listeners and clusters that enable keepalive", async () => {
  await using proxy = await TestProxy.start({
    name: "gateway",
    role: "router",
    authority: new FakeCertificateAuthority(),
  });
  const connections: Socket[] = [];
  const server = tellingServer(connections);
  const backend = await listenOnLoopback(server);
  const [probed, plain] = [await freePort(), await freePort()];
  const { ads } = proxy;
  const keepalive = { keepaliveTime: 600, keepaliveInterval: 60, keepaliveProbes: 3 };
  ads.push(typeUrls.cluster, {
    a: cluster("a", { upstreamConnectionOptions: { tcpKeepalive: keepalive } }),
    b: cluster("b", {}),
  });
  ads.push(typeUrls.endpoint, { a: plainEndpoints("a", [backend]), b: plainEndpoints("b", [backend]) });
  ads.push(typeUrls.listener, {
    probed: { ...(tcpListener(probed, "b") as object), tcpKeepalive: keepalive },
    plain: tcpListener(plain, "a"),
  });
  await proxy.ready();
  const clients = [new RawClient(probed), new RawClient(plain)];
  for (const client of clients) {
    client.send("GET / HTTP/1.1\r\n\r\n");
    await client.until(/request 1\./);
  }
  assert.equal(
    keptAlive((local) => local === probed),
    true,
    "what the listener accepted",
  );
  assert.equal(
    keptAlive((local) => local === plain),
    false,
    "what another listener accepted",
  );
  const ours = connections.map((socket) => socket.remotePort);
  assert.deepEqual(
    ours.map((port) => keptAlive((local, remote) => local === port && remote === backend)),
    [false, true],
    "towards endpoints",
  );
  for (const { socket } of clients) socket.destroy();
  server.close();
});

test("a listener that requires PROXY headers identifies clients by them, and closes connections with a missing or invalid header", async () => {
  await using proxy = await TestProxy.start({
    name: "gateway",
    role: "router",
    authority: new FakeCertificateAuthority(),
  });
  const server = tellingServer([]);
  const backend = await listenOnLoopback(server);
  const [port, lenient, direct] = [await freePort(), await freePort(), await freePort()];
  const { ads } = proxy;
  const behindBalancer = (listener: JsonValue, rules: JsonValue): JsonValue => ({
    ...(listener as object),
    listenerFilters: [
      {
        name: "envoy.filters.listener.proxy_protocol",
        typedConfig: {
          "@type": `${type}/envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol`,
          ...(rules as object),
        },
      },
    ],
  });
  ads.push(typeUrls.cluster, { a: cluster("a", {}) });
  ads.push(typeUrls.endpoint, { a: plainEndpoints("a", [backend]) });
  ads.push(typeUrls.listener, {
    strict: behindBalancer(httpListener(port, "routes"), {}),
    lenient: behindBalancer(httpListener(lenient, "routes"), {
      allowRequestsWithoutProxyProtocol: true,
      disallowedVersions: ["V2"],
    }),
    direct: behindBalancer(httpListener(direct, "direct"), {}),
  });
  const peerAddressHeader = { header: { key: "x-peer", value: "%DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT%" } };
  ads.push(typeUrls.route, {
    routes: weightedRoute("routes", { a: 1 }),
    direct: { ...(weightedRoute("direct", { a: 1 }) as object), requestHeadersToAdd: [peerAddressHeader] },
  });
  await proxy.ready();
  const request = "GET / HTTP/1.1\r\nhost: shop.test\r\n\r\n";
  const answered = async (to: number, bytes: string | Buffer): Promise<string> => {
    const client = new RawClient(to);
    client.send(bytes);
    const text = await client.until(/request \d+\./).catch(() => "closed");
    client.socket.destroy();
    return /> (.*) request/.exec(text)?.[1] ?? text;
  };
  const binary = Buffer.concat([
    Buffer.from("0d0a0d0a000d0a515549540a2111000ccb007107c63364011267 0050".replaceAll(" ", ""), "hex"),
    Buffer.from(request),
  ]);
  assert.equal(await answered(port, `PROXY TCP4 203.0.113.7 198.51.100.1 4711 80\r\n${request}`), "203.0.113.7");
  assert.equal(await answered(port, `PROXY TCP6 2001:DB8:0:0::7 ::1 4711 80\r\n${request}`), "2001:db8::7");
  assert.equal(await answered(port, binary), "203.0.113.7");
  assert.equal(await answered(port, `PROXY UNKNOWN\r\n${request}`), "127.0.0.1");
  for (const wrong of [
    request,
    `PROXY TCP4 1.1.1.1\nx-admin:yes 198.51.100.1 4711 80\r\n${request}`,
    `PROXY TCP4 203.0.113.7 198.51.100.1 4711 80 more\r\n${request}`,
    `PROXY TCP4 203.0.113.7 198.51.100.1 4711 70000\r\n${request}`,
  ]) {
    assert.equal(await answered(port, wrong), "closed", wrong.split("\r\n")[0]);
  }
  assert.equal(await answered(lenient, request), "127.0.0.1", "where headers may be left out");
  assert.equal(await answered(lenient, `PROXY TCP4 203.0.113.7 198.51.100.1 4711 80\r\n${request}`), "203.0.113.7");
  assert.equal(await answered(lenient, binary), "closed", "a version that is not wanted");
  assert.equal(
    await answered(direct, `PROXY TCP4 203.0.113.7 198.51.100.1 4711 80\r\n${request}`),
    "127.0.0.1",
    "the peer, whoever it speaks for",
  );
  server.close();
});

test("PROXY headers name the client to endpoints, so no two clients share a connection", async () => {
  const authority = await TestAuthority.create();
  const issued = await authority.issue({ dns: "shop.test" });
  await using proxy = await TestProxy.start({
    name: "gateway",
    role: "router",
    authority: new FakeCertificateAuthority(),
  });
  const server = tellingServer([]);
  const backend = await listenOnLoopback(server);
  const secured = createServer((socket) => {
    socket.on("error", () => undefined);
    socket.once("data", (chunk: Buffer) => {
      socket.pause();
      const length = 16 + chunk.readUInt16BE(14);
      socket.unshift(chunk.subarray(length));
      const inner = new TLSSocket(socket, {
        isServer: true,
        secureContext: createSecureContext({ cert: issued.certificateChain, key: issued.privateKey }),
      });
      inner.on("error", () => undefined);
      inner.end(`${chunk.toString("hex", 12, length)}.`);
    });
  });
  const securedPort = await listenOnLoopback(secured);
  const [http, tcp, overTls] = [await freePort(), await freePort(), await freePort()];
  const { ads } = proxy;
  ads.push(typeUrls.cluster, {
    a: cluster("a", { transportSocket: proxied("V1", raw) }),
    b: cluster("b", { transportSocket: proxied("V2", tls) }),
  });
  ads.push(typeUrls.endpoint, { a: plainEndpoints("a", [backend]), b: plainEndpoints("b", [securedPort]) });
  ads.push(typeUrls.listener, {
    http: httpListener(http, "routes"),
    tcp: tcpListener(tcp, "a"),
    overTls: tcpListener(overTls, "b"),
  });
  ads.push(typeUrls.route, { routes: weightedRoute("routes", { a: 1 }) });
  await proxy.ready();
  const portOf = ({ socket }: RawClient): number => socket.localPort ?? 0;
  const clients = [new RawClient(http), new RawClient(http), new RawClient(tcp)];
  for (const [round, pattern] of [/request 1\./, /request 2\./].entries()) {
    for (const client of clients) {
      client.received = "";
      client.send("GET / HTTP/1.1\r\nhost: shop.test\r\n\r\n");
      const text = await client.until(pattern);
      assert.equal(
        /<(.*)>/.exec(text)?.[1],
        `PROXY TCP4 127.0.0.1 127.0.0.1 ${portOf(client)} ${client === clients[2] ? tcp : http}`,
        `round ${round}`,
      );
    }
  }
  const inner = new RawClient(overTls);
  const header = Buffer.from((await inner.until(/\.$/)).slice(0, -1), "hex");
  assert.deepEqual(
    [header.toString("hex", 0, 12), header.readUInt16BE(12), header.readUInt16BE(14)],
    ["2111000c7f0000017f000001", portOf(inner), overTls],
    "before TLS",
  );
  for (const { socket } of [...clients, inner]) socket.destroy();
  server.close();
  secured.close();
});
