import assert from "node:assert/strict";
import { before, suite, test } from "node:test";
import { connect } from "node:tls";
import { moduleCacheSizes, SerinError } from "../base/index.ts";
import { until } from "../base/testing/index.ts";
import { bytePath, type BytePath } from "./byte-path.ts";
import type { ByteListener, ByteStream, SecureStream } from "./byte-stream.ts";
import { TestAuthority } from "./testing/certificates.ts";
import { pattern, Recorder, relay } from "./testing/recorder.ts";
import { isTlsFault } from "./node-error.ts";
import { secureClient, secureServer, type SecureClientOptions, type SecureServerOptions } from "./tls.ts";
import { isTlsCurve, TlsContext, type TlsContextSource } from "./tls-context.ts";

const sleepId = "spiffe://cluster.local/ns/default/sa/sleep";
const reviewsId = "spiffe://cluster.local/ns/default/sa/reviews";
let authority: TestAuthority;
let sleep: TlsContext;
let reviews: TlsContext;
let stranger: TlsContext;

before(async () => {
  authority = await TestAuthority.create();
  const other = await TestAuthority.create();
  const mesh = { profile: "mesh" } as const;
  sleep = TlsContext.create({ ...(await authority.issue({ spiffe: sleepId })), ...mesh });
  reviews = TlsContext.create({ ...(await authority.issue({ spiffe: reviewsId, dns: "reviews.test" })), ...mesh });
  stranger = TlsContext.create({ ...(await other.issue({ spiffe: sleepId })), roots: authority.roots, ...mesh });
});

const hbone: SecureClientOptions = {
  alpn: ["h2"],
  timeoutMs: 5000,
  verify: { by: "identities", identities: [reviewsId] },
};
const hboneServer: SecureServerOptions = { alpn: ["h2"], timeoutMs: 5000, clientCertificate: "require" };

interface Ends {
  readonly client: Promise<SecureStream>;
  readonly server: Promise<SecureStream>;
  readonly listener: ByteListener;
}

/** Options that both ends share: whether Serin's own code or Node's TLS protects the records. */
type Records = Pick<SecureServerOptions, "ownRecords">;

interface Roles {
  readonly context?: TlsContext;
  readonly client?: Partial<SecureClientOptions>;
  readonly server?: Partial<SecureServerOptions>;
  readonly source?: TlsContextSource;
}

async function connectedEnds(path: BytePath, roles: Roles = {}): Promise<Ends> {
  const accepted = Promise.withResolvers<ByteStream>();
  const listener = await path.listenTcp({ address: "127.0.0.1", port: 0 }, accepted.resolve);
  const plain = await path.connectTcp({ address: "127.0.0.1", port: listener.address.port, timeoutMs: 5000 });
  const client = secureClient(plain, roles.context ?? sleep, { ...hbone, ...roles.client });
  const server = accepted.promise.then((stream) =>
    secureServer(stream, roles.source ?? (() => reviews), { ...hboneServer, ...roles.server }),
  );
  client.catch(() => undefined);
  server.catch(() => undefined);
  return { client, server, listener };
}

interface Refusal {
  readonly code: string | undefined;
  readonly session: Buffer | undefined;
}

/** The error that a client sees which writes at once, and the session that it could resume. */
async function refusedWith(context: TlsContext, port: number, resumed?: Buffer): Promise<Refusal> {
  const socket = connect({
    port,
    host: "127.0.0.1",
    secureContext: context.secureContext,
    ALPNProtocols: ["h2"],
    rejectUnauthorized: false,
    ...(resumed === undefined ? {} : { session: resumed }),
  });
  let session: Buffer | undefined;
  socket.on("session", (given) => (session = given));
  socket.once("secureConnect", () => socket.write(pattern(0, 100_000)));
  socket.resume();
  const code = await new Promise<string | undefined>((resolve) => {
    socket.once("error", (error: NodeJS.ErrnoException) => resolve(error.code));
    socket.once("close", () => resolve(undefined));
  });
  socket.destroy();
  return { code, session };
}

