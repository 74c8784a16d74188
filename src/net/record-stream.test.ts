import assert from "node:assert/strict";
import { once } from "node:events";
import { connect as connectPlain, createServer as createPlainServer, type AddressInfo, type Socket } from "node:net";
import { before, test } from "node:test";
import { connect, createServer, TLSSocket, type ConnectionOptions, type TlsOptions } from "node:tls";
import { until } from "../base/testing/index.ts";
import { alertCode, contentType, keyUpdateContent, suiteOf } from "../wire/tls13/index.ts";
import { connectTcp, listenTcp } from "./byte-path.ts";
import type { ByteStream, SecureStream } from "./byte-stream.ts";
import { libuvBinding } from "./libuv-binding.ts";
import { hasRecordCiphers, Opener, sealedBytes, Sealer } from "./record-cipher.ts";
import { RecordHandshake } from "./record-handshake.ts";
import { RecordStream } from "./record-stream.ts";
import { TestAuthority, type Issued } from "./testing/certificates.ts";
import { pattern, Recorder } from "./testing/recorder.ts";
import { TlsContext } from "./tls-context.ts";
import { isTlsFault } from "./node-error.ts";
import { secureClient, secureServer, type SecureServerOptions } from "./tls.ts";

const ours = "spiffe://cluster.local/ns/default/sa/ours";
const suite = suiteOf("TLS_AES_128_GCM_SHA256") ?? assert.fail();
const secrets = [Buffer.alloc(32, 1), Buffer.alloc(32, 2)] as const;
let authority: TestAuthority;
let issued: Issued;
let context: TlsContext;

before(async () => {
  assert.ok(hasRecordCiphers());
  authority = await TestAuthority.create();
  issued = await authority.issue({ spiffe: ours });
  context = TlsContext.create(issued);
});

function nodeOptions() {
  const { certificateChain: cert, privateKey: key, roots: ca } = issued;
  return { cert, key, ca, ALPNProtocols: ["h2"], checkServerIdentity: () => undefined };
}

const serverOptions: SecureServerOptions = {
  alpn: ["h2"],
  timeoutMs: 5000,
  clientCertificate: "require",
  ownRecords: true,
};

async function oursWithNodeClient(
  client: ConnectionOptions = {},
  server: TlsContext = context,
): Promise<{ readonly stream: SecureStream; readonly peer: TLSSocket; readonly close: () => void }> {
  const accepted = Promise.withResolvers<SecureStream>();
  const listener = await listenTcp({ address: "127.0.0.1", port: 0 }, (raw) => {
    secureServer(raw, () => server, serverOptions).then(accepted.resolve, accepted.reject);
  });
  const { port } = listener.address;
  const peer = connect({
    ...nodeOptions(),
    port,
    host: "127.0.0.1",
    allowHalfOpen: true,
    ...client,
  } as ConnectionOptions);
  return { stream: await accepted.promise, peer, close: () => listener.close() };
}

async function oursWithNodeServer(
  options: TlsOptions = {},
): Promise<{ readonly stream: SecureStream; readonly peer: TLSSocket; readonly close: () => void }> {
  const server = createServer({ ...nodeOptions(), requestCert: true, allowHalfOpen: true, ...options } as TlsOptions);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const accepted = once(server, "secureConnection") as Promise<[TLSSocket]>;
  const { port } = server.address() as AddressInfo;
  const plain = await connectTcp({ address: "127.0.0.1", port, timeoutMs: 5000 });
  const verify = { by: "identities", identities: [ours] } as const;
  const stream = await secureClient(plain, context, { alpn: ["h2"], timeoutMs: 5000, verify, ownRecords: true });
  const [peer] = await accepted;
  return { stream, peer, close: () => server.close() };
}

async function textOf(peer: TLSSocket): Promise<string> {
  let text = "";
  peer.on("data", (chunk: Buffer) => (text += chunk.toString()));
  await once(peer, "end");
  return text;
}

