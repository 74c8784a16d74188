import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { ConnectionLimit, createLogger, systemClock } from "../../base/index.ts";
import { until } from "../../base/testing/index.ts";
import {
  CertificateManager,
  ConnectionTracker,
  FakeCertificateAuthority,
  type CertificateAuthority,
} from "../../dataplane/index.ts";
import {
  bindUdpInNamespace,
  closeDescriptor,
  connectTcp,
  inNamespace,
  libc,
  listenTcp,
  listenTcpInNamespace,
  NetworkNamespace,
  openTcpSocketInNamespace,
  RouteNetlink,
} from "../../net/index.ts";
import { MetricsRegistry, renderPrometheus } from "../../telemetry/index.ts";
import { DnsResolver } from "../dns/dns-resolver.ts";
import { parseLocalConfig } from "../state/local-config.ts";
import { noChange } from "../state/mesh-change.ts";
import { MeshState } from "../state/mesh-state.ts";
import { clientAddress, podPair, serverAddress, serviceAddress, sniff } from "../testing/pod-pair.ts";
import { ConnectionTelemetry } from "./connection-record.ts";
import { IdentityUsers } from "./identity-users.ts";
import type { LiveConnection, ProxyEnvironment } from "./pod-context.ts";
import type { PassedListener } from "./served-pods.ts";
import { PodProxy } from "./pod-proxy.ts";
import { echo, requireOwnNetwork } from "../../net/testing/index.ts";

requireOwnNetwork();

const mesh = (policies = "") => `
workloads:
- {uid: "c//Pod/default/client", name: client, namespace: default, serviceAccount: client, workloadIps: ["${clientAddress}"], protocol: HBONE, canonicalName: client}
- {uid: "c//Pod/default/server", name: server, namespace: default, serviceAccount: server, workloadIps: ["${serverAddress}"], protocol: HBONE, canonicalName: server, services: {default/echo.default.svc.cluster.local: {80: 8080}}}
services:
- {name: echo, namespace: default, hostname: echo.default.svc.cluster.local, vips: ["/${serviceAddress}"], ports: {80: 8080}}
${policies}`;

/** Retries of both ends are at most 2 s apart, and the machine may be busy. */
const retryWithinMs = 4_500;

/** The parts of a ztunnel without its process. */
function environment(
  root: ReturnType<FakeCertificateAuthority["exportRoot"]>,
  config: string,
  authority: CertificateAuthority = new FakeCertificateAuthority({ root }),
  maxConnections = 1000,
) {
  const lines: string[] = [];
  const log = createLogger({ scope: "ztunnel", level: "info", write: (line) => void lines.push(line) });
  const state = new MeshState();
  parseLocalConfig(config, state);
  const registry = new MetricsRegistry();
  const certificates = new CertificateManager({ authority, log });
  const env: ProxyEnvironment = {
    state,
    certificates,
    identities: new IdentityUsers(certificates),
    telemetry: new ConnectionTelemetry(registry, log, systemClock),
    tracker: new ConnectionTracker<LiveConnection>({ log }),
    limit: new ConnectionLimit(maxConnections),
    log,
    clock: systemClock,
    random: () => 0.5,
    mark: 0x539,
    keepalive: { timeSeconds: 180, intervalSeconds: 180, probes: 9 },
    ports: { outbound: 15_001, inboundPlaintext: 15_006, hbone: 15_008, dns: 15_053 },
    network: "",
    dns: new DnsResolver({ state, network: "", domain: "cluster.local", nameservers: [], log, random: () => 0.5 }),
  };
  return { env, lines, registry, certificates };
}

function podProxy(
  env: ProxyEnvironment,
  namespace: NetworkNamespace,
  name: string,
  { listeners = [], itself = false }: { listeners?: readonly PassedListener[]; itself?: boolean } = {},
) {
  const info = { name, namespace: "default", serviceAccount: name };
  const namespaceFd = NetworkNamespace.open(`/proc/self/fd/${namespace.fd}`).fd;
  return new PodProxy({ environment: env, uid: name, info, namespaceFd, listeners, itself });
}

