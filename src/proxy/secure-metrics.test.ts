import assert from "node:assert/strict";
import { request } from "node:https";
import { test } from "node:test";
import { silentLogger } from "../base/index.ts";
import { CertificateManager, FakeCertificateAuthority } from "../dataplane/index.ts";
import { freePort } from "../net/testing/index.ts";
import { TestProxy } from "./testing/test-proxy.ts";

test("the ports of ENVOY_SECURE_METRICS_PORT and ENVOY_SECURE_MERGED_METRICS_PORT serve metrics to certificates of the mesh", async () => {
  const authority = new FakeCertificateAuthority();
  const [own, merged] = [await freePort(), await freePort()];
  await using _proxy = await TestProxy.start({
    name: "web",
    role: "router",
    authority,
    environment: {
      ENVOY_SECURE_METRICS_PORT: String(own),
      ENVOY_SECURE_MERGED_METRICS_PORT: String(merged),
      METRICS_LOCALHOST_ACCESS_ONLY: "true",
    },
  });
  const certificates = new CertificateManager({ authority, log: silentLogger });
  const { chainPem, privateKeyPem } = await certificates.fetch("spiffe://cluster.local/ns/istio-system/sa/prometheus");
  const statusOf = async (port: number, path: string, shown: object): Promise<number> =>
    await new Promise((resolve) => {
      const options = { host: "127.0.0.1", port, path, agent: false, rejectUnauthorized: false, ...shown };
      request(options, (response) => {
        response.resume();
        response.once("end", () => resolve(response.statusCode ?? 0));
      })
        .once("error", () => resolve(0))
        .end();
    });
  const shown = { cert: chainPem, key: privateKeyPem };
  assert.equal(await statusOf(own, "/stats/prometheus", shown), 200);
  assert.equal(await statusOf(own, "/metrics", shown), 404);
  assert.equal(await statusOf(merged, "/stats/prometheus", shown), 200);
  assert.equal(await statusOf(merged, "/metrics", shown), 200);
  assert.equal(await statusOf(merged, "/metrics", {}), 0);
  certificates.close();
});