for (const cipher of ["TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384"])
  for (const [role, start] of [
    ["server", () => oursWithNodeClient({ ciphers: cipher })],
    ["client", () => oursWithNodeServer({ ciphers: cipher })],
  ] as const)
    test(`our ${role} understands Node's TLS with ${cipher}, and each side ends for itself`, async () => {
      const { stream, peer, close } = await start();
      assert.ok(stream instanceof RecordStream);
      assert.deepEqual([stream.cipher, stream.peerIdentity], [cipher, ours]);
      const near = new Recorder(stream, { verifyPattern: true });
      peer.write(pattern(0, 3_000_000));
      peer.end();
      await near.ended;
      assert.deepEqual([near.count, near.mismatchAt], [3_000_000, undefined]);
      const far = textOf(peer);
      for (const text of ["a", "", "b".repeat(100_000), "c"]) stream.write(Buffer.from(text));
      stream.end();
      assert.equal(await far, `a${"b".repeat(100_000)}c`);
      assert.equal(await near.closed, undefined);
      close();
    });

test("records follow the tickets that a server sends, whether or not a client offers one of them", async () => {
  const hbone = TlsContext.create({ ...issued, profile: "mesh" });
  let session: Buffer | undefined;
  for (const count of [1, 2]) {
    const { stream, peer, close } = await oursWithNodeClient(session === undefined ? {} : { session }, hbone);
    session = undefined;
    peer.on("session", (given: Buffer) => (session = given));
    const near = new Recorder(stream);
    const far = textOf(peer);
    stream.write(Buffer.from(`hello ${count}`));
    await until(() => session !== undefined);
    assert.equal(peer.isSessionReused(), false);
    peer.end("bye");
    assert.equal((await near.ended).toString(), "bye");
    stream.end();
    assert.equal(await far, `hello ${count}`);
    close();
  }
});

test("a connection with another version or suite stays with Node's TLS", async () => {
  const old = TlsContext.create({ ...issued, maxVersion: "TLSv1.2" });
  for (const [client, server] of [
    [{ ciphers: "TLS_CHACHA20_POLY1305_SHA256" }, context],
    [{}, old],
  ] as const) {
    const { stream, peer, close } = await oursWithNodeClient(client, server);
    assert.ok(!(stream instanceof RecordStream));
    const near = new Recorder(stream, { verifyPattern: true });
    const far = new Promise<number>((resolve) => {
      let count = 0;
      peer.on("data", (chunk: Buffer) => (count += chunk.length));
      peer.on("end", () => resolve(count));
    });
    peer.write(pattern(0, 5_000_000));
    peer.end();
    stream.write(pattern(0, 5_000_000));
    await near.ended;
    assert.deepEqual([near.count, near.mismatchAt], [5_000_000, undefined]);
    stream.end();
    assert.equal(await far, 5_000_000);
    assert.equal(await near.closed, undefined);
    close();
  }
});

/** Passes a connection on. After `harm` was called, it changes what the client sends. */
async function harmed(
  port: number,
): Promise<{ readonly port: number; readonly harm: () => void; readonly close: () => void }> {
  let isHarmed = false;
  const proxy = createPlainServer((near) => {
    const far = connectPlain(port, "127.0.0.1");
    for (const socket of [near, far]) socket.on("error", () => undefined);
    near.on("data", (chunk: Buffer) => {
      const last = chunk.length - 1;
      if (isHarmed) chunk[last] = (chunk[last] ?? 0) ^ 1;
      far.write(chunk);
    });
    far.pipe(near);
  });
  proxy.listen(0, "127.0.0.1");
  await once(proxy, "listening");
  return { port: (proxy.address() as AddressInfo).port, harm: () => (isHarmed = true), close: () => proxy.close() };
}

test("a changed record ends the connection, and both sides learn why; what came before it is delivered", async () => {
  const accepted = Promise.withResolvers<SecureStream>();
  const listener = await listenTcp({ address: "127.0.0.1", port: 0 }, (raw) => {
    secureServer(raw, () => context, serverOptions).then(accepted.resolve, accepted.reject);
  });
  const between = await harmed(listener.address.port);
  const peer = connect({ ...nodeOptions(), port: between.port, host: "127.0.0.1" });
  const refused = once(peer, "error") as Promise<[NodeJS.ErrnoException]>;
  const near = new Recorder(await accepted.promise);
  peer.write("good");
  await near.received(4);
  between.harm();
  peer.write("bad");
  const error = await near.closed;
  assert.match(String(error), /TLS with .*: a record is not authentic/);
  assert.equal(near.bytes.toString(), "good");
  peer.resume();
  const [{ code }] = await refused;
  assert.equal(code, "ERR_SSL_SSL/TLS_ALERT_BAD_RECORD_MAC");
  listener.close();
  between.close();
});

