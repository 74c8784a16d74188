import assert from "node:assert/strict";
import { connect as connectTcp, type Socket } from "node:net";
import { connect as connectTls, type TLSSocket } from "node:tls";
import { after, before, test } from "node:test";
import * as grpc from "@grpc/grpc-js";
import { silentLogger, systemClock, type Clock } from "../../../base/index.ts";
import { TestAuthority, type Issued } from "../../../net/testing/index.ts";
import type { GrpcCall } from "./grpc-call.ts";
import { GrpcServer } from "./grpc-server.ts";
import { grpcStatus } from "./grpc-status.ts";
import { RotatingCertificate, type CertificateMaterial } from "./rotating-certificate.ts";
import { unaryMethod } from "./unary-method.ts";

const path = "/test.Service/WhoAmI";
const webId = "spiffe://cluster.local/ns/shop/sa/web";
let authority: TestAuthority;
let [serving, web, stranger]: (Issued | undefined)[] = [];
const servers: GrpcServer[] = [];

before(async () => {
  authority = await TestAuthority.create();
  const other = await TestAuthority.create();
  [serving, web, stranger] = await Promise.all([
    authority.issue({ dns: "istiod.test" }),
    authority.issue({ spiffe: webId }),
    other.issue({ spiffe: webId }),
  ]);
});
after(() => {
  for (const server of servers) server.close();
});

function materialOf(
  issued: Issued | undefined,
  clientRoots = authority.roots,
  revocations?: string,
): CertificateMaterial {
  return {
    certificate: issued?.certificateChain ?? "",
    privateKey: issued?.privateKey ?? "",
    clientRoots,
    ...(revocations === undefined ? {} : { revocations }),
  };
}

/** The names that a call's certificate proves, or why it proves none. */
function proven({ peer }: GrpcCall): string {
  const names = peer.certificate?.names();
  peer.certificate?.markUsed();
  return names === undefined ? "nobody" : names.fault === undefined ? names.subjectAltName : `nobody: ${names.fault}`;
}

/**
 * Answers with the identity in the caller's certificate. A request `wait` is answered only after `release` was called.
 */
async function serve(
  maxConnections = 100,
  clock: Clock = systemClock,
): Promise<{
  readonly server: GrpcServer;
  readonly certificate: RotatingCertificate;
  readonly port: number;
  readonly release: () => void;
}> {
  const { promise, resolve: release } = Promise.withResolvers<void>();
  const answer = unaryMethod({
    answer: async (request, call) => {
      if (request.toString() === "wait") await promise;
      if (request.toString() === "no") throw new Error("100 % ü");
      return Buffer.from(`${proven(call)} ${call.header("x-word").join("+")}`);
    },
    statusOf: (error) => ({ status: grpcStatus.permissionDenied, message: (error as Error).message }),
    clock: systemClock,
  });
  const server = new GrpcServer({
    methods: new Map([[path, answer]]),
    maxRequestBytes: 1000,
    clock,
    log: silentLogger,
    maxConnections,
  });
  servers.push(server);
  const certificate = new RotatingCertificate(materialOf(serving));
  return { server, certificate, port: await server.listen("127.0.0.1", 0, certificate), release };
}

const bytes = (value: Buffer): Buffer => value;

function clientOf(port: number, issued?: Issued, roots = authority.roots): grpc.Client {
  const credentials =
    issued === undefined
      ? grpc.credentials.createSsl(Buffer.from(roots))
      : grpc.credentials.createSsl(
          Buffer.from(roots),
          Buffer.from(issued.privateKey),
          Buffer.from(issued.certificateChain),
        );
  return new grpc.Client(`127.0.0.1:${port}`, credentials, {
    "grpc.ssl_target_name_override": "istiod.test",
    "grpc.use_local_subchannel_pool": 1,
  });
}

async function callEcho(client: grpc.Client, request: string, words: readonly string[] = []): Promise<string> {
  const metadata = new grpc.Metadata();
  for (const word of words) metadata.add("x-word", word);
  return await new Promise((resolve, reject) => {
    client.makeUnaryRequest(path, bytes, bytes, Buffer.from(request), metadata, (error, answer) =>
      error === null ? resolve(String(answer)) : reject(error),
    );
  });
}

test("a client certificate is optional; a trusted one identifies the caller, and any other is ignored", async () => {
  const { port } = await serve();
  for (const [issued, expected] of [
    [undefined, "nobody a+b"],
    [web, `URI:${webId} a+b`],
    [stranger, "nobody a+b"],
  ] as const) {
    const client = clientOf(port, issued);
    assert.equal(await callEcho(client, "who", ["a", "b"]), expected);
    client.close();
  }
});

