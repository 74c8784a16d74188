import assert from "node:assert/strict";
import { once } from "node:events";
import type { IncomingMessage } from "node:http";
import { request } from "node:https";
import { test } from "node:test";
import { silentLogger } from "../base/index.ts";
import { HandClock } from "../base/testing/index.ts";
import { CertificateManager } from "./certificates/certificate-manager.ts";
import { FakeCertificateAuthority } from "./certificates/fake-certificate-authority.ts";
import { listenSecureHttp, type EndpointAnswer } from "./http-endpoint.ts";

const us = "spiffe://cluster.local/ns/shop/sa/web";
const scraper = "spiffe://cluster.local/ns/istio-system/sa/prometheus";

test("metrics by mutual TLS are served to a client of the mesh, and not without its certificate", async () => {
  const mesh = new CertificateManager({ authority: new FakeCertificateAuthority(), log: silentLogger });
  const other = new CertificateManager({ authority: new FakeCertificateAuthority(), log: silentLogger });
  const endpoint = await listenSecureHttp({
    address: "127.0.0.1",
    port: 0,
    routes: { "/metrics": () => ({ status: 200, body: "up 1\n" }) },
    context: async () => (await mesh.fetch(us)).context,
  });
  const get = async (path: string, certificate: { cert?: string; key?: string }): Promise<string> =>
    await new Promise((resolve) => {
      // The name in a mesh certificate is not a host name, so scrapers do not check it either.
      const options = { host: "127.0.0.1", port: endpoint.port, path, agent: false, rejectUnauthorized: false };
      const outgoing = request({ ...options, ...certificate }, (response) => {
        let text = `${response.statusCode ?? 0} `;
        response.on("data", (part: Buffer) => (text += part.toString()));
        response.once("end", () => resolve(text));
      });
      outgoing.once("error", () => resolve("refused"));
      outgoing.end();
    });
  const pemOf = async (certificates: CertificateManager): Promise<{ cert: string; key: string }> => {
    const { chainPem, privateKeyPem } = await certificates.fetch(scraper);
    return { cert: chainPem, key: privateKeyPem };
  };
  assert.equal(await get("/metrics", await pemOf(mesh)), "200 up 1\n");
  assert.match(await get("/other", await pemOf(mesh)), /^404 /);
  assert.equal(await get("/metrics", {}), "refused");
  assert.equal(await get("/metrics", await pemOf(other)), "refused");
  await endpoint.close();
  assert.equal(await get("/metrics", await pemOf(mesh)), "refused");
  mesh.close();
  other.close();
});

test("clients of the secure port take turns by their addresses, and one that does not read loses its connections", async (context) => {
  const mesh = new CertificateManager({ authority: new FakeCertificateAuthority(), log: silentLogger });
  context.after(() => mesh.close());
  const clock = new HandClock();
  const [answerBytes, stepBytes] = [32 << 20, 2 << 20];
  const sockets: IncomingMessage["socket"][] = [];
  const metrics = ({ socket }: IncomingMessage): EndpointAnswer => {
    sockets.push(socket);
    return { status: 200, body: Buffer.alloc(answerBytes) };
  };
  const endpoint = await listenSecureHttp({
    address: "0.0.0.0",
    port: 0,
    routes: { "/metrics": metrics },
    context: async () => (await mesh.fetch(us)).context,
    clock,
  });
  context.after(() => endpoint.close());
  const { chainPem: cert, privateKeyPem: key } = await mesh.fetch(scraper);
  const begin = async (localAddress: string): Promise<IncomingMessage> => {
    const options = { host: "127.0.0.1", port: endpoint.port, localAddress, path: "/metrics", cert, key };
    const outgoing = request({ ...options, agent: false, rejectUnauthorized: false });
    outgoing.on("error", () => undefined).end();
    const [response] = (await once(outgoing, "response")) as [IncomingMessage];
    return response.on("error", () => undefined);
  };
  const reader = await begin("127.0.0.2");
  await begin("127.0.0.3");
  assert.deepEqual(
    sockets.map(({ remoteAddress }) => remoteAddress),
    ["127.0.0.2", "127.0.0.3"],
  );
  let readBytes = 0;
  reader.on("data", (part: Buffer) => {
    const before = Math.floor(readBytes / stepBytes);
    readBytes += part.length;
    // The client reads for longer than it may pause.
    if (Math.floor(readBytes / stepBytes) > before) for (let look = 0; look < 8; look += 1) clock.pass(3_000);
  });
  await once(reader, "end");
  assert.equal(readBytes, answerBytes);
  for (let look = 0; look < 41; look += 1) clock.pass(3_000);
  assert.equal(sockets[1]?.destroyed, true);
});
