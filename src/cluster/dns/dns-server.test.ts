import assert from "node:assert/strict";
import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import { connect } from "node:net";
import { test } from "node:test";
import { setTimeout } from "node:timers/promises";
import { decode, encode, type DecodedPacket } from "dns-packet";
import type { EndpointSlice, Service } from "../../api/kubernetes/index.ts";
import { silentLogger, systemClock } from "../../base/index.ts";
import { HandClock, until } from "../../base/testing/index.ts";
import { withLength } from "../../net/dns/index.ts";
import { DnsServer, type DnsServerOptions } from "./dns-server.ts";
import { encodeAnswer, parseQuestion } from "./message.ts";
import { answerZone, type ZoneSource } from "./zone.ts";

const services: Service[] = [
  {
    metadata: { name: "web", namespace: "default" },
    spec: { clusterIP: "10.96.0.20", ports: [{ name: "http", port: 80 }] },
  },
  { metadata: { name: "db", namespace: "default" }, spec: { clusterIP: "None", ports: [{ name: "sql", port: 5432 }] } },
  { metadata: { name: "out", namespace: "default" }, spec: { type: "ExternalName", externalName: "example.org" } },
  {
    metadata: { name: "alias", namespace: "default" },
    spec: { type: "ExternalName", externalName: "web.default.svc.cluster.local" },
  },
  {
    metadata: { name: "circle", namespace: "default" },
    spec: { type: "ExternalName", externalName: "circle.default.svc.cluster.local" },
  },
];
const slices: EndpointSlice[] = [
  {
    metadata: {
      name: "db-1",
      namespace: "default",
      labels: { "kubernetes.io/service-name": "db", "service.kubernetes.io/headless": "" },
    },
    addressType: "IPv4",
    ports: [{ name: "sql", port: 5432, protocol: "TCP" }],
    endpoints: [
      { addresses: ["10.244.1.5"], conditions: { ready: true }, hostname: "db-0" },
      { addresses: ["10.244.1.6"], conditions: { ready: true } },
      { addresses: ["10.244.1.7"], conditions: { ready: false } },
    ],
  },
];
const source: ZoneSource = {
  hasNamespace: (name) => name === "default",
  service: (namespace, name) =>
    services.find(({ metadata }) => metadata.namespace === namespace && metadata.name === name),
  slicesOf: (namespace, name) =>
    slices.filter(
      ({ metadata }) => metadata.namespace === namespace && metadata.labels?.["kubernetes.io/service-name"] === name,
    ),
  serviceByClusterIP: (address) => services.find(({ spec }) => spec?.clusterIP === address),
  slicesByAddress: (address) =>
    slices.filter(({ endpoints }) => endpoints?.some(({ addresses }) => addresses.includes(address))),
};

const ask = (name: string, type = "A"): string => {
  const { outcome, answers } = answerZone(source, "cluster.local", name, type);
  return [
    outcome,
    ...answers.map((record) => (record.type === "SRV" ? `${record.target}:${record.port}` : record.data)),
  ].join(" ");
};

test("names follow Kubernetes' DNS specification", () => {
  assert.equal(ask("web.default.svc.cluster.local"), "found 10.96.0.20");
  assert.equal(ask("web.default.svc.cluster.local", "AAAA"), "found");
  assert.equal(ask("db.default.svc.cluster.local"), "found 10.244.1.5 10.244.1.6");
  assert.equal(ask("db-0.db.default.svc.cluster.local"), "found 10.244.1.5");
  assert.equal(ask("10-244-1-6.db.default.svc.cluster.local"), "found 10.244.1.6");
  assert.equal(ask("_http._tcp.web.default.svc.cluster.local", "SRV"), "found web.default.svc.cluster.local:80");
  assert.equal(
    ask("_sql._tcp.db.default.svc.cluster.local", "SRV"),
    "found db-0.db.default.svc.cluster.local:5432 10-244-1-6.db.default.svc.cluster.local:5432",
  );
  assert.equal(ask("out.default.svc.cluster.local"), "found example.org");
  assert.equal(ask("10-244-1-9.default.pod.cluster.local"), "found 10.244.1.9");
  assert.equal(ask("20.0.96.10.in-addr.arpa", "PTR"), "found web.default.svc.cluster.local");
  assert.equal(ask("5.1.244.10.in-addr.arpa", "PTR"), "found db-0.db.default.svc.cluster.local");
});