/** An application in the server's pod. It sends the client's address, then echoes. */
async function echoServer(namespace: NetworkNamespace, port = 8080) {
  return await listenTcp({ fd: listenTcpInNamespace(namespace.fd, { address: "0.0.0.0", port }) }, (stream) => {
    echo(stream);
    stream.write(Buffer.from(`hello ${stream.remote.address}\n`));
  });
}

async function talk(namespace: NetworkNamespace, address: string, port: number) {
  const stream = await connectTcp({ address, port, namespaceFd: namespace.fd, timeoutMs: 5_000 });
  let text = "";
  let wake = () => undefined as void;
  let closed: { readonly error: Error | undefined } | undefined;
  stream.setHandler({
    data: (chunk) => {
      text += chunk.toString();
      wake();
    },
    end: () => stream.end(),
    drain() {},
    close: (error) => {
      closed = { error };
      wake();
    },
  });
  stream.resume();
  const done = (wanted: string) => text.includes(wanted) || closed !== undefined;
  const until = async (wanted: string) => {
    while (!done(wanted)) await new Promise<void>((resolve) => (wake = resolve));
    return text;
  };
  return { stream, until, closed: () => closed, say: (words: string) => stream.write(Buffer.from(words)) };
}

async function startBoth(policies = "", wrapped = (authority: CertificateAuthority) => authority) {
  const pods = podPair();
  const root = new FakeCertificateAuthority().exportRoot();
  const authority = wrapped(new FakeCertificateAuthority({ root }));
  const source = environment(root, mesh(policies), authority);
  const destination = environment(root, mesh(policies), authority);
  const outbound = podProxy(source.env, pods.client, "client");
  const inbound = podProxy(destination.env, pods.server, "server");
  await outbound.start();
  await inbound.start();
  const app = await echoServer(pods.server);
  const close = () => {
    outbound.close();
    inbound.close();
    app.close();
    pods.close();
    source.certificates.close();
    destination.certificates.close();
  };
  return { pods, source, destination, outbound, inbound, close };
}

test("an echo through a service crosses two ztunnels, keeps the client's address, and both name both identities", async () => {
  const { pods, source, destination, close } = await startBoth();
  const wire = sniff(pods.server);
  const client = await talk(pods.client, serviceAddress, 80);
  assert.match(await client.until("\n"), new RegExp(`hello ${clientAddress}`));
  client.say("a secret");
  assert.match(await client.until("a secret"), /a secret/);
  wire.stop();
  assert.ok(wire.bytes().length > 1_000);
  for (const word of ["a secret", "hello", "CONNECT", "baggage", "default"])
    assert.equal(wire.bytes().includes(word), false, `${word} is on the wire`);
  client.stream.end();
  await client.until("never");
  await Promise.all([source.env.tracker.idle(), destination.env.tracker.idle()]);
  const [out] = source.lines.filter((line) => line.includes("\taccess\t"));
  const [inn] = destination.lines.filter((line) => line.includes("\taccess\t"));
  assert.match(
    out ?? "",
    /\tinfo\taccess\tconnection complete\tsrc\.addr=10\.1\.0\.1:\d+ src\.workload="client" src\.namespace="default" src\.identity="spiffe:\/\/cluster\.local\/ns\/default\/sa\/client"/,
  );
  assert.match(
    out ?? "",
    /dst\.addr=10\.1\.0\.2:15008 dst\.hbone_addr=10\.1\.0\.2:8080 dst\.service="echo\.default\.svc\.cluster\.local" dst\.workload="server"/,
  );
  assert.match(out ?? "", /direction="outbound" bytes_sent=8 bytes_recv=\d+ duration="\d+ms"/);
  assert.match(
    inn ?? "",
    /src\.identity="spiffe:\/\/cluster\.local\/ns\/default\/sa\/client".*dst\.identity="spiffe:\/\/cluster\.local\/ns\/default\/sa\/server".*direction="inbound"/,
  );
  assert.match(
    renderPrometheus(destination.registry),
    /istio_tcp_connections_opened_total\{reporter="destination".*connection_security_policy="mutual_tls".*\} 1/,
  );
  close();
});