test("TLS sessions are never resumed, so that a client presents its certificate again", async () => {
  const { port } = await serve();
  for (const maxVersion of ["TLSv1.2", "TLSv1.3"] as const) {
    let session: Buffer | undefined;
    for (let round = 0; round < 3; round += 1) {
      const socket = connectTls({
        host: "127.0.0.1",
        port,
        rejectUnauthorized: false,
        ALPNProtocols: ["h2"],
        maxVersion,
        cert: web?.certificateChain ?? "",
        key: web?.privateKey ?? "",
        ...(session === undefined ? {} : { session }),
      });
      const greeted = Promise.withResolvers<void>();
      socket
        .on("session", (given: Buffer) => (session = given))
        .once("data", () => greeted.resolve())
        .once("error", greeted.reject);
      await greeted.promise;
      assert.equal(socket.isSessionReused(), false);
      socket.destroy();
    }
  }
});

test("a method's refusal reaches the client with status and message, and a request above the limit has its own error", async () => {
  const { port } = await serve();
  const client = clientOf(port);
  await assert.rejects(callEcho(client, "no"), { code: grpc.status.PERMISSION_DENIED, details: "100 % ü" });
  await assert.rejects(callEcho(client, "x".repeat(1001)), { message: /a request may have at most 1000 bytes/ });
  assert.equal(await callEcho(client, "who"), "nobody ");
  client.close();
});

test("a rotated certificate and roots apply to new connections, and open ones without a certificate continue", async () => {
  const { port, certificate } = await serve();
  const before_ = clientOf(port);
  assert.equal(await callEcho(before_, "who"), "nobody ");
  const next = await TestAuthority.create();
  certificate.rotate(materialOf(await next.issue({ dns: "istiod.test" }), next.roots));
  assert.equal(await callEcho(before_, "who"), "nobody ");
  const later = clientOf(port, await next.issue({ spiffe: webId }), next.roots);
  assert.equal(await callEcho(later, "who"), `URI:${webId} `);
  const former = clientOf(port, web, next.roots);
  assert.equal(await callEcho(former, "who"), "nobody ");
  assert.throws(() => certificate.rotate({ certificate: "no", privateKey: "no", clientRoots: "no" }), {
    code: "tls-material-invalid",
  });
  for (const client of [before_, later, former]) client.close();
});

test("a certificate identifies nobody on an open connection once its root is gone, its authority has revoked it, or its time is over", async () => {
  const below = await authority.subordinate("0d");
  const issued = await authority.issue({ spiffe: webId, serialNumber: "0b" });
  const ofSubordinate = await below.issue({ spiffe: webId });
  const next = await TestAuthority.create();
  const revoked = (what: string): RegExp => new RegExp(`^nobody: the certificate ${what} of ".*" is revoked by`);
  for (const [client, material, expected] of [
    [web, materialOf(serving, next.roots), /^nobody: no root that is trusted now has issued it/],
    [issued, materialOf(serving, authority.roots, await authority.revoke("0b")), revoked("0B")],
    [ofSubordinate, materialOf(serving, authority.roots, await authority.revoke("0d")), revoked("0D")],
    [issued, materialOf(serving, authority.roots, await authority.revoke("0c")), new RegExp(`^URI:${webId}`)],
  ] as const) {
    const { port, certificate } = await serve();
    const open = clientOf(port, client);
    assert.equal(await callEcho(open, "who"), `URI:${webId} `);
    certificate.rotate(material);
    assert.match(await callEcho(open, "who"), expected);
    open.close();
  }
  let passedMs = 0;
  const { port } = await serve(100, { ...systemClock, nowMs: () => Date.now() + passedMs });
  const open = clientOf(port, web);
  assert.equal(await callEcho(open, "who"), `URI:${webId} `);
  passedMs = 3_700_000;
  assert.match(await callEcho(open, "who"), /^nobody: it expired at /);
  open.close();
});

test("a client whose certificate was revoked before it connects is not identified by it", async () => {
  const issued = await authority.issue({ spiffe: webId, serialNumber: "0b" });
  const { port, certificate } = await serve();
  certificate.rotate(materialOf(serving, authority.roots, await authority.revoke("0b")));
  const client = clientOf(port, issued);
  assert.match(await callEcho(client, "who"), /^nobody: the certificate 0B/);
  client.close();
});

