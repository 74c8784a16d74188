import assert from "node:assert/strict";
import { connect } from "node:net";
import { test } from "node:test";
import type { IncomingHttpHeaders } from "node:http2";
import type { HttpTunnelSpec } from "./http-tunnel.ts";
import { seededRandom, systemClock } from "../../base/index.ts";
import { connectTcp, listenTcp } from "../../net/index.ts";
import type { ConnectContext } from "../upstream/endpoint.ts";
import type { UpstreamProtocol } from "../upstream/cluster.ts";
import { connectionFrom } from "../testing/filter-request.ts";
import { endpointAt, Harness } from "../testing/harness.ts";
import { Http2Backend } from "../testing/http2-peers.ts";
import { plainTcpSpec, plainTlsSpec } from "../testing/plain-specs.ts";
import { flagLetters } from "../terms/response-flags.ts";
import type { UpstreamTlsSpec } from "../tls/tls-spec.ts";
import { TcpProxy } from "./tcp-proxy.ts";
import type { TcpFlow } from "./tcp-flow.ts";

const authority = "echo.test:7";

/** The tests' connector does not use TLS. */
const tls: UpstreamTlsSpec = {
  ...plainTlsSpec,
  key: "simple",
  serverName: undefined,
  hostnameAsServerName: false,
  fallbackServerName: undefined,
  verifiesServerName: false,
};

interface Passage {
  readonly received: string;
  readonly flow: TcpFlow;
  /** The protocols that the connector was asked for. */
  readonly protocols: readonly ConnectContext["protocol"][];
}

/** Sends a text through a tunnel and ends the client's side. Returns what the client receives. */
async function passThrough(
  port: number,
  text: string,
  {
    upstreamProtocol,
    alpnProtocol,
    tunnel = { authority, postPath: undefined },
    innerTls,
  }: {
    readonly upstreamProtocol?: UpstreamProtocol;
    readonly alpnProtocol?: string;
    readonly tunnel?: HttpTunnelSpec;
    readonly innerTls?: UpstreamTlsSpec;
  },
): Promise<Passage> {
  await using harness = await Harness.start();
  const cluster = harness.cluster("forward", [port], upstreamProtocol === undefined ? {} : { upstreamProtocol });
  if (innerTls !== undefined) cluster.setEndpoints([endpointAt(port, { innerTls })]);
  const protocols: ConnectContext["protocol"][] = [];
  const closed = Promise.withResolvers<TcpFlow>();
  const proxy = new TcpProxy({
    spec: () => ({ ...plainTcpSpec("forward"), tunnel }),
    cluster: () => cluster,
    connector: {
      connect: async ({ address, port: at }, timeoutMs, context) => {
        if (context !== undefined) protocols.push(context.protocol);
        return Object.assign(await connectTcp({ address, port: at, timeoutMs }), { alpnProtocol });
      },
    },
    clock: systemClock,
    random: seededRandom(1),
    observer: { opened: () => undefined, moved: () => undefined, closed: closed.resolve },
  });
  const listener = await listenTcp({ address: "127.0.0.1", port: 0 }, (stream) =>
    proxy.accept(stream, connectionFrom("127.0.0.1")),
  );
  const received = await new Promise<string>((resolve) => {
    const socket = connect({ port: listener.address.port, host: "127.0.0.1", allowHalfOpen: true });
    let sofar = "";
    socket.on("data", (bytes) => (sofar += bytes.toString()));
    socket.on("error", () => undefined);
    socket.on("end", () => socket.end());
    socket.on("close", () => resolve(sofar));
    socket.end(text);
  });
  listener.close();
  return { received, flow: await closed.promise, protocols };
}

/** A proxy that speaks HTTP/2 only, and echoes the bytes of its tunnels. */
async function http2Proxy(requests: IncomingHttpHeaders[]): Promise<Http2Backend> {
  return await Http2Backend.start((stream, headers) => {
    requests.push(Object.fromEntries(Object.entries(headers)));
    stream.respond({ ":status": 200 });
    stream.pipe(stream);
  });
}

test("a tunnel speaks HTTP/2 to the proxies of a cluster that follows the client's protocol, and each side may end first", async () => {
  const requests: IncomingHttpHeaders[] = [];
  await using forward = await http2Proxy(requests);
  const text = "through".repeat(100_000);
  const { received, flow, protocols } = await passThrough(forward.port, text, { upstreamProtocol: "downstream" });
  assert.equal(received, text);
  assert.deepEqual(protocols, ["http2"]);
  assert.equal(flagLetters(flow.flag), "-");
  assert.deepEqual(requests, [{ ":method": "CONNECT", ":authority": authority }]);
  // The connection ends with its only tunnel.
  await new Promise<void>((resolve) => {
    for (const session of forward.sessions) session.once("close", () => resolve());
    if (forward.sessions.size === 0) resolve();
  });
});

test("a tunnel by POST over HTTP/2 names the address of its destination at the proxy", async () => {
  const requests: IncomingHttpHeaders[] = [];
  await using forward = await http2Proxy(requests);
  const post = { upstreamProtocol: "http2", tunnel: { authority, postPath: "/tunnel" } } as const;
  for (const innerTls of [undefined, tls]) {
    const { received } = await passThrough(forward.port, "posted", { ...post, ...(innerTls && { innerTls }) });
    assert.equal(received, "posted");
  }
  const request = { ":method": "POST", ":path": "/tunnel", ":authority": authority };
  assert.deepEqual(requests, [
    { ...request, ":scheme": "http" },
    { ...request, ":scheme": "https" },
  ]);
});

test("a tunnel speaks what TLS negotiates with the proxy, if the cluster does not set the protocol", async () => {
  const requests: IncomingHttpHeaders[] = [];
  await using forward = await http2Proxy(requests);
  const second = await passThrough(forward.port, "second", { upstreamProtocol: "alpn", alpnProtocol: "h2" });
  assert.equal(second.received, "second");
  assert.deepEqual(second.protocols, ["alpn"]);
  await using harness = await Harness.start();
  const port = await harness.rawBackend((socket) => {
    socket.once("data", (head) => {
      assert.match(head.toString(), /^CONNECT echo\.test:7 HTTP\/1\.1\r\n/);
      socket.write("HTTP/1.1 200 OK\r\n\r\n");
      socket.pipe(socket);
    });
  });
  const first = await passThrough(port, "first", { upstreamProtocol: "alpn", alpnProtocol: "http/1.1" });
  assert.equal(first.received, "first");
});