test("a pod with more connections than the ztunnel holds loses some of its own, and another pod is served", async () => {
  const root = new FakeCertificateAuthority().exportRoot();
  const other = `- {uid: "c//Pod/default/other", name: other, namespace: default, serviceAccount: other, workloadIps: ["10.1.0.9"], protocol: TCP, canonicalName: other}
services:`;
  const authority = new FakeCertificateAuthority({ root });
  const { env, lines, certificates } = environment(root, mesh().replace("services:\n", `${other}\n`), authority, 4);
  const parts: { close(): void }[] = [certificates];
  const placed = async (name: string) => {
    const pods = podPair({ outsider: true });
    const proxy = podProxy(env, pods.server, name);
    await proxy.start();
    parts.push(proxy, await echoServer(pods.server), pods);
    return pods.client;
  };
  const [crowd, single] = [await placed("server"), await placed("other")];
  const many = await Promise.all(Array.from({ length: 7 }, async () => await talk(crowd, serverAddress, 8080)));
  const greeted = await Promise.all(many.map(async ({ until }) => (await until("\n")).includes("hello")));
  assert.equal(greeted.filter((isGreeted) => isGreeted).length, 4);
  const one = await talk(single, serverAddress, 8080);
  assert.match(await one.until("\n"), /hello/);
  assert.equal(env.tracker.size, 4);
  const warnings = lines.filter((line) => line.includes("connections are refused"));
  assert.equal(warnings.length, 1);
  assert.match(warnings[0] ?? "", /name=server namespace=default/);
  for (const { stream } of [one, ...many]) stream.destroy();
  await env.tracker.idle();
  for (const part of parts) part.close();
});

test("an idle tunnel counts among its pod's connections, and ends when the ztunnel needs its place", async () => {
  const { pods, source, close } = await startBoth();
  const { limit } = source.env;
  const held: { destroy(): unknown }[] = [];
  const admit = limit.admit.bind(limit);
  limit.admit = (connection, address) => {
    const place = admit(connection, address);
    held.push(connection);
    return {
      [Symbol.dispose]: () => {
        place?.[Symbol.dispose]();
        held.splice(held.indexOf(connection), 1);
      },
    };
  };
  const client = await talk(pods.client, serviceAddress, 80);
  assert.match(await client.until("\n"), /hello/);
  assert.equal(held.length, 2);
  client.stream.destroy();
  await source.env.tracker.idle();
  await until(() => held.length === 1);
  held[0]?.destroy();
  await until(() => held.length === 0);
  close();
});

const fromNear = `policies:
- {name: near, namespace: default, scope: Namespace, action: Allow, rules: [[[{sourceIps: [10.0.0.0/8]}]]]}
`;

function descriptors(): number {
  return readdirSync("/proc/self/fd").length;
}

const [socketLevel, linger] = [1, 13];
/** Port 8080 of the server. */
const serverSocket = Buffer.from([2, 0, 0x1f, 0x90, 10, 1, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0]);

/** Connects to the server and resets the connection, before the event loop can accept it. */
function connectAndReset(namespace: NetworkNamespace): void {
  const fd = openTcpSocketInNamespace(namespace.fd, { family: "ipv4" });
  // Calling connect again shows whether the connection is open.
  for (let attempt = 0; libc().connect(fd, serverSocket, serverSocket.length) !== 0; attempt += 1) {
    assert.ok(attempt < 1_000, "the connection opens");
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
  }
  libc().setsockopt(fd, socketLevel, linger, Buffer.from([1, 0, 0, 0, 0, 0, 0, 0]), 8);
  closeDescriptor(fd);
}

test("connections that clients reset before they are accepted leave no descriptor open", async () => {
  const pods = podPair({ outsider: true });
  const root = new FakeCertificateAuthority().exportRoot();
  const { env, lines, certificates } = environment(root, mesh(fromNear));
  const proxy = podProxy(env, pods.server, "server");
  await proxy.start();
  const app = await echoServer(pods.server);
  const one = await talk(pods.client, serverAddress, 8080);
  assert.match(await one.until("\n"), /hello/);
  const before = descriptors();
  for (let count = 0; count < 20; count += 1) connectAndReset(pods.client);
  const next = await talk(pods.client, serverAddress, 8080);
  assert.match(await next.until("\n"), /hello/);
  next.stream.destroy();
  await until(() => env.tracker.size === 1);
  await until(() => descriptors() <= before);
  assert.doesNotMatch(lines.join(""), /unexpectedly/);
  one.stream.destroy();
  await env.tracker.idle();
  for (const part of [proxy, app, pods, certificates]) part.close();
});

