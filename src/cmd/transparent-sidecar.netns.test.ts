import assert from "node:assert/strict";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { createServer as createHttpServer } from "node:http";
import { createServer, type Server, type Socket } from "node:net";
import { after, before, test } from "node:test";
import { applyRedirect, planRedirect, readRedirectCommand } from "../cni/redirect/index.ts";
import { FakeCertificateAuthority } from "../dataplane/index.ts";
import { connectTcp, listenTcpInNamespace, NetworkNamespace, RouteNetlink } from "../net/index.ts";
import { requireOwnNetwork } from "../net/testing/index.ts";
import {
  blackHole,
  inboundCluster,
  passthrough,
  TestProxy,
  transparentInbound,
  virtualOutbound,
} from "../proxy/testing/index.ts";
import { typeUrls } from "../wire/xds/index.ts";

requireOwnNetwork();

// The network namespace of this process is the pod's: it has the sidecar, the application and the rules of mode TPROXY.
// The client is in another network namespace, behind a link.

const pod = { ipv4: "10.1.0.1", ipv6: "fd00:1::1" } as const;
const client = { ipv4: "10.1.0.2", ipv6: "fd00:1::2" } as const;
const secondClient = "10.1.0.3";
const [podMac, clientMac] = [Buffer.from([2, 0, 0, 0, 0, 1]), Buffer.from([2, 0, 0, 0, 0, 2])];
const flags = ["-m", "TPROXY", "-u", "1337", "-i", "*", "-b", "*", "-d", "15090,15021,15020"];
const ports = { web: 8080, echo: 9000, unknown: 7000, direct: 15_021, bound: 3306 } as const;

const outside = NetworkNamespace.create();
const servers: Server[] = [];
const sockets = new Set<Socket>();
let proxy: TestProxy;

function linkNamespaces(): void {
  using own = new RouteNetlink();
  using other = new RouteNetlink(outside.fd);
  own.setLoopbackUp();
  other.setLoopbackUp();
  const peer = { name: "eth0", index: 2, macAddress: clientMac, namespaceFd: outside.fd };
  own.addVeth({ name: "eth0", index: 2, macAddress: podMac, peer });
  for (const [links, own4, own6, other4, other6, mac] of [
    [own, pod.ipv4, pod.ipv6, client.ipv4, client.ipv6, clientMac],
    [other, client.ipv4, client.ipv6, pod.ipv4, pod.ipv6, podMac],
  ] as const) {
    links.setLink(2, { up: true });
    links.addAddress(2, { address: own4, prefixLength: 24 });
    links.addAddress(2, { address: own6, prefixLength: 64 });
    links.addNeighbour(2, other4, mac);
    links.addNeighbour(2, other6, mac);
  }
  // The strictest check of source addresses (rp_filter) that a node may have.
  for (const name of ["all", "eth0", "lo"]) writeFileSync(`/proc/sys/net/ipv4/conf/${name}/rp_filter`, "1");
  other.addAddress(2, { address: secondClient, prefixLength: 32 });
  own.addNeighbour(2, secondClient, clientMac);
}

async function serve(server: Server, port: number, namespaceFd?: number): Promise<void> {
  servers.push(server);
  server.on("connection", (socket) => {
    sockets.add(socket);
    socket.on("error", () => undefined);
    socket.on("close", () => sockets.delete(socket));
  });
  server.listen({ fd: listenTcpInNamespace(namespaceFd, { address: "::", port, ipv6Only: false }) });
  await once(server, "listening");
}

function sayer(name: string): Server {
  return createServer(
    (socket) => void socket.end(`${name} sees ${(socket.remoteAddress ?? "").replace("::ffff:", "")}`),
  );
}

interface Dial {
  readonly from?: string;
  readonly inPod?: boolean;
  readonly mark?: number;
  readonly text?: string;
}

/** Sends a request, and returns everything that the server sends before it closes. */
async function sendRequest(
  address: string,
  port: number,
  { from, inPod = false, mark, text = "" }: Dial = {},
): Promise<string> {
  const stream = await connectTcp({
    address,
    port,
    timeoutMs: 5000,
    ...(inPod ? {} : { namespaceFd: outside.fd }),
    ...(from === undefined ? {} : { sourceAddress: from }),
    ...(mark === undefined ? {} : { mark }),
  });
  let answer = "";
  const closed = new Promise<void>((resolve) =>
    stream.setHandler({
      data: (chunk) => void (answer += chunk.toString()),
      end: () => stream.end(),
      drain: () => undefined,
      close: () => resolve(),
    }),
  );
  stream.resume();
  if (text !== "") stream.write(Buffer.from(text));
  await closed;
  return answer;
}