test("open calls of a connection end with the certificate that has authenticated one, and others continue", async () => {
  const { port, certificate, release } = await serve();
  const [known, unknown] = [clientOf(port, web), clientOf(port)];
  assert.deepEqual([await callEcho(known, "who"), await callEcho(unknown, "who")], [`URI:${webId} `, "nobody "]);
  const [ended, open] = [callEcho(known, "wait"), callEcho(unknown, "wait")];
  const next = await TestAuthority.create();
  certificate.rotate(materialOf(serving, next.roots));
  await assert.rejects(ended, {
    code: grpc.status.UNAUTHENTICATED,
    details: /client certificate is no longer accepted: no root that is trusted now/,
  });
  release();
  assert.equal(await open, "nobody ");
  for (const client of [known, unknown]) client.close();
});

test("clients with TLS before 1.2, or without HTTP/2, are refused", async () => {
  const { port } = await serve();
  const attempt = async (options: object): Promise<string> =>
    await new Promise((resolve) => {
      const socket: TLSSocket = connectTls({ host: "127.0.0.1", port, rejectUnauthorized: false, ...options });
      socket.once("secureConnect", () => socket.once("data", () => resolve("served")));
      socket.once("error", (error) => resolve((error as { readonly code?: string }).code ?? error.message));
      socket.once("close", () => resolve("closed"));
    });
  assert.equal(await attempt({ ALPNProtocols: ["h2"] }), "served");
  assert.match(
    await attempt({ ALPNProtocols: ["h2"], maxVersion: "TLSv1.1", minVersion: "TLSv1", ciphers: "DEFAULT@SECLEVEL=0" }),
    /PROTOCOL|ECONNRESET|closed/,
  );
  assert.match(await attempt({ ALPNProtocols: ["http/1.1"] }), /NO_APPLICATION_PROTOCOL|ECONNRESET|closed/);
  assert.match(await attempt({}), /ECONNRESET|closed/);
});

test("a stopping server finishes open calls and accepts none, and after the grace time ends the remaining calls with a reason", async () => {
  const first = await serve();
  const client = clientOf(first.port);
  const waiting = callEcho(client, "wait");
  // Both calls use one connection, so an answer to the second one shows that the first one has arrived.
  assert.equal(await callEcho(client, "who"), "nobody ");
  const stopped = first.server.stop(60_000);
  first.release();
  assert.equal(await waiting, "nobody ");
  client.close();
  await stopped;
  const second = await serve();
  const other = clientOf(second.port);
  const never = callEcho(other, "wait");
  await callEcho(other, "who");
  await Promise.all([
    second.server.stop(10),
    assert.rejects(never, { code: grpc.status.UNAVAILABLE, details: "the control plane is stopping" }),
  ]);
  other.close();
});

test("an address that holds all connections loses its oldest ones to others, before, during and after the handshake", async () => {
  const { port } = await serve(2);
  /** Resolves with the connection when the server has sent its settings, or with undefined if it closes first. */
  const connected = async (localAddress: string): Promise<TLSSocket | undefined> =>
    await new Promise((resolve) => {
      const options = { host: "127.0.0.1", port, localAddress, rejectUnauthorized: false, ALPNProtocols: ["h2"] };
      const socket = connectTls(options);
      socket.once("data", () => resolve(socket));
      for (const event of ["error", "close"]) socket.once(event, () => resolve(undefined));
    });
  const closed = async (socket: Socket): Promise<void> => {
    socket.on("error", () => undefined).resume();
    if (!socket.closed) await new Promise<void>((resolve) => socket.once("close", () => resolve()));
  };
  const idle = connectTcp({ host: "127.0.0.1", port, localAddress: "127.0.0.2" });
  await new Promise((resolve) => idle.once("connect", resolve));
  const served = await connected("127.0.0.2");
  assert.ok(served !== undefined);
  const other = await connected("127.0.0.3");
  await closed(idle);
  assert.ok(other !== undefined && !served.closed);
  assert.equal(await connected("127.0.0.2"), undefined, "the newcomer's address has as many as the others");
  other.destroy();
  await closed(other);
  // Retry until the server has noticed the end of the first connection, which takes a moment.
  let second: TLSSocket | undefined;
  while (second === undefined) second = await connected("127.0.0.2");
  const third = await connected("127.0.0.3");
  await closed(served);
  assert.ok(third !== undefined && !second.closed);
  for (const socket of [second, third]) socket.destroy();
});

test("the error for an occupied port names the address", async () => {
  const { port } = await serve();
  const server = new GrpcServer({ methods: new Map(), maxRequestBytes: 1000, clock: systemClock, log: silentLogger });
  await assert.rejects(server.listen("127.0.0.1", port), {
    code: "cannot-listen",
    message: new RegExp(`cannot listen on 127.0.0.1:${port}`),
  });
});
