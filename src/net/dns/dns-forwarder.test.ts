import assert from "node:assert/strict";
import { createSocket, type RemoteInfo, type Socket } from "node:dgram";
import { createServer, type Server } from "node:net";
import { after, test } from "node:test";
import { decode, encode } from "dns-packet";
import { systemClock } from "../../base/index.ts";
import { plainDnsSockets } from "./dns-sockets.ts";
import { DnsForwarder, withLength, type NameServer } from "./index.ts";

const address = "127.0.0.1";
const query = encode({ type: "query", id: 7, flags: 256, questions: [{ type: "A", name: "a.example" }] });
const open: (Socket | Server)[] = [];
after(() => open.forEach((one) => one.close()));

type Reply = (message: Buffer) => void;

/** Serves UDP and TCP on one port. */
async function serve(
  udp: (message: Buffer, reply: Reply, from: RemoteInfo) => void,
  tcp: (message: Buffer, reply: Reply) => void = () => undefined,
): Promise<NameServer> {
  const streams = createServer((stream) => {
    stream.on("error", () => undefined);
    stream.once("data", (bytes) => tcp(bytes.subarray(2), (answer) => stream.write(withLength(answer))));
  });
  await new Promise<void>((resolve) => streams.listen(0, address, () => resolve()));
  const bound = streams.address();
  const port = typeof bound === "object" && bound !== null ? bound.port : 0;
  const socket = createSocket("udp4");
  socket.on("message", (message, from) => udp(message, (answer) => socket.send(answer, from.port, from.address), from));
  await new Promise<void>((resolve) => socket.bind(port, address, () => resolve()));
  open.push(streams, socket);
  return { address, port };
}

function answerOf(message: Buffer, data: string, flags = 0, name?: string): Buffer {
  const { id = 0, questions = [] } = decode(message);
  const answeredQuestions = name === undefined ? questions : [{ type: "A" as const, name }];
  return encode({
    type: "response",
    id,
    flags,
    questions: answeredQuestions,
    answers: [{ type: "A", name: "a.example", data }],
  });
}

const forwarder = (servers: readonly NameServer[], timeoutMs = 5_000): DnsForwarder =>
  new DnsForwarder({ servers, timeoutMs, clock: systemClock });

function addressIn(answer: Buffer): unknown {
  const [record] = decode(answer).answers ?? [];
  return record?.type === "A" ? record.data : undefined;
}

test("each query has a random id and its own port, and its answer has the client's id", async () => {
  const queries: (readonly [id: number, port: number])[] = [];
  const server = await serve((message, reply, from) => {
    queries.push([message.readUInt16BE(0), from.port]);
    reply(answerOf(message, "192.0.2.1"));
  });
  const one = forwarder([server]);
  const answers = await Promise.all(Array.from({ length: 20 }, async () => await one.forward(query, "udp")));
  assert.ok(answers.every((answer) => answer.readUInt16BE(0) === 7 && addressIn(answer) === "192.0.2.1"));
  assert.ok(new Set(queries.map(([id]) => id)).size > 10, "ids differ");
  // On a busy machine, the forwarder may repeat a query before it reads the answer, from another port.
  assert.ok(queries.length >= 20);
  assert.equal(new Set(queries.map(([, port]) => port)).size, queries.length, "ports differ");
});

test("an answer with another question, id or port, or that is a query, is ignored", async () => {
  const stranger = createSocket("udp4");
  open.push(stranger);
  const server = await serve((message, reply, from) => {
    const forged = answerOf(message, "192.0.2.66");
    stranger.send(forged, from.port, from.address);
    const otherId = Buffer.from(forged);
    otherId.writeUInt16BE((message.readUInt16BE(0) + 1) & 0xffff);
    reply(otherId);
    reply(answerOf(message, "192.0.2.66", 0, "b.example"));
    reply(message);
    reply(Buffer.alloc(3));
    setTimeout(() => reply(answerOf(message, "192.0.2.1", 0, "A.Example")), 50);
  });
  assert.equal(addressIn(await forwarder([server]).forward(query, "udp")), "192.0.2.1");
});

test("a truncated answer is requested again over TCP, unless the client asked over UDP", async () => {
  const truncated = 0x200;
  const server = await serve(
    (message, reply) => reply(answerOf(message, "192.0.2.1", truncated)),
    (message, reply) => reply(answerOf(message, "192.0.2.2")),
  );
  const one = forwarder([server]);
  assert.equal(decode(await one.forward(query, "udp")).flag_tc, true);
  assert.equal(addressIn(await one.ask(query)), "192.0.2.2");
  assert.equal(addressIn(await one.forward(query, "tcp")), "192.0.2.2");
});