test("a missing service is NXDOMAIN, a name outside the cluster is unknown, and a name above existing names exists", () => {
  assert.equal(ask("nope.default.svc.cluster.local"), "absent");
  assert.equal(ask("web.other.svc.cluster.local"), "absent");
  assert.equal(ask("_none._tcp.web.default.svc.cluster.local", "SRV"), "absent");
  assert.equal(ask("web.default.svc.cluster.local.default.svc.cluster.local"), "absent");
  assert.equal(ask("default.svc.cluster.local"), "found");
  assert.equal(ask("example.org"), "unknown");
  assert.equal(ask("1.2.3.4.in-addr.arpa", "PTR"), "unknown");
});

/** A server on loopback. It ends with the test. */
async function serving(options: Partial<DnsServerOptions>): Promise<AsyncDisposable & { readonly port: number }> {
  const server = new DnsServer({
    address: "127.0.0.1",
    port: 0,
    domain: "cluster.local",
    source,
    ready: Promise.resolve(),
    log: silentLogger,
    clock: systemClock,
    random: () => 0,
    ...options,
  });
  const stop = new AbortController();
  const listening = Promise.withResolvers<void>();
  const running = server.run(stop.signal, listening.resolve);
  await listening.promise;
  return {
    port: server.port,
    [Symbol.asyncDispose]: async () => {
      stop.abort();
      await running;
    },
  };
}

test("the server answers over UDP and TCP, denies with an SOA, and answers NXDOMAIN for names outside the cluster if it has no upstream", async () => {
  await using server = await serving({});
  const overUdp = async (name: string): Promise<DecodedPacket & { rcode?: string }> => {
    const socket = createSocket("udp4");
    const answer = new Promise<Buffer>((resolve) => socket.once("message", resolve));
    socket.send(
      encode({ type: "query", id: 7, flags: 256, questions: [{ type: "A", name }] }),
      server.port,
      "127.0.0.1",
    );
    const packet: DecodedPacket & { rcode?: string } = decode(await answer);
    socket.close();
    return packet;
  };
  const found = await overUdp("WEB.default.svc.cluster.local");
  assert.deepEqual([found.id, found.rcode, found.flag_aa, found.answers?.length], [7, "NOERROR", true, 1]);
  const denied = await overUdp("nope.default.svc.cluster.local");
  assert.deepEqual([denied.rcode, denied.authorities?.[0]?.type], ["NXDOMAIN", "SOA"]);
  assert.equal((await overUdp("example.org")).rcode, "NXDOMAIN");
  const socket = connect(server.port, "127.0.0.1");
  const query = encode({ type: "query", id: 8, questions: [{ type: "A", name: "db.default.svc.cluster.local" }] });
  socket.write(Buffer.concat([Buffer.from([0, query.length]), query]));
  const bytes = await new Promise<Buffer>((resolve) => socket.once("data", resolve));
  assert.equal(decode(bytes.subarray(2)).answers?.length, 2);
  socket.destroy();
});

test("an ExternalName is resolved to its addresses in the cluster or upstream, without following loops", async () => {
  const upstream = createSocket("udp4");
  const queries: string[] = [];
  upstream.on("message", (bytes, from) => {
    const { id = 0, questions = [] } = decode(bytes);
    queries.push(questions[0]?.name ?? "");
    const answers = [{ type: "A", name: "example.org", data: "192.0.2.7" }] as const;
    upstream.send(encode({ type: "response", id, questions, answers: [...answers] }), from.port, from.address);
  });
  await new Promise<void>((resolve) => upstream.bind(0, "127.0.0.1", resolve));
  await using server = await serving({ upstream: { address: "127.0.0.1", port: upstream.address().port } });
  const addressesOf = async (name: string, type: "A" | "CNAME"): Promise<string[]> => {
    const socket = createSocket("udp4");
    const answer = new Promise<Buffer>((resolve) => socket.once("message", resolve));
    socket.send(encode({ type: "query", id: 9, questions: [{ type, name }] }), server.port, "127.0.0.1");
    const { answers = [] } = decode(await answer);
    socket.close();
    return answers.map(
      (record) => `${record.type} ${"data" in record && typeof record.data === "string" ? record.data : ""}`,
    );
  };
  assert.deepEqual(await addressesOf("alias.default.svc.cluster.local", "A"), [
    "CNAME web.default.svc.cluster.local",
    "A 10.96.0.20",
  ]);
  assert.deepEqual(await addressesOf("out.default.svc.cluster.local", "A"), ["CNAME example.org", "A 192.0.2.7"]);
  assert.deepEqual(await addressesOf("out.default.svc.cluster.local", "CNAME"), ["CNAME example.org"]);
  const circle = await addressesOf("circle.default.svc.cluster.local", "A");
  assert.ok(circle.length <= 9 && circle.every((record) => record.startsWith("CNAME")), circle.join());
  assert.deepEqual(queries, ["example.org"]);
  upstream.close();
});