test("a connection whose policies cannot be evaluated is closed, over HBONE and in plain text", async () => {
  const { pods, source, destination, close } = await startBoth(fromNear);
  const policy = destination.env.state.policies()[0] ?? assert.fail();
  const [match = assert.fail()] = policy.rules.flat(2);
  const unreadable = { ...match, sourceIps: [{ address: "unreadable", length: 8 }] };
  destination.env.state.putPolicy({ ...policy, rules: [[[unreadable]]] });
  const answer = async (): Promise<string> =>
    await talk(pods.client, serverAddress, 8080).then(
      async (client) => await client.until("never"),
      () => "",
    );
  assert.equal(await answer(), "");
  for (const workload of source.env.state.workloads())
    if (workload.name === "server") source.env.state.putWorkload({ ...workload, protocol: "TCP" });
  assert.equal(await answer(), "");
  await Promise.all([source.env.tracker.idle(), destination.env.tracker.idle()]);
  const failed = destination.lines.filter((line) => line.includes("failed unexpectedly"));
  assert.deepEqual(
    failed.map((line) => /a \w+ failed/.exec(line)?.[0]),
    ["a tunnel failed", "a connection failed"],
  );
  close();
});

/** The number of connections that the server's application has not closed. */
function applicationConnections(namespace: NetworkNamespace): number {
  const table = inNamespace(namespace.fd, () => readFileSync("/proc/thread-self/net/tcp", "latin1"));
  return table.split("\n").filter((line) => /^ *\d+: \S+:1F90 \S+ 0[18] /.test(line)).length;
}

test("a tunnel that fails after the connection to the application is open leaves neither open, and has a log line", async () => {
  const { pods, source, destination, close } = await startBoth();
  const { telemetry, tracker } = destination.env;
  const open = telemetry.open.bind(telemetry);
  telemetry.open = (details) => {
    const fail = (): never => {
      throw new Error("the relay is broken");
    };
    return Object.defineProperty(open(details), "onForward", { get: fail });
  };
  const client = await talk(pods.client, serverAddress, 8080);
  await client.until("never");
  await Promise.all([source.env.tracker.idle(), tracker.idle()]);
  const lines = destination.lines.filter((line) => line.includes("the relay is broken"));
  assert.equal(lines.filter((line) => line.includes("connection complete")).length, 1, lines.join(""));
  assert.equal(lines.filter((line) => line.includes("failed unexpectedly")).length, 1, lines.join(""));
  await until(() => applicationConnections(pods.server) === 0);
  close();
});

test("a pod that drains is done when the queries are answered that its ztunnel has read", async () => {
  const pods = podPair();
  const root = new FakeCertificateAuthority().exportRoot();
  const { env, certificates } = environment(root, mesh());
  const [asked, answered] = [Promise.withResolvers<undefined>(), Promise.withResolvers<Buffer>()];
  const dns: Partial<DnsResolver> = {
    answer: async () => {
      asked.resolve(undefined);
      return await answered.promise;
    },
  };
  const proxy = podProxy({ ...env, dns: dns as DnsResolver }, pods.client, "client");
  await proxy.start();
  const client = createSocket("udp4");
  const bound = once(client, "listening");
  client.bind({ fd: bindUdpInNamespace(pods.client.fd, { address: "127.0.0.1", port: 0 }) });
  await bound;
  client.send("query", env.ports.dns, "127.0.0.1");
  await asked.promise;
  proxy.drain();
  assert.equal(proxy.state, "draining");
  answered.resolve(Buffer.from("answer"));
  const [answer] = (await once(client, "message")) as [Buffer];
  assert.equal(String(answer), "answer");
  await proxy.closed;
  client.close();
  for (const part of [pods, certificates]) part.close();
});