test("a context with curves of its own refuses peers that share none with it", async () => {
  const path = bytePath("libuv") ?? assert.fail();
  const quantumSafe = { curves: ["X25519MLKEM768"] };
  const server = TlsContext.create({ ...(await authority.issue({ spiffe: reviewsId })), ...quantumSafe });
  for (const [curves, isAdmitted] of [
    [["X25519MLKEM768"], true],
    [["X25519", "X25519MLKEM768"], true],
    [["X25519", "P-256"], false],
  ] as const) {
    const context = TlsContext.create({ ...(await authority.issue({ spiffe: sleepId })), curves });
    const { client, listener } = await connectedEnds(path, { context, source: () => server });
    if (isAdmitted) (await client).destroy();
    else await assert.rejects(client, /handshake|alert/i);
    listener.close();
  }
  assert.deepEqual(["P-256", "X25519MLKEM768", "Brainpool", "P-256:P-384", ""].map(isTlsCurve), [
    true,
    true,
    false,
    false,
    false,
  ]);
  // OpenSSL accepts any spelling of upper and lower case, so the kept spellings are bounded.
  const spelling = (at: number): string =>
    "brainpool".replaceAll(/./g, (letter, bit: number) => (at & (1 << bit) ? letter.toUpperCase() : letter));
  const spellings = Array.from({ length: 512 }, (_, at) => `${spelling(at)}P256r1`);
  assert.ok(spellings.every(isTlsCurve));
  const kept = moduleCacheSizes()["tls-curves"];
  assert.ok(kept !== undefined && kept.size <= kept.maxEntries && kept.maxEntries < spellings.length);
});