test("an answer over TCP is no longer than a message can be, and a message with many questions is no query", () => {
  const question = encode({ type: "query", id: 1, questions: [{ type: "A", name: "db.default.svc.cluster.local" }] });
  const parsed = parseQuestion(question) ?? assert.fail();
  const answers = Array.from({ length: 4_000 }, (_, index) => ({
    type: "A" as const,
    name: parsed.name,
    data: `10.1.${index >> 8}.${index & 255}`,
  }));
  const answer = encodeAnswer(parsed, "cluster.local", { outcome: "found", answers, additionals: [] }, "tcp");
  assert.ok(answer.length <= 65_535, `${answer.length} bytes`);
  assert.ok((decode(answer).answers ?? []).length > 0);
  const several = Array.from({ length: 2 }, () => ({ type: "A" as const, name: "a.example" }));
  assert.equal(parseQuestion(encode({ type: "query", id: 1, questions: several })), undefined);
});

test("a client that sends queries over TCP and reads no answer fills no memory", async () => {
  const endpoints = Array.from({ length: 1_000 }, (_, index) => ({
    addresses: [`10.1.${index >> 8}.${index & 255}`],
    conditions: { ready: true },
  }));
  const looks = { count: 0 };
  const crowded: ZoneSource = {
    ...source,
    slicesOf: (namespace, name) => {
      looks.count += 1;
      return source.slicesOf(namespace, name).map((slice) => ({ ...slice, endpoints }));
    },
  };
  await using server = await serving({ source: crowded });
  const query = encode({ type: "query", id: 8, questions: [{ type: "A", name: "db.default.svc.cluster.local" }] });
  const framed = Buffer.concat([Buffer.from([0, query.length]), query]);
  const socket = connect(server.port, "127.0.0.1").pause();
  socket.write(Buffer.concat(Array.from({ length: 400 }, () => framed)));
  // Wait until the server makes no more look-ups, because the buffers of both sockets are full.
  let before = -1;
  while (before !== looks.count || before === 0) {
    before = looks.count;
    await setTimeout(200);
  }
  assert.ok(before < 300, `${before} answers of 43 kB for a client that reads none`);
  let received = 0;
  socket.on("data", (bytes: Buffer) => (received += bytes.length)).resume();
  socket.end();
  await once(socket, "close");
  assert.equal(looks.count, 400);
  assert.ok(received > 400 * 40_000, `${received} bytes`);
});

/** A clock that does not move by itself, so that no query times out. Disposing it ends the waits. */
function standingClock(): HandClock & Disposable {
  const clock = new HandClock();
  return Object.assign(clock, {
    sleep: async () => await new Promise<never>(() => undefined),
    [Symbol.dispose]: () => clock.pass(60_000),
  });
}

/** A name server that answers only for `example.org`. It counts the queries that it receives. */
async function silentUpstream(): Promise<Disposable & { readonly port: number; readonly seen: () => number }> {
  const socket = createSocket({ type: "udp4", recvBufferSize: 1 << 20 });
  let seen = 0;
  socket.on("message", (bytes, from) => {
    seen += 1;
    const { id = 0, questions = [] } = decode(bytes);
    if (questions[0]?.name !== "example.org") return;
    socket.send(encode({ type: "response", id, questions, answers: [] }), from.port, from.address);
  });
  await new Promise<void>((resolve) => socket.bind(0, "127.0.0.1", resolve));
  return { port: socket.address().port, seen: () => seen, [Symbol.dispose]: () => void socket.close() };
}