test("a pod that drains is done when a query over TCP is answered, and ends its connection to the name server", async () => {
  const pods = podPair();
  const root = new FakeCertificateAuthority().exportRoot();
  const { env, certificates } = environment(root, mesh());
  const [asked, answered] = [Promise.withResolvers<undefined>(), Promise.withResolvers<Buffer>()];
  const dns: Partial<DnsResolver> = {
    answer: async () => {
      asked.resolve(undefined);
      return await answered.promise;
    },
  };
  const proxy = podProxy({ ...env, dns: dns as DnsResolver }, pods.client, "client");
  await proxy.start();
  const client = await talk(pods.client, "127.0.0.1", env.ports.dns);
  client.say("\0\u0005query");
  await asked.promise;
  proxy.drain();
  // The queries over UDP are done by then.
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(proxy.state, "draining");
  answered.resolve(Buffer.from("answer"));
  assert.equal(await client.until("answer"), "\0\u0006answer");
  await proxy.closed;
  for (const part of [pods, certificates]) part.close();
});

test("a pod's connections to its ztunnel's name server count among its connections", async () => {
  const pods = podPair();
  const root = new FakeCertificateAuthority().exportRoot();
  const authority = new FakeCertificateAuthority({ root });
  const { env, certificates } = environment(root, mesh(), authority, 4);
  const proxy = podProxy(env, pods.client, "client");
  await proxy.start();
  const many = await Promise.all(
    Array.from({ length: 6 }, async () => await talk(pods.client, "127.0.0.1", env.ports.dns)),
  );
  await until(() => many.filter(({ closed }) => closed() === undefined).length === 4);
  for (const { stream } of many) stream.destroy();
  for (const part of [proxy, pods, certificates]) part.close();
});

const strict = `policies:
- {name: strict, namespace: default, scope: Namespace, action: Deny, rules: [[[{notPrincipals: [{Presence: null}]}]]]}
`;