test("the next server is queried when one is silent, and the number of waiting queries is limited", async () => {
  const silent = await serve(() => undefined);
  const server = await serve((message, reply) => reply(answerOf(message, "192.0.2.1")));
  assert.equal(addressIn(await forwarder([silent, server], 50).forward(query, "udp")), "192.0.2.1");
  await assert.rejects(forwarder([silent], 50).forward(query, "tcp"), /127\.0\.0\.1 did not answer/);
  await assert.rejects(forwarder([]).forward(query, "udp"), /no name server is configured/);
  await assert.rejects(forwarder([server]).forward(Buffer.alloc(2), "udp"), /has no header/);
  const hanging = new DnsForwarder({
    servers: [silent],
    timeoutMs: 10,
    clock: systemClock,
    sockets: { udp: () => new Promise(() => undefined), tcp: () => new Promise(() => undefined) },
  });
  const waiting = Array.from({ length: 1_000 }, () => hanging.forward(query, "udp"));
  await assert.rejects(hanging.forward(query, "udp"), /1000 queries are waiting already/);
  const ends = await Promise.allSettled(waiting);
  assert.ok(
    ends.every(({ status }) => status === "rejected"),
    "a socket that never opens counts as silence",
  );
});

test("a client that fills all places with queries that nobody answers loses one to the query of another client", async () => {
  const server = await serve((message, reply) => reply(answerOf(message, "192.0.2.1")));
  let isSilent = true;
  const one = new DnsForwarder({
    servers: [server, server],
    timeoutMs: 60_000,
    clock: { ...systemClock, after: () => ({ [Symbol.dispose]: () => undefined }) },
    sockets: {
      udp: () => (isSilent ? new Promise(() => undefined) : plainDnsSockets.udp(server)),
      tcp: () => Promise.reject(new Error("not asked")),
    },
  });
  const failures: string[] = [];
  for (let count = 0; count < 1_000; count += 1)
    one.forward(query, "udp", "shop/crowd").catch((error: unknown) => failures.push(String(error)));
  await assert.rejects(one.forward(query, "udp", "shop/crowd"), /1000 queries are waiting already/);
  assert.deepEqual(failures, []);
  isSilent = false;
  assert.equal(addressIn(await one.forward(query, "udp", "shop/single")), "192.0.2.1");
  assert.equal(failures.length, 1);
  assert.match(failures[0] ?? "", /1000 queries are waiting already/);
});

test("a query whose datagram is lost is sent again with another id and from another port, and a late answer is still accepted", async () => {
  const queries: { readonly id: number; readonly port: number; readonly atMs: number }[] = [];
  const replies: (() => void)[] = [];
  const server = await serve((message, reply, from) => {
    queries.push({ id: message.readUInt16BE(0), port: from.port, atMs: performance.now() });
    replies.push(() => reply(answerOf(message, "192.0.2.1")));
    // The first datagram is answered only when the second one has arrived.
    if (queries.length === 2) replies[0]?.();
  });
  const one = new DnsForwarder({ servers: [server], timeoutMs: 5_000, clock: systemClock, randomId: counter() });
  assert.equal(addressIn(await one.forward(query, "udp")), "192.0.2.1");
  assert.deepEqual(
    queries.map(({ id }) => id),
    [1, 2],
  );
  assert.notEqual(queries[0]?.port, queries[1]?.port);
});

test("a name server that refuses gets three queries at once, and then the client's query fails", async () => {
  const opened: number[] = [];
  const refusing = new DnsForwarder({
    servers: [{ address, port: 1 }],
    timeoutMs: 5_000,
    clock: { ...systemClock, after: () => ({ [Symbol.dispose]: () => undefined }) },
    sockets: {
      udp: () => {
        const socket = createSocket("udp4");
        opened.push(opened.length);
        return Promise.resolve(socket);
      },
      tcp: () => Promise.reject(new Error("not asked")),
    },
  });
  await assert.rejects(refusing.forward(query, "udp"), /ECONNREFUSED/);
  assert.equal(opened.length, 3);
});

function counter(): () => number {
  let last = 0;
  return () => (last += 1);
}