async function boundSocket(address: string): Promise<Socket & Disposable> {
  const socket = createSocket("udp4");
  await new Promise<void>((resolve) => socket.bind(0, address, resolve));
  return Object.assign(socket, { [Symbol.dispose]: () => void socket.close() });
}

const queryOf = (name: string): Buffer => encode({ type: "query", id: 9, questions: [{ type: "A", name }] });

/** The decoder adds `rcode`, which the types lack. */
const rcodeOf = (bytes: Buffer): string | undefined => {
  const { rcode }: DecodedPacket & { rcode?: string } = decode(bytes);
  return rcode;
};

test("a client with many unanswered queries does not prevent the forwarding of another client's queries", async () => {
  using upstream = await silentUpstream();
  using clock = standingClock();
  await using server = await serving({ upstream: { address: "127.0.0.1", port: upstream.port }, clock });
  using crowd = await boundSocket("127.0.0.2");
  // Send a few queries at a time, because a full buffer of a socket would drop further ones.
  for (let sent = 0; sent < 1_000; sent += 50) {
    for (let count = 0; count < 50; count += 1) crowd.send(queryOf("nobody.example"), server.port, "127.0.0.1");
    await until(() => upstream.seen() >= sent + 50);
  }
  const refused = once(crowd, "message");
  crowd.send(queryOf("nobody.example"), server.port, "127.0.0.1");
  assert.equal(rcodeOf(((await refused) as [Buffer])[0]), "SERVFAIL");
  assert.equal(upstream.seen(), 1_000);
  using other = await boundSocket("127.0.0.3");
  const answered = once(other, "message");
  other.send(queryOf("example.org"), server.port, "127.0.0.1");
  assert.equal(rcodeOf(((await answered) as [Buffer])[0]), "NOERROR");
});

test("over TCP, a name of the cluster is answered while others of the same connection wait for a name server", async () => {
  using upstream = await silentUpstream();
  using clock = standingClock();
  await using server = await serving({ upstream: { address: "127.0.0.1", port: upstream.port }, clock });
  const socket = connect(server.port, "127.0.0.1");
  const names = [...Array.from({ length: 4 }, (_, index) => `n${index}.example`), "web.default.svc.cluster.local"];
  socket.write(Buffer.concat(names.map((name) => withLength(queryOf(name)))));
  const [bytes] = (await once(socket, "data")) as [Buffer];
  assert.equal(rcodeOf(bytes.subarray(2)), "NOERROR");
  socket.destroy();
});

test("a TCP answer with more records than fit into a message has some of them, and is not truncated", () => {
  const name = "db.default.svc.cluster.local";
  const parsed = parseQuestion(encode({ type: "query", id: 1, questions: [{ type: "A", name }] }));
  assert.ok(parsed !== undefined);
  const answers = Array.from({ length: 2_000 }, (_one, index) => ({
    type: "A" as const,
    name,
    data: `10.0.${index >> 8}.${index & 255}`,
  }));
  const answer = { outcome: "found", answers, additionals: [] } as const;
  const { answers: sent = [], flag_tc: isTruncated } = decode(encodeAnswer(parsed, "cluster.local", answer, "tcp"));
  assert.deepEqual([sent.length, isTruncated], [1_000, false]);
});

test("an answer that fits is not truncated, however long the name of an alias is", () => {
  const name = `${"long-".repeat(11)}alias.default.svc.cluster.local`;
  const parsed = parseQuestion(queryOf(name)) ?? assert.fail();
  const alias = { type: "CNAME" as const, name, data: "a.example" };
  const addresses = Array.from({ length: 8 }, (_, index) => ({
    type: "A" as const,
    name: "a.example",
    data: `10.1.0.${index}`,
  }));
  const answer = { outcome: "found" as const, answers: [alias, ...addresses], additionals: [] };
  const { answers = [], flag_tc: isTruncated } = decode(encodeAnswer(parsed, "cluster.local", answer, "udp"));
  assert.deepEqual([answers.length, isTruncated], [9, false]);
});