for (const [kind, ownRecords] of [
  ["libuv", false],
  ["node", false],
  ["libuv", true],
  ["node", true],
] as const) {
  const path = bytePath(kind);
  assert.ok(path !== undefined);
  const records: Records = { ownRecords };
  const clientOptions: SecureClientOptions = { ...hbone, ...records };
  const serverOptions: SecureServerOptions = { ...hboneServer, ...records };
  const ends = (path: BytePath, { client, server, ...roles }: Roles = {}): Promise<Ends> =>
    connectedEnds(path, { client: { ...records, ...client }, server: { ...records, ...server }, ...roles });

  suite(`TLS on ${kind}${ownRecords ? ", with own records" : ""}`, () => {
    test("the peer's address is still known after the peer has reset the connection", async () => {
      const { client, server, listener } = await ends(path);
      const [near, far] = await Promise.all([client, server]);
      const { closed } = new Recorder(near, { paused: true });
      near.destroy({ reset: true });
      await closed;
      assert.equal(far.remote.address, "127.0.0.1");
      far.destroy();
      listener.close();
    });

    test("both ends know each other's SPIFFE id and the protocol, and bytes go both ways", async () => {
      const { client, server, listener } = await ends(path);
      const [near, far] = await Promise.all([client, server]);
      assert.deepEqual(
        [near.peerIdentity, near.alpnProtocol, far.peerIdentity, far.alpnProtocol],
        [reviewsId, "h2", sleepId, "h2"],
      );
      assert.deepEqual(near.remote, listener.address);
      const [left, right] = [new Recorder(near), new Recorder(far)];
      near.write(Buffer.from("ping"));
      near.end();
      assert.equal((await right.ended).toString(), "ping");
      far.write(Buffer.from("pong"));
      far.end();
      assert.equal((await left.ended).toString(), "pong");
      assert.deepEqual(await Promise.all([left.closed, right.closed]), [undefined, undefined]);
      listener.close();
    });

    test("data in the client's last handshake flight is not lost", async () => {
      const { client, server, listener } = await ends(path);
      const near = await client;
      near.write(pattern(0, 100_000));
      const far = await server;
      // Wait before the server's end is read. Records are decrypted even if nobody reads them.
      await new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
      const right = new Recorder(far, { verifyPattern: true });
      await right.received(100_000);
      assert.equal(right.mismatchAt, undefined);
      near.destroy();
      far.destroy();
      listener.close();
    });

    test("data that arrives with the peer's end reaches a paused reader that has ended its own side", async () => {
      const { client, server, listener } = await ends(path);
      const [near, far] = await Promise.all([client, server]);
      const texts: string[] = [];
      const ended = Promise.withResolvers<void>();
      far.setHandler({
        data: (chunk) => {
          texts.push(chunk.toString());
          if (texts.length === 1) far.pause();
        },
        end: () => ended.resolve(),
        drain() {},
        close() {},
      });
      far.resume();
      const left = new Recorder(near);
      near.write(Buffer.from("first"));
      near.write(Buffer.from("second"));
      near.end();
      await until(() => texts.length !== 0);
      far.end();
      await left.ended;
      far.resume();
      await ended.promise;
      assert.equal(texts.join(""), "firstsecond");
      listener.close();
    });

    test("24 MB pass unchanged through TLS, a relay and TLS again, with back pressure in both directions", async () => {
      const back = await ends(path);
      const [upstream, far] = await Promise.all([back.client, back.server]);
      const front = await ends(path);
      const [near, middle] = await Promise.all([front.client, front.server]);
      relay(middle, upstream);
      const [left, right] = [new Recorder(near, { verifyPattern: true }), new Recorder(far, { verifyPattern: true })];
      const total = 12 << 20;
      send(near, left, total);
      send(far, right, total);
      await Promise.all([left.ended, right.ended]);
      assert.deepEqual(
        [left.count, left.mismatchAt, right.count, right.mismatchAt],
        [total, undefined, total, undefined],
      );
      back.listener.close();
      front.listener.close();
    });

    test("whoever owns the stream below ends the handshake, and the connection that follows it, by destroying it", async () => {
      for (const isEarly of [true, false]) {
        const accepted = Promise.withResolvers<ByteStream>();
        const listener = await path.listenTcp({ address: "127.0.0.1", port: 0 }, accepted.resolve);
        const plain = await path.connectTcp({ address: "127.0.0.1", port: listener.address.port, timeoutMs: 5000 });
        const below = await accepted.promise;
        if (isEarly) {
          const server = secureServer(below, () => reviews, serverOptions);
          await new Promise(setImmediate);
          below.destroy();
          await assert.rejects(server, /closed/);
          const left = new Recorder(plain);
          await Promise.race([left.ended, left.closed]);
          plain.destroy();
        } else {
          const [near, far] = await Promise.all([
            secureClient(plain, sleep, clientOptions),
            secureServer(below, () => reviews, serverOptions),
          ]);
          const [left, right] = [new Recorder(near), new Recorder(far)];
          below.destroy();
          await Promise.all([Promise.race([left.ended, left.closed]), right.closed]);
          near.destroy();
        }
        listener.close();
      }
    });

    test("a server with another identity is refused", async () => {
      const { client, listener } = await ends(path, {
        client: { verify: { by: "identities", identities: [sleepId] } },
      });
      await assert.rejects(client, { kind: "transient", code: "peer-identity" });
      listener.close();
    });

    test("a client of a foreign root is refused, and so is one without a certificate", async () => {
      const foreign = await ends(path, { context: stranger });
      const fault = { code: "tls-failed", reason: "CERT_SIGNATURE_FAILURE" };
      await assert.rejects(foreign.server, { ...fault, message: /^TLS from [\d.:]+: certificate signature failure$/ });
      foreign.listener.close();
      const bare = await ends(path, { context: TlsContext.create({ roots: authority.roots, profile: "mesh" }) });
      await assert.rejects(bare.server);
      bare.listener.close();
    });

    test("a refused client gets the reason by an alert, with data in flight and on resumption", async () => {
      const issued = await authority.issue({ spiffe: reviewsId, dns: "reviews.test" });
      const web = TlsContext.create({ ...issued, noTickets: true });
      const revoking = TlsContext.create({ ...issued, noTickets: true, revocations: [await authority.revoke("02")] });
      const below = await (await authority.subordinate("07")).issue({ spiffe: sleepId });
      const unknown = TlsContext.create({
        ...below,
        certificateChain: below.certificateChain.split(/(?<=-----END CERTIFICATE-----)/)[0] ?? "",
      });
      for (const [client, server, refuse, alert] of [
        [unknown, web, undefined, "ERR_SSL_TLSV1_ALERT_UNKNOWN_CA"],
        [unknown, reviews, undefined, "ERR_SSL_TLSV1_ALERT_UNKNOWN_CA"],
        [stranger, web, undefined, "ERR_SSL_TLSV1_ALERT_DECRYPT_ERROR"],
        [sleep, revoking, undefined, "ERR_SSL_SSL/TLS_ALERT_CERTIFICATE_REVOKED"],
        [sleep, web, () => "not this one", "ERR_SSL_SSL/TLS_ALERT_CERTIFICATE_UNKNOWN"],
        [TlsContext.create({ roots: authority.roots }), web, undefined, "ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED"],
      ] as const) {
        const options = { ...serverOptions, alerts: true, ...(refuse === undefined ? {} : { refuse }) };
        const listener = await path.listenTcp({ address: "127.0.0.1", port: 0 }, (stream) => {
          secureServer(stream, () => server, options).catch(() => undefined);
        });
        const first = await refusedWith(client, listener.address.port);
        assert.equal(first.code, alert);
        if (first.session !== undefined)
          assert.equal((await refusedWith(client, listener.address.port, first.session)).code, alert);
        listener.close();
      }
    });

    test("a client whose certificate is refused after its handshake sees a fault of TLS, and no end", async () => {
      const { client, server, listener } = await ends(path, { context: stranger, server: { alerts: true } });
      const near = await client;
      const events: string[] = [];
      const { promise: closed, resolve } = Promise.withResolvers<Error | undefined>();
      near.setHandler({
        data: () => events.push("data"),
        end: () => events.push("end"),
        drain: () => undefined,
        close: resolve,
      });
      near.resume();
      await assert.rejects(server);
      const error = await closed;
      assert.deepEqual(events, []);
      assert.ok(error instanceof SerinError && ((kind === "node" && !ownRecords) || isTlsFault(error)), String(error));
      assert.match(error.message, /alert/);
      listener.close();
    });

    test("a server that admits anybody knows whether the peer's certificate is of its roots", async () => {
      for (const [context, verified] of [
        [sleep, true],
        [stranger, false],
        [TlsContext.create({ roots: authority.roots, profile: "mesh" }), false],
      ] as const) {
        const anybody = { clientCertificate: "any" } as const;
        const { server, client, listener } = await ends(path, { context, server: anybody });
        assert.equal((await server).peerVerified, verified);
        assert.equal((await client).peerVerified, true);
        for (const stream of await Promise.all([client, server])) stream.destroy();
        listener.close();
      }
    });

    test("a server with an optional certificate accepts a client without one", async () => {
      const { server, client, listener } = await ends(path, {
        context: TlsContext.create({ roots: authority.roots }),
        client: { verify: { by: "hostname", hostname: "reviews.test" }, servername: "reviews.test" },
        server: { clientCertificate: "request" },
      });
      assert.equal((await server).peerIdentity, "");
      for (const stream of await Promise.all([client, server])) stream.destroy();
      listener.close();
    });

    test("a peer that leaves during the handshake is connection-reset", async () => {
      const accepted = Promise.withResolvers<ByteStream>();
      const listener = await path.listenTcp({ address: "127.0.0.1", port: 0 }, accepted.resolve);
      const plain = await path.connectTcp({ address: "127.0.0.1", port: listener.address.port, timeoutMs: 5000 });
      const server = secureServer(await accepted.promise, () => reviews, serverOptions);
      // The header of a handshake record, without its body.
      plain.write(Buffer.from([22, 3, 1, 1, 0]));
      plain.destroy();
      await assert.rejects(server, (error) => {
        assert.ok(error instanceof SerinError && isTlsFault(error));
        assert.deepEqual([error.kind, error.code], ["transient", "connection-reset"]);
        return true;
      });
      listener.close();
    });

    test("without a common protocol the handshake fails", async () => {
      const { client, listener } = await ends(path, { client: { alpn: ["http/1.1"] } });
      await assert.rejects(client, (error: { kind?: string }) => error.kind === "transient");
      listener.close();
    });

    test("a handshake waits for a certificate that does not exist yet", async () => {
      const certificate = Promise.withResolvers<TlsContext>();
      const { client, server, listener } = await ends(path, { source: () => certificate.promise });
      setImmediate(() => certificate.resolve(reviews));
      assert.equal((await client).peerIdentity, reviewsId);
      for (const stream of await Promise.all([client, server])) stream.destroy();
      listener.close();
    });

    test("the source picks the certificate by the client's SNI", async () => {
      const named: (string | undefined)[] = [];
      const { client, server, listener } = await ends(path, {
        client: { servername: "reviews.test", verify: { by: "hostname", hostname: "reviews.test" } },
        source: (servername) => {
          named.push(servername);
          return servername === "reviews.test" ? reviews : sleep;
        },
      });
      assert.equal((await client).peerIdentity, reviewsId);
      assert.deepEqual(named, [undefined, "reviews.test"]);
      for (const stream of await Promise.all([client, server])) stream.destroy();
      listener.close();
    });

    test("a reset under TLS closes the peer with an error", async () => {
      const { client, server, listener } = await ends(path);
      const [near, far] = await Promise.all([client, server]);
      const [left, right] = [new Recorder(near), new Recorder(far)];
      far.write(Buffer.from("hello"));
      await left.received(5);
      near.destroy({ reset: true });
      assert.equal(await left.closed, undefined);
      assert.match(String(await right.closed), /ECONNRESET/);
      listener.close();
    });

    test("a server may read a preface before TLS starts", async () => {
      const accepted = Promise.withResolvers<ByteStream>();
      const listener = await path.listenTcp({ address: "127.0.0.1", port: 0 }, accepted.resolve);
      const plain = await path.connectTcp({ address: "127.0.0.1", port: listener.address.port, timeoutMs: 5000 });
      const preface = "PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n";
      plain.write(Buffer.from(preface));
      const client = secureClient(plain, sleep, clientOptions);
      const behind = await accepted.promise;
      const first = await new Promise<Buffer>((resolve) => {
        let read = Buffer.alloc(0);
        behind.setHandler({
          data: (chunk) => {
            read = Buffer.concat([read, chunk]);
            // TLS must also get back the part of the ClientHello that was read here.
            if (read.length <= preface.length) return;
            behind.pause();
            resolve(read);
          },
          end: () => undefined,
          drain: () => undefined,
          close: () => undefined,
        });
        behind.resume();
      });
      assert.equal(first.toString("latin1", 0, preface.length), preface);
      const far = await secureServer(behind, () => reviews, {
        ...serverOptions,
        received: first.subarray(preface.length),
      });
      const near = await client;
      const [left, right] = [new Recorder(near), new Recorder(far, { verifyPattern: true })];
      send(near, left, 200_000);
      await right.ended;
      assert.deepEqual([right.count, right.mismatchAt], [200_000, undefined]);
      near.destroy();
      far.destroy();
      listener.close();
    });

    test("TLS works inside a TLS stream", async () => {
      const outer = await ends(path);
      const [near, far] = await Promise.all([outer.client, outer.server]);
      const [inner, innerServer] = await Promise.all([
        secureClient(wrapped(near), sleep, clientOptions),
        secureServer(wrapped(far), () => reviews, serverOptions),
      ]);
      const [left, right] = [new Recorder(inner), new Recorder(innerServer, { verifyPattern: true })];
      send(inner, left, 300_000);
      await right.ended;
      assert.deepEqual([right.count, right.mismatchAt], [300_000, undefined]);
      innerServer.destroy();
      inner.destroy();
      outer.listener.close();
    });
  });
}

/** Hides what kind of stream it is, so that the TLS code handles it like a tunnel. */
function wrapped(stream: ByteStream): ByteStream {
  return {
    setHandler: (handler) => stream.setHandler(handler),
    write: (bytes) => stream.write(bytes),
    end: () => stream.end(),
    destroy: (options) => stream.destroy(options),
    pause: () => stream.pause(),
    resume: () => stream.resume(),
    bufferedBytes: 0,
    local: stream.local,
    remote: stream.remote,
    fd: -1,
    receivedBytes: 0,
    sentBytes: 0,
  };
}

function send(stream: ByteStream, recorder: Recorder, total: number): void {
  let sent = 0;
  const pump = (): void => {
    while (sent < total) {
      const bytes = pattern(sent, Math.min(70_001, total - sent));
      sent += bytes.length;
      if (!stream.write(bytes)) return;
    }
    stream.end();
  };
  recorder.onDrain = pump;
  pump();
}
