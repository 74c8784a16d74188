import assert from "node:assert/strict";
import { request } from "node:https";
import { test } from "node:test";
import { silentLogger } from "../base/index.ts";
import { CertificateManager } from "./certificates/certificate-manager.ts";
import { FakeCertificateAuthority } from "./certificates/fake-certificate-authority.ts";
import { listenSecureHttp } from "./http-endpoint.ts";

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