for (const [itself, sourceName, sourceAddress] of [
  [false, "a pod", clientAddress],
  [true, "the ztunnel's own pod", serverAddress],
] as const)
  test(`port 15020 of ${sourceName} is reached by HBONE, from the address ${sourceAddress}`, async () => {
    const pods = podPair();
    const app = await echoServer(pods.server, 15_020);
    const root = new FakeCertificateAuthority().exportRoot();
    const client = environment(root, mesh());
    const server = environment(root, mesh());
    const clientProxy = podProxy(client.env, pods.client, "client");
    const hbone = { address: "0.0.0.0", port: 15_008, transparent: !itself };
    const serverProxy = podProxy(server.env, pods.server, "server", {
      listeners: [{ role: "inbound-hbone", fd: listenTcpInNamespace(pods.server.fd, hbone) }],
      itself,
    });
    await clientProxy.start();
    await serverProxy.start();
    const one = await talk(pods.client, serverAddress, 15_020);
    assert.match(await one.until("hello"), new RegExp(`hello ${sourceAddress.replaceAll(".", "\\.")}\\n`));
    assert.match(
      renderPrometheus(server.registry),
      /istio_tcp_connections_opened_total\{reporter="destination"[^\n]*connection_security_policy="mutual_tls"[^\n]* 1\n/,
    );
    one.stream.destroy();
    clientProxy.close();
    serverProxy.close();
    app.close();
    client.certificates.close();
    server.certificates.close();
    pods.close();
  });

test("STRICT accepts mTLS and closes plaintext, which PERMISSIVE accepts from the client's address", async () => {
  for (const policies of ["", strict]) {
    const { pods, source, destination, close } = await startBoth(policies);
    // The client's ztunnel does not know the server's workload, so it sends plain text.
    for (const workload of source.env.state.workloads())
      if (workload.name === "server") source.env.state.putWorkload({ ...workload, protocol: "TCP" });
    const answer = await talk(pods.client, serverAddress, 8080).then(
      async (client) => {
        const text = await client.until("\n");
        client.stream.destroy();
        return text;
      },
      () => "",
    );
    if (policies === "") assert.match(answer, new RegExp(`hello ${clientAddress}`));
    else {
      assert.equal(answer, "");
      assert.match(
        destination.lines.join(""),
        /error\taccess\tconnection complete\t.*error="connection closed due to policy rejection: explicitly denied by: default\/strict"/,
      );
      for (const workload of source.env.state.workloads())
        if (workload.name === "server") source.env.state.putWorkload({ ...workload, protocol: "HBONE" });
      const secure = await talk(pods.client, serverAddress, 8080);
      assert.match(await secure.until("\n"), /hello/);
      secure.stream.destroy();
    }
    close();
  }
});

const denyAll = `policies:
- {name: nobody, namespace: default, scope: Namespace, action: Allow, rules: [[[{principals: [{Exact: cluster.local/ns/other/sa/other}]}]]]}
`;

test("a denial over HBONE is 401 in both logs, and revoking a permission closes its connections", async () => {
  const { pods, source, destination, close } = await startBoth(denyAll);
  assert.equal(
    await talk(pods.client, serviceAddress, 80).then(
      (client) => client.until("never"),
      () => "",
    ),
    "",
  );
  await source.env.tracker.idle();
  assert.match(source.lines.join(""), /error\taccess\tconnection complete.*error="http status: 401 Unauthorized"/);
  assert.match(
    destination.lines.join(""),
    /error="connection closed due to policy rejection: allow policies exist, but none allowed"/,
  );
  const policy = destination.env.state.policies()[0] ?? assert.fail();
  destination.env.state.removePolicy("default/nobody");
  const allowed = await talk(pods.client, serviceAddress, 80);
  assert.match(await allowed.until("\n"), /hello/);
  destination.env.state.putPolicy(policy);
  for (const { details, abort } of destination.env.tracker.list())
    if (details.stillAllowed?.() === false) abort(new Error("connection closed due to policy change"));
  await allowed.until("never");
  await destination.env.tracker.idle();
  assert.match(destination.lines.at(-1) ?? "", /connection closed due to policy change/);
  close();
});

test("a closed port, an unknown port and a destination outside the mesh each have their log line", async () => {
  const { pods, source, destination, close } = await startBoth();
  // The reset may arrive before the client notices that the connection is established.
  const nothingFrom = async (address: string, port: number) => {
    const answer = await talk(pods.client, address, port).then(
      (client) => client.until("never"),
      () => "",
    );
    assert.equal(answer, "");
    await source.env.tracker.idle();
  };
  await nothingFrom(serverAddress, 9999);
  assert.match(
    destination.lines.join(""),
    /dst\.hbone_addr=10\.1\.0\.2:9999.*error="connection failed: connect to 10\.1\.0\.2:9999: ECONNREFUSED"/,
  );
  await nothingFrom(serviceAddress, 81);
  assert.match(
    source.lines.join(""),
    /warn\taccess\tconnection failed\t.*dst\.addr=10\.96\.0\.50:81 direction="outbound" error="no healthy upstream: 10\.96\.0\.50:81"/,
  );
  source.env.state.removeWorkload("c//Pod/default/server");
  destination.env.state.removePolicy("x");
  const outside = await talk(pods.client, serverAddress, 8080);
  assert.match(await outside.until("\n"), /hello/);
  outside.stream.destroy();
  close();
});

/** The number of connections in a namespace for which the kernel will send a keepalive probe. */
function probedConnections(namespace: NetworkNamespace): number {
  const table = inNamespace(namespace.fd, () => readFileSync("/proc/thread-self/net/tcp", "latin1"));
  // The columns after the addresses are state, queues, and timer:when. Timer 2 is keepalive's.
  return table.split("\n").filter((line) => /^ *\d+: \S+ \S+ 01 \S+ 02:/.test(line)).length;
}

test("plain TCP connections with peers are probed for as long as they live, as upstream", async () => {
  const { pods, source, close } = await startBoth();
  source.env.state.removeWorkload("c//Pod/default/server");
  const client = await talk(pods.client, serverAddress, 8080);
  await client.until("\n");
  // The client's ztunnel probes its connections with the application and with the peer. The server's ztunnel probes its
  // connection with the peer.
  assert.equal(probedConnections(pods.client), 2);
  assert.equal(probedConnections(pods.server), 1);
  client.stream.destroy();
  close();
});

test("a large transfer through two ztunnels arrives whole, and a reset is passed on", async () => {
  const { pods, close } = await startBoth();
  const client = await talk(pods.client, serviceAddress, 80);
  await client.until("\n");
  const block = "0123456789abcdef".repeat(65_536);
  for (let count = 0; count < 4; count += 1) client.say(block);
  client.say("the end");
  const text = await client.until("the end");
  assert.equal(text.length, text.indexOf("\n") + 1 + 4 * block.length + 7);
  client.stream.destroy({ reset: true });
  close();
});

test("connections of a new ztunnel wait while the CA is unreachable, and are answered two seconds after it returns", async () => {
  const awayMs = 5_000;
  let backAtMs = Infinity;
  const { pods, close } = await startBoth("", (authority) => ({
    sign: async (request, signal) => {
      if (performance.now() < backAtMs) throw new Error("connect ECONNREFUSED 10.96.0.10:15012");
      return await authority.sign(request, signal);
    },
  }));
  backAtMs = performance.now() + awayMs;
  const client = await talk(pods.client, serviceAddress, 80);
  assert.match(await client.until("\n"), new RegExp(`hello ${clientAddress}`));
  const lateMs = performance.now() - backAtMs;
  assert.ok(lateMs >= 0 && lateMs < retryWithinMs, `answered ${Math.round(lateMs)} ms after the CA was back`);
  client.stream.end();
  await client.until("never");
  close();
});

test("a pod that is removed while its connection is being opened leaves no connection behind", async () => {
  const serverMayHaveCertificate = Promise.withResolvers<undefined>();
  let requests = 0;
  const { pods, source, destination, outbound, close } = await startBoth("", (authority) => ({
    sign: async (request, signal) => {
      requests += 1;
      // The client's certificate arrives first. The handshake waits for the server's certificate.
      if (requests > 1) await serverMayHaveCertificate.promise;
      return await authority.sign(request, signal);
    },
  }));
  const client = await talk(pods.client, serviceAddress, 80);
  await until(() => source.env.tracker.size !== 0);
  outbound.close();
  await client.until("never");
  serverMayHaveCertificate.resolve(undefined);
  await source.env.tracker.idle();
  await destination.env.tracker.idle();
  close();
});

test("a connection of a removed pod is not opened from the namespace of a pod that comes after it", async () => {
  const pods = podPair();
  const root = new FakeCertificateAuthority().exportRoot();
  const known = environment(root, mesh());
  known.certificates.close();
  const { env, certificates } = environment(root, "workloads: []");
  const proxy = podProxy(env, pods.client, "client");
  await proxy.start();
  const client = await talk(pods.client, serviceAddress, 7_000);
  await until(() => env.tracker.size === 1);
  proxy.close();
  const formerFd = proxy.descriptors.namespaceFd ?? assert.fail();
  // The kernel gives the lowest free number to the next descriptor, as for the namespace of another pod.
  using next = NetworkNamespace.create();
  const copies = [next];
  while (copies.every(({ fd }) => fd !== formerFd))
    copies.push(NetworkNamespace.open(`/proc/self/fd/${copies.at(-1)?.fd}`));
  using links = new RouteNetlink(next.fd);
  links.setLoopbackUp();
  links.addAddress(1, { address: serviceAddress, prefixLength: 32 });
  let accepted = 0;
  const listener = await listenTcp(
    { fd: listenTcpInNamespace(next.fd, { address: serviceAddress, port: 7_000 }) },
    (stream) => {
      accepted += 1;
      stream.write(Buffer.from("accepted\n"));
    },
  );
  env.state.apply({ ...noChange, workloads: known.env.state.workloads() });
  await client.until("never");
  await env.tracker.idle();
  // The listener accepts in the order of arrival, so it has already accepted any wrong connection.
  const last = await talk(next, serviceAddress, 7_000);
  await last.until("\n");
  assert.equal(accepted, 1);
  last.stream.destroy();
  for (const part of [listener, pods, certificates, ...copies]) part.close();
});