test("our key changes before its limit, and Node's TLS follows", async () => {
  const handed = Promise.withResolvers<RecordStream>();
  const listener = await listenTcp({ address: "127.0.0.1", port: 0 }, (raw) => {
    const handshake = new RecordHandshake(raw, libuvBinding()?.newJsStream?.() ?? assert.fail());
    const secured = new TLSSocket(handshake.socket, { isServer: true, secureContext: context.secureContext });
    handshake.begin(secured, true, undefined);
    secured.once("secure", () => handed.resolve(handshake.secured("test", 40) ?? assert.fail()));
  });
  const peer = connect({ ...nodeOptions(), port: listener.address.port, host: "127.0.0.1" });
  const stream = await handed.promise;
  const near = new Recorder(stream);
  let count = 0;
  let isRight = true;
  peer.on("data", (chunk: Buffer) => {
    isRight &&= chunk.equals(pattern(count, chunk.length));
    count += chunk.length;
  });
  const total = 6_000_000;
  for (let at = 0; at < total; at += 60_000) stream.write(pattern(at, 60_000));
  stream.end();
  await once(peer, "end");
  assert.deepEqual([count, isRight], [total, true]);
  await near.closed;
  listener.close();
});

/** A {@link RecordStream} whose peer sends whatever the test wants. */
async function withRawPeer(): Promise<{
  readonly stream: RecordStream;
  readonly send: (type: number, ...contents: readonly (readonly number[])[]) => void;
  readonly sealer: Sealer;
  /** The contents that the stream has sent, with their types at their ends. */
  readonly received: Buffer[];
  readonly socket: Socket;
  readonly close: () => void;
}> {
  const accepted = Promise.withResolvers<ByteStream>();
  const listener = await listenTcp({ address: "127.0.0.1", port: 0 }, accepted.resolve);
  const socket = connectPlain(listener.address.port, "127.0.0.1");
  const [sealer, opener] = [new Sealer(suite, secrets[0]), new Opener(suite, secrets[1])];
  const received: Buffer[] = [];
  let rest = Buffer.alloc(0);
  socket.on("error", () => undefined);
  socket.on("data", (chunk: Buffer) => {
    rest = Buffer.concat([rest, chunk]);
    while (rest.length >= 5 && rest.length >= 5 + rest.readUInt16BE(3)) {
      const length = rest.readUInt16BE(3);
      const content = Buffer.alloc(length);
      const size = opener.open(rest, 0, length, content, 0);
      assert.notEqual(size, -1, "our records are authentic");
      received.push(content.subarray(0, size));
      if (content[size - 1] === contentType.handshake) opener.changeKey();
      rest = rest.subarray(5 + length);
    }
  });
  const stream = new RecordStream(await accepted.promise, {
    sealer: new Sealer(suite, secrets[1]),
    opener: new Opener(suite, secrets[0]),
    isServer: true,
    title: "TLS with the peer",
  });
  stream.begin(Buffer.alloc(0), 0);
  return {
    stream,
    sealer,
    received,
    socket,
    send: (type, ...contents) => {
      for (const content of contents) {
        const record = Buffer.alloc(sealedBytes(content.length));
        const length = sealer.seal(Buffer.from(content), 0, content.length, record, type);
        socket.write(record.subarray(0, length));
        if (type === contentType.handshake && content[0] === 24) sealer.changeKey();
      }
    },
    close: () => {
      listener.close();
      socket.removeAllListeners("data").destroy();
      sealer.free();
      opener.free();
    },
  };
}

test("a peer may change its key, and ours changes when it asks for that, once for several requests", async () => {
  const { stream, send, received, socket, close } = await withRawPeer();
  const near = new Recorder(stream);
  send(contentType.handshake, [...keyUpdateContent]);
  send(contentType.applicationData, [65]);
  await near.received(1);
  assert.deepEqual(received, []);
  socket.cork();
  send(contentType.handshake, [24, 0, 0, 1, 1], [24, 0, 0, 1, 1]);
  send(contentType.applicationData, [66]);
  socket.uncork();
  await near.received(2);
  stream.write(Buffer.from("x"));
  await until(() => received.length >= 2);
  assert.deepEqual(received, [Buffer.from([...keyUpdateContent, contentType.handshake]), Buffer.from([120, 23])]);
  stream.destroy();
  await near.closed;
  close();
});