async function get(address: string, dial: Dial = {}): Promise<string> {
  const answer = await sendRequest(address, ports.web, {
    ...dial,
    text: "GET / HTTP/1.1\r\nhost: web\r\nconnection: close\r\n\r\n",
  });
  return answer.split("\r\n\r\n")[1]?.trim() ?? answer;
}

before(async () => {
  linkNamespaces();
  const web = createHttpServer((request, response) => {
    const body = `web sees ${(request.socket.remoteAddress ?? "").replace("::ffff:", "")}`;
    response.setHeader("content-length", body.length);
    response.end(body);
  });
  await serve(web, ports.web);
  for (const [name, port] of Object.entries(ports)) if (name !== "web") await serve(sayer(name), port);
  await serve(sayer("peer"), ports.unknown, outside.fd);
  applyRedirect(planRedirect(readRedirectCommand(flags, {}, "").options));
  proxy = await TestProxy.start({
    name: "server",
    role: "sidecar",
    address: pod.ipv4,
    authority: new FakeCertificateAuthority(),
    environment: { ISTIO_META_INTERCEPTION_MODE: "TPROXY" },
  });
  proxy.ads.push(typeUrls.cluster, {
    BlackHoleCluster: blackHole,
    PassthroughCluster: passthrough,
    InboundPassthroughCluster: inboundCluster("InboundPassthroughCluster"),
    "inbound|8080||": inboundCluster("inbound|8080||", "web"),
    "inbound|9000||": inboundCluster("inbound|9000||", "echo"),
  });
  const inbound = transparentInbound(
    [
      { port: ports.web, http: true },
      { port: ports.echo, http: false },
    ],
    false,
  ) as object;
  proxy.ads.push(typeUrls.listener, {
    virtualOutbound,
    virtualInbound: {
      ...inbound,
      address: { socketAddress: { address: "::", portValue: 15_006, ipv4Compat: true } },
    },
  });
  await proxy.ready();
});

after(async () => {
  await proxy[Symbol.asyncDispose]();
  for (const socket of sockets) socket.destroy();
  for (const server of servers) server.close();
  outside.close();
});

test("the application sees each client's address, over HTTP and raw TCP, and of both families", async () => {
  assert.equal(await get(pod.ipv4), `web sees ${client.ipv4}`);
  assert.equal(await get(pod.ipv4, { from: secondClient }), `web sees ${secondClient}`);
  assert.equal(await get(pod.ipv4), `web sees ${client.ipv4}`, "no client gets another one's connection");
  assert.equal(await get(pod.ipv6), `web sees ${client.ipv6}`);
  assert.equal(await sendRequest(pod.ipv4, ports.echo, { text: "x" }), `echo sees ${client.ipv4}`);
  assert.equal(await sendRequest(pod.ipv6, ports.echo, { text: "x" }), `echo sees ${client.ipv6}`);
  const counted = await proxy.samples("istio_requests_total");
  assert.equal(
    counted.reduce((sum, { value }) => sum + value, 0),
    4,
    "all of it passed the sidecar",
  );
  assert.equal(await sendRequest(pod.ipv4, ports.direct), `direct sees ${client.ipv4}`);
});

test("packets from the proxy to other hosts leave the pod, and packets to its own pod arrive as inbound ones", async () => {
  assert.equal(await sendRequest(client.ipv4, ports.unknown, { inPod: true }), `peer sees ${pod.ipv4}`);
  const before = (await proxy.samples("istio_requests_total")).reduce((sum, { value }) => sum + value, 0);
  assert.equal(await get(pod.ipv4, { inPod: true, mark: 1338 }), `web sees ${pod.ipv4}`);
  assert.equal(await get(pod.ipv4, { inPod: true }), `web sees ${pod.ipv4}`, "the application calls itself");
  const after = (await proxy.samples("istio_requests_total")).reduce((sum, { value }) => sum + value, 0);
  assert.equal(after - before, 1);
});
