import assert from "node:assert/strict";
import { once } from "node:events";
import { connect as connectHttp2, createSecureServer } from "node:http2";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import type { TLSSocket } from "node:tls";
import { silentLogger, systemClock } from "../../base/index.ts";
import { listenTcp, secureServer } from "../../net/index.ts";
import { CertificateManager } from "../certificates/certificate-manager.ts";
import { FakeCertificateAuthority } from "../certificates/fake-certificate-authority.ts";
import { hboneDialer } from "./hbone-dialer.ts";
import { HbonePool } from "./hbone-pool.ts";
import { serveHbone } from "./hbone-server.ts";

const us = "spiffe://cluster.local/ns/default/sa/us";
const peer = "spiffe://cluster.local/ns/default/sa/them";
const certificates = new CertificateManager({ authority: new FakeCertificateAuthority(), log: silentLogger });

async function material(identity: string) {
  const { chainPem, privateKeyPem, rootsPem } = await certificates.fetch(identity);
  return { cert: chainPem, key: privateKeyPem, ca: rootsPem, minVersion: "TLSv1.3", ALPNProtocols: ["h2"] } as const;
}

test("mTLS with node:http2's server: both sides see the other's identity, and a wrong one is refused", async () => {
  const server = createSecureServer({ ...(await material(peer)), requestCert: true, rejectUnauthorized: true });
  let version: string | undefined;
  server.on("stream", (stream) => {
    const socket = stream.session?.socket as TLSSocket | undefined;
    version = socket?.getPeerCertificate().subjectaltname;
    stream.respond({ ":status": 200 });
    stream.pipe(stream);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const told: string[] = [];
  const pool = new HbonePool({ dial: hboneDialer(certificates, systemClock, (text) => void told.push(text)) });
  const connect = (expected: string) =>
    pool.connect({
      sourceIdentity: us,
      address: "127.0.0.1",
      port,
      expectedIdentities: [expected],
      authority: "10.0.0.1:80",
      headers: [],
      timeoutMs: 5_000,
    });
  const tunnel = await connect(peer);
  assert.deepEqual([tunnel.peerIdentity, version], [peer, `URI:${us}`]);
  const echoed = new Promise<string>((resolve) => {
    tunnel.setHandler({ data: (chunk) => resolve(chunk.toString()), end() {}, drain() {}, close() {} });
  });
  tunnel.resume();
  tunnel.write(Buffer.from("over TLS"));
  assert.equal(await echoed, "over TLS");
  await assert.rejects(connect(us), /the server is spiffe:.*them, expected spiffe:.*us/);
  // Only the first connection reports what protects the records.
  assert.equal(told.length, 1);
  assert.match(told.join("\n"), /the records of HBONE connections are protected by serin itself/);
  tunnel.destroy();
  pool.close();
  server.close();
});

test("mTLS with node:http2's client: a certificate is required, and its identity is known", async () => {
  const refuse = Promise.withResolvers<string>();
  const context = async () => (await certificates.fetch(us)).context;
  const listener = await listenTcp({ address: "127.0.0.1", port: 0 }, (raw) => {
    secureServer(raw, context, { alpn: ["h2"], timeoutMs: 5_000, clientCertificate: "require" })
      .then((stream) =>
        serveHbone(stream, { onConnect: (request) => request.accept([["x-peer", request.peerIdentity]]).end() }),
      )
      .catch((error: unknown) => refuse.resolve(String(error)));
  });
  const url = `https://127.0.0.1:${listener.address.port}`;
  const session = connectHttp2(url, { ...(await material(peer)), checkServerIdentity: () => undefined });
  const stream = session.request({ ":method": "CONNECT", ":authority": "10.0.0.1:80" });
  const [headers] = (await once(stream, "response")) as [Record<string, string>];
  assert.equal(headers["x-peer"], peer);
  session.destroy();
  const { cert: _cert, key: _key, ...nobody } = await material(peer);
  const uncertified = connectHttp2(url, { ...nobody, checkServerIdentity: () => undefined });
  uncertified.on("error", () => undefined);
  assert.match(await refuse.promise, /peer did not return a certificate/);
  uncertified.destroy();
  listener.close();
  certificates.close();
});