for (const [name, send, alert, message] of [
  [
    "KeyUpdates",
    [contentType.handshake, Array.from({ length: 40 }, () => [24, 0, 0, 1, 1])],
    alertCode.unexpectedMessage,
    /no application data/,
  ],
  [
    "a ticket for a server",
    [contentType.handshake, [[4, 0, 0, 1, 0]]],
    alertCode.unexpectedMessage,
    /message of type 4/,
  ],
  ["an unknown content type", [99, [[1]]], alertCode.unexpectedMessage, /content type 99/],
] as const)
  test(`the peer gets an alert for ${name}, and the connection ends with an error`, async () => {
    const peer = await withRawPeer();
    const near = new Recorder(peer.stream);
    peer.send(...([send[0], ...send[1]] as [number, ...(readonly (readonly number[])[])]));
    const error = await near.closed;
    assert.ok(error instanceof Error && "code" in error && error.code === "tls-failed");
    assert.match(error.message, message);
    await until(() => peer.received.length > 0 && peer.received.at(-1)?.at(-1) === contentType.alert);
    assert.deepEqual(peer.received.at(-1), Buffer.from([2, alert, contentType.alert]));
    assert.ok(peer.received.length <= 3, "several requests have one answer");
    assert.ok(isTlsFault(error as never));
    peer.close();
  });

test("an alert of the peer is the connection's error", async () => {
  const { stream, send, close } = await withRawPeer();
  const near = new Recorder(stream);
  send(contentType.alert, [2, 44]);
  assert.match(String(await near.closed), /TLS with the peer: the peer sent the alert certificate_revoked/);
  close();
});

test("a connection that ends without TLS's end is an error, because bytes may be missing", async () => {
  const { stream, send, socket, close } = await withRawPeer();
  const near = new Recorder(stream);
  send(contentType.applicationData, [65]);
  socket.end();
  assert.match(String(await near.closed), /closed the connection without an end of TLS/);
  assert.equal(near.bytes.toString(), "A");
  close();
});

test("what follows an end of TLS is ignored, and the end waits for a paused reader", async () => {
  const { stream, send, socket, close } = await withRawPeer();
  const near = new Recorder(stream, { paused: true });
  send(contentType.applicationData, [65, 66]);
  send(contentType.alert, [1, alertCode.closeNotify]);
  send(contentType.applicationData, [67]);
  socket.write("no record");
  let isEnded = false;
  void near.ended.then(() => (isEnded = true));
  await new Promise((resolve) => setTimeout(resolve, 20));
  assert.deepEqual([near.count, isEnded], [0, false]);
  stream.resume();
  assert.equal((await near.ended).toString(), "AB");
  stream.end();
  assert.equal(await near.closed, undefined);
  close();
});

test("a guard may end an open connection, and hears of its end once", async () => {
  let end: ((reason: string) => void) | undefined;
  let disposals = 0;
  const guard = {
    refuse: () => undefined,
    admitted: (_certificate: unknown, _peer: unknown, close: (reason: string) => void) => {
      end = close;
      return { [Symbol.dispose]: () => void (disposals += 1) };
    },
  };
  const { stream, peer, close } = await oursWithNodeClient({}, TlsContext.create({ ...issued, guard }));
  peer.on("error", () => undefined);
  const near = new Recorder(stream);
  end?.("its certificate was revoked");
  const error = await near.closed;
  assert.match(String(error), /its certificate was revoked/);
  assert.deepEqual([disposals, near.closes], [1, 1]);
  close();
});

test("a cipher refuses ranges outside its memory, and any use after its end", () => {
  const [sealer, opener] = [new Sealer(suite, secrets[0]), new Opener(suite, secrets[0])];
  const memory = Buffer.alloc(100);
  assert.throws(() => sealer.seal(memory, 0, 101, Buffer.alloc(200), 23), /range/);
  assert.throws(() => sealer.seal(memory, 5, 4, memory, 23), /range/);
  assert.throws(() => sealer.seal(memory, 0, 79, Buffer.alloc(100), 23), /range/);
  assert.throws(() => opener.open(memory, 0, 96, Buffer.alloc(200), 0), /range/);
  assert.throws(() => opener.open(memory, 0, 95, Buffer.alloc(78), 0), /range/);
  assert.equal(opener.open(memory, 0, 95, Buffer.alloc(79), 0), -1);
  for (const cipher of [sealer, opener]) {
    cipher.free();
    cipher.free();
  }
  assert.throws(() => sealer.seal(memory, 0, 1, Buffer.alloc(100), 23), /after its end/);
  assert.throws(() => opener.open(memory, 0, 95, Buffer.alloc(100), 0), /after its end/);
});
